"""Resizing, bilinear sampling and warping of images [batch, height, width, channel]."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import conv


def resize(x, size, method="bilinear", antialias=True):
    """Resizes to `size` = (height, width); a wrapper of `jax.image.resize` for batches.

    Half-pixel centres; with `antialias` the kernel widens when the image shrinks.
    """
    if tuple(x.shape[1:3]) == tuple(size):
        return x
    shape = (x.shape[0], *size, x.shape[3])
    whole = lambda x: jax.image.resize(x, shape, method, antialias=antialias).astype(x.dtype)
    if method == "bilinear" and tuple(size) == (2 * x.shape[1], 2 * x.shape[2]):
        return lax.platform_dependent(
            x, cuda=lambda x: double(x).astype(x.dtype), tpu=double_by_convolution, default=whole
        )
    return whole(x)


def nearest(x, size):
    """Maps [batch, height, width, channel] at `size`, which divides theirs: each cell's first pixel, as in torch."""
    if any(whole % part for whole, part in zip(x.shape[1:3], size)):
        raise ValueError(f"nearest: {tuple(size)} does not divide the map's {x.shape[1:3]}")
    rows, columns = (whole // part for whole, part in zip(x.shape[1:3], size))
    return x[:, ::rows, ::columns]


def double_by_convolution(x):
    """`resize` to twice the size for TPU, where maps would be laid out anew between its products and convolutions."""
    taps, (height, width) = np.array([0.25, 0.75, 0.75, 0.25]), x.shape[1:3]
    # At the edges only one of two weights lies inside the map.
    edge = lambda n: np.where(np.isin(np.arange(2 * n), (0, 2 * n - 1)), 4 / 3, 1)
    y = filtered(x, np.outer(taps, taps), lhs_dilation=(2, 2), padding=((2, 2), (2, 2)))
    return (y * np.outer(edge(height), edge(width))[..., None].astype(np.float32)).astype(x.dtype)


def filtered(x, taps, *, stride=(1, 1), padding="VALID", lhs_dilation=(1, 1)):
    """Every channel of `x` convolved with `taps` [height, width]."""
    kernel = jnp.broadcast_to(jnp.asarray(taps, x.dtype)[..., None, None], (*taps.shape, 1, x.shape[3]))
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        padding,
        lhs_dilation,
        dimension_numbers=conv.DIMENSIONS,
        feature_group_count=x.shape[3],
        precision="highest" if x.dtype == jnp.float32 else None,
    )


def double(x):
    """`resize` to twice the size, as sums that XLA:GPU fuses; its products write and transpose maps on the way."""
    for axis in (1, 2):
        count = x.shape[axis]
        part = functools.partial(lax.slice_in_dim, x, axis=axis)
        before = jnp.concatenate([part(0, 1), part(0, count - 1)], axis)
        after = jnp.concatenate([part(1, count), part(count - 1, count)], axis)
        shape = [n * (1 + (i == axis)) for i, n in enumerate(x.shape)]
        x = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis + 1).reshape(shape)
    return x


def resize_cubic(x, size):
    """Resizes as torch's bicubic does: half-pixel centres, a = -0.75, edges repeated, no antialias.

    Args:
      x: [batch, height, width, channel].
      size: (height, width) of the result.
    """
    rows, columns = (jnp.asarray(_cubic_matrix(n, m)) for n, m in zip(x.shape[1:3], size))
    out = jnp.einsum("ip,jq,bpqc->bijc", rows, columns, x.astype(jnp.float32), precision="highest")
    return out.astype(x.dtype)


def _cubic_matrix(size, out, a=-0.75):
    """[out, size] float32: the weights of Keys' cubic convolution."""
    matrix = np.zeros((out, size))
    position = (np.arange(out) + 0.5) * size / out - 0.5
    first = np.floor(position).astype(int)
    for tap in range(-1, 3):
        d = np.abs(position - first - tap)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        column = np.clip(first + tap, 0, size - 1)
        np.add.at(matrix, (np.arange(out), column), np.where(d <= 1, near, far))
    return matrix.astype(np.float32)


