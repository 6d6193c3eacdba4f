"""Distances in pictures go round edges, and lines close regions."""

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


def test_lines_close_regions_gaps_of_some_pixels_included():
    lines = np.ones((60, 80), np.float32)
    lines[10, 10:40] = lines[40, 10:40] = lines[10:41, 10] = lines[10:41, 40] = -1
    lines[20:24, 40] = 1  # A gap of 4.
    lines[50:53, 60:70] = -1
    lines[51, 61:69] = 1  # A slit that is narrower than any gap.
    inside, outside, slit = (20, 20), (5, 60), (51, 65)
    for gap, expected in ((0, 2), (2, 2), (4, 3), (8, 3)):
        found = regions.closed(lines, gap)
        assert found.max() == len(np.unique(found)) == expected and found.min() == 1
        assert (found[inside] == found[outside]) == (expected == 2) and found[slit] != found[outside]
    found = regions.closed(lines, 4)
    # Corners, which are narrower than the gap, belong to what they are corners of; ink to what is near.
    assert found[11, 11] == found[inside] == found[39, 39] and found[9, 9] == found[outside]
    assert (regions.closed(np.ones((4, 5))) == 1).all() and (regions.closed(-np.ones((4, 5))) == 1).all()


def test_flat_regions_have_their_median_and_the_lines_over_them():
    lines = np.ones((6, 9), np.float32)
    lines[:, 4] = [-1, -1, -1, -1, -1, 0]
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    found = regions.flat(picture, lines)
    for half in (slice(0, 4), slice(5, 9)):
        expected = np.median(picture[:, half], (0, 1))
        np.testing.assert_allclose(found[:, half], np.broadcast_to(expected, (6, 4, 3)), atol=0.5)
    assert (found[:5, 4] == 0).all()
    np.testing.assert_array_equal(regions.flat(picture, -np.ones((6, 9))), picture)
