"""Distances in pictures, along which edges are far, and what lies within them."""

import jax
from jax import lax
import jax.numpy as jnp

TURNS = 3  # Of the two directions.


def around(picture, points, reach, *, light=0.0):
    """What lies around points of a picture, within its edges.

    Args:
      picture: [batch, height, width, channel] in [-1, 1].
      points: x and y in pixels, [batch, 2].
      reach: [batch], in pixels, by rows and columns.
      light: a point may move so many pixels to where the first channel is lighter by 1: off a line, say.

    Returns:
      [batch, height, width, 1] float32, 1 where it is as near as `reach` and 0 elsewhere.
    """
    y, x = (jnp.arange(n, dtype=jnp.float32) + 0.5 for n in picture.shape[1:3])
    apart = jnp.hypot(x - points[:, None, None, 0], y[:, None] - points[:, None, None, 1])
    start = jnp.argmin((apart - light * picture[..., 0]).reshape(len(picture), -1), -1)
    mask = jax.nn.one_hot(start, x.size * y.size).reshape(*picture.shape[:3], 1)
    return (distance(mask, picture) <= reach[:, None, None, None]).astype(jnp.float32)


def distance(mask, guide, edge=100.0):
    """How far every pixel is from a mask, in pixels, by rows and columns.

    Args:
      mask: [batch, height, width, 1], not 0 inside.
      guide: [batch, height, width, channel].
      edge: how many pixels a step of 1 in the guide, in the channel where it is largest, counts for.

    Returns:
      [batch, height, width, 1] float32, infinite where the mask is empty.
    """
    found = jnp.where(mask > 0, 0.0, jnp.inf)
    for _ in range(TURNS):
        for axis in (1, 2):
            step = jnp.abs(jnp.diff(guide.astype(jnp.float32), axis=axis)).max(-1, keepdims=True)
            step = 1 + edge * step
            start = jnp.zeros_like(lax.slice_in_dim(found, 0, 1, axis=axis))
            place = jnp.cumsum(jnp.concatenate([start, step], axis), axis)
            before = lax.cummin(found - place, axis) + place
            after = lax.cummin(found + place, axis, reverse=True) - place
            found = jnp.minimum(before, after)
    return jnp.maximum(found, 0)
