"""Means by group."""

import numpy as np
import pytest

from vision_gen.metrics import groups


def test_means_are_those_of_each_group_and_nan_is_left_out():
    values = [1.0, 0.0, 0.5, np.nan, 1.0, np.nan]
    names, means = groups.group_means(values, ["b", "a", "b", "b", "a", "c"])
    assert list(names) == ["a", "b"]
    np.testing.assert_allclose(means, [0.5, 0.75])


def test_the_worst_group_need_not_be_the_first_or_the_largest():
    group = np.array([7, 7, 7, -2, -2, 3])
    assert groups.worst_group(np.array([1.0, 0.0, 1.0, 0.5, 0.5, 0.9]), group) == (-2, 0.5)
    assert groups.worst_group(np.ones(6), group) == (-2, 1.0)


def test_what_has_no_means_is_refused():
    with pytest.raises(ValueError, match=r"both be \[examples\], got \(2,\) and \(3,\)"):
        groups.group_means([1.0, 2.0], [0, 0, 1])
    with pytest.raises(ValueError, match="no value is left"):
        groups.worst_group([np.nan], [0])
