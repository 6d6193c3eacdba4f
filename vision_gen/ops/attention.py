"""Scaled dot-product attention over many positions, in bounded memory."""

import jax
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
        lambda q: jax.nn.dot_product_attention(
            q[:, :, None], key[:, :, None], value[:, :, None]
        )[:, :, 0],
        query,
        chunk,
    )
