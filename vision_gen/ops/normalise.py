"""Layer normalisation with a backward pass that keeps its input and two numbers a position."""

import functools

import jax
from jax import lax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x, scale, bias, epsilon):
    """Normalisation over the last axis, with scale and bias (Ba et al. 2016), computed in float32.

    Args:
      x: [..., channel].
      scale, bias: [channel].
      epsilon: added to the variance.

    Returns:
      [..., channel], the dtype of `x`.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(x, scale, bias, epsilon):
    mean = _mean(x.astype(jnp.float32))
    centred = x.astype(jnp.float32) - mean
    factor = lax.rsqrt(_mean(centred * centred) + epsilon)
    y = centred * factor * scale.astype(jnp.float32) + bias.astype(jnp.float32)
    return y.astype(x.dtype), (x, scale, mean, factor)


def _backward(epsilon, residuals, dy):
    x, scale, mean, factor = residuals
    dy = dy.astype(jnp.float32)
    normal = (x.astype(jnp.float32) - mean) * factor
    scaled = dy * scale.astype(jnp.float32)
    dx = factor * (scaled - _mean(scaled) - normal * _mean(scaled * normal))
    return dx.astype(x.dtype), _total(dy * normal).astype(scale.dtype), _total(dy).astype(scale.dtype)


layer_norm.defvjp(_forward, _backward)


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
