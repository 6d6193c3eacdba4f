"""Convolutions with fewer multiplications, by Winograd's minimal filtering (Lavin & Gray 2016).

Along one axis, m outputs of a kernel of r taps take m + r - 1 products a channel instead of m r:

    conv(x, w) = A^T [(G w) * (B^T x)]        the kernel's gradient: G^T [(B^T x) * (A y)]

where the products in brackets are summed over channels or over tiles. Outputs are computed so along the longer
axis of the kernel; their products are convolutions across the other axis. Both gradients take it along both axes;
their products are matrix products, which read the transformed kernel transposed, as it lies in memory. The
transforms only pay where there are many channels, and while all of it stays in the cache. In float32 the errors
are 1e-5 to 5e-5 of the result's standard deviation.
"""

import fractions
import functools
import math
import operator

from jax import lax
import jax.numpy as jnp
import numpy as np

# Where the polynomials are evaluated, beside infinity: the first ones, as many as m and the taps want.
POINTS = tuple(map(fractions.Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "2/3")))
GRADIENT_TAPS = (3, 4)  # Of square kernels, for both gradients.
ADJOINT_OUTPUTS = 2  # m of `adjoint`, along each axis.
GRADIENT_PRODUCTS = 6  # m + taps - 1 of `kernel_gradient`, along each axis.
# Times on two cores of an AMD EPYC with 32 MiB of L3 cache; docs/speed_log.md.
LEAST_SAVED = 58  # Products saved for each number that the transforms read or write.
LEAST_DEPTH = 38  # Of a gradient: channel * features / (channel + features).
LEAST_ROWS = 512  # Output positions over the batch; with fewer, transforming the kernel takes longest.
LEAST_SIZE = 7
CACHED = 12e6  # Bytes of maps that are transformed at a time.


@functools.cache
def transforms(m, taps):
    """B^T, G and A^T of m outputs of a kernel of `taps` taps, by Toom and Cook's construction."""
    points = POINTS[: m + taps - 2]
    product = lambda roots: functools.reduce(_times, roots, (1,))
    others = [[q for q in points if q != p] for p in points]
    b = [product(roots) + (0,) for roots in others] + [product(points)]
    scales = [math.prod(p - q for q in roots) for p, roots in zip(points, others)]
    powers = lambda count: [[p**k for k in range(count)] for p in points] + [[0] * (count - 1) + [1]]
    g = [[x / scale for x in row] for row, scale in zip(powers(taps), scales + [1])]
    return tuple(np.array(matrix, np.float64) for matrix in (b, g, np.transpose(powers(m))))


def _times(polynomial, root):
    """polynomial (x - root), coefficients of rising powers."""
    return tuple(a - root * b for a, b in zip((0, *polynomial), (*polynomial, 0)))


def pays(batch, size, kernel):
    """Whether `conv` is faster this way.

    Args:
      batch: images.
      size: (height, width) of the output.
      kernel: its shape, [height, width, channel, features].
    """
    axis = _axis(kernel)
    taps, n, (channel, features) = kernel[axis], size[axis], kernel[2:]
    if not 3 <= taps < len(POINTS) or batch * math.prod(size) < LEAST_ROWS or min(size) < LEAST_SIZE:
        return False
    done = _products(n, taps, _outputs(n, taps)) / n
    saved = math.prod(kernel) * (1 - done / taps)
    return saved >= LEAST_SAVED * (channel + features) * (1 + done)


def gradient_pays(batch, size, kernel, *, split):
    """Whether a gradient of `conv` is faster this way.

    Args:
      batch, size, kernel: as of `pays`; of the adjoint, the size of the map that goes out.
      split: a few images at a time will do.
    """
    height, width, channel, features = kernel
    return (
        height == width
        and height in GRADIENT_TAPS
        and channel * features >= LEAST_DEPTH * (channel + features)
        and batch * math.prod(size) >= LEAST_ROWS
        and min(size) >= LEAST_SIZE
        and _bytes(1 if split else batch, size, kernel) <= CACHED
    )


