"""Bins of colours, their encoding, rebalancing and decoding, against the paper in numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import gamut

# Of the published centres (pts_in_hull.npy): b from and to, for a = -90, -80, ... 100.
PUBLISHED = [
    (50, 90), (20, 90), (0, 90), (-20, 90), (-30, 100), (-40, 100), (-50, 100), (-50, 100), (-60, 100), (-70, 100),
    (-80, 90), (-80, 90), (-90, 90), (-100, 90), (-100, 80), (-110, 80), (-110, 80), (-110, 70), (-110, 70), (-90, 0),
]  # fmt: skip


def colours(*shape):
    return np.random.default_rng(0).uniform(-80, 80, (*shape, 2)).astype(np.float32)


def test_the_bins_in_the_gamut_are_the_published_ones_in_their_order():
    rows = zip(range(-90, 110, 10), PUBLISHED)
    expected = [(a, b) for a, (low, high) in rows for b in range(low, high + 10, 10)]
    assert len(expected) == 313
    np.testing.assert_array_equal(gamut.in_gamut(), expected)


def test_a_colour_lies_in_the_nearest_bin_of_the_grid():
    ab = colours(50)
    number = np.asarray(gamut.nearest(jnp.asarray(ab)))
    square = ((ab[:, None] - gamut.grid()) ** 2).sum(-1)
    np.testing.assert_array_equal(number, square.argmin(1))
    assert int(gamut.nearest(jnp.float32([150, -150]))) == 22 * 23


def test_colours_are_encoded_by_gaussians_of_the_nearest_five():
    ab, bins = colours(3, 4), gamut.in_gamut()
    number, weight = (np.asarray(x) for x in gamut.encode(jnp.asarray(ab), bins))
    assert number.shape == weight.shape == (3, 4, 5)
    for index in np.ndindex(3, 4):
        distance = np.linalg.norm(bins - ab[index], axis=1)
        order = np.argsort(distance)[:5]
        assert set(number[index]) == set(order) and number[index][0] == order[0]
        expected = np.exp(-(distance[number[index]] ** 2) / 50)
        np.testing.assert_allclose(weight[index], expected / expected.sum(), rtol=1e-4)


def test_rare_colours_count_more():
    bins = gamut.in_gamut()
    share = np.zeros(313, np.float32)
    share[[100, 200]] = 0.9, 0.1
    weight = np.asarray(gamut.rarity(share, bins))
    smoothed = np.asarray(gamut.smooth(share, bins))
    kernel = np.exp(-((bins[:, None] - bins) ** 2).sum(-1) / 50)
    kernel /= kernel.sum(1, keepdims=True)
    np.testing.assert_allclose(smoothed, share @ kernel, atol=1e-6)
    expected = 1 / (0.5 * smoothed + 0.5 / 313)
    np.testing.assert_allclose(weight, expected / (expected * smoothed).sum(), rtol=1e-4)
    assert weight[100] < weight[200] < weight[0]
    np.testing.assert_allclose(gamut.rarity(share, bins, uniform=1.0), 1, rtol=1e-5)


def test_the_histogram_counts_weights():
    number, weight = jnp.int32([[0, 2], [2, 1]]), jnp.float32([[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(gamut.histogram(number, weight, 4), [0.375, 0.25, 0.375, 0])


def test_the_cross_entropy_is_that_of_soft_labels():
    logits = np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32)
    number, weight = np.int32([[0, 3], [5, 1]]), np.float32([[0.7, 0.3], [0.6, 0.4]])
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = [-(w * log[i][n]).sum() for i, (n, w) in enumerate(zip(number, weight))]
    np.testing.assert_allclose(gamut.cross_entropy(jnp.asarray(logits), number, weight), expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.38])
def test_the_annealed_mean_lies_between_mean_and_mode(temperature):
    logits, bins = np.float32([1.0, 0.0, -2.0]), np.float32([[0, 0], [10, 0], [0, 30]])
    share = np.exp(logits / temperature)
    expected = (share / share.sum()) @ bins
    np.testing.assert_allclose(gamut.annealed_mean(jnp.asarray(logits), bins, temperature), expected, rtol=1e-5)
