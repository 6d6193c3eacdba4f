"""Random draws that do not depend on how a batch is split over devices.

Every example of the global batch has a key of its own. Whatever is drawn for it is the same on
one device and on a thousand, under `jit`, `shard_map` and `pmap` alike.
"""

import math

import jax
import jax.numpy as jnp


def fold(keys, data):
    """New independent keys from `keys` [batch] for the use numbered `data`."""
    return jax.vmap(lambda key: jax.random.fold_in(key, data))(keys)


def uniform(keys, shape=(), low=0.0, high=1.0):
    """[batch, *shape] float32, uniform in [low, high), one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=low, maxval=high))(keys)


def bernoulli(keys, probability, shape=()):
    """[batch, *shape] bool, true with `probability`, one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability, shape))(keys)


def bernoulli16(keys, probability, shape=()):
    """Like `bernoulli` with a quarter of the random bits: `probability` to 1 part in 65,536."""
    threshold = round(probability * 2**16)
    if not 0 < threshold < 2**16:
        return jnp.full((len(keys), *shape), threshold > 0)
    number = math.prod(shape)

    def draw(key):
        bits = jax.random.bits(key, (-(-number // 2),))
        # Halves one after the other: XLA copies that, and does not compute it again where the draw is used.
        return (jnp.concatenate([bits & 0xFFFF, bits >> 16])[:number] < threshold).reshape(shape)

    # JAX's Threefry takes 64 bits for each 32, so that one draw may be split over devices; here the batch is.
    with jax.threefry_partitionable(False):
        return jax.vmap(draw)(keys)


def integers(keys, low, high, shape=()):
    """[batch, *shape] int32, uniform in [low, high), one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.randint(key, shape, low, high))(keys)
