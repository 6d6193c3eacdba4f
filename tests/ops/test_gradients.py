"""Gradients, and gradients of gradients, of every differentiable op.

A gradient penalty and a path length are the norm of a gradient, whose gradient trains. Each op is compared with its
plain formulation, or where it is plain itself with differences in 64 bits.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import layers, vit
from vision_gen.ops import (
    attention, chunks, colour, conv, encoding, fusion, losses, normalise, pool, rays, resample, sketch, tps, volume,
    winograd,
)


def normal(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [np.float32(rng.normal(size=shape)) for shape in shapes]


def uniform(*shapes, low=0.0, high=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [np.float32(rng.uniform(low, high, shape)) for shape in shapes]


def loss(f):
    """A scalar of what `f` gives that bends, so that its gradient depends on everything."""
    wide = lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return lambda *args: sum(jnp.sin(wide(x) + 0.3).sum() for x in jax.tree.leaves(f(*args)))


def gradient(f, count):
    return jax.grad(f, tuple(range(count)))


def penalty(f, count):
    """Half the squared norm of the gradient of `loss`."""
    wide = lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return lambda *args: sum(jnp.sum(wide(g) ** 2) for g in gradient(loss(f), count)(*args)) / 2


def orders(f, args):
    """(values, gradients, gradients of the penalty)."""
    count = len(args)
    return f(*args), gradient(loss(f), count)(*args), gradient(penalty(f, count), count)(*args)


def close(got, wanted, tolerance):
    """To `tolerance` of each array's largest entry."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        b = np.asarray(b, np.float64)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


def compare(ours, plain, args, tolerance=1e-4):
    both = jax.jit(lambda *args: (orders(ours, args), orders(plain, args)))
    got, wanted = both(*args)
    assert any(np.asarray(g).any() for g in wanted[2])
    close(got, wanted, tolerance)


# Convolutions.


def reads(size, out, taps, stride, before):
    """[taps, out, size]: 1 where a tap of an output position reads the input's position."""
    i, p, n = np.ogrid[:taps, :out, :size]
    return np.float32(n == stride * p + i - before)


def form(size, out, w, stride, padding):
    """The form whose faces convolutions are: `ipn` of rows and `jqm` of columns."""
    return [reads(*args, stride, edge[0]) for *args, edge in zip(size, out, w, padding)]