def _axis(kernel):
    return int(kernel[1] >= kernel[0])


def _outputs(n, taps):
    """m with the fewest products for n outputs; above eight at a time they lose accuracy, which 7 taps bear once."""
    return min(range(2, max(3, 9 - taps) + 1), key=lambda m: _products(n, taps, m))


def _products(n, taps, m):
    return -(-n // m) * (m + taps - 1)


def _bytes(batch, size, kernel):
    return 4 * batch * math.prod(size) * sum(kernel[2:])


def conv(x, w, padding):
    """Convolution, stride 1.

    Args:
      x: [batch, height, width, channel].
      w: [kernel_height, kernel_width, channel, features].
      padding: ((top, bottom), (left, right)).

    Returns:
      [batch, height + top + bottom - kernel_height + 1, likewise width, features].
    """
    size = tuple(n + sum(p) - k + 1 for n, p, k in zip(x.shape[1:3], padding, w.shape))
    axis = _axis(w.shape)
    taps, n, before = w.shape[axis], size[axis], padding[axis][0]
    across = [(0, 0) if i == axis else p for i, p in enumerate(padding)]
    m = _outputs(n, taps)
    b, g, a = transforms(m, taps)
    kernels = [_combine(row, jnp.split(w, taps, axis)) for row in g]

    def part(x, kernels):
        count = -(-n // m)
        edges = [(0, 0, 0)] * 4
        edges[axis + 1] = (before, m * count + taps - 1 - x.shape[axis + 1] - before, 0)
        x = lax.pad(x, jnp.zeros((), x.dtype), edges)
        tiles = [lax.slice_in_dim(x, i, i + m * (count - 1) + 1, m, axis + 1) for i in range(m + taps - 1)]
        products = [
            lax.conv_general_dilated(
                _combine(row, tiles), kernel, (1, 1), across, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            for row, kernel in zip(b, kernels)
        ]
        y = jnp.stack([_combine(row, products) for row in a], axis + 2)
        y = y.reshape(*y.shape[: axis + 1], m * count, *y.shape[axis + 3 :])
        return lax.slice_in_dim(y, 0, n, 1, axis + 1)

    return _in_parts(part, x, kernels, _bytes(1, size, w.shape))


def adjoint(y, w, padding):
    """Convolution with the adjoint kernel, stride 1: `w` turned by half a turn, its channels what goes out.

    Args:
      y: [batch, height, width, features].
      w: [taps, taps, channel, features].
      padding: ((top, bottom), (left, right)).

    Returns:
      [batch, height + top + bottom - taps + 1, likewise width, channel].
    """
    taps, m = len(w), ADJOINT_OUTPUTS
    b, g, a = transforms(m, taps)
    size = tuple(n + sum(p) - taps + 1 for n, p in zip(y.shape[1:3], padding))
    order = range(taps)[::-1]
    kernels = _transform(g, [[w[i, j] for j in order] for i in order])

    def part(y, kernels):
        products = [
            [window @ kernel.T for window, kernel in zip(*rows)]
            for rows in zip(_transform(b, _tiles(y, m, taps, size, padding)), kernels)
        ]
        x = jnp.stack([jnp.stack(row, 3) for row in _transform(a, products)], 2)
        x = x.reshape(y.shape[0], m * x.shape[1], m * x.shape[3], w.shape[2])
        return x[:, : size[0], : size[1]]

    return _in_parts(part, y, kernels, _bytes(1, size, w.shape))


def _in_parts(part, x, kernels, each):
    """part(images, kernels), as many images at a time as stay in the cache, `each` so many bytes."""
    batch = len(x)
    images = max(n for n in range(1, batch + 1) if n == 1 or batch % n == 0 and n * each <= CACHED)
    if images == batch:
        return part(x, kernels)
    kernels = lax.optimization_barrier(kernels)  # Once, not in the loop.
    y = lax.map(lambda x: part(x, kernels), x.reshape(-1, images, *x.shape[1:]))
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
    m = GRADIENT_PRODUCTS + 1 - taps
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
