"""Random draws that do not depend on how a batch is split over devices.

Every example of the global batch has a key of its own. Whatever is drawn for it is the same on
one device and on a thousand, under `jit`, `shard_map` and `pmap` alike.
"""

import math

import jax
from jax import lax
import jax.numpy as jnp


def fold(keys, data):
    """New independent keys from `keys` [batch] for the use numbered `data`."""
    return jax.vmap(lambda key: jax.random.fold_in(key, data))(keys)


def uniform(keys, shape=(), low=0.0, high=1.0):
    """[batch, *shape] float32, uniform in [low, high), one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=low, maxval=high))(keys)


def normal(keys, shape=()):
    """[batch, *shape] float32, normal, one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def bernoulli(keys, probability, shape=()):
    """[batch, *shape] bool, true with `probability`, one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability, shape))(keys)


def bernoulli16(keys, probability, shape=()):
    """Like `bernoulli` with fewer random bits: `probability` to 1 part in 65,536. CPU draws others than GPU and TPU."""
    threshold = round(probability * 2**16)
    if not 0 < threshold < 2**16:
        return jnp.full((len(keys), *shape), threshold > 0)
    return _from_16_bits(
        keys, lambda key: jax.random.bits(key, shape, jnp.uint16) < threshold, lambda bits: bits < threshold, shape
    )


def normal16(keys, shape=()):
    """Like `normal` with fewer random bits on CPU: one of 65,536 values, up to 4.2. CPU draws others than GPU and TPU."""
    spread = lambda bits: 2**0.5 * lax.erf_inv((bits.astype(jnp.float32) - 32767.5) / 32768)
    return _from_16_bits(keys, lambda key: jax.random.normal(key, shape), spread, shape)


def _from_16_bits(keys, drawn, made, shape):
    """`drawn(key)` for each of `keys`; on CPU `made(bits)` of 16 random bits for each element of `shape`, in uint32."""
    number = math.prod(shape)

    def halves(key):
        bits = jax.random.bits(key, (-(-number // 2),))
        # One after the other: XLA copies that, and does not compute it again where the draw is used.
        return made(jnp.concatenate([bits & 0xFFFF, bits >> 16])[:number]).reshape(shape)

    def cpu(keys):
        # A draw that may be split over devices takes 64 bits of Threefry for every 16 or 32; here the batch is split.
        # GPU and TPU compute them where they are used, and would store these.
        with jax.threefry_partitionable(False):
            return jax.vmap(halves)(keys)

    return lax.platform_dependent(keys, cpu=cpu, default=jax.vmap(drawn))


def integers(keys, low, high, shape=()):
    """[batch, *shape] int32, uniform in [low, high), one draw for each of `keys` [batch]."""
    return jax.vmap(lambda key: jax.random.randint(key, shape, low, high))(keys)
