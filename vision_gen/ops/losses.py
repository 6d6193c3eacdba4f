"""Loss functions that several systems share. All reduce in float32 to a scalar."""

import jax
import jax.numpy as jnp


def l1(a, b):
    """Mean absolute difference."""
    return jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))


def gan(logits, real, kind):
    """How far a discriminator's `logits` are from saying `real`.

    Args:
      logits: any shape.
      real: the verdict wanted.
      kind: "cross_entropy" (Goodfellow et al. 2014, non-saturating for the generator) or
        "least_squares" (Mao et al. 2017, targets 1 and 0).
    """
    logits = logits.astype(jnp.float32)
    if kind == "cross_entropy":
        return jnp.mean(jax.nn.softplus(-logits if real else logits))
    if kind == "least_squares":
        return jnp.mean((logits - float(real)) ** 2)
    raise ValueError(f'gan: kind must be "cross_entropy" or "least_squares", got {kind!r}')


def gram(maps):
    """Gram matrices of maps [batch, height, width, channel]: [batch, channel, channel], by size."""
    maps = maps.astype(jnp.float32)
    return jnp.einsum("bhwc,bhwd->bcd", maps, maps) / maps[0].size
