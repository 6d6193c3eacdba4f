"""Regions that were found beside the true ones."""

import math

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


def boundary_f(found, truth, tolerance=0.008):
    """Contour accuracy F of masks, as the DAVIS toolkit computes it (Perazzi et al., CVPR 2016, section 5.1).

    A pixel is of the boundary if its right, lower or lower right neighbour is on the other side; it is met if the other
    mask's boundary comes as near as the tolerance. F is the harmonic mean of the shares of both boundaries that are met;
    a boundary without pixels is met wholly.

    Args:
      found, truth: [..., height, width] boolean.
      tolerance: radius of a disk, as a share of the picture's diagonal, rounded up to pixels; 1 or more: pixels.

    Returns:
      [...] float32 in [0, 1].
    """
    radius = int(tolerance) if tolerance >= 1 else math.ceil(tolerance * math.hypot(*found.shape[-2:]))
    return near(_boundary(found), _boundary(truth), radius)[2]


def near(found, truth, radius):
    """Pixels that were found near true ones, such as those of lines.

    Args:
      found, truth: [..., height, width] boolean.
      radius: of a disk, in whole pixels.

    Returns:
      (precision, recall, f), each [...] float32 in [0, 1]: the share of what was found with something true within the
      radius, the share of what is true with something found within it, and their harmonic mean; of nothing, 1.
    """
    precision = _share((found & _within(truth, radius)).sum((-2, -1)), found.sum((-2, -1)))
    recall = _share((truth & _within(found, radius)).sum((-2, -1)), truth.sum((-2, -1)))
    total = precision + recall
    f = jnp.where(total == 0, 0.0, 2 * precision * recall / jnp.maximum(total, 1e-9)).astype(jnp.float32)
    return precision, recall, f


def _share(part, whole):
    return jnp.where(whole == 0, 1.0, part / jnp.maximum(whole, 1))


def _boundary(mask):
    right = jnp.concatenate([mask[..., 1:], mask[..., -1:]], -1)
    below = lambda m: jnp.concatenate([m[..., 1:, :], m[..., -1:, :]], -2)
    return (mask != right) | (mask != below(mask)) | (mask != below(right))


def _within(mask, radius):
    """Where a disk of `radius` around a pixel meets the mask: row by row, by differences of running sums."""
    height, width = mask.shape[-2:]
    edge = [(0, 0)] * (mask.ndim - 2)
    total = jnp.cumsum(jnp.pad(mask, [*edge, (radius, radius), (radius + 1, radius)]).astype(jnp.int32), -1)
    met = jnp.zeros(mask.shape, bool)
    for down in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - down**2)
        rows = total[..., radius + down : radius + down + height, :]
        right = rows[..., radius + half + 1 : radius + half + 1 + width]
        met |= right > rows[..., radius - half : radius - half + width]
    return met
