"""Convolutions with fewer multiplications, by Winograd's minimal filtering (Lavin & Gray 2016).

A tile of m x m outputs of a kernel of r x r taps takes (m + r - 1)^2 products a channel instead of (m r)^2:

    conv(x, w) = A^T [(G w G^T) * (B^T x B)] A        each kernel's gradient: G^T [(B^T x B) * (A y A^T)] G

where the products in brackets, summed over channels or over tiles, are (m + r - 1)^2 matrix products. The
transforms around them only pay where there are many channels, and while all of it stays in the cache.
Outputs take m = 2, which costs little accuracy (a relative error of 3e-5 in float32 with 4 x 4 taps);
gradients of kernels, which sum over all tiles, m = 4 or 3 (5e-5).
"""

import fractions
import functools
import math
import operator

from jax import lax
import jax.numpy as jnp
import numpy as np

KERNELS = ((3, 3), (4, 4))
OUTPUTS = 2  # m of `conv`.
# Where the polynomials are evaluated, beside infinity: all of them by `kernel_gradient`, the first ones by `conv`.
POINTS = tuple(map(fractions.Fraction, (0, 1, -1, 2, -2)))
# Times on two cores of an AMD EPYC with 32 MiB of L3 cache; docs/speed_log.md.
LEAST_DEPTH = 38  # channel * features / (channel + features): products for each number transformed.
LEAST_ROWS = 512  # Output positions over the batch; with fewer, transforming the kernel takes longest.
CACHED = 12e6  # Bytes of maps that are transformed at a time.


@functools.cache
def transforms(m, taps):
    """B^T, G and A^T of m outputs of a kernel of `taps` taps, by Toom and Cook's construction."""
    points = POINTS[: m + taps - 2]
    product = lambda roots: functools.reduce(lambda p, root: _times(p, root), roots, (1,))
    others = [[q for q in points if q != p] for p in points]
    b = [product(roots) + (0,) for roots in others] + [product(points)]
    scales = [math.prod(p - q for q in roots) for p, roots in zip(points, others)]
    powers = lambda count: [[p**k for k in range(count)] for p in points] + [[0] * (count - 1) + [1]]
    g = [[x / scale for x in row] for row, scale in zip(powers(taps), scales + [1])]
    return tuple(np.array(matrix, np.float64) for matrix in (b, g, np.transpose(powers(m))))


def _times(polynomial, root):
    """polynomial (x - root), coefficients of rising powers."""
    return tuple(a - root * b for a, b in zip((0, *polynomial), (*polynomial, 0)))


def pays(batch, size, channel, features, *, split=True):
    """Whether a convolution of maps of this size, stride 1, is faster this way.

    Args:
      batch: images.
      size: (height, width) of the output.
      channel, features: of what comes in and goes out.
      split: a few images at a time will do.
    """
    return (
        channel * features >= LEAST_DEPTH * (channel + features)
        and min(size) >= 7
        and batch * size[0] * size[1] >= LEAST_ROWS
        and _bytes(1 if split else batch, size, channel, features) <= CACHED
    )


def _bytes(batch, size, channel, features):
    return 4 * batch * size[0] * size[1] * (channel + features)


def conv(x, w, padding, *, adjoint=False):
    """Convolution, stride 1.

    Args:
      x: [batch, height, width, channel].
      w: [taps, taps, channel, features].
      padding: ((top, bottom), (left, right)).
      adjoint: with the kernel of the adjoint: `w` turned by half a turn, its channels what goes out.

    Returns:
      [batch, height + top + bottom - taps + 1, likewise width, features].
    """
    taps, m = len(w), OUTPUTS
    b, g, a = transforms(m, taps)
    batch, (channel, features) = x.shape[0], w.shape[2:][:: -1 if adjoint else 1]
    size = tuple(n + sum(p) - taps + 1 for n, p in zip(x.shape[1:3], padding))
    order = range(taps)[:: -1 if adjoint else 1]
    kernels = _transform(g, [[w[i, j] for j in order] for i in order])

    def part(x):
        products = [
            [window @ (kernel.T if adjoint else kernel) for window, kernel in zip(*rows)]
            for rows in zip(_transform(b, _tiles(x, m, taps, size, padding)), kernels)
        ]
        y = jnp.stack([jnp.stack(row, 3) for row in _transform(a, products)], 2)
        y = y.reshape(x.shape[0], m * y.shape[1], m * y.shape[3], features)
        return y[:, : size[0], : size[1]]

    images = max(
        n for n in range(1, batch + 1)
        if n == 1 or batch % n == 0 and _bytes(n, size, channel, features) <= CACHED
    )  # fmt: skip
    if images == batch:
        return part(x)
    kernels = lax.optimization_barrier(kernels)  # Once, not in the loop.
    y = lax.map(part, x.reshape(-1, images, *x.shape[1:]))
    return y.reshape(batch, *y.shape[2:])


def kernel_gradient(x, y, padding):
    """Gradient of the kernel of `conv`.

    Args:
      x: [batch, height, width, channel], what came in.
      y: [batch, out_height, out_width, features], the gradient of what went out.
      padding: ((top, bottom), (left, right)).

    Returns:
      [taps, taps, channel, features], where taps = height + top + bottom - out_height + 1.
    """
    taps = x.shape[1] + sum(padding[0]) - y.shape[1] + 1
    m = len(POINTS) + 2 - taps
    # The transforms in both directions at once, as matrix products.
    b, g, a = (np.kron(matrix, matrix).astype(x.dtype) for matrix in transforms(m, taps))
    flat = lambda grid: jnp.stack([tile for row in grid for tile in row]).reshape(len(grid) ** 2, -1)
    channel, features = x.shape[3], y.shape[3]
    windows = (b @ flat(_tiles(x, m, taps, y.shape[1:3], padding))).reshape(len(b), -1, channel)
    y = jnp.pad(y, ((0, 0), *((0, -n % m) for n in y.shape[1:3]), (0, 0)))
    outputs = (a.T @ flat([[y[:, i::m, j::m] for j in range(m)] for i in range(m)])).reshape(len(b), -1, features)
    products = jnp.einsum("ktc,ktf->kcf", windows, outputs).reshape(len(b), -1)
    return (g.T @ products).reshape(taps, taps, channel, features)


def _tiles(x, m, taps, size, padding):
    """What every tile of m x m outputs reads: (m + taps - 1)^2 maps [batch, rows, columns, channel]."""
    counts = [-(-n // m) for n in size]
    edges = [
        (before, m * count + taps - 1 - n - before, 0) for n, count, (before, _) in zip(x.shape[1:3], counts, padding)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    ends = [m * (count - 1) + 1 for count in counts]
    reach = range(m + taps - 1)
    return [[x[:, i : i + ends[0] : m, j : j + ends[1] : m] for j in reach] for i in reach]


def _transform(matrix, grid):
    """matrix @ grid @ matrix^T, where the entries of `grid` are arrays."""
    rows = [[_combine(row, column) for column in zip(*grid)] for row in matrix]
    return [[_combine(column, row) for column in matrix] for row in rows]


def _combine(factors, arrays):
    terms = (array if f == 1 else -array if f == -1 else f * array for f, array in zip(factors, arrays) if f)
    return functools.reduce(operator.add, terms)
