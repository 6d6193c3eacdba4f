"""Weights and the picture of landmarks_reference.npz, from names and seeds alone."""

import numpy as np

from tests.golden.colorization_by_name import weight

SIZE = 64  # Of the picture, which the network enlarges.


def state(shapes):
    """{name: array} of {name: what has a shape}; counters of batches are 0."""
    return {k: weight(k, tuple(v.shape)) if v.shape else np.array(0) for k, v in shapes.items()}


def image():
    """[1, 3, SIZE, SIZE] in [-1, 1]: a few bright places on a dark ground."""
    rng, place = np.random.default_rng(0), np.arange(SIZE)
    found = np.full((3, SIZE, SIZE), -0.8)
    for row, column in rng.integers(8, SIZE - 8, (6, 2)):
        spot = np.exp(-((place[:, None] - row) ** 2 + (place - column) ** 2) / 30)
        found += spot * rng.uniform(0, 1.5, (3, 1, 1))
    return np.float32(np.clip(found, -1, 1))[None]


def heat():
    """[1, 64, 64, 98]: a spot for each landmark, some too faint to count."""
    rng, place = np.random.default_rng(1), np.arange(64)
    row, column = rng.integers(4, 60, (2, 98))
    spots = np.exp(-((place[:, None, None] - row) ** 2 + (place[:, None] - column) ** 2) / 6)
    return np.float32(spots * rng.uniform(0.05, 1, 98) + rng.uniform(0, 0.05, spots.shape))[None]


def digest(value):
    """The norm of an array and some of its entries, float64."""
    flat = np.asarray(value, np.float64).ravel()
    return np.concatenate([[np.linalg.norm(flat)], flat[:: max(1, flat.size // 512)]])
