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


def expected(x, w, stride, padding):
    """What `jax.vjp` gives of `reference`, of numpy in 64 bits."""
    x, w = (np.asarray(a, np.float64) for a in (x, w))
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (n - k + 1 for n, k in zip(padded.shape[1:3], w.shape[:2]))
    taps = {(i, j): np.s_[:, i : i + rows : stride, j : j + columns : stride] for i, j in np.ndindex(w.shape[:2])}

    def pull(dy):
        dx = np.zeros_like(padded)
        for tap, places in taps.items():
            dx[places] += dy @ w[tap].T
        dw = np.stack([np.tensordot(padded[places], dy, [(0, 1, 2)] * 2) for places in taps.values()])
        (top, _), (left, _) = padding
        return dx[:, top : top + x.shape[1], left : left + x.shape[2]], dw.reshape(w.shape)

    return sum(padded[places] @ w[tap] for tap, places in taps.items()), pull


def pairs(function, wanted, *given):
    """(found, wanted) of a function's value and gradients, in one program; `wanted` as `jax.vjp` gives it."""
    y, pull = wanted
    dy = np.random.default_rng(5).normal(size=y.shape).astype(np.float32)

    @jax.jit
    def look(given, dy):
        y, pull = jax.vjp(function, *given)
        return y, *pull(dy)

    return list(zip(look(given, dy), (y, *pull(dy)), strict=True))


def close(a, b):
    scale = max(np.abs(b).max(), 1.0)
    np.testing.assert_allclose(a, b, atol=2e-5 * scale, rtol=0)


def agree(*given):
    for found, wanted in pairs(*given):
        close(found, wanted)


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
    agree(lambda x, w: conv.conv(x, w, stride=stride, padding=padding), expected(x, w, stride, padding), x, w)


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
    agree(lambda x, w: conv.conv(x, w, stride=stride, padding=padding), expected(x, w, stride, pad), x, w)


PADDINGS = ((1, 1), (1, 1)), ((0, 0), (0, 0)), ((0, 2), (1, 0))


@pytest.mark.parametrize(
    "padding,cached",
    [
        *(pytest.param(padding, 10**9, id=f"{padding}-whole") for padding in PADDINGS),
        pytest.param(PADDINGS[-1], 400_000, id=f"{PADDINGS[-1]}-in parts"),
        *(pytest.param(padding, 400_000, id=f"{padding}-in parts", marks=pytest.mark.slow) for padding in PADDINGS[:-1]),
    ],
)
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
    value, *gradients = pairs(lambda x, w: conv.conv(x, w, padding=padding), expected(x, w, 1, padding), x, w)
    np.testing.assert_allclose(*value, atol=9e-5 if 7 in size else 3e-5)
    for found, wanted in gradients:
        np.testing.assert_allclose(found, wanted, atol=2e-4 * wanted.std())
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
    agree(lambda x, w: conv.conv(x, w, padding=padding), expected(x, w, 1, padding), x, w)


def test_transposed_conv_is_the_adjoint_with_exact_gradients():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(2, 9, 7, 6)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(4, 4, 3, 6)), jnp.float32)
    # Its gradients are the convolution of what comes back, and that convolution's gradient by the kernel.
    pulled = lambda y: expected(y, w, 2, ((1, 1), (1, 1)))
    wanted = pulled(np.zeros((2, 18, 14, 3)))[1](x)[0]

    def pull(dy):
        dx, back = pulled(dy)
        return dx, back(x)[1]

    agree(conv.conv_transpose, (wanted, pull), x, w)


def test_second_derivatives_equal_those_of_the_sum_over_taps():
    """A gradient penalty differentiates the gradient."""
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 2)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(4, 4, 2, 3)), jnp.float32)

    def penalty(f, x, w):
        def inner(w):
            gradient = jax.grad(lambda x: jnp.sum(jnp.sin(f(x, w))))(x)
            return jnp.sum(gradient**2)

        return jax.grad(inner)(w)

    ours = lambda x, w: conv.conv(x, w, stride=2, padding=1)
    theirs = lambda x, w: reference(x, w, 2, ((1, 1), (1, 1)))
    close(*jax.jit(lambda x, w: [penalty(f, x, w) for f in (ours, theirs)])(x, w))


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
        of = lambda f, x, w: (f(x, w), jax.grad(lambda x: (f(x, w) ** 2).sum())(x))
        for found, wanted in zip(*jax.jit(lambda x, w: [of(f, x, w) for f in (ours, theirs)])(x, w)):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_a_convolution_of_joined_maps_is_the_sum_of_each_ones():
    maps = [jax.random.normal(jax.random.key(i), (2, 7, 6, channel)) for i, channel in enumerate((3, 1, 4))]
    w = jax.random.normal(jax.random.key(3), (3, 3, 8, 5))
    settings = dict(stride=2, padding=1)
    whole = lambda maps, w: conv.conv(jnp.concatenate(maps, -1), w, **settings)
    of = lambda f, *given: (f(*given), jax.grad(lambda *given: (f(*given) ** 2).sum(), (0, 1))(*given))
    for f in (conv.conv_joined, conv.conv_each):
        ours = lambda maps, w: f(maps, w, **settings)
        jax.tree.map(close, *jax.jit(lambda *given: [of(f, *given) for f in (ours, whole)])(maps, w))
        with pytest.raises(ValueError, match="same number of channels"):
            f(maps, w[:, :, :7], **settings)


@pytest.mark.parametrize("size,dilation,padding", [((8, 12), 2, 2), ((9, 7), 2, 2), ((11, 10), 3, 1), ((6, 6), 1, 1)])
def test_dilated_convolution_is_that_of_a_kernel_with_zeros_between_its_taps(size, dilation, padding):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(3, 3, 3, 4)), jnp.float32)
    spread = np.zeros((2 * dilation + 1, 2 * dilation + 1, 3, 4))
    spread[::dilation, ::dilation] = w
    value, back = expected(x, spread, 1, ((padding, padding),) * 2)

    def pull(dy):
        dx, dw = back(dy)
        return dx, dw[::dilation, ::dilation]

    agree(lambda x, w: conv.dilated(x, w, dilation=dilation, padding=padding), (value, pull), x, w)


def test_a_dilated_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"dilated: kernel \(3, 3\) does not fit into map \(4, 9\)"):
        conv.dilated(jnp.zeros((1, 4, 9, 1)), jnp.zeros((3, 3, 1, 1)), dilation=2)
