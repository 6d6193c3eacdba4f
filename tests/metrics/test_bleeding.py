"""The cluster discrepancy ratio is that of the released script, and says what bleeds."""

import pathlib

import numpy as np
import pytest

from tests.golden import metrics_by_seed as golden
from vision_gen.metrics import bleeding

REFERENCE = np.load(pathlib.Path(__file__).parents[1] / "golden" / "bleeding_reference.npz")
PICTURES = golden.bleeding()


@pytest.mark.parametrize("name", PICTURES)
def test_the_ratio_is_that_of_the_released_script(name):
    np.testing.assert_allclose(bleeding.ratio(*PICTURES[name]), REFERENCE[name], atol=1e-9)


def test_the_truth_is_perfect_and_less_so_is_what_bleeds():
    result, truth = PICTURES["wide"]
    assert bleeding.ratio(truth, truth) == (1.0, 1.0)
    assert max(bleeding.ratio(result, truth)) < 0.97
    # A flat channel is cut into a grid.
    assert 0.3 < min(bleeding.ratio(np.zeros_like(truth), truth)) < max(bleeding.ratio(result, truth))


def test_of_a_region_the_edges_inside_count():
    result, truth = PICTURES["tall"]
    region = np.hypot(*np.mgrid[-28:28, -20:20]) < 14
    parts, where = (bleeding.clusters(result), bleeding.clusters(truth)), bleeding.edges(truth)
    # By edges that are a pixel long.
    pixels = (np.eye(1, 56 * 40, i, bool).reshape(56, 40) for i in np.flatnonzero(region))
    alone = [bleeding.of_parts(*parts, where & pixel, True) for pixel in pixels]
    for channel in range(2):
        ratios = np.array(alone)[where[channel][region], channel]
        assert bleeding.ratio(result, truth, region)[channel] == pytest.approx(ratios.mean())


def test_a_window_is_counted_by_hand():
    """One edge pixel: of its window of ten by ten, half is of the other true cluster, of which a fifth is not told apart."""
    truth = np.where(np.arange(20) < 10, 1, 2)[None].repeat(20, 0)
    found = truth.copy()
    found[:, 10:11] = 1  # Bleeds a pixel over.
    where = np.zeros((20, 20), bool)
    where[8, 9] = True  # Its window is rows 3 to 12, columns 4 to 13.
    assert bleeding.of_parts([found], [truth], where[None], True) == (pytest.approx(1 - 10 / 40),)
    where[:] = False
    assert bleeding.of_parts([found], [truth], where[None], True) == (1.0,)
    where[0, 9] = True  # Five rows lie outside, which is another cluster in the truth and in the result.
    assert bleeding.of_parts([found], [truth], where[None], True) == (pytest.approx(1 - 5 / (20 + 50)),)
