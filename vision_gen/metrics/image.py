"""Full-reference image metrics. Images [batch, height, width, channel] in [-1, 1]."""

import dm_pix
import jax.numpy as jnp


def psnr(image, truth):
    """Peak signal-to-noise ratio in dB, [batch].

    At most 48.13 dB, an error of one 8-bit level in every pixel: an 8-bit image cannot show less,
    and identical pairs leave a mean finite.
    """
    image, truth = (_unit(x) for x in (image, truth))
    return jnp.minimum(dm_pix.psnr(image, truth), -20 * jnp.log10(1 / 255))


def ssim(image, truth):
    """Structural similarity (Wang et al. 2004), [batch]: 11x11 Gaussian window, sigma 1.5."""
    return dm_pix.ssim(_unit(image), _unit(truth))


def _unit(x):
    return (jnp.clip(x.astype(jnp.float32), -1, 1) + 1) / 2
