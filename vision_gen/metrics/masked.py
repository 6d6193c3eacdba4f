"""Image metrics of some of the pixels.

Images [batch, height, width, channel] in [-1, 1]; a mask [batch, height, width, 1] bool says which pixels count, at least
one of each image.
"""

import jax.numpy as jnp

from vision_gen.metrics import image as whole
from vision_gen.ops import pool

WINDOW = 11  # Of SSIM.


def psnr(image, truth, mask):
    """As `image.psnr`, of the pixels that count: [batch]."""
    count = jnp.mean(mask, (1, 2, 3))
    image, truth = (jnp.clip(x.astype(jnp.float32), -1, 1) / 2 for x in (image, truth))
    error = jnp.mean(jnp.where(mask, image - truth, 0) ** 2, (1, 2, 3)) / count
    return jnp.minimum(-10 * jnp.log10(error), -20 * jnp.log10(1 / 255))


def ssim(image, truth, mask):
    """As `image.ssim`, of the windows that have a pixel that counts, all others grey: [batch]."""
    found = whole.ssim(*(jnp.where(mask, x, 0) for x in (image, truth)))
    # A window of grey alone is alike in both: 1.
    counts = jnp.mean(pool.max_pool(mask.astype(jnp.float32), WINDOW, stride=1), (1, 2, 3))
    return 1 - (1 - found) / counts
