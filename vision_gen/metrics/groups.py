"""Means by group: classes, clips, or people; the worst of them (Sagawa et al., ICLR 2020)."""

import numpy as np


def group_means(values, group):
    """Means of each group.

    Args:
      values: [examples]; NaN is left out.
      group: [examples], what group each is of: integers or texts.

    Returns:
      (groups, means): the groups that have a value, sorted, and the [groups] means of their values.

    Raises:
      ValueError: the two are not of one length, or no value is left.
    """
    values, group = np.asarray(values, np.float64), np.asarray(group)
    if values.ndim != 1 or values.shape != group.shape:
        raise ValueError(f"values and group must both be [examples], got {values.shape} and {group.shape}")
    kept = ~np.isnan(values)
    if not kept.any():
        raise ValueError("no value is left that is not NaN")
    groups, index = np.unique(group[kept], return_inverse=True)
    return groups, np.bincount(index, values[kept]) / np.bincount(index)


def worst_group(values, group):
    """(group, its mean): the group with the least mean, the first of equals. As `group_means` otherwise."""
    groups, means = group_means(values, group)
    worst = int(np.argmin(means))
    return groups[worst], float(means[worst])
