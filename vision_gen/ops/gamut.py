"""Colours as classes: bins of the ab plane of CIE Lab, soft encoding, rebalancing and decoding.

Zhang, Isola & Efros, "Colorful Image Colorization", ECCV 2016, section 2. Colours are [..., 2], a and b of Lab (D65).
"""

import functools
import itertools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import colour

STEP = 10  # Between bins, in units of ab.
REACH = 110  # Of the whole grid, on both sides of grey.
SIGMA = 5.0  # Of the Gaussians that encode colours and smooth their distribution.
NEIGHBOURS = 5  # Bins that a colour is encoded by.
_DIRECTIONS = 720  # In which the gamut's extent is measured.


@functools.cache
def grid():
    """All bins of the square grid: [529, 2] float32, by a and then b."""
    side = np.arange(-REACH, REACH + STEP, STEP)
    return np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)


@functools.cache
def in_gamut():
    """The bins that colours of sRGB need: [313, 2] float32, by a and then b, as published.

    Those that lie less than one step, along a and along b, from the convex hull of all colours of sRGB.
    """
    levels = np.linspace(0, 1, 18)
    with jax.ensure_compile_time_eval():  # Also where this is first asked for while a program is traced.
        colours = np.asarray(colour.rgb_to_lab(jnp.float32(list(itertools.product(levels, repeat=3)))))[:, 1:]
    angle = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    direction = np.stack([np.cos(angle), np.sin(angle)])
    extent = (colours @ direction).max(0) + STEP * np.abs(direction).sum(0)
    return grid()[(grid() @ direction <= extent).all(1)]


def nearest(ab):
    """Number of the bin of `grid` that colours lie in: int32 [...]."""
    row = jnp.clip(jnp.round((ab + REACH) / STEP), 0, 2 * REACH / STEP).astype(jnp.int32)
    return row[..., 0] * (2 * REACH // STEP + 1) + row[..., 1]


def encode(ab, bins):
    """Colours as weights of the nearest bins, a Gaussian of their distance (section 2.2, H^-1).

    Args:
      ab: [..., 2].
      bins: [bins, 2].

    Returns:
      (number, weight), each [..., NEIGHBOURS], the nearest first; weights sum to 1.
    """
    bins = jnp.asarray(bins)
    square = jnp.sum((ab[..., None, :] - bins) ** 2, -1)
    closest, number = lax.top_k(-square, NEIGHBOURS)
    return number, jax.nn.softmax(closest / (2 * SIGMA**2), -1)


def histogram(number, weight, bins):
    """What share of encoded colours each of so many bins has: [bins], sums to 1."""
    total = jnp.zeros(bins).at[number.reshape(-1)].add(weight.reshape(-1))
    return total / jnp.maximum(total.sum(), 1e-12)


def smooth(shares, bins):
    """A distribution over bins [..., bins], smoothed by a Gaussian in the ab plane; sums to 1."""
    square = np.sum((bins[:, None] - bins) ** 2, -1)
    kernel = np.exp(-square / (2 * SIGMA**2))
    found = shares @ (kernel / kernel.sum(1, keepdims=True)).astype(np.float32)
    return found / found.sum(-1, keepdims=True)


def rarity(shares, bins, uniform=0.5):
    """How much the colours of each bin count: [bins] (equation 4).

    The inverse of the smoothed distribution, mixed with `uniform` parts of the uniform one; its mean over the smoothed
    distribution is 1.
    """
    smoothed = smooth(shares, bins)
    weight = 1 / ((1 - uniform) * smoothed + uniform / len(bins))
    return weight / jnp.sum(smoothed * weight)


def cross_entropy(logits, number, weight):
    """Cross-entropy of `encode`d colours under logits [..., bins]: [...] float32."""
    log = jax.nn.log_softmax(logits.astype(jnp.float32), -1)
    return -jnp.sum(weight * jnp.take_along_axis(log, number, -1), -1)


def annealed_mean(logits, bins, temperature=0.38):
    """The mean colour of a distribution that is sharpened by a temperature (equation 5): [..., 2].

    Args:
      logits: [..., bins].
      bins: [bins, 2].
      temperature: 1 is the mean, towards 0 the mode.
    """
    return jax.nn.softmax(logits.astype(jnp.float32) / temperature, -1) @ bins
