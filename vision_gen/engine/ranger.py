"""Ranger, which StyleCLIP's mapper learns by: rectified Adam that looks ahead, of gradients without their mean.

Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", ICLR 2020; Zhang et al., "Lookahead Optimizer",
NeurIPS 2019; Yong et al., "Gradient Centralization", ECCV 2020. Constants and order are Wright's (version 20.4.11).
Unlike optax's, its epsilon is not corrected for the beginning, and looking ahead needs no second set of parameters.
"""

import math
import typing

import jax
import jax.numpy as jnp
import optax


class State(typing.NamedTuple):
    """Steps taken, moments, and where the parameters are from the slow ones, in units of the rate."""

    count: jax.Array
    mean: typing.Any
    square: typing.Any
    ahead: typing.Any


def ranger(learning_rate, b1=0.95, b2=0.999, epsilon=1e-5, threshold=5.0, period=6, share=0.5):
    """An optax transformation; where the rate changes within a period, its last rate counts for the way back.

    Args:
      learning_rate: a number.
      b1, b2: decay of the mean of gradients and of their squares.
      epsilon: added to the root of the latter.
      threshold: of the effective number of gradients seen, below which steps are not divided by that root.
      period: every so many steps, parameters go
      share: of the way from the slow ones to where they are, and the slow ones with them.
    """

    def init(params):
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return State(jnp.int32(0), zeros(), zeros(), zeros())

    def update(grads, state, params=None):
        count = state.count + 1
        grads = jax.tree.map(centred, grads)
        follow = lambda decay, old, new: jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)
        mean = follow(b1, state.mean, grads)
        square = follow(b2, state.square, jax.tree.map(jnp.square, grads))
        rectified, factor = step_size(count, b1, b2, threshold)
        direction = lambda m, v: -factor * jnp.where(rectified, m / (jnp.sqrt(v) + epsilon), m)
        ahead = jax.tree.map(lambda a, m, v: a + direction(m, v), state.ahead, mean, square)
        ahead = jax.tree.map(lambda a: jnp.where(count % period, a, share * a), ahead)
        updates = jax.tree.map(lambda new, old: learning_rate * (new - old), ahead, state.ahead)
        # The slow ones have come to where the parameters are.
        ahead = jax.tree.map(lambda a: jnp.where(count % period, a, 0.0), ahead)
        return updates, State(count, mean, square, ahead)

    return optax.GradientTransformation(init, update)


def centred(gradient):
    """The gradient of a kernel [..., channel, features] without its mean over all that comes into a feature."""
    if gradient.ndim < 2:
        return gradient
    return gradient - gradient.mean(tuple(range(gradient.ndim - 1)), keepdims=True)


def step_size(count, b1, b2, threshold):
    """(whether steps are divided by the root of squares, by what they are multiplied) at step `count`, from 1."""
    t = count.astype(jnp.float32)
    largest = 2 / (1 - b2) - 1
    # 2 t b2^t / (1 - b2^t), which float32 would round past the threshold.
    seen = largest - 2 * t / jnp.expm1(-math.log(b2) * t)
    rectified = seen > threshold
    safe = jnp.where(rectified, seen, largest)
    ratio = (safe - 4) * (safe - 2) * largest / ((largest - 4) * (largest - 2) * safe)
    return rectified, jnp.where(rectified, jnp.sqrt(-jnp.expm1(math.log(b2) * t) * ratio), 1.0) / (1 - b1**t)
