"""Intersection over union is scikit-learn's Jaccard score, and DAVIS's where both masks are empty."""

import numpy as np
import pytest
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
