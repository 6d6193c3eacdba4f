"""Ranger's steps are those of the published code, and a config can name it."""

import functools

import jax
import numpy as np

from vision_gen.engine import defaults, optimizers


def published(value, slopes, rate):
    """The parameters after each step, as Wright's Ranger moves them (version 20.4.11), in float64."""
    slow, mean, square, found = value.copy(), np.zeros_like(value), np.zeros_like(value), []
    for step, slope in enumerate(slopes, 1):
        if value.ndim > 1:  # Torch's weights are [features, channel]; there its mean over the last axis.
            slope = slope - slope.mean(0, keepdims=True)
        square = 0.999 * square + 0.001 * slope**2
        mean = 0.95 * mean + 0.05 * slope
        power, most = 0.999**step, 2 / 0.001 - 1
        number = most - 2 * step * power / (1 - power)
        if number > 5:
            size = np.sqrt((1 - power) * (number - 4) / (most - 4) * (number - 2) / number * most / (most - 2))
            value = value - rate * size / (1 - 0.95**step) * mean / (np.sqrt(square) + 1e-5)
        else:
            value = value - rate / (1 - 0.95**step) * mean
        if step % 6 == 0:
            slow = slow + 0.5 * (value - slow)
            value = slow
        found.append(value)
    return found


def test_steps_are_the_published_ones():
    settings = defaults.player(0.5, optimizer="ranger")
    transform, sign = optimizers.transformation(settings)
    rng, steps = np.random.default_rng(0), 20
    params = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    # So small that epsilon counts, as it does for a mapper's.
    slopes = {name: rng.normal(size=(steps, *value.shape)) * 1e-4 for name, value in params.items()}
    wanted = {name: published(params[name], slopes[name], 0.5) for name in params}
    found = jax.tree.map(np.float32, params)
    state = transform.init(found)
    moved = functools.partial(optimizers.moved, settings, transform, sign)
    move = jax.jit(lambda params, grads, state: moved(params, grads, 0.0, state, 0.5))
    for step in range(steps):
        found, state = move(found, {name: np.float32(slope[step]) for name, slope in slopes.items()}, state)
        for name, value in found.items():
            np.testing.assert_allclose(value - params[name], wanted[name][step] - params[name], rtol=2e-3, atol=2e-6)
    assert all(np.abs(found[name] - params[name]).max() > 1e-3 for name in params)
