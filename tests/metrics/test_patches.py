"""Distances of sets by their patches."""

import jax
import numpy as np
import pytest
import scipy.stats

from vision_gen.metrics import patches


@pytest.fixture(scope="module")
def describe():
    return jax.jit(lambda images, seed: patches.descriptors(images, jax.random.split(jax.random.key(seed), len(images))))


def test_levels_are_those_of_the_pyramid(describe):
    images = np.zeros((2, 32, 64, 3), np.float32)
    assert describe(images, 0).shape == (2, 2, patches.NUMBER, patches.DIRECTIONS)
    assert describe(images[:, :8, :8], 0).shape == (2, 1, patches.NUMBER, patches.DIRECTIONS)


def test_a_direction_sees_the_patch_as_it_is(describe):
    image = np.random.default_rng(0).uniform(-1, 1, (1, 7, 7, 3)).astype(np.float32)  # One place only.
    directions = np.random.default_rng(0).normal(size=(147, patches.DIRECTIONS))
    expected = image.ravel() @ (directions / np.linalg.norm(directions, axis=0))
    np.testing.assert_allclose(describe(image, 3)[0, 0], np.tile(expected, (patches.NUMBER, 1)), atol=1e-5)


def test_it_is_the_mean_wasserstein_distance_of_projections():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(i, 1 + i, (5, 2, 3, patches.DIRECTIONS)) for i in range(2))
    flat = lambda x, level, direction: x[:, level, :, direction].ravel()
    each = [
        scipy.stats.wasserstein_distance(flat(a, level, k), flat(b, level, k))
        for level in range(2)
        for k in range(patches.DIRECTIONS)
    ]
    np.testing.assert_allclose(patches.distance(a, b), np.mean(each), rtol=1e-5)
    assert patches.distance(a, a[::-1]) == 0


def test_blurred_and_recoloured_images_are_farther_than_others_of_the_kind(describe):
    rng = np.random.default_rng(0)
    draw = lambda: rng.integers(0, 2, (64, 16, 16, 1), np.uint8).repeat(3, 3).astype(np.float32) * 2 - 1
    truth, others = draw(), draw()
    distance = lambda images: patches.distance(describe(truth, 0), describe(images, 0))
    blurred = (others + np.roll(others, 1, 1)) / 2
    assert distance(others) < 0.5 * distance(blurred)
    assert distance(others) < 0.5 * distance(others * np.float32([1, 1, 0.5]))
