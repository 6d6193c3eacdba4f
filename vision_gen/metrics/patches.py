"""How alike the patches of two sets of images are, without a network.

After the sliced Wasserstein distance of Karras et al. (ICLR 2018): patches of 7 x 7 pixels of Laplacian pyramids, seen along
random directions. Unlike theirs, patches keep their mean and contrast, and lie at the same places of both sets.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import fir, random

SIDE, NUMBER, DIRECTIONS = 7, 32, 64  # Of a patch; patches of a level and image; that they are projected on.
SMALLEST = 16  # Side of the last level, at least, unless images are smaller.


def descriptors(images, keys):
    """Projections of random patches: [batch, levels, NUMBER, DIRECTIONS] float32.

    Args:
      images: [batch, height, width, 3] in [-1, 1], no side below `SIDE`.
      keys: [batch], of the places.
    """
    directions = np.random.default_rng(0).normal(size=(SIDE * SIDE * 3, DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    found = [
        jnp.matmul(_patches(level, random.fold(keys, i)), directions, precision="highest")
        for i, level in enumerate(_pyramid(images))
    ]
    return jnp.stack(found, 1)


def _pyramid(images):
    """What each halving leaves out, and the smallest images."""
    found = []
    while min(images.shape[1:3]) >= 2 * SMALLEST:
        smaller = fir.downsample(images)
        found.append(images - fir.upsample(smaller))
        images = smaller
    return [*found, images]


def _patches(images, keys):
    """[batch, NUMBER, SIDE * SIDE * 3] at random places."""
    height, width = images.shape[1:3]
    top = random.integers(random.fold(keys, 0), 0, height - SIDE + 1, (NUMBER,))
    left = random.integers(random.fold(keys, 1), 0, width - SIDE + 1, (NUMBER,))
    one = lambda image, y, x: jax.lax.dynamic_slice(image, (y, x, 0), (SIDE, SIDE, 3)).ravel()
    return jax.vmap(lambda image, y, x: jax.vmap(lambda y, x: one(image, y, x))(y, x))(images, top, left)


def distance(a, b):
    """Mean distance, over levels and directions, of the sorted projections of two sets of as many images."""
    ordered = lambda x: np.sort(np.moveaxis(np.asarray(x, np.float32), 1, 0).reshape(x.shape[1], -1, DIRECTIONS), 1)
    return float(np.abs(ordered(a) - ordered(b)).mean())
