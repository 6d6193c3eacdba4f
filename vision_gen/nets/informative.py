"""The generator of 'Learning to generate line drawings that convey geometry and semantics' (Chan et al., CVPR 2022).

Johnson's network of residual blocks with instance normalisation that has neither scale nor bias.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers


def reflected(x, edge):
    """Maps with `edge` more pixels on every side, reflected."""
    return jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="reflect")


def normalised(x):
    """Every channel of every image with mean 0 and variance 1 (epsilon 1e-5)."""
    y = x.astype(jnp.float32)
    mean, var = y.mean((1, 2), keepdims=True), y.var((1, 2), keepdims=True)
    return ((y - mean) * lax.rsqrt(var + 1e-5)).astype(x.dtype)


class Residual(nnx.Module):
    """x + norm(conv(relu(norm(conv(x)))))."""

    def __init__(self, width, *, rngs):
        self.first = layers.Conv(width, width, padding=0, rngs=rngs)
        self.second = layers.Conv(width, width, padding=0, rngs=rngs)

    def __call__(self, x):
        y = jax.nn.relu(normalised(self.first(reflected(x, 1))))
        return x + normalised(self.second(reflected(y, 1)))


class Generator(nnx.Module):
    """Lines of pictures.

    Args:
      width: channels of the first convolution; the published 64.
      blocks: residual blocks; 3 in the published files.
    """

    def __init__(self, *, width=64, blocks=3, rngs):
        self.first = layers.Conv(3, width, 7, padding=0, rngs=rngs)
        self.down = nnx.List(layers.Conv(width * n, 2 * width * n, stride=2, padding=1, rngs=rngs) for n in (1, 2))
        self.blocks = nnx.List(Residual(4 * width, rngs=rngs) for _ in range(blocks))
        self.up = nnx.List(layers.ConvTranspose(2 * width * n, width * n, rngs=rngs) for n in (2, 1))
        self.out = layers.Conv(width, 1, 7, padding=0, rngs=rngs)

    def __call__(self, image):
        """[batch, height, width, 3] in [-1, 1], sides multiples of 4 -> lines [..., 1] in [-1, 1]; 1 is paper."""
        x = jax.nn.relu(normalised(self.first(reflected((image + 1) / 2, 3))))
        for conv in self.down:
            x = jax.nn.relu(normalised(conv(x)))
        for block in self.blocks:
            x = block(x)
        for conv in self.up:
            x = jax.nn.relu(normalised(conv(x)))
        return 2 * jax.nn.sigmoid(self.out(reflected(x, 3)).astype(jnp.float32)) - 1
