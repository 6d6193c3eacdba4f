"""Distances in pictures go round edges."""

import jax.numpy as jnp
import numpy as np

from vision_gen.ops import regions


def test_without_edges_a_distance_is_that_by_rows_and_columns():
    mask = np.zeros((1, 7, 9, 1), np.float32)
    mask[0, 2, 3] = 1
    found = np.asarray(regions.distance(jnp.asarray(mask), jnp.zeros_like(mask)))[0, ..., 0]
    rows, columns = np.mgrid[:7, :9]
    np.testing.assert_allclose(found, np.abs(rows - 2) + np.abs(columns - 3), atol=1e-4)


def test_edges_are_far_and_gaps_are_not():
    guide = np.zeros((1, 8, 8, 1), np.float32)
    guide[0, :, 4:] = 1.0
    mask = np.zeros_like(guide)
    mask[0, 0, 0] = 1
    found = np.asarray(regions.distance(jnp.asarray(mask), jnp.asarray(guide)))[0, ..., 0]
    assert found[7, 3] < 11 and found[0, 4] > 100
    guide[0, :6, 4] = 0.0
    guide[0, :6, 3] = 1.0  # A wall one pixel wide, with a way around it below.
    guide[0, :, 4:] = 0.0
    guide[0, 6:] = 0.0
    found = np.asarray(regions.distance(jnp.asarray(mask), jnp.asarray(guide)))[0, ..., 0]
    assert found[0, 5] < 25


def test_without_a_mask_everything_is_far():
    assert np.isinf(np.asarray(regions.distance(jnp.zeros((1, 4, 5, 1)), jnp.zeros((1, 4, 5, 1))))).all()


def test_what_lies_around_a_point_ends_at_lines():
    picture = np.ones((2, 40, 60, 1), np.float32)
    picture[:, :, 30:32] = -1
    points = jnp.asarray([[10.5, 20.5], [30.5, 5.5]])
    found = np.asarray(regions.around(jnp.asarray(picture), points, jnp.asarray([24.0, 8.0]), light=3.0))[..., 0]
    rows, columns = np.mgrid[:40, :60]
    np.testing.assert_array_equal(found[0], (np.abs(rows - 20) + np.abs(columns - 10) <= 24) & (columns < 30))
    # The second lies on the line, and moves off it to one side.
    assert found[1, 5, 29] == 1 and found[1, 5, 31:].max() == 0
    # A picture's colours are edges whatever channel they differ in.
    picture = np.ones((1, 9, 20, 3), np.float32)
    picture[..., 10:, 2] = 0.0
    found = regions.around(jnp.asarray(picture), jnp.asarray([[2.0, 4.0]]), jnp.asarray([40.0]))
    assert found[0, 4, 9, 0] == 1 and found[0, 4, 10, 0] == 0
