"""Figures of colours against their definitions in numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.metrics import colour
from vision_gen.ops import gamut


def test_colourfulness_is_hasler_and_suesstrunks():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3)).astype(np.float64)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    first, second = (x.reshape(2, -1) for x in (red - green, (red + green) / 2 - blue))
    expected = np.hypot(first.std(1), second.std(1)) + 0.3 * np.hypot(first.mean(1), second.mean(1))
    np.testing.assert_allclose(colour.colourfulness(jnp.asarray(pixels / 127.5 - 1)), expected, rtol=1e-4)
    assert float(colour.colourfulness(jnp.full((1, 4, 4, 3), 0.3))[0]) == pytest.approx(0, abs=1e-4)


def test_accuracy_is_the_area_under_the_share_of_pixels_within_an_error():
    rng = np.random.default_rng(0)
    ab, truth = (rng.uniform(-100, 100, (1, 20, 20, 2)) for _ in range(2))
    error = np.linalg.norm(ab - truth, axis=-1)
    thresholds = np.linspace(0, 150, 3001)
    area = np.mean([(error <= t).mean() for t in thresholds])
    assert float(colour.accuracy(jnp.asarray(ab), jnp.asarray(truth)).mean()) == pytest.approx(area, abs=1e-3)


def test_rebalanced_figures_count_colours_alike():
    truth = np.zeros((2, 4, 4, 2), np.float32)  # Nearly all is grey; one pixel is red.
    truth[0, 0, 0] = 70, 50
    values = np.where(truth[..., 0] > 0, 0.2, 0.8).astype(np.float32)
    sums, counts = (np.asarray(colour.by_colour(x, jnp.asarray(truth))) for x in (values, np.ones_like(values)))
    assert sums.shape == (2, 529)
    assert counts[1].sum() == 16 and counts[0, gamut.nearest(truth)[0, 0, 0]] == 1
    found = colour.rebalanced(sums.sum(0), counts.sum(0))
    assert found == pytest.approx(0.5, abs=0.01)  # The mean over pixels is 0.78.
