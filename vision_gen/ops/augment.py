"""Random geometry for batches on the device. Images [batch, height, width, channel]."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import colour, hand, random, resample, sketch


def flip(keys, *batches):
    """Mirrors each example left to right with probability one half, alike in all `batches`."""
    mirrored = random.bernoulli(keys, 0.5)[:, None, None, None]
    return tuple(jnp.where(mirrored, x[:, :, ::-1], x) for x in batches)


def crop(keys, *batches, scale):
    """Enlarges by `scale` and cuts a random window of the old size, alike in all `batches`.

    pix2pix's jitter is scale = 286 / 256.
    """
    height, width = batches[0].shape[1:3]
    large = round(height * scale), round(width * scale)
    return window(keys, *(resample.resize(x, large) for x in batches), size=(height, width))


def window(keys, *batches, size):
    """Cuts a random window of `size`, of a square or (height, width), out of each example, alike in all `batches`."""
    height, width = np.broadcast_to(size, 2).tolist()
    top = random.integers(random.fold(keys, 0), 0, batches[0].shape[1] - height + 1)
    left = random.integers(random.fold(keys, 1), 0, batches[0].shape[2] - width + 1)

    def cut(x):
        one = lambda image, y, z: lax.dynamic_slice(image, (y, z, 0), (height, width, x.shape[3]))
        return jax.vmap(one)(x, top, left)

    return tuple(cut(x) for x in batches)


def resized_crop(keys, images, *, area, ratio=4 / 3):
    """A random window of random size and shape, resized to the whole (Szegedy et al. 2015).

    Args:
      keys: [batch].
      images: [batch, height, width, channel].
      area: the smallest share of the image that the window has; the largest is 1.
      ratio: of its sides, at most, times that of the image.
    """
    share = random.uniform(random.fold(keys, 0), (), area, 1.0)
    stretch = jnp.exp(random.uniform(random.fold(keys, 1), (), -1.0, 1.0) * jnp.log(ratio) / 2)
    side = jnp.sqrt(share)
    sides = jnp.minimum(jnp.stack([side * stretch, side / stretch], -1), 1.0)[:, None, None]
    place = random.uniform(random.fold(keys, 2), (1, 1, 2), -1.0, 1.0)
    grid = resample.identity_grid(*images.shape[1:3]) * sides + place * (1 - sides)
    return resample.grid_sample(images, grid, padding="border")


def sketches(batch, keys, *, line_share=1.0, xdog_share=1.0, unsteady=0.0):
    """A line drawing for each example of a batch, on paper 1 with ink -1.

    Args:
      batch: `colour` [batch, height, width, 3] uint8 and, where there is one, the artist's `line`
        [batch, height, width, 1] uint8, or of pairs the `source` [batch, height, width, 3].
      keys: [batch].
      line_share: share of the examples that get the artist's lines (none without them).
      xdog_share: share of the others that get XDoG, sigma from {0.3, 0.4, 0.5}; the rest gets
        Sobel edges.
      unsteady: how unsteady the hand is that draws them, at most; see `ops.hand`.

    Returns:
      [batch, height, width, 1] float32 in [-1, 1].
    """
    lines = _lines(batch, keys, line_share, xdog_share)
    if not unsteady:
        return lines
    return hand.unsteady(lines, random.fold(keys, 3), random.uniform(random.fold(keys, 4), (), 0, unsteady))


def _lines(batch, keys, line_share, xdog_share):
    drawn = None
    if "line" in batch:
        drawn = colour.from_uint8(batch["line"])
    elif "source" in batch:
        drawn = colour.luma(colour.from_uint8(batch["source"]))
    if drawn is not None and line_share >= 1:
        return drawn
    image = colour.from_uint8(batch["colour"])
    sigma = 0.3 + 0.1 * random.integers(random.fold(keys, 0), 0, 3)
    made = sketch.xdog(image, sigma)
    if xdog_share < 1:
        choose = random.bernoulli(random.fold(keys, 1), xdog_share)[:, None, None, None]
        made = jnp.where(choose, made, sketch.sobel(image))
    if drawn is None or line_share <= 0:
        return made
    choose = random.bernoulli(random.fold(keys, 2), line_share)[:, None, None, None]
    return jnp.where(choose, drawn, made)
