"""Every formulation of a convolution equals XLA's, in values and in all gradients."""

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import conv, winograd


def reference(x, w, stride, padding):
    """A product for each tap; XLA's own convolution has wrong gradients for some paddings on CPU."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (n - k + 1 for n, k in zip(x.shape[1:3], w.shape[:2]))
    return sum(
        x[:, i : i + rows : stride, j : j + columns : stride] @ w[i, j] for i, j in np.ndindex(w.shape[:2])
    )


def close(a, b):
    scale = max(float(jnp.max(jnp.abs(b))), 1.0)
    np.testing.assert_allclose(a, b, atol=2e-5 * scale, rtol=0)


shapes = st.tuples(
    st.integers(1, 3),  # batch
    st.integers(1, 19),  # height
    st.integers(1, 21),  # width
    st.integers(1, 3),  # channel
    st.integers(1, 3),  # features
    st.integers(1, 5),  # kernel height
    st.integers(1, 5),  # kernel width
    st.integers(1, 3),  # stride
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    st.integers(0, 2**31),
)


def fits(case):
    _, height, width, _, _, kh, kw, _, padding, _ = case
    return height + sum(padding[0]) >= kh and width + sum(padding[1]) >= kw


@settings(max_examples=15, deadline=None)
@given(shapes.filter(fits))
def test_conv_is_the_sum_over_taps_in_values_and_gradients(case):
    batch, height, width, channel, features, kh, kw, stride, padding, seed = case
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(batch, height, width, channel)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(kh, kw, channel, features)), jnp.float32)
    y, pull = jax.vjp(lambda x, w: conv.conv(x, w, stride=stride, padding=padding), x, w)
    expected, expected_pull = jax.vjp(lambda x, w: reference(x, w, stride, padding), x, w)
    close(y, expected)
    dy = jnp.asarray(rng.normal(size=y.shape), jnp.float32)
    for got, want in zip(pull(dy), expected_pull(dy)):
        close(got, want)


@pytest.mark.parametrize("face", ["tiny", "large"])
@pytest.mark.parametrize("stride,kernel,padding", [(1, 3, 1), (2, 4, 1), (2, 3, 1), (3, 5, 2), (1, 2, 1)])
def test_each_cpu_formulation_is_exact(monkeypatch, face, stride, kernel, padding):
    """The property test's maps are small; here both formulations run on each shape."""
    for name in ("GEMM_ROWS", "ADJOINT_GEMM_ROWS", "KERNEL_GEMM_ROWS"):
        monkeypatch.setattr(conv, name, 10**9 if face == "tiny" else 0)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 13, 14, 3)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(kernel, kernel, 3, 5)), jnp.float32)
    pad = ((padding, padding),) * 2
    y, pull = jax.vjp(lambda x, w: conv.conv(x, w, stride=stride, padding=padding), x, w)
    expected, expected_pull = jax.vjp(lambda x, w: reference(x, w, stride, pad), x, w)
    close(y, expected)
    for got, want in zip(pull(y), expected_pull(y)):
        close(got, want)


@pytest.mark.parametrize("cached", [10**9, 400_000], ids=["whole", "in parts"])
@pytest.mark.parametrize("padding", [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((0, 2), (1, 0))])
@pytest.mark.parametrize(
    "size", [(3, 3), (4, 4), (1, 7), *(pytest.param(size, marks=pytest.mark.slow) for size in ((5, 5), (7, 1)))], ids=str
)
def test_winograds_formulation_is_exact(monkeypatch, size, padding, cached):
    for name in ("GEMM_ROWS", "ADJOINT_GEMM_ROWS", "KERNEL_GEMM_ROWS"):
        monkeypatch.setattr(conv, name, 0)
    monkeypatch.setattr(winograd, "CACHED", cached)
    calls = []
    for name in ("conv", "adjoint", "kernel_gradient"):
        original = getattr(winograd, name)
        monkeypatch.setattr(
            winograd, name, lambda *a, f=original, n=name, **k: calls.append(n) or f(*a, **k)
        )
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(4, 16, 17, 140)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(*size, 140, 180)) / (140 * math.prod(size)) ** 0.5, jnp.float32)
    y, pull = jax.vjp(lambda x, w: conv.conv(x, w, padding=padding), x, w)
    expected, expected_pull = jax.vjp(lambda x, w: reference(x, w, 1, padding), x, w)
    np.testing.assert_allclose(y, expected, atol=9e-5 if 7 in size else 3e-5)
    for got, want in zip(pull(y), expected_pull(y)):
        np.testing.assert_allclose(got, want, atol=2e-4 * float(jnp.std(want)))
    if size in ((3, 3), (4, 4)):
        # The gradient of the kernel is taken of the whole batch or not this way.
        assert calls == ["conv", "adjoint", "kernel_gradient"][: 3 if cached > 400_000 else 2]
    else:
        assert calls == ["conv", "conv"]  # The second with the turned kernel.