def area(x, size):
    """Resizes to means over the part of the image that each pixel covers.

    The same as repeating pixels so often that the sizes divide, and `average_pool`, without the map between.

    Args:
      x: [batch, height, width, channel].
      size: (height, width) of the result.
    """
    if tuple(x.shape[1:3]) == tuple(size):
        return x
    rows, columns = (jnp.asarray(_area_matrix(n, m)) for n, m in zip(x.shape[1:3], size))
    out = jnp.einsum("ip,jq,bpqc->bijc", rows, columns, x.astype(jnp.float32), precision="highest")
    return out.astype(x.dtype)


def _area_matrix(size, out):
    """[out, size] float32: the share of each pixel of the result that those of the image cover."""
    edge = np.arange(out + 1)[:, None] * size / out
    inside = np.clip(edge - np.arange(size), 0, 1)  # Of each pixel, what lies before an edge.
    return (np.diff(inside, axis=0) * out / size).astype(np.float32)


def average_pool(x, size):
    """Mean over equal windows, as torch's adaptive_avg_pool2d where the sizes divide.

    Args:
      x: [batch, height, width, channel].
      size: (height, width) of the result; each must divide that of `x`.
    """
    batch, height, width, channel = x.shape
    if height % size[0] or width % size[1]:
        raise ValueError(f"average_pool: {size} does not divide the map's {(height, width)}")
    window = (height // size[0], width // size[1])
    return lax.platform_dependent(
        x,
        tpu=lambda x: mean_by_convolution(x, window),
        default=lambda x: x.reshape(batch, size[0], window[0], size[1], window[1], channel).mean((2, 4)),
    )


def mean_by_convolution(x, window):
    """`average_pool` for TPU, whose compiler writes a float32 map for a mean of bfloat16."""
    return filtered(x, np.ones(window), stride=window) / (window[0] * window[1])


def identity_grid(height, width):
    """Sampling positions (x, y) of every pixel centre: [height, width, 2] in (-1, 1).

    -1 and 1 are the outer edges of the border pixels (torch's align_corners=False).
    """
    y = (jnp.arange(height, dtype=jnp.float32) + 0.5) * 2 / height - 1
    x = (jnp.arange(width, dtype=jnp.float32) + 0.5) * 2 / width - 1
    return jnp.stack(jnp.meshgrid(x, y), -1)


def grid_sample(image, grid, *, padding="zeros", align_corners=False):
    """Bilinear look-up of `image` at `grid`, as torch's grid_sample.

    Differentiable with respect to both.

    Args:
      image: [batch, height, width, channel].
      grid: [batch, out_height, out_width, 2]; (x, y) with -1 and 1 the outer edges of the border
        pixels, or their centres if `align_corners`.
      padding: what lies outside: "zeros", "border" (the nearest edge pixel).

    Returns:
      [batch, out_height, out_width, channel], of image's dtype.
    """
    if padding not in ("zeros", "border"):
        raise ValueError(f'grid_sample: padding must be "zeros" or "border", got {padding!r}')
    batch, height, width, channel = image.shape
    x, y = grid[..., 0], grid[..., 1]
    if align_corners:
        x, y = (x + 1) * (width - 1) / 2, (y + 1) * (height - 1) / 2
    else:
        x, y = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
    if padding == "border":
        x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    x0, y0 = jnp.floor(x), jnp.floor(y)
    fx, fy = x - x0, y - y0
    flat = image.reshape(batch, height * width, channel)
    out = 0.0
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            column, row = x0 + dx, y0 + dy
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            index = index.astype(jnp.int32).reshape(batch, -1, 1)
            tap = jnp.take_along_axis(flat, index, axis=1).reshape(*grid.shape[:3], channel)
            out += tap * (wx * wy * inside)[..., None]
    return out.astype(image.dtype)
