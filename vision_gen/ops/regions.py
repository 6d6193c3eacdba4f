"""Regions of pictures: distances along which edges are far, and what lines close."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

TURNS = 3  # Of the two directions.
INK = 0.3  # Share of ink from which on a pixel is of a line.


def around(picture, points, reach, *, light=0.0):
    """What lies around points of a picture, within its edges.

    Args:
      picture: [batch, height, width, channel] in [-1, 1].
      points: x and y in pixels, [batch, 2].
      reach: [batch], in pixels, by rows and columns.
      light: a point may move so many pixels to where the first channel is lighter by 1: off a line, say.

    Returns:
      [batch, height, width, 1] float32, 1 where it is as near as `reach` and 0 elsewhere.
    """
    y, x = (jnp.arange(n, dtype=jnp.float32) + 0.5 for n in picture.shape[1:3])
    apart = jnp.hypot(x - points[:, None, None, 0], y[:, None] - points[:, None, None, 1])
    start = jnp.argmin((apart - light * picture[..., 0]).reshape(len(picture), -1), -1)
    mask = jax.nn.one_hot(start, x.size * y.size).reshape(*picture.shape[:3], 1)
    return (distance(mask, picture) <= reach[:, None, None, None]).astype(jnp.float32)


def distance(mask, guide, edge=100.0):
    """How far every pixel is from a mask, in pixels, by rows and columns.

    Args:
      mask: [batch, height, width, 1], not 0 inside.
      guide: [batch, height, width, channel].
      edge: how many pixels a step of 1 in the guide, in the channel where it is largest, counts for.

    Returns:
      [batch, height, width, 1] float32, infinite where the mask is empty.
    """
    found = jnp.where(mask > 0, 0.0, jnp.inf)
    for _ in range(TURNS):
        for axis in (1, 2):
            step = jnp.abs(jnp.diff(guide.astype(jnp.float32), axis=axis)).max(-1, keepdims=True)
            step = 1 + edge * step
            start = jnp.zeros_like(lax.slice_in_dim(found, 0, 1, axis=axis))
            place = jnp.cumsum(jnp.concatenate([start, step], axis), axis)
            before = lax.cummin(found - place, axis) + place
            after = lax.cummin(found + place, axis, reverse=True) - place
            found = jnp.minimum(before, after)
    return jnp.maximum(found, 0)


def closed(lines, gap=0):
    """Which pixels lie in one region that lines close. On the host: numpy and scipy.

    Regions are connected components of paper that is wider than the gap (after Zhang et al. 2009, whose ball is trapped
    likewise), grown to all paper that is reached from them; paper that is nowhere so wide is of regions of its own.

    Args:
      lines: [height, width] in [-1, 1], 1 is paper and -1 ink.
      gap: pixels; two lines that end so near each other meet.

    Returns:
      [height, width] int32, regions from 1; a pixel of a line is of the region that is nearest.
    """
    paper = np.asarray(lines) > 1 - 2 * INK
    if paper.all() or not paper.any():
        return np.ones(paper.shape, np.int32)
    found, count = ndimage.label(ndimage.distance_transform_edt(paper) > (gap + 1) / 2)
    whole, wholes = ndimage.label(paper)
    narrow = np.setdiff1d(np.arange(1, wholes + 1), whole[found > 0])
    found = np.pad(np.where(np.isin(whole, narrow), count + whole, found), 1)
    rest, flat = np.flatnonzero(np.pad(paper, 1) & (found == 0)), found.ravel()
    while len(rest):  # A pixel further each time, along paper.
        nearest = flat[rest[:, None] + [-1, 1, -found.shape[1], found.shape[1]]].max(1)
        flat[rest] = nearest
        rest = rest[nearest == 0]
    rows, columns = ndimage.distance_transform_edt(~paper, return_distances=False, return_indices=True)
    _, numbers = np.unique(found[1:-1, 1:-1][rows, columns], return_inverse=True)
    return np.int32(numbers + 1)


def flat(picture, lines, gap=0):
    """A picture with one colour in each region that its lines close, the median there, and the lines over it.

    Args:
      picture: [height, width, 3] uint8.
      lines, gap: as of `closed`.

    Returns:
      [height, width, 3] uint8.
    """
    lines = np.asarray(lines, np.float32)
    regions = closed(lines, gap)
    of_paper = np.where(lines > 1 - 2 * INK, regions, 0)
    numbers = np.arange(1, regions.max() + 1)
    if not of_paper.any():
        return picture
    fill = np.stack([ndimage.median(picture[..., i], of_paper, numbers) for i in range(3)], -1)
    found = fill[regions - 1] * (lines[..., None] + 1) / 2
    return np.uint8(np.round(np.clip(found, 0, 255)))


def on_plain_ground(picture, tolerance=10, edge=4):
    """What lies on a ground of one colour: the largest region that cannot be reached from the edge. On the host.

    Args:
      picture: [height, width, 3] uint8.
      tolerance: levels by which the ground may differ from its colour, the median of the edge.
      edge: pixels that count as the edge.

    Returns:
      (mask [height, width] bool, the share of the edge that is of the colour).
    """
    inner = np.zeros(picture.shape[:2], bool)
    inner[edge:-edge, edge:-edge] = True
    ground = np.abs(picture.astype(np.float32) - np.median(picture[~inner], 0)).max(-1) <= tolerance
    labels, _ = ndimage.label(ground)
    outside = np.isin(labels, np.setdiff1d(labels[~inner], 0))
    labels, count = ndimage.label(ndimage.binary_opening(~outside, iterations=2))
    sizes = np.bincount(labels.ravel(), minlength=2)
    return (labels == 1 + np.argmax(sizes[1:])) & (count > 0), float(ground[~inner].mean())
