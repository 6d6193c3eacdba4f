"""Pooling over small windows, of shifted maps (maxima on TPU apart): XLA:CPU's own loop is naive."""

import functools

from jax import lax
import jax.numpy as jnp
import numpy as np


def max_pool(x, window, *, stride, padding=0):
    """Largest value of every window; windows hang over the edge by `padding`, where nothing counts.

    Of equal largest values the first gets the gradient on TPU, elsewhere they share it.

    Args:
      x: [batch, height, width, channel].
      window: height and width of the window.
      stride: its step.
      padding: on every side.
    """
    return lax.platform_dependent(
        x,
        tpu=lambda x: native_max_pool(x, window, stride, padding),
        default=lambda x: _pool(x, window, stride, padding, jnp.maximum, -jnp.inf),
    )


def native_max_pool(x, window, stride, padding):
    """`max_pool` for TPU, which has a window's maximum and its gradient; shifted maps are written to memory there."""
    edge = (padding, padding)
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        (1, window, window, 1),
        (1, stride, stride, 1),
        ((0, 0), edge, edge, (0, 0)),
    )


def average_pool(x, window, *, stride=1, padding=0):
    """Mean of every window over what lies inside the map: torch's with count_include_pad=False.

    Arguments as `max_pool`.
    """
    total = _pool(x, window, stride, padding, jnp.add, 0.0)
    inside = [_counts(n, window, stride, padding) for n in x.shape[1:3]]
    return total / jnp.asarray(np.outer(*inside)[..., None], x.dtype)


def reflected(x, padding=1):
    """Maps [batch, height, width, channel] with `padding` more on every side, mirrored about the edge, as torch's."""
    return jnp.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)], "reflect")


def inside(x, size):
    """Maps [batch, height, width, channel] with zeros beyond their first `size` rows and columns; None is all of them.

    So maps of many sizes share one compiled program: zeros are what convolutions have around a map. `size` may be
    traced.
    """
    if size is None:
        return x
    rows, columns = (jnp.arange(whole) < part for whole, part in zip(x.shape[1:3], size))
    return jnp.where(rows[:, None, None] & columns[:, None], x, 0)


def _pool(x, window, stride, padding, join, outside):
    edge = (padding, padding)
    x = jnp.pad(x, ((0, 0), edge, edge, (0, 0)), constant_values=outside)
    for axis in (1, 2):
        reach = (x.shape[axis] - window) // stride * stride + 1
        at = lambda i: (slice(None),) * axis + (slice(i, i + reach, stride),)
        x = functools.reduce(join, (x[at(i)] for i in range(window)))
    return x


def _counts(size, window, stride, padding):
    """How many cells of each window along a side lie inside."""
    start = np.arange((size + 2 * padding - window) // stride + 1) * stride - padding
    return np.minimum(start + window, size) - np.maximum(start, 0)