def plain_conv(x, w, stride, padding):
    out = [(n + sum(p) - k) // stride + 1 for n, k, p in zip(x.shape[1:3], w.shape, padding)]
    rows, columns = form(x.shape[1:3], out, w.shape, stride, padding)
    return jnp.einsum("bnma,ipn,jqm,ijac->bpqc", x, rows, columns, w)


def plain_transposed(y, w, stride, padding):
    size = [(n - 1) * stride + k - sum(p) for n, k, p in zip(y.shape[1:3], w.shape, padding)]
    rows, columns = form(size, y.shape[1:3], w.shape, stride, padding)
    return jnp.einsum("bpqc,ipn,jqm,ijac->bnma", y, rows, columns, w)


PRODUCTS = ("GEMM_ROWS", "ADJOINT_GEMM_ROWS", "KERNEL_GEMM_ROWS")


@pytest.mark.parametrize(
    "product, x, w, stride, padding",
    [
        (False, (2, 8, 7, 3), (3, 3, 3, 4), 1, ((1, 1), (1, 1))),
        (False, (2, 9, 8, 3), (4, 4, 3, 2), 2, ((1, 1), (1, 1))),
        (True, (2, 7, 9, 2), (3, 2, 2, 3), 2, ((2, 0), (0, 1))),
        (False, (2, 7, 9, 2), (5, 2, 2, 3), 3, ((2, 0), (0, 3))),  # Padding exceeds the kernel.
        (False, (3, 5, 5, 4), (1, 1, 4, 3), 1, ((0, 0), (0, 0))),
        (False, (1, 2, 3, 2), (3, 4, 2, 3), 1, ((2, 1), (1, 2))),  # The kernel exceeds the map.
        (False, (1, 16, 12, 2), (3, 3, 2, 1), 1, ((1, 1), (1, 1))),  # In strips, and to a single channel.
    ],
    ids=str,
)
def test_convolutions(monkeypatch, product, x, w, stride, padding):
    for name in PRODUCTS:
        monkeypatch.setattr(conv, name, 10**9 if product else 0)
    named = dict(stride=stride, padding=padding)
    compare(lambda *args: conv.conv(*args, **named), lambda *args: plain_conv(*args, **named), normal(x, w))


@pytest.mark.parametrize("product", [False, True])
def test_transposed_convolutions(monkeypatch, product):
    for name in PRODUCTS:
        monkeypatch.setattr(conv, name, 10**9 if product else 0)
    args = normal((2, 4, 5, 2), (4, 4, 3, 2))
    compare(conv.conv_transpose, lambda *args: plain_transposed(*args, 2, ((1, 1), (1, 1))), args)


@pytest.mark.parametrize("size", [(3, 3), (4, 4), (1, 5)], ids=str)
def test_winograds_convolutions(monkeypatch, size):
    for name in PRODUCTS:
        monkeypatch.setattr(conv, name, 0)
    for name in ("LEAST_SAVED", "LEAST_DEPTH", "LEAST_ROWS", "LEAST_SIZE"):
        monkeypatch.setattr(winograd, name, 0)
    calls = []
    for name in ("conv", "adjoint", "kernel_gradient"):
        original = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, f=original, n=name: calls.append(n) or f(*a))
    padding = tuple(((k - 1) // 2, k // 2) for k in size)
    args = normal((2, 6, 7, 5), (*size, 5, 4))
    compare(lambda x, w: conv.conv(x, w, padding=padding), lambda x, w: plain_conv(x, w, 1, padding), args, 3e-4)
    assert set(calls) == ({"conv"} if size == (1, 5) else {"conv", "adjoint", "kernel_gradient"})


def test_depthwise_and_joined_convolutions():
    stride, padding = 2, ((1, 1), (1, 1))
    x, w = normal((2, 5, 6, 4), (2, 2, 1, 4))
    plain = lambda x, w: plain_conv(x, w[:, :, 0, :, None] * jnp.eye(4), stride, padding)
    compare(lambda x, w: conv.depthwise(x, w, stride=stride, padding=padding), plain, (x, w))
    a, b, w = normal((2, 5, 6, 3), (2, 5, 6, 2), (2, 2, 5, 3))
    plain = lambda a, b, w: plain_conv(jnp.concatenate([a, b], -1), w, stride, padding)
    for joined in (conv.conv_joined, conv.conv_each):
        compare(lambda a, b, w: joined((a, b), w, stride=stride, padding=padding), plain, (a, b, w))


def test_convolutions_in_sixteen_bits():
    """Products of 8 bits of mantissa, summed in more: each order rounds its inputs and its results once."""
    args = [jnp.asarray(x, jnp.bfloat16) for x in normal((2, 8, 8, 6), (3, 3, 6, 8))]
    ours = lambda x, w: conv.conv(x, w, padding=1)
    wide = [x.astype(jnp.float32) for x in args]
    close(jax.jit(orders, static_argnums=0)(ours, args), orders(ours, wide), 0.04)


# Pooling and resampling.


def windows(x, window, stride, padding, outside):
    edge = (padding, padding)
    x = jnp.pad(x, ((0, 0), edge, edge, (0, 0)), constant_values=outside)
    rows, columns = ((n - window) // stride * stride + 1 for n in x.shape[1:3])
    return jnp.stack(
        [x[:, i : i + rows : stride, j : j + columns : stride] for i, j in np.ndindex(window, window)]
    )


@pytest.mark.parametrize("window, stride, padding", [(2, 2, 0), (3, 2, 0), (3, 1, 1)])
def test_pooling(window, stride, padding):
    args = normal((2, 7, 8, 3))
    named = dict(stride=stride, padding=padding)
    plain = lambda x: windows(x, window, stride, padding, -jnp.inf).max(0)
    compare(lambda x: pool.max_pool(x, window, **named), plain, args)
    compare(lambda x: pool.native_max_pool(x, window, stride, padding), plain, args)
    count = windows(jnp.ones((2, 7, 8, 3)), window, stride, padding, 0).sum(0)
    plain = lambda x: windows(x, window, stride, padding, 0).sum(0) / count
    compare(lambda x: pool.average_pool(x, window, **named), plain, args)


def hat(size, out):
    """[out, size]: bilinear weights with half-pixel centres, wider where it shrinks."""
    scale = size / out
    place = (np.arange(out) + 0.5) * scale - 0.5
    weight = np.maximum(1 - np.abs(place[:, None] - np.arange(size)) / max(scale, 1), 0)
    return np.float32(weight / weight.sum(1, keepdims=True))


def mean(size, out):
    return np.float32(np.repeat(np.eye(out), size // out, 1) * out / size)


SIZE, DOUBLE, HALF = (6, 8), (12, 16), (3, 4)
RESAMPLED = {
    "resize": (lambda x: resample.resize(x, (9, 5)), hat, (9, 5)),
    "resize to double": (lambda x: resample.resize(x, DOUBLE), hat, DOUBLE),
    "double": (resample.double, hat, DOUBLE),
    "double by convolution": (resample.double_by_convolution, hat, DOUBLE),
    "resize_cubic": (lambda x: resample.resize_cubic(x, (9, 5)), resample._cubic_matrix, (9, 5)),
    "average_pool": (lambda x: resample.average_pool(x, HALF), mean, HALF),
    "mean_by_convolution": (lambda x: resample.mean_by_convolution(x, (2, 2)), mean, HALF),
}


@pytest.mark.parametrize("name", RESAMPLED)
def test_resampling(name):
    ours, matrix, size = RESAMPLED[name]
    rows, columns = (matrix(n, m) for n, m in zip(SIZE, size))
    plain = lambda x: jnp.einsum("ip,jq,bpqc->bijc", rows, columns, x, precision="highest")
    compare(ours, plain, normal((2, *SIZE, 3)))


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample(padding, align_corners):
    def plain(image, grid):
        """Every pixel weighted by a hat around each place."""
        weights = []
        for axis, size in ((1, image.shape[1]), (0, image.shape[2])):
            place = (grid[..., axis] + 1) / 2
            place = place * (size - 1) if align_corners else place * size - 0.5
            if padding == "border":
                place = jnp.clip(place, 0, size - 1)
            weights.append(jax.nn.relu(1 - jnp.abs(place[..., None] - jnp.arange(size))))
        return jnp.einsum("bijp,bijq,bpqc->bijc", *weights, image)

    ours = lambda *args: resample.grid_sample(*args, padding=padding, align_corners=align_corners)
    compare(ours, plain, [*normal((2, 5, 6, 3)), *uniform((2, 4, 3, 2), low=-1.3, high=1.3)], 5e-4)


def test_gaussian_blur_with_its_width():
    def plain(x, sigma):
        for axis, size in ((1, x.shape[1]), (2, x.shape[2])):
            # Each pixel's own taps, as the op has them: all of the image and its size beyond either side.
            place = jnp.arange(size)[:, None] - jnp.arange(-size, 2 * size)
            weight = jnp.exp(-(place**2) / (2 * sigma[:, None, None] ** 2))
            weight /= weight.sum(-1, keepdims=True)
            edges = [(size, size) if i == axis else (0, 0) for i in range(4)]
            x = jnp.moveaxis(jnp.pad(x, edges, mode="edge"), axis, 1)
            x = jnp.moveaxis(jnp.einsum("bpt,bt...->bp...", weight, x), 1, axis)
        return x

    compare(sketch.gaussian_blur, plain, [*normal((2, 5, 6, 2)), *uniform((2,), low=0.6, high=1.5)])


# What has backward passes of its own.


def softmax_attention(query, key, value):
    """Of heads."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), value)


def one_head(query, key, value):
    return softmax_attention(*(x[:, :, None] for x in (query, key, value)))[:, :, 0]


@pytest.mark.parametrize("chunk", [None, 2, 7])
def test_attention(chunk):
    args = normal((2, 7, 4), (2, 5, 4), (2, 5, 4))
    if chunk:
        compare(lambda *a: attention.attend(*a, chunk=chunk), one_head, args)
        return
    compare(attention.multi_head, one_head, args)
    args = normal((2, 7, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4))
    compare(attention.multi_head, softmax_attention, args)
    identity = lambda q, k: one_head(q, k, jnp.broadcast_to(jnp.eye(5), (2, 5, 5)))
    compare(attention.attention_map, identity, normal((2, 7, 4), (2, 5, 4)))


def test_attention_in_sixteen_bits_whose_queries_and_keys_are_padded():
    """Weights and their gradients are rounded to 8 bits; the second order multiplies some of each."""
    args = [jnp.asarray(x, jnp.bfloat16) for x in normal((2, 7, 2, 4), (2, 5, 2, 4), (2, 5, 2, 4))]
    got = jax.jit(lambda *args: orders(attention.multi_head, args))(*args)
    wanted = jax.jit(lambda *args: orders(softmax_attention, args))(*(x.astype(jnp.float32) for x in args))
    close(got, wanted, 0.05)


def plain_norm(x, scale, bias, epsilon=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + bias


def test_layer_norm():
    args = normal((2, 3, 4, 8), (8,), (8,))
    compare(lambda *args: normalise.layer_norm(*args, 1e-5), plain_norm, args)
    centre = lambda x: x - x.mean(-1, keepdims=True)
    compare(lambda x, *rest: normalise.layer_norm(centre(x), *rest, 1e-5, True), plain_norm, args)


def test_layer_norm_in_sixteen_bits():
    """Computed in float32; what goes in and comes out is rounded to 8 bits."""
    args = [jnp.asarray(x, jnp.bfloat16) for x in normal((6, 16), (16,), (16,))]
    got = jax.jit(lambda *args: orders(lambda *a: normalise.layer_norm(*a, 1e-5), args))(*args)
    close(got, orders(plain_norm, [x.astype(jnp.float32) for x in args]), 0.05)


@pytest.mark.parametrize("resolution", [3, 9])
def test_hash_lookup(resolution):
    """Hats around all vertices, of a dense level and of a hashed one."""
    entries = encoding.table_size(resolution, 128)
    vertices = np.stack(np.meshgrid(*[np.arange(resolution + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rows = np.arange(len(vertices))
    if entries == 128:
        rows = np.bitwise_xor.reduce(vertices.astype(np.int64) * encoding.PRIMES, 1) % entries

    def plain(table, x):
        weight = jax.nn.relu(1 - jnp.abs(x[:, None] * resolution - vertices)).prod(-1)
        return weight @ table[rows]

    # Not near a vertex's plane, where a hat bends.
    (x,) = uniform((6, 3), low=0.1, high=0.9)
    x = (np.random.default_rng(1).integers(0, resolution, (6, 3)) + x) / np.float32(resolution)
    compare(lambda t, x: encoding.hash_lookup(t, x, resolution), plain, [*normal((entries, 2)), x])


PLAIN = {
    "leaky_relu": (layers.leaky_relu, lambda x: jnp.where(x > 0, x, 0.2 * x), [(3, 5)]),
    "gelu": (layers.gelu, lambda x: jax.nn.gelu(x, approximate=False), [(3, 5)]),
    "add_table": (vit.add_table, lambda x, table: x + table, [(3, 4, 5), (4, 5)]),
    "apart": (fusion.apart, lambda *x: x, [(3, 5), (4,)]),
    "in_chunks": (
        lambda x: chunks.in_chunks(lambda x: jnp.sin(x).cumsum(-1), x, 3),
        lambda x: jnp.sin(x).cumsum(-1),
        [(2, 7, 3)],
    ),
    "l1": (losses.l1, lambda a, b: jnp.sqrt((a - b) ** 2).mean(), [(3, 5), (3, 5)]),
    "gan, cross-entropy": (
        lambda x: (losses.gan(x, True, "cross_entropy"), losses.gan(x, False, "cross_entropy")),
        lambda x: (-jnp.log(jax.nn.sigmoid(x)).mean(), -jnp.log(1 - jax.nn.sigmoid(x)).mean()),
        [(3, 5)],
    ),
    "gan, least squares": (
        lambda x: (losses.gan(x, True, "least_squares"), losses.gan(x, False, "least_squares")),
        lambda x: (((1 - x) ** 2).mean(), (x * x).mean()),
        [(3, 5)],
    ),
    "gram": (
        losses.gram,
        lambda x: jnp.stack([m.reshape(-1, 3).T @ m.reshape(-1, 3) for m in x]) / x[0].size,
        [(2, 4, 5, 3)],
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_plain_but_for_its_backward_pass(name):
    ours, plain, shapes = PLAIN[name]
    compare(ours, plain, normal(*shapes))


def test_what_a_ray_sees():
    """The reference's products; with densities that count as zero, and none at their border."""

    def plain(density, colour, t, direction):
        length = jnp.concatenate([jnp.diff(t), jnp.full_like(t[..., :1], 1e10)], -1)
        opaque = 1 - jnp.exp(-jax.nn.relu(density) * length * jnp.sqrt((direction**2).sum(-1, keepdims=True)))
        through = jnp.cumprod(jnp.concatenate([jnp.ones_like(t[..., :1]), 1 - opaque[..., :-1]], -1), -1)
        weights = opaque * through
        opacity = weights.sum(-1)
        seen = (weights * t).sum(-1) + (1 - opacity) * t[..., -1]
        shade = jnp.einsum("rs,rsc->rc", weights, colour) + (1 - opacity)[..., None]
        return {"weights": weights, "opacity": opacity, "depth": seen, "colour": shade}

    def ours(density, colour, t, direction):
        return volume.composite(density, colour, t, volume.lengths(t), direction, (1.0, 1.0, 1.0))

    density, colour, direction = normal((3, 6), (3, 6, 3), (3, 3))
    t = np.sort(uniform((3, 6), low=2, high=4)[0], -1)
    compare(ours, plain, (density, colour, t, direction))


# What is plain itself.

CAMERA = np.float32([90, 80, 51, 47, 0.1, -0.05, 0.01, -0.02])
DIFFERENCES = {
    "positional": (lambda x: encoding.positional(x, 3), lambda: normal((4, 3))),
    "spherical_harmonics": (encoding.spherical_harmonics, lambda: normal((4, 3))),
    "camera_rays": (
        rays.camera_rays,
        lambda: [*uniform((4, 2), low=20, high=80), *normal((3, 4)), CAMERA],
    ),
    "distort": (rays.distort, lambda: normal((4, 2), (4,))),
    "undistort": (lambda p, d: rays.undistort(p, 0.1 * d), lambda: [0.3 * normal((4, 2))[0], *normal((4,))]),
    "ndc": (
        lambda o, d: rays.ndc(o, d - jnp.asarray([0, 0, 3.0]), CAMERA),
        lambda: [0.3 * x for x in normal((4, 3), (4, 3))],
    ),
    "through_box": (lambda o, d: rays.through_box(o, d, -1.0, 1.0, 0.1, 10.0), lambda: normal((4, 3), (4, 3), seed=3)),
    "stratified": (lambda n, f, u: volume.stratified(n, f, 5, u), lambda: [*normal((4, 1), (4, 1)), *uniform((4, 5))]),
    "lengths": (lambda t: volume.lengths(t, 1.0), lambda: normal((4, 5))),
    "a spline": (
        lambda control, target, points: tps.apply(tps.solve(control, target), control, points),
        lambda: uniform((1, 6, 2), (1, 6, 2), (1, 5, 2), low=-1, high=1),
    ),
    "flow": (lambda c, control: tps.flow(c, control, 2, 3), lambda: normal((1, 7, 2), (1, 4, 2))),
    "luma": (colour.luma, lambda: normal((2, 3, 3))),
    "rgb_to_lab": (lambda x: colour.rgb_to_lab(x) / 100, lambda: uniform((4, 3), low=0.06, high=0.95)),
    "rgb_to_lab of darkness": (lambda x: colour.rgb_to_lab(x), lambda: uniform((4, 3), low=0.001, high=0.008)),
    "lab_to_rgb": (
        lambda x: colour.lab_to_rgb(x),
        lambda: [np.float32(colour.rgb_to_lab(jnp.asarray(uniform((4, 3), low=0.2, high=0.8)[0])))],
    ),
    "sobel": (sketch.sobel, lambda: [0.2 * normal((1, 4, 5, 3))[0]]),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_in_64_bits(name, monkeypatch):
    monkeypatch.setattr(rays, "UNDISTORT_STEPS", 2)  # One differs from more; each makes the program longer.
    f, make = DIFFERENCES[name]
    with jax.enable_x64(True):
        args = [jnp.asarray(x, jnp.float64) for x in make()]
        count, step = len(args), 1e-5
        rng = np.random.default_rng(5)
        way = [jnp.asarray(rng.normal(size=x.shape) * np.abs(x).mean()) for x in args]

        @jax.jit
        def at(s):
            moved = [x + s * v for x, v in zip(args, way)]
            both = loss(f), penalty(f, count)
            along = lambda f: sum(jnp.vdot(g, v) for g, v in zip(gradient(f, count)(*moved), way))
            return [(f(*moved), along(f)) for f in both]

        low, here, high = at(-step), at(0.0), at(step)
        for order in (0, 1):
            slope = (high[order][0] - low[order][0]) / (2 * step)
            assert order or abs(here[order][1]) > 1e-9
            np.testing.assert_allclose(here[order][1], slope, rtol=1e-5, atol=1e-6 * max(1, abs(here[order][0])))


def test_a_drawn_colour_change_is_a_linear_map_of_colours():
    keys = jax.random.split(jax.random.key(0), 2)
    jittered = functools.partial(colour.jitter, keys=keys, hue=0.3, shift=0.1)
    basis = jnp.broadcast_to(jnp.concatenate([jnp.zeros((1, 3)), 0.2 * jnp.eye(3)]), (2, 1, 4, 3))
    base, *columns = np.moveaxis(np.asarray(jittered(basis))[:, 0], 1, 0)
    matrix = np.stack([(c - base) / 0.2 for c in columns], 1)
    image = [0.2 * x for x in uniform((2, 3, 4, 3), low=-1)]
    compare(jittered, lambda x: jnp.einsum("bhwc,bcd->bhwd", x, matrix) + base[:, None, None], image)


def test_draws_of_depths_let_no_gradient_through():
    edges, weights = np.linspace(0, 1, 6, dtype=np.float32)[None], uniform((1, 5))[0]
    found = gradient(loss(lambda e, w: volume.importance(e, w, 8)), 2)(edges, weights)
    assert all(not np.asarray(g).any() for g in found)