def test_winograds_formulation_is_not_taken_in_sixteen_bits(monkeypatch):
    monkeypatch.setattr(winograd, "conv", None)
    monkeypatch.setattr(winograd, "adjoint", None)
    monkeypatch.setattr(winograd, "kernel_gradient", None)
    x, w = jnp.ones((8, 16, 16, 64), jnp.bfloat16), jnp.ones((3, 3, 64, 128), jnp.bfloat16)
    y, pull = jax.vjp(lambda x, w: conv.conv(x, w, padding=1), x, w)
    assert float(y[0, 5, 5, 0]) == 9 * 64 and pull(y)[1].shape == w.shape


@pytest.mark.parametrize("size", [3, 40])
def test_padding_that_exceeds_the_kernel_has_exact_gradients(size):
    """XLA:CPU 0.10.2's own are wrong here."""
    rng = np.random.default_rng(0)
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, size, size, 3), (2, 2, 3, 5)))
    padding = ((1, 1), (2, 0))
    y, pull = jax.vjp(lambda x, w: conv.conv(x, w, padding=padding), x, w)
    for got, want in zip(pull(y), jax.vjp(lambda x, w: reference(x, w, 1, padding), x, w)[1](y)):
        close(got, want)


def test_transposed_conv_is_the_adjoint_with_exact_gradients():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(2, 9, 7, 6)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(4, 4, 3, 6)), jnp.float32)
    pad = ((1, 1), (1, 1))

    def expected_function(x, w):
        shape = jax.ShapeDtypeStruct((2, 18, 14, 3), jnp.float32)
        return jax.linear_transpose(lambda v: reference(v, w, 2, pad), shape)(x)[0]

    y, pull = jax.vjp(lambda x, w: conv.conv_transpose(x, w), x, w)
    expected, expected_pull = jax.vjp(expected_function, x, w)
    assert y.shape == (2, 18, 14, 3)
    close(y, expected)
    for got, want in zip(pull(y), expected_pull(y)):
        close(got, want)


def test_second_derivatives_equal_those_of_the_sum_over_taps():
    """A gradient penalty differentiates the gradient."""
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 2)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(4, 4, 2, 3)), jnp.float32)

    def penalty(f):
        def inner(w):
            gradient = jax.grad(lambda x: jnp.sum(jnp.sin(f(x, w))))(x)
            return jnp.sum(gradient**2)

        return jax.grad(inner)(w)

    close(
        penalty(lambda x, w: conv.conv(x, w, stride=2, padding=1)),
        penalty(lambda x, w: reference(x, w, 2, ((1, 1), (1, 1)))),
    )


