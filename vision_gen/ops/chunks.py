"""Long axes a piece at a time, so that memory does not grow with them."""

import jax
import jax.numpy as jnp


def in_chunks(function, query, chunk):
    """`function` over `query` [batch, queries, ...], `chunk` queries at a time, rematerialised.

    Args:
      function: [batch, n, ...] -> [batch, n, ...].
      query: [batch, queries, ...].
      chunk: with at most so many queries, it is called once.
    """
    queries = query.shape[1]
    if queries <= chunk:
        return function(query)
    padded = -(-queries // chunk) * chunk
    query = jnp.pad(query, ((0, 0), (0, padded - queries)) + ((0, 0),) * (query.ndim - 2))
    parts = jnp.stack(jnp.split(query, padded // chunk, 1))
    out = jax.lax.map(jax.checkpoint(function), parts)
    return jnp.moveaxis(out, 0, 1).reshape(query.shape[0], padded, *out.shape[3:])[:, :queries]
