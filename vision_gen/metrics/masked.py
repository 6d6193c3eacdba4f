"""Image metrics of some of the pixels.

Images [batch, height, width, channel] in [-1, 1]; a mask [batch, height, width, 1] bool says which pixels count, at least
one of each image.
"""

import jax.numpy as jnp
import numpy as np


def psnr(image, truth, mask):
    """As `image.psnr`, of the pixels that count: [batch]."""
    image, truth = (_unit(x) for x in (image, truth))
    error = _mean((image - truth) ** 2, mask)
    return jnp.minimum(-10 * jnp.log10(error), -20 * jnp.log10(1 / 255))


def ssim(image, truth, mask):
    """As `image.ssim`, [batch]: a window's means and variances are those of its pixels that count (Gao et al. 2022).

    Each window counts as much as those pixels have of its weights.
    """
    x, y = (jnp.where(mask, _unit(v), 0) for v in (image, truth))
    share = _blurred(mask.astype(jnp.float32))
    mean = lambda v: _blurred(v) / jnp.maximum(share, 1e-9)
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return _mean(found, share)


def _unit(x):
    return (jnp.clip(x.astype(jnp.float32), -1, 1) + 1) / 2


def _mean(x, weight):
    """Means [batch] of maps, weighted by [batch, height, width, 1]."""
    return jnp.sum(x.mean(-1, keepdims=True) * weight, (1, 2, 3)) / jnp.sum(weight, (1, 2, 3))


def _blurred(x, sigma=1.5, reach=5):
    """Under a Gaussian window of 11 pixels a side, where it lies inside."""
    taps = np.exp(-np.arange(-reach, reach + 1) ** 2 / (2 * sigma**2))
    for axis in (1, 2):
        length = x.shape[axis] - 2 * reach
        at = lambda i: (slice(None),) * axis + (slice(i, i + length),)
        x = sum(float(tap) * x[at(i)] for i, tap in enumerate(taps / taps.sum()))
    return x
