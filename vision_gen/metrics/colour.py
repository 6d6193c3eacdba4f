"""Figures of colours. Images [batch, height, width, 3] in [-1, 1]; colours ab of CIE Lab [batch, height, width, 2]."""

import jax.numpy as jnp
import numpy as np

from vision_gen.ops import gamut

FARTHEST = 150.0  # Error of ab up to which areas are measured.


def colourfulness(image):
    """How colourful images are, [batch] (Hasler & Süsstrunk 2003, of 8-bit sRGB): 0 is grey, about 100 very."""
    red, green, blue = jnp.moveaxis((image.astype(jnp.float32) + 1) * 127.5, -1, 0)
    both = jnp.stack([red - green, (red + green) / 2 - blue])
    spread = jnp.sqrt(jnp.sum(both.var((2, 3)), 0))
    return spread + 0.3 * jnp.sqrt(jnp.sum(both.mean((2, 3)) ** 2, 0))


def accuracy(ab, truth):
    """How near colours are, [batch, height, width]: 1 if they are the same, 0 where they are 150 apart or more.

    Its mean is the area under the curve of the share of pixels within an error, over errors from 0 to 150 (Zhang et al.
    2016, section 3.1).
    """
    return jnp.maximum(1 - jnp.linalg.norm(ab - truth, axis=-1) / FARTHEST, 0)


def by_colour(values, truth):
    """Sums of values by the bin of `gamut.grid` that the true colour lies in: [batch, 529].

    Args:
      values: [batch, height, width].
      truth: [batch, height, width, 2].
    """
    batch, bins = len(truth), len(gamut.grid())
    number = gamut.nearest(truth).reshape(batch, -1) + bins * jnp.arange(batch)[:, None]
    total = jnp.zeros(batch * bins).at[number].add(values.reshape(batch, -1))
    return total.reshape(batch, bins)


def rebalanced(sums, counts):
    """The mean over pixels, each counting inversely to how frequent its colour is (equation 4 with lambda = 0).

    Args:
      sums: of values by colour, [529] numpy.
      counts: of pixels by colour, [529].
    """
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    weight = np.where(counts > 0, 1 / np.maximum(gamut.smooth(counts / counts.sum(), gamut.grid()), 1e-12), 0)
    return float((sums * weight).sum() / (counts * weight).sum())