def test_the_cpu_program_has_none_of_the_slow_loops():
    """Of the compiled step of a transposed convolution and a convolution on a tiny map, every
    convolution left to XLA slides a kernel that fits into its map, undilated."""

    def loss(x, w, v):
        y = conv.conv_transpose(jnp.tanh(conv.conv(x, w, stride=2, padding=1)), v)
        return jnp.sum(jnp.sin(y))

    x = jnp.ones((2, 64, 64, 8))
    w, v = jnp.ones((4, 4, 8, 8)), jnp.ones((4, 4, 8, 8))
    text = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x, w, v).as_text(dialect="hlo")
    convolutions = [line for line in text.splitlines() if " convolution(" in line]
    assert convolutions
    for line in convolutions:
        assert "lhs_dilate" not in line, line
    # The gradient of a kernel is taken of 16 strips of each of the two images.
    results = dict(re.findall(r"(\S+) = f32\[(\d+),", text))
    gradients = [line for line in convolutions if "dim_labels=f01b" in line]
    examples = [results[name] for line in gradients for name in re.search(r"\((\S+), (\S+)\)", line).groups()]
    assert examples == ["32"] * 4
    small = jnp.ones((2, 4, 4, 8))
    text = jax.jit(jax.grad(loss, (0, 1, 2))).lower(small, w, v).as_text(dialect="hlo")
    assert " convolution(" not in text and " dot(" in text


def test_misfits_are_named():
    x = jnp.ones((1, 4, 4, 3))
    with pytest.raises(ValueError, match="same number of channels"):
        conv.conv(x, jnp.ones((3, 3, 2, 1)))
    with pytest.raises(ValueError, match="does not fit"):
        conv.conv(x, jnp.ones((5, 5, 3, 1)))
    with pytest.raises(ValueError, match="negative"):
        conv.conv(x, jnp.ones((3, 3, 3, 1)), padding=-1)


def test_depthwise_is_xlas_convolution_by_groups():
    x, w = (jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, 9, 8, 6), (5, 5, 1, 6)]))
    for stride in (1, 2):
        ours = lambda x, w: conv.depthwise(x, w, stride=stride, padding="same")
        theirs = lambda x, w: jax.lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=conv.DIMENSIONS, feature_group_count=6
        )
        for f in (lambda f: f(x, w), lambda f: jax.grad(lambda x: (f(x, w) ** 2).sum())(x)):
            np.testing.assert_allclose(f(ours), f(theirs), rtol=1e-4, atol=1e-3)


def test_a_convolution_of_joined_maps_is_the_sum_of_each_ones():
    maps = [jax.random.normal(jax.random.key(i), (2, 7, 6, channel)) for i, channel in enumerate((3, 1, 4))]
    w = jax.random.normal(jax.random.key(3), (3, 3, 8, 5))
    settings = dict(stride=2, padding=1)
    whole = lambda maps, w: conv.conv(jnp.concatenate(maps, -1), w, **settings)
    gradients = lambda f: jax.grad(lambda maps, w: (f(maps, w) ** 2).sum(), (0, 1))(maps, w)
    for f in (conv.conv_joined, conv.conv_each):
        ours = lambda maps, w: f(maps, w, **settings)
        close(ours(maps, w), whole(maps, w))
        jax.tree.map(close, gradients(ours), gradients(whole))
        with pytest.raises(ValueError, match="same number of channels"):
            f(maps, w[:, :, :7], **settings)


@pytest.mark.parametrize("size,dilation,padding", [((8, 12), 2, 2), ((9, 7), 2, 2), ((11, 10), 3, 1), ((6, 6), 1, 1)])
def test_dilated_convolution_is_that_of_a_kernel_with_zeros_between_its_taps(size, dilation, padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(3, 3, 3, 4)), jnp.float32)

    def expected(x, w):
        spread = jnp.zeros((2 * dilation + 1, 2 * dilation + 1, 3, 4)).at[::dilation, ::dilation].set(w)
        return reference(x, spread, 1, ((padding, padding),) * 2)

    y, pull = jax.vjp(lambda x, w: conv.dilated(x, w, dilation=dilation, padding=padding), x, w)
    want, expected_pull = jax.vjp(expected, x, w)
    close(y, want)
    for got, other in zip(pull(y), expected_pull(y)):
        close(got, other)


def test_a_dilated_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"dilated: kernel \(3, 3\) does not fit into map \(4, 9\)"):
        conv.dilated(jnp.zeros((1, 4, 9, 1)), jnp.zeros((3, 3, 1, 1)), dilation=2)
