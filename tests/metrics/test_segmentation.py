"""Intersection over union is scikit-learn's Jaccard score, and DAVIS's where both masks are empty."""

import numpy as np
import pytest
import scipy.ndimage
import sklearn.metrics

from vision_gen.metrics import groups, segmentation


def test_it_is_sklearns_jaccard_score():
    rng = np.random.default_rng(0)
    found, truth = rng.random((2, 5, 6, 7)) < 0.4
    void = rng.random((5, 6, 7)) < 0.2
    j = segmentation.intersection_over_union(found, truth)
    without = segmentation.intersection_over_union(found, truth, void)
    assert j.shape == (5,)
    for i in range(5):
        assert j[i] == pytest.approx(sklearn.metrics.jaccard_score(truth[i].ravel(), found[i].ravel()))
        kept = ~void[i]
        assert without[i] == pytest.approx(sklearn.metrics.jaccard_score(truth[i][kept], found[i][kept]))


def test_empty_masks_agree_and_one_that_is_empty_does_not():
    empty, some = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert segmentation.intersection_over_union(empty, empty) == 1
    assert segmentation.intersection_over_union(empty, some) == 0
    assert segmentation.intersection_over_union(some, some) == 1
    assert segmentation.intersection_over_union(some, empty, some) == 1  # Only void pixels differ.


def test_of_a_set_it_is_the_mean_over_clips_and_not_over_frames():
    j = np.array([1.0, 1.0, 1.0, 0.5, 0.0])
    clip = ["bear", "bear", "bear", "camel", "camel"]
    assert groups.group_means(j, clip)[1].mean() == pytest.approx((1 + 0.25) / 2)


def test_contour_accuracy_is_that_of_its_definition():
    """Boundaries and disks drawn pixel by pixel, with scipy's dilation."""
    rng = np.random.default_rng(1)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(6, 40, 50)), (0, 3, 3))
    found, truth = smooth[:3] > 0, (smooth[:3] + 0.7 * smooth[3:]) > 0

    def boundary(mask):
        edge = np.zeros_like(mask)
        for y, x in np.ndindex(mask.shape):
            after = [(y, min(x + 1, 49)), (min(y + 1, 39), x), (min(y + 1, 39), min(x + 1, 49))]
            edge[y, x] = any(mask[place] != mask[y, x] for place in after)
        return edge

    for tolerance, radius in ((0.008, 1), (3, 3)):
        rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disk = rows**2 + columns**2 <= radius**2
        expected = []
        for a, b in zip(map(boundary, found), map(boundary, truth)):
            precision = (a & scipy.ndimage.binary_dilation(b, disk)).sum() / a.sum()
            recall = (b & scipy.ndimage.binary_dilation(a, disk)).sum() / b.sum()
            expected.append(2 * precision * recall / (precision + recall))
        np.testing.assert_allclose(segmentation.boundary_f(found, truth, tolerance), expected, rtol=1e-5)
        assert min(expected) > 0.05 and max(expected) < 0.99
    empty = np.zeros((40, 50), bool)
    assert segmentation.boundary_f(empty, empty) == 1
    assert segmentation.boundary_f(empty, truth[0]) == 0


def test_pixels_near_true_ones_are_counted_one_by_one():
    found, truth = np.zeros((2, 8, 9), bool)
    truth[2, 1:8] = True  # Seven,
    found[3, 1:5] = True  # four of which have one a pixel off;
    found[6, 0:2] = True  # and two that are far from all.
    precision, recall, f = segmentation.near(found, truth, 1)
    assert precision == pytest.approx(4 / 6) and recall == pytest.approx(4 / 7)
    assert f == pytest.approx(2 * (4 / 6) * (4 / 7) / (4 / 6 + 4 / 7))
    precision, recall, _ = segmentation.near(found, truth, 4)
    assert precision == pytest.approx(5 / 6) and recall == 1  # (6, 0) is 4.1 away.
    nothing = np.zeros((8, 9), bool)
    assert [float(x) for x in segmentation.near(nothing, truth, 1)] == [1, 0, 0]
