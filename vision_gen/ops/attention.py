"""Scaled dot-product attention over many positions, in bounded memory."""

import jax
import jax.numpy as jnp


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
    return in_chunks(
        lambda q: jax.nn.dot_product_attention(
            q[:, :, None], key[:, :, None], value[:, :, None]
        )[:, :, 0],
        query,
        chunk,
    )


def in_chunks(function, query, chunk):
    """`function` over `query` [batch, queries, ...], `chunk` queries at a time, rematerialised."""
    queries = query.shape[1]
    if queries <= chunk:
        return function(query)
    padded = -(-queries // chunk) * chunk
    query = jnp.pad(query, ((0, 0), (0, padded - queries)) + ((0, 0),) * (query.ndim - 2))
    parts = jnp.stack(jnp.split(query, padded // chunk, 1))
    out = jax.lax.map(jax.checkpoint(function), parts)
    return jnp.moveaxis(out, 0, 1).reshape(query.shape[0], padded, *out.shape[3:])[:, :queries]
