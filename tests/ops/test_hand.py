"""The model of unsteady hands: each of its parts does its own to lines, by amount, alike at every size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import hand, resample

KEYS = jax.random.split(jax.random.key(0), 24)
ALL = jnp.ones((24, 1, 1, 1))


def stroke(size=64, first=0.2, last=0.6, row=0.5, width=2):
    """Ink of one level stroke, the same in 24 pictures."""
    ink = np.zeros((24, size, size, 1), np.float32)
    ink[:, int(row * size) : int(row * size) + width, int(first * size) : int(last * size)] = 1
    return jnp.asarray(ink)


@pytest.fixture(scope="module")
def unsteady():
    return jax.jit(hand.unsteady)


def test_an_amount_of_0_leaves_lines_as_they_are_and_more_changes_them_more(unsteady):
    lines = jnp.where(jax.random.uniform(jax.random.key(1), (24, 64, 64, 1)) < 0.1, -1.0, 1.0)
    changed = [float(jnp.abs(unsteady(lines, KEYS, jnp.full(24, a)) - lines).mean()) for a in (0.0, 0.2, 0.5, 1.0)]
    assert changed[0] == 0 and changed == sorted(changed) and changed[1] > 0.005
    each = unsteady(lines, KEYS, jnp.where(jnp.arange(24) < 12, 0.0, 0.5))
    np.testing.assert_array_equal(each[:12], lines[:12])
    np.testing.assert_array_equal(each[12:], unsteady(lines, KEYS, jnp.full(24, 0.5))[12:])
    assert float(jnp.abs(each).max()) <= 1


def test_one_key_draws_alike_at_every_size():
    half = lambda x: resample.average_pool(x, (64, 64))
    large = half(hand.wobbled(stroke(128, width=4), KEYS, ALL))
    small = hand.wobbled(stroke(64), KEYS, ALL)
    assert np.corrcoef(np.ravel(large), np.ravel(small))[0, 1] > 0.95
    for part in (hand.broken, hand.pressed):
        large, small = half(part(jnp.ones((24, 128, 128, 1)), KEYS, ALL)), part(jnp.ones((24, 64, 64, 1)), KEYS, ALL)
        assert np.corrcoef(np.ravel(large[:, 4:-4, 4:-4]), np.ravel(small[:, 4:-4, 4:-4]))[0, 1] > 0.9


def test_lines_wobble_about_where_they_were():
    moved = np.asarray(hand.wobbled(stroke(), KEYS, ALL))[..., 0]
    rows = (moved * np.arange(64)[:, None]).sum(1) / np.maximum(moved.sum(1), 1e-6)
    along = rows[:, 16:36] - 32.5
    assert abs(along.mean()) < 0.4 and 0.3 < along.std() < 1.5
    assert np.abs(np.diff(along, axis=1)).mean() < 0.3  # Smoothly.
    assert moved.sum((1, 2)).mean() == pytest.approx(2 * 25, rel=0.1)


def test_lines_go_on_past_their_ends_in_their_direction_only():
    ink = stroke()
    found = np.asarray(hand.past_ends(ink, KEYS, ALL) - ink)[..., 0]
    assert found.min() == 0
    past, before = found[:, 32:34, 38:].sum((1, 2)), found[:, 32:34, :13].sum((1, 2))
    assert (past > 2).mean() > 0.1 and (before > 2).mean() > 0.1  # At some ends,
    assert (past < 0.2).mean() > 0.3 and (before < 0.2).mean() > 0.3  # and not at others.
    beside = found.copy()
    beside[:, 31:35] = 0
    assert beside.sum() < 0.1 * found.sum()
    dot = stroke(first=0.5, last=0.53)
    np.testing.assert_array_equal(hand.past_ends(dot, KEYS, ALL), dot)


def test_pressure_makes_lines_wider_and_narrower_and_lighter():
    wide = np.asarray(hand.pressed(stroke(first=0, last=1, width=4), KEYS, ALL))[..., 0]
    middle, edge = wide[:, 33:35].mean(1), wide[:, [31, 36]].mean(1)
    assert middle.min() > 1 - hand.LIGHTER - 1e-3 and middle.max() > 0.9 and middle.std() > 0.05
    assert edge.max() > 0.5 and (edge < 0.01).mean() > 0.3
    assert wide[:, :31].max() == 0


def test_lines_break_off_more_often_the_unsteadier_the_hand():
    lost = [1 - np.asarray(hand.broken(jnp.ones((24, 64, 64, 1)), KEYS, a * ALL)) for a in (0.3, 0.6, 1.0)]
    gone = [(x > 0.5).mean() for x in lost]
    assert gone == sorted(gone) and 0.01 < gone[2] < 0.12 and gone[0] < gone[2] / 3
