"""Scaled dot-product attention over many positions, in bounded memory."""

import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.ops import chunks


def attention_map(query, key):
    """softmax(q k^T / sqrt(d)) over keys: [batch, queries, keys] float32.

    Args:
      query: [batch, queries, d].
      key: [batch, keys, d].
    """
    scores = jnp.einsum("bqd,bkd->bqk", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores / query.shape[-1] ** 0.5, -1)


def multi_head(query, key, value):
    """softmax(q k^T / sqrt(d)) v of every head.

    The weights are normalised after they have met the values, as in FlashAttention (Dao et al. 2022): a division of
    [queries, d] instead of [queries, keys], and no sum over [queries, keys] in the backward pass.

    Args:
      query: [batch, queries, heads, d].
      key: [batch, keys, heads, d].
      value: [batch, keys, heads, d].

    Returns:
      [batch, queries, heads, d], of the values' dtype; scores and sums are float32.
    """
    query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1).swapaxes(1, 2)[..., None]
    out = jnp.einsum(
        "bhqk,bkhd->bqhd", weights.astype(value.dtype), value, preferred_element_type=jnp.float32
    )
    return (out / total).astype(value.dtype)


def attend(query, key, value, *, chunk=1024):
    """softmax(q k^T / sqrt(d)) v.

    Memory: at most batch x chunk x keys scores exist at a time. With more queries than `chunk`
    they are taken chunk by chunk, and the backward pass computes each chunk's scores again
    instead of keeping them.

    Args:
      query: [batch, queries, d].
      key: [batch, keys, d].
      value: [batch, keys, d].

    Returns:
      [batch, queries, d].
    """
    return chunks.in_chunks(
        lambda q: multi_head(q[:, :, None], key[:, :, None], value[:, :, None])[:, :, 0],
        query,
        chunk,
    )
