"""Layer normalisation with a backward pass that keeps its input and two numbers a position."""

import functools

import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.ops import fusion


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def layer_norm(x, scale, bias, epsilon, centred=False):
    """Normalisation over the last axis, with scale and bias (Ba et al. 2016), computed in float32.

    Args:
      x: [..., channel].
      scale, bias: [channel].
      epsilon: added to the variance.
      centred: what made `x` has taken away its mean over the channels, and will that of its gradient; neither is
        computed here.

    Returns:
      [..., channel], the dtype of `x`.
    """
    return _forward(x, scale, bias, epsilon, centred)[0]


def _forward(x, scale, bias, epsilon, centred):
    if centred:
        mean, variance = None, _mean(jnp.square(x.astype(jnp.float32)))
    else:
        mean, variance = lax.platform_dependent(x.astype(jnp.float32), cuda=_moments_in_one, default=_moments)
    factor = lax.rsqrt(variance + epsilon)
    y = _normal(x, mean, factor) * scale.astype(jnp.float32) + bias.astype(jnp.float32)
    return y.astype(x.dtype), (x, scale, *fusion.apart(mean, factor))


def _normal(x, mean, factor):
    x = x.astype(jnp.float32)
    return (x if mean is None else x - mean) * factor


def _backward(epsilon, centred, residuals, dy):
    x, scale, mean, factor = residuals
    normal = _normal(x, mean, factor)
    scaled = dy.astype(jnp.float32) * scale.astype(jnp.float32)
    off_centre = 0 if centred else _mean(scaled)
    dx = factor * (scaled - off_centre - normal * _mean(scaled * normal))
    (x,) = fusion.apart(x)  # The sums below would share `normal` with those above, as a float32 map.
    normal = _normal(x, mean, factor)
    dy = dy.astype(jnp.float32)
    return dx.astype(x.dtype), _total(dy * normal).astype(scale.dtype), _total(dy).astype(scale.dtype)


layer_norm.defvjp(_forward, _backward)


def _moments(x):
    """(mean, variance) over the last axis, which stays."""
    mean = _mean(x)
    centred = x - mean
    return mean, _mean(centred * centred)


def _moments_in_one(x):
    """The same from one reading of `x`, about its first channel so that large terms do not cancel."""
    base = x[..., :1]
    centred = x - base
    mean = centred.mean(-1, keepdims=True)
    return base + mean, jnp.maximum((centred * centred).mean(-1, keepdims=True) - mean * mean, 0)


# XLA:CPU reduces few channels with scalar instructions; as products with ones they are several times faster.


def _mean(x):
    """Over the last axis, which stays: [..., 1]."""
    return lax.platform_dependent(
        x,
        cpu=lambda x: x @ jnp.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype),
        default=lambda x: x.mean(-1, keepdims=True),
    )


def _total(x):
    """Over all axes but the last: [channel]."""
    x = x.reshape(-1, x.shape[-1])
    return lax.platform_dependent(
        x,
        cpu=lambda x: (jnp.ones((1, x.shape[0]), x.dtype) @ x)[0],
        default=lambda x: x.sum(0),
    )
