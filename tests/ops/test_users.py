"""Simulated users give hints of the number, places, sizes and colours that they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import users

KEYS = jax.random.split(jax.random.key(0), 512)


def halves(batch=4, size=32):
    """Colours: the left half of one, the right half of another."""
    ab = np.zeros((batch, size, size, 2), np.float32)
    ab[:, :, : size // 2] = 0.5, -0.2
    ab[:, :, size // 2 :] = -0.4, 0.6
    return jnp.asarray(ab)


def test_the_number_of_hints_is_geometric():
    counts = np.asarray(users.count(jax.random.split(jax.random.key(1), 20_000), 0.125, 40))
    for n in range(4):
        assert (counts == n).mean() == pytest.approx(0.125 * 0.875**n, abs=0.01)
    assert counts.max() == 40
    assert not np.any(users.count(KEYS, 1.0, 40))


def test_points_are_squares_around_the_middle_of_the_mean_colour():
    ab = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (512, 24, 32, 2)), jnp.float32)
    found = np.asarray(users.hints(KEYS, ab, 1, most=1, sizes=(2, 4)))
    centres, sizes = [], []
    for one, colours in zip(found, np.asarray(ab)):
        rows, columns = np.nonzero(one[..., 2])
        side = np.ptp(rows) + 1
        assert side == np.ptp(columns) + 1 and len(rows) == side**2 and 2 <= side <= 4
        np.testing.assert_allclose(one[rows[0], columns[0], :2], colours[rows, columns].mean(0), atol=1e-5)
        assert not one[one[..., 2] == 0].any()
        centres.append([rows.mean() + 0.5, columns.mean() + 0.5])
        sizes.append(side)
    np.testing.assert_allclose(np.mean(centres, 0), [12, 16], atol=1)
    np.testing.assert_allclose(np.std(centres, 0), [5.2, 7], rtol=0.15)  # A quarter of the side, cut off at the edges.
    assert {2, 3, 4} == set(sizes)


def test_fewer_hints_are_the_first_of_more():
    ab = halves(8)
    draw = lambda n: np.asarray(users.hints(KEYS[:8], ab, n, most=6))
    assert not draw(0).any()
    areas = [(draw(n)[..., 2] > 0).sum((1, 2)) for n in range(7)]
    assert all((b >= a).all() for a, b in zip(areas, areas[1:])) and (areas[6] > areas[1]).all()
    mixed = np.asarray(users.hints(KEYS[:8], ab, jnp.arange(8) % 3, most=6))
    for i in range(8):
        np.testing.assert_array_equal(mixed[i], draw(i % 3)[i])


def test_strokes_stay_in_the_region_that_they_begin_in():
    ab = halves(64)
    found = np.asarray(users.hints(KEYS[:64], ab, 1, most=1, sizes=(2, 2), strokes=1.0))
    long = 0
    for one, colours in zip(found, np.asarray(ab)):
        inside = one[..., 2] > 0
        assert inside.any() and len(np.unique(colours[inside], axis=0)) == 1
        np.testing.assert_allclose(one[inside][:, :2], colours[inside], atol=1e-5)
        long += inside.sum() > 12
    assert long > 20


def test_some_colours_are_picked_wrong():
    ab = halves(512)
    found = np.asarray(users.hints(KEYS, ab, 1, most=1, sizes=(1, 1), wrong=0.5))
    off = np.abs(found[..., :2] - np.asarray(ab)) * found[..., 2:]
    wrong = off.max((1, 2, 3)) > 1e-3
    assert wrong.mean() == pytest.approx(0.5, abs=0.08)
    assert np.abs(found[..., :2]).max() <= 1


def test_a_correction_is_of_the_true_colour_where_the_result_errs_most():
    ab = halves(2)
    output = np.array(ab)
    output[0, 20:25, 4:9] += 0.3
    output[1, 30:32, 30:32] += 0.3
    found = np.asarray(users.correction(users.none(ab), ab, jnp.asarray(output)))
    rows, columns = np.nonzero(found[0, ..., 2])
    assert np.ptp(rows) == np.ptp(columns) == 2 and 20 <= rows.min() <= 22 and 4 <= columns.min() <= 6
    np.testing.assert_allclose(found[0, rows[0], columns[0], :2], [0.5, -0.2], atol=1e-5)
    rows, columns = np.nonzero(found[1, ..., 2])
    assert len(rows) == 9 and rows.max() == columns.max() == 31
    some = np.asarray(users.correction(users.none(ab), ab, jnp.asarray(output), given=jnp.array([True, False])))
    assert some[0].any() and not some[1].any()


def test_scribbles_follow_the_edges_that_a_result_bleeds_over():
    ab = np.array(halves(8))
    ab[:, 26:, :16] = 0.0, 0.7  # A second edge, which the result has.
    output = ab.copy()
    output[:, :20] = (ab[:, :20, :1] + ab[:, :20, -1:]) / 2
    draw = lambda n, output=output, **more: np.asarray(
        users.edges(KEYS[:8], jnp.asarray(ab), jnp.asarray(output), n, most=4, **dict(reach=4, margins=(1, 2)) | more)
    )[..., 0]
    one = draw(1)
    rows, columns = np.nonzero(one.any(0))
    assert one.any((1, 2)).all() and set(np.unique(one)) == {0, 1}
    # The slopes are of two columns and reach a row into what the result has right; margins are at most 2.
    assert columns.min() == 15 - 2 and columns.max() == 16 + 2 and rows.max() <= 20 + 2
    for scribble in one:
        rows, columns = np.nonzero(scribble)
        margin = (np.ptp(columns) + 1 - 2) // 2
        assert margin in (1, 2) and 3 + 2 * margin <= np.ptp(rows) + 1 <= 9 + 2 * margin
    assert len({int(np.nonzero(scribble)[0].min()) for scribble in one}) > 2
    areas = [draw(n).sum((1, 2)) for n in range(5)]
    assert not areas[0].any() and all((b >= a).all() for a, b in zip(areas, areas[1:]))
    np.testing.assert_array_equal(draw(np.arange(8) % 2), one * (np.arange(8) % 2)[:, None, None])
    np.testing.assert_array_equal(draw(4, reach=30), draw(1, reach=30))  # Nothing is left for a second.
    assert not draw(4, output=ab).any()
