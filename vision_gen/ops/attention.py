"""Scaled dot-product attention over many positions, in bounded memory."""

import functools

import jax
import jax.numpy as jnp

from vision_gen.ops import chunks, fusion


def attention_map(query, key):
    """softmax(q k^T / sqrt(d)) over keys: [batch, queries, keys] float32.

    Args:
      query: [batch, queries, d].
      key: [batch, keys, d].
    """
    scores = jnp.einsum("bqd,bkd->bqk", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores / query.shape[-1] ** 0.5, -1)


def multi_head(query, key, value, *, causal=False, mask=None):
    """softmax(q k^T / sqrt(d)) v of every head.

    The backward pass keeps the weights, in the values' dtype.

    Args:
      query: [batch, queries, heads, d]; of one head [batch, queries, d], for which XLA:CPU copies less.
      key: [batch, keys, heads, d], or without heads.
      value: [batch, keys, heads, d], or without heads.
      causal: query i looks at the keys 0 to i.
      mask: [queries, keys] bool, of the keys that each query looks at, one at least.

    Returns:
      [batch, queries, heads, d], or without heads, of the values' dtype; scores and sums are float32.
    """
    # A GPU's matrix units take 16 bits in eights; XLA would pad, and so copy, every array of [queries, keys].
    multiple = 8 if value.dtype.itemsize == 2 else 1
    whole = lambda x: jnp.pad(x, ((0, 0), (0, -x.shape[1] % multiple), *((0, 0),) * (x.ndim - 2)))
    if mask is not None:
        mask = jnp.pad(mask, [(0, -n % multiple) for n in mask.shape], constant_values=True)
    return _multi_head(whole(query), whole(key), whole(value), mask, key.shape[1], causal)[:, : query.shape[1]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _multi_head(query, key, value, mask, keys, causal):
    """`multi_head` over the first `keys` keys."""
    return _multi_head_forward(query, key, value, mask, keys, causal)[0]


def _multi_head_forward(query, key, value, mask, keys, causal):
    h = "h" * (query.ndim - 3)
    query = query * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = jnp.einsum(f"bq{h}d,bk{h}d->b{h}qk", query, key, preferred_element_type=jnp.float32)
    if keys < key.shape[1]:
        scores = jnp.where(jnp.arange(key.shape[1]) < keys, scores, -jnp.inf)
    if causal:
        scores = jnp.where(jnp.tri(query.shape[1], key.shape[1], dtype=bool), scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    (weights,) = fusion.apart(jax.nn.softmax(scores, -1).astype(value.dtype))
    out = jnp.einsum(f"b{h}qk,bk{h}d->bq{h}d", weights, value)
    return out, (query, key, value, weights, out)


def _multi_head_backward(keys, causal, residuals, dout):
    query, key, value, weights, out = residuals
    h = "h" * (query.ndim - 3)
    (dout,) = fusion.apart(dout)
    # What softmax's backward pass sums over keys, from out and dout (FlashAttention, Dao et al. 2022, appendix B.4).
    along = jnp.moveaxis(jnp.sum(dout.astype(jnp.float32) * out.astype(jnp.float32), -1), 1, -1)[..., None]
    dweights = jnp.einsum(f"bq{h}d,bk{h}d->b{h}qk", dout, value, preferred_element_type=jnp.float32)
    dscores = (weights * (dweights - along)).astype(query.dtype)
    dquery = jnp.einsum(f"b{h}qk,bk{h}d->bq{h}d", dscores, key) * jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    dkey = jnp.einsum(f"b{h}qk,bq{h}d->bk{h}d", dscores, query)
    return dquery, dkey, jnp.einsum(f"b{h}qk,bq{h}d->bk{h}d", weights, dout), None


_multi_head.defvjp(_multi_head_forward, _multi_head_backward)


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
    return chunks.in_chunks(lambda q: multi_head(q, key, value), query, chunk)


def attend_evenly(query, key, value, *, chunk=1024):
    """A v of stop-gradient attention (Li et al., ECCV 2022): the map's weights of each key over their sum, times v.

    So every key is given away once, in parts, and what a query gets may weigh more or less than one. No gradient flows
    into query and key. Memory as of `attend`.

    Args:
      query: [batch, queries, d].
      key: [batch, keys, d].
      value: [batch, keys, channel].

    Returns:
      [batch, queries, channel].
    """
    query, key = jax.lax.stop_gradient((query, key))
    chunk = min(chunk, query.shape[1])
    padding = -query.shape[1] % chunk
    parts = jnp.pad(query, ((0, 0), (0, padding), (0, 0))).reshape(len(query), -1, chunk, query.shape[-1])
    there = jnp.arange(query.shape[1] + padding).reshape(-1, chunk) < query.shape[1]

    def add(total, part):
        query, there = part
        return total + jnp.einsum("bqk,q->bk", attention_map(query, key), there), None

    start = jnp.zeros(key.shape[:2], jnp.float32)
    total, _ = jax.lax.scan(add, start, (jnp.moveaxis(parts, 1, 0), there.astype(jnp.float32)))
    return attend(query, key, (value / jnp.maximum(total, 1e-12)[..., None]).astype(value.dtype), chunk=chunk)


def point(query, key, value, *, temperature=1.0, top=0, reach=None, chunk=512):
    """What queries copy from where they point: softmax over keys of q k^T / temperature, times the values.

    Memory: at most batch x chunk x keys scores exist at a time, as of `attend`.

    Args:
      query: [batch, queries, d].
      key: [batch, keys, d].
      value: [batch, keys, channel].
      temperature: above 0; a smaller one points more sharply.
      top: of each query only so many keys with the highest scores count; 0: all.
      reach: (places of the queries [queries, 2], of the keys [keys, 2], distance, of each example where [batch, 1, 1]):
        keys further away than the distance along either axis do not count. One key at least must be near each query.

    Returns:
      [batch, queries, channel] float32.
    """
    value = value.astype(jnp.float32)
    if reach is not None:
        at, places, distance = reach
        at = jnp.broadcast_to(at[None], (len(query), *at.shape)).astype(query.dtype)
        query = jnp.concatenate([query, at], -1)

    def copied(query):
        if reach is not None:
            query, at = query[..., :-2], query[..., -2:].astype(jnp.float32)
        scores = jnp.einsum("bqd,bkd->bqk", query, key, preferred_element_type=jnp.float32) / temperature
        if reach is not None:
            near = jnp.abs(at[:, :, None] - places[None, None]).max(-1) <= distance
            scores = jnp.where(near, scores, -jnp.inf)
        if top and top < scores.shape[-1]:
            least = jax.lax.top_k(scores, top)[0][..., -1:]
            scores = jnp.where(scores >= least, scores, -jnp.inf)
        return jax.nn.softmax(scores, -1) @ value

    return chunks.in_chunks(copied, query, chunk)
