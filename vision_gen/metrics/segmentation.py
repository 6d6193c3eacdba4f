"""Regions that were found beside the true ones."""

import jax.numpy as jnp


def intersection_over_union(found, truth, void=None):
    """Jaccard index J of masks, 1 where both are empty, as in the DAVIS benchmark (Perazzi et al., CVPR 2016).

    J of a clip is the mean over its frames and that of a set the mean over clips and objects:
    `metrics.groups.group_means(j, clip)[1].mean()`.

    Args:
      found, truth: [..., height, width] boolean.
      void: [..., height, width] boolean, pixels that do not count.

    Returns:
      [...] float32 in [0, 1].
    """
    counts = jnp.ones(found.shape, bool) if void is None else ~void
    intersection = (found & truth & counts).sum((-2, -1))
    union = ((found | truth) & counts).sum((-2, -1))
    return jnp.where(union == 0, 1.0, intersection / jnp.maximum(union, 1)).astype(jnp.float32)
