"""The discrete autoencoder of DALL-E (Ramesh et al., ICML 2021), as released: pictures to a grid of codes, and back.

Pictures are taken and given in (0, 1), with a margin of 0.1 at both ends (`map_pixels`), as the logit-Laplace
distribution of the decoder needs them.
"""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import pool

MARGIN = 0.1  # Of pixels to 0 and 1.
CHANNELS = 3
INIT = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of both networks.

    Attributes:
      vocabulary: different codes.
      width: channels of the largest maps; each group of the encoder but the first has twice as many as that before.
      initial: channels of the decoder's first map.
      groups: of blocks; between them maps are halved or doubled.
      blocks: of a group.
    """

    vocabulary: int = 8192
    width: int = 256
    initial: int = 128
    groups: int = 4
    blocks: int = 2

    @property
    def factor(self):
        """Pixels along the side of what a code stands for."""
        return 2 ** (self.groups - 1)

    @property
    def widths(self):
        """Of the encoder's groups."""
        return [self.width * 2**number for number in range(self.groups)]


class Block(nnx.Module):
    """Four convolutions, ReLU before each, added to what came in with a small weight.

    Args:
      channel, features: of the maps that come in and go out.
      kernels: sizes of the four.
      gain: the weight.
    """

    def __init__(self, channel, features, kernels, gain, *, rngs):
        ends = (channel, *[features // 4] * 3, features)
        self.shortcut = layers.Conv(channel, features, 1, init=INIT, rngs=rngs) if channel != features else None
        self.convs = nnx.List(
            layers.Conv(a, b, kernel, init=INIT, rngs=rngs) for a, b, kernel in zip(ends, ends[1:], kernels)
        )
        self.gain = gain

    def __call__(self, x):
        y = x
        for conv in self.convs:
            y = conv(jax.nn.relu(y))
        return (x if self.shortcut is None else self.shortcut(x)) + self.gain * y


def _groups(sizes, first, widths, kernels, rngs):
    """Blocks of all groups, whose first one takes `first` channels."""
    if sizes.width % 4:
        raise ValueError(f"width must be a multiple of 4, got {sizes.width}")
    gain, found = 1 / (sizes.groups * sizes.blocks) ** 2, []
    for width in widths:
        group = [
            Block(first if not number else width, width, kernels, gain, rngs=rngs) for number in range(sizes.blocks)
        ]
        found.append(nnx.List(group))
        first = width
    return nnx.List(found)


class Encoder(nnx.Module):
    """Pixels to logits of codes, both maps of different size.

    Args:
      sizes: a `Sizes`.
    """

    def __init__(self, sizes, *, rngs):
        self.sizes = sizes
        self.input = layers.Conv(CHANNELS, sizes.width, 7, init=INIT, rngs=rngs)
        self.groups = _groups(sizes, sizes.width, sizes.widths, (3, 3, 3, 1), rngs)
        self.output = layers.Conv(sizes.widths[-1], sizes.vocabulary, 1, init=INIT, rngs=rngs)

    def __call__(self, pixels):
        """Logits [batch, height / factor, width / factor, vocabulary] float32 of pixels [batch, height, width, 3]."""
        x = self.input(pixels.astype(self.input.kernel.dtype))
        for number, group in enumerate(self.groups):
            if number:
                x = pool.max_pool(x, 2, stride=2)
            for block in group:
                x = block(x)
        return self.output(jax.nn.relu(x)).astype(jnp.float32)

    def codes(self, images):
        """The likeliest codes [batch, height / factor, width / factor] int32 of images in [-1, 1]."""
        return jnp.argmax(self(map_pixels(images)), -1).astype(jnp.int32)


class Decoder(nnx.Module):
    """Codes to the distribution of pixels: of each channel the mean of its logit, and the logarithm of its scale.

    Args:
      sizes: a `Sizes`.
    """

    def __init__(self, sizes, *, rngs):
        self.sizes = sizes
        self.input = layers.Conv(sizes.vocabulary, sizes.initial, 1, init=INIT, rngs=rngs)
        self.groups = _groups(sizes, sizes.initial, sizes.widths[::-1], (1, 3, 3, 3), rngs)
        self.output = layers.Conv(sizes.width, 2 * CHANNELS, 1, init=INIT, rngs=rngs)

    def __call__(self, weights):
        """(mean, log_scale), each [batch, height * factor, width * factor, 3] float32.

        Args:
          weights: of the codes at each place, [batch, height, width, vocabulary]; they sum to 1.
        """
        return self._pixels(self.input(weights.astype(self.input.kernel.dtype)))

    def images(self, codes):
        """The likeliest images [batch, height * factor, width * factor, 3] in [-1, 1] of codes [batch, height, width]."""
        # The product with a matrix of zeros and ones.
        mean, _ = self._pixels(layers.spread(jnp.asarray(self.input.kernel[...])[0, 0][codes]) + self.input.bias[...])
        return unmap_pixels(jax.nn.sigmoid(mean))

    def _pixels(self, x):
        for number, group in enumerate(self.groups):
            if number:
                x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            for block in group:
                x = block(x)
        x = self.output(jax.nn.relu(x)).astype(jnp.float32)
        return x[..., :CHANNELS], x[..., CHANNELS:]


def map_pixels(images):
    """Images in [-1, 1] as pixels in [0.1, 0.9]."""
    return (1 - 2 * MARGIN) * (images + 1) / 2 + MARGIN


def unmap_pixels(pixels):
    """Pixels as images in [-1, 1]; what lies in the margins is cut."""
    return 2 * jnp.clip((pixels - MARGIN) / (1 - 2 * MARGIN), 0, 1) - 1
