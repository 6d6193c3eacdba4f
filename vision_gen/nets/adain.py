"""AdaIN (Huang & Belongie, ICCV 2017): normalisation to the statistics of a style, and the decoder of the result."""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import pool

EPSILON = 1e-5  # Added to variances.
# Convolutions of the decoder by how many times their features are the width; 0: the map is doubled. The last gives RGB.
LAYERS = (4, 0, 4, 4, 4, 2, 0, 2, 1, 0, 1)
STRIDE = 8  # Pixels along a place of the map that is decoded.


def moments(maps):
    """(mean, deviation) of maps [batch, height, width, channel] over their places: [batch, 1, 1, channel], float32.

    The deviation is that of the unbiased variance, as torch's.
    """
    maps = maps.astype(jnp.float32)
    count = maps.shape[1] * maps.shape[2]
    variance = maps.var((1, 2), keepdims=True) * (count / max(count - 1, 1))
    return maps.mean((1, 2), keepdims=True), jnp.sqrt(variance + EPSILON)


def adain(maps, own, wanted):
    """Maps with the moments `wanted` in the place of their `own` (equation 8); both as of `moments`."""
    return ((maps - own[0]) / own[1] * wanted[1] + wanted[0]).astype(maps.dtype)


class Decoder(nnx.Module):
    """Maps [batch, height, width, channel] to images in [-1, 1], 8 times as large: the encoder mirrored.

    Edges are reflected and maps enlarged by repeating, and nothing is normalised.

    Args:
      channel: of the maps.
      width: features of the last hidden layer; 64 is the paper's.
    """

    def __init__(self, channel, *, width=64, rngs):
        self.convs = nnx.List()
        for features in [*(times * width for times in LAYERS if times), 3]:
            self.convs.append(layers.Conv(channel, features, padding=0, rngs=rngs))
            channel = features

    def __call__(self, x):
        convs = iter(self.convs)
        for times in LAYERS:
            if times:
                x = jax.nn.relu(next(convs)(pool.reflected(x)))
            else:
                x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
        return next(convs)(pool.reflected(x)) * 2 - 1
