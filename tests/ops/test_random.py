"""Draws by an example's own key."""

import jax
import numpy as np
import pytest
from scipy import stats

from vision_gen.ops import random


@pytest.mark.parametrize("platform", ["cpu", "default"])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_sixteen_bits_hold_their_probability_and_the_examples_their_keys(monkeypatch, probability, platform):
    monkeypatch.setattr(random.lax, "platform_dependent", lambda keys, **branches: branches[platform](keys))
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (125, 401)  # An odd number.
    drawn = np.asarray(random.bernoulli16(keys, probability, shape))
    # Five standard deviations of 200,500 draws.
    assert abs(drawn.mean() - probability) <= 5 * (probability * (1 - probability) / drawn.size) ** 0.5
    np.testing.assert_array_equal(random.bernoulli16(keys[2:], probability, shape), drawn[2:])


@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_a_normal_draw_of_sixteen_bits_is_normal(monkeypatch, platform):
    monkeypatch.setattr(random.lax, "platform_dependent", lambda keys, **branches: branches[platform](keys))
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (125, 401)
    drawn = np.asarray(random.normal16(keys, shape))
    ordered, count = np.sort(drawn.ravel()), drawn.size
    # Kolmogorov and Smirnov's distance of the normal distribution's; chance passes this once in a million times.
    apart = np.abs(stats.norm.cdf(ordered) - (np.arange(count) + 0.5) / count).max()
    assert apart < 2.7 / count**0.5
    assert 3.5 < ordered[-1] < 6 and -6 < ordered[0] < -3.5
    neighbours = drawn[:, :, 1:] * drawn[:, :, :-1], drawn[:, 1:] * drawn[:, :-1], drawn[1:] * drawn[:-1]
    assert max(abs(products.mean()) for products in neighbours) < 0.015
    np.testing.assert_array_equal(random.normal16(keys[2:], shape), drawn[2:])
