"""Figures of translations between two domains are those of their definitions."""

import numpy as np
import pytest

from vision_gen.metrics import distribution
from vision_gen.systems import two_domains


class Mirror(two_domains.TwoDomains):
    """Its network sees the mean of each channel."""

    def __init__(self):
        pass

    def features(self, images, *, intermediates):
        assert intermediates and images.shape[1:] == (two_domains.SIDE, two_domains.SIDE, 3)
        return None, {"features": images.mean((1, 2)) + 2}


def flat(seed, count=40):
    """Images of one colour each, and the colours."""
    colours = np.float32(np.random.default_rng(seed).uniform(-1, 1, (count, 3)))
    return np.broadcast_to(colours[:, None, None], (count, 8, 8, 3)), colours


def test_figures_compare_translations_untranslated_images_and_shuffled_truths():
    (a, of_a), (b, of_b), (made, of_made) = flat(0), flat(1), flat(2)
    values = Mirror()._figures({"a": a, "b": b, "a as b": made, "b as a": a})
    far = lambda x, y: np.abs(x - y).mean(-1)
    np.testing.assert_allclose(values["moved_a"], far(of_a, of_made), atol=1e-5)
    np.testing.assert_allclose(values["truth_b"], far(of_made, of_b), atol=1e-5)
    np.testing.assert_allclose(values["truth_b_source"], far(of_a, of_b), atol=1e-5)
    cosine = lambda x, y: np.sum(x * y, -1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
    np.testing.assert_allclose(values["feature_b"], 1 - cosine(of_made + 2, of_b + 2), atol=1e-4)
    np.testing.assert_allclose(values["feature_b_source"], 1 - cosine(of_a + 2, of_b + 2), atol=1e-4)
    np.testing.assert_allclose(values["feature_a"], 0, atol=1e-4)  # What is made of b is the truth.
    found = Mirror.summarise({name: np.asarray(value) for name, value in values.items()}, ())
    shuffled = 1 - cosine(of_made + 2, of_b[[-1, *range(39)]] + 2)
    assert found["feature_b_shuffled"] == pytest.approx(shuffled.mean(), abs=1e-4)
    moments = lambda x: (x.mean(0), np.cov(x, rowvar=False))
    expected = distribution.frechet_distance(*moments(of_made), *moments(of_b))
    assert found["frechet_b"] == pytest.approx(expected, rel=1e-3) and expected > 0.01
    expected = distribution.frechet_distance(*moments(of_a), *moments(of_b))
    assert found["frechet_b_source"] == pytest.approx(expected, rel=1e-3)
    assert found["frechet_a"] == pytest.approx(0, abs=1e-4)
