"""3x3 convolutions with fewer multiplications, by Winograd's minimal filtering (Lavin & Gray 2016).

A tile of m x m outputs of a 3x3 kernel takes (m + 2)^2 products a channel instead of 9 m^2:

    conv(x, w) = A^T [(G w G^T) * (B^T x B)] A        each kernel's gradient: G^T [(B^T x B) * (A y A^T)] G

where the products in brackets, summed over channels or over tiles, are (m + 2)^2 matrix products. The
transforms around them only pay where there are many channels, and while all of it stays in the cache.
Outputs take m = 2, which costs no accuracy to speak of; gradients of kernels, which sum over all tiles,
m = 4 (a relative error of 1e-5 in float32).
"""

import functools
import operator

from jax import lax
import jax.numpy as jnp
import numpy as np

KERNEL = (3, 3)
# B^T, G and A^T of F(m x m, 3 x 3).
TRANSFORMS = {
    2: (
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        ((1, 1, 1, 0), (0, 1, -1, -1)),
    ),
    4: (
        (
            (4, 0, -5, 0, 1, 0),
            (0, -4, -4, 1, 1, 0),
            (0, 4, -4, -1, 1, 0),
            (0, -2, -1, 2, 1, 0),
            (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1),
        ),
        (
            (1 / 4, 0, 0),
            (-1 / 6, -1 / 6, -1 / 6),
            (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6),
            (1 / 24, -1 / 12, 1 / 6),
            (0, 0, 1),
        ),
        ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
    ),
}
# Times on two cores of an AMD EPYC with 32 MiB of L3 cache; docs/speed_log.md.
LEAST_DEPTH = 38  # channel * features / (channel + features): products for each number transformed.
CACHED = 12e6  # Bytes of maps that are transformed at a time.


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
        and min(size) >= 8
        and _bytes(1 if split else batch, size, channel, features) <= CACHED
    )


def _bytes(batch, size, channel, features):
    return 4 * batch * size[0] * size[1] * (channel + features)


def conv(x, w, padding):
    """3x3 convolution, stride 1.

    Args:
      x: [batch, height, width, channel].
      w: [3, 3, channel, features].
      padding: ((top, bottom), (left, right)).

    Returns:
      [batch, height + top + bottom - 2, likewise width, features].
    """
    b, g, a = TRANSFORMS[2]
    batch, channel, features = x.shape[0], *w.shape[2:]
    size = tuple(n + sum(p) - 2 for n, p in zip(x.shape[1:3], padding))
    kernels = _transform(g, [[w[i, j] for j in range(3)] for i in range(3)])

    def part(x):
        products = [
            [window @ kernel for window, kernel in zip(*rows)]
            for rows in zip(_transform(b, _tiles(x, 2, size, padding)), kernels)
        ]
        y = jnp.stack([jnp.stack(row, 3) for row in _transform(a, products)], 2)
        y = y.reshape(x.shape[0], 2 * y.shape[1], 2 * y.shape[3], features)
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
      y: [batch, height + top + bottom - 2, likewise width, features], the gradient of what went out.
      padding: ((top, bottom), (left, right)).

    Returns:
      [3, 3, channel, features].
    """
    # The transforms in both directions at once, as matrix products.
    b, g, a = (np.kron(m, m).astype(x.dtype) for m in TRANSFORMS[4])
    flat = lambda grid: jnp.stack([tile for row in grid for tile in row]).reshape(len(grid) ** 2, -1)
    channel, features = x.shape[3], y.shape[3]
    windows = (b @ flat(_tiles(x, 4, y.shape[1:3], padding))).reshape(len(b), -1, channel)
    y = jnp.pad(y, ((0, 0), *((0, -n % 4) for n in y.shape[1:3]), (0, 0)))
    outputs = (a.T @ flat([[y[:, i::4, j::4] for j in range(4)] for i in range(4)])).reshape(len(b), -1, features)
    products = jnp.einsum("ktc,ktf->kcf", windows, outputs).reshape(len(b), -1)
    return (g.T @ products).reshape(3, 3, channel, features)


def _tiles(x, m, size, padding):
    """What every tile of m x m outputs reads: (m + 2) x (m + 2) maps [batch, rows, columns, channel]."""
    counts = [-(-n // m) for n in size]
    edges = [
        (before, m * count + 2 - n - before, 0) for n, count, (before, _) in zip(x.shape[1:3], counts, padding)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))
    ends = [m * (count - 1) + 1 for count in counts]
    return [
        [x[:, i : i + ends[0] : m, j : j + ends[1] : m] for j in range(m + 2)] for i in range(m + 2)
    ]


def _transform(matrix, grid):
    """matrix @ grid @ matrix^T, where the entries of `grid` are arrays."""
    rows = [[_combine(row, column) for column in zip(*grid)] for row in matrix]
    return [[_combine(column, row) for column in matrix] for row in rows]


def _combine(factors, arrays):
    terms = (array if f == 1 else -array if f == -1 else f * array for f, array in zip(factors, arrays) if f)
    return functools.reduce(operator.add, terms)
