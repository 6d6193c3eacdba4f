"""Distances in pictures, along which edges are far."""

from jax import lax
import jax.numpy as jnp

TURNS = 3  # Of the two directions.


def distance(mask, guide, edge=100.0):
    """How far every pixel is from a mask, in pixels, by rows and columns.

    Args:
      mask: [batch, height, width, 1], not 0 inside.
      guide: [batch, height, width, 1].
      edge: how many pixels a step of 1 in the guide counts for.

    Returns:
      [batch, height, width, 1] float32, infinite where the mask is empty.
    """
    found = jnp.where(mask > 0, 0.0, jnp.inf)
    for _ in range(TURNS):
        for axis in (1, 2):
            step = 1 + edge * jnp.abs(jnp.diff(guide.astype(jnp.float32), axis=axis))
            start = jnp.zeros_like(lax.slice_in_dim(found, 0, 1, axis=axis))
            place = jnp.cumsum(jnp.concatenate([start, step], axis), axis)
            before = lax.cummin(found - place, axis) + place
            after = lax.cummin(found + place, axis, reverse=True) - place
            found = jnp.minimum(before, after)
    return jnp.maximum(found, 0)
