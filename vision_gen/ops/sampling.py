"""Draws from logits: temperature, the k likeliest (Fan et al. 2018), the nucleus (Holtzman et al. 2020)."""

import jax
import jax.numpy as jnp


def restricted(logits, temperature=1.0, top_k=0, top_p=1.0):
    """Logits over a temperature, -inf where they are not to be drawn. All settings may be traced.

    Args:
      logits: [batch, values].
      temperature: above 0; a smaller one makes likely values likelier.
      top_k: only so many of the likeliest values; 0: all.
      top_p: only the likeliest values that together have at least this probability, the likeliest always.

    Returns:
      [batch, values] float32.
    """
    logits = logits.astype(jnp.float32) / temperature
    falling = -jnp.sort(-logits, -1)
    chance = jax.nn.softmax(falling, -1)
    before = jnp.cumsum(chance, -1) - chance
    kept = (before < top_p) & ((jnp.arange(logits.shape[-1]) < top_k) | (jnp.asarray(top_k) == 0))
    kept = kept.at[:, 0].set(True)  # Whatever rounding says.
    least = jnp.min(jnp.where(kept, falling, jnp.inf), -1, keepdims=True)
    return jnp.where(logits >= least, logits, -jnp.inf)


def draw(keys, logits):
    """Values [batch] int32 of logits [batch, values], one for each of `keys` [batch]."""
    return jax.vmap(jax.random.categorical)(keys, logits.astype(jnp.float32)).astype(jnp.int32)
