"""Full-reference image metrics. Images [batch, height, width, channel] in [-1, 1].

`size`, (rows, columns), says what counts of images that were extended at the bottom and on the right, so that one
compiled program serves many sizes; by default it is all. It may be traced.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.ops import pool

# Of the five scales, the finest first.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr(image, truth, size=None):
    """Peak signal-to-noise ratio in dB, [batch].

    At most 48.13 dB, an error of one 8-bit level in every pixel: an 8-bit image cannot show less,
    and identical pairs leave a mean finite.
    """
    error = _mean((_unit(image) - _unit(truth)) ** 2, size)
    return jnp.minimum(-10 * jnp.log10(error), -20 * jnp.log10(1 / 255))


def ssim(image, truth, size=None):
    """Structural similarity (Wang et al. 2004), [batch]: 11x11 Gaussian window, sigma 1.5, where it lies inside.

    Images of at least 11 px a side.
    """
    return _similarity(_unit(image), _unit(truth), size)[1]


def _unit(x):
    return (jnp.clip(x.astype(jnp.float32), -1, 1) + 1) / 2


def _mean(x, size):
    """Means [batch] of the first `size` rows and columns of maps."""
    if size is None:
        return x.mean((1, 2, 3))
    return pool.inside(x, size).sum((1, 2, 3)) / (jnp.float32(size[0]) * size[1] * x.shape[3])


def ms_ssim(image, truth, size=None):
    """Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003), [batch].

    Five scales, each half the size of the one before; images of at least 161 px a side.
    """
    if min(image.shape[1:3]) < 161:
        raise InputError(
            f"MS-SSIM halves images four times under a window of 11 px: they must be at least "
            f"161 px a side, got {image.shape[1:3]}"
        )
    x, y = (_unit(v) for v in (image, truth))
    result = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        structure, similarity = _similarity(x, y, size)
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        result *= jax.nn.relu(similarity if last else structure) ** weight
        if not last:
            x, y = (pool.average_pool(v[:, : v.shape[1] // 2 * 2, : v.shape[2] // 2 * 2], 2, stride=2) for v in (x, y))
            size = size and tuple(side // 2 for side in size)
    return result


def _similarity(x, y, size, window=11, sigma=1.5, k1=0.01, k2=0.03):
    """Means [batch] of the contrast-structure term and of SSIM, of images in [0, 1]."""
    offset = np.arange(window) - window // 2
    taps = np.exp(-(offset**2) / (2 * sigma**2))
    taps = [float(t) for t in taps / taps.sum()]

    def blur(v):
        for axis in (1, 2):
            reach = v.shape[axis] - window + 1
            at = lambda i: (slice(None),) * axis + (slice(i, i + reach),)
            v = sum(tap * v[at(i)] for i, tap in enumerate(taps))
        return v

    mx, my = blur(x), blur(y)
    # Rounding must not make a variance negative.
    vx, vy = (jnp.maximum(blur(v * v) - m * m, 0) for v, m in ((x, mx), (y, my)))
    vxy = blur(x * y) - mx * my
    c1, c2 = k1**2, k2**2
    structure = (2 * vxy + c2) / (vx + vy + c2)
    similarity = structure * (2 * mx * my + c1) / (mx * mx + my * my + c1)
    inside = size and tuple(side - window + 1 for side in size)
    return _mean(structure, inside), _mean(similarity, inside)
