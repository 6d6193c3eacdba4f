"""The four networks of StarGAN v2 (Choi et al., CVPR 2020, appendix A).

A style [batch, style_dim] comes of a latent, by the mapping network, or of a picture, by the style encoder; both have a
head for each domain. The generator paints a picture in a style; the discriminator judges it by the head of a domain. The
first convolution has `channel_base` / size channels, a block that halves twice as many as before, at most `channel_max`.
Weights are drawn as by He et al. 2015, biases are 0.
"""

import math

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers
from vision_gen.ops import resample

INIT = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
LAST = 4  # Side of the map that the discriminator and the style encoder end with.
MASKED = (32, 64, 128)  # Sides of the generator's maps that get details of the source, of images of its size.
DETAILS = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


def _conv(*args, rngs, **settings):
    return layers.Conv(*args, init=INIT, rngs=rngs, **settings)


def _linear(channel, features, rngs):
    return layers.Linear(channel, features, init=INIT, rngs=rngs)


def _doubled(x):
    """Maps twice as large, by repeating."""
    return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)


def _halved(x):
    return resample.average_pool(x, (x.shape[1] // 2, x.shape[2] // 2))


def _chosen(each, label):
    """Of [batch, domains, ...] that of each example's domain, by its label [batch]."""
    return jnp.take_along_axis(each, label.reshape(-1, *[1] * (each.ndim - 1)), 1)[:, 0]


class Block(nnx.Module):
    """(shortcut + residual) / sqrt 2: normalised if so, activated, convolved, twice; halved between if so."""

    def __init__(self, channel, features, *, normalise=False, down=False, rngs):
        self.conv1 = _conv(channel, channel, rngs=rngs)
        self.conv2 = _conv(channel, features, rngs=rngs)
        self.norm1 = layers.InstanceNorm(channel, rngs=rngs) if normalise else None
        self.norm2 = layers.InstanceNorm(channel, rngs=rngs) if normalise else None
        self.conv1x1 = _conv(channel, features, 1, bias=False, rngs=rngs) if channel != features else None
        self.down = down

    def __call__(self, x):
        y = x if self.norm1 is None else self.norm1(x)
        y = self.conv1(layers.leaky_relu(y))
        y = _halved(y) if self.down else y
        y = y if self.norm2 is None else self.norm2(y)
        y = self.conv2(layers.leaky_relu(y))
        x = _halved(x) if self.down else x  # Halving before a 1x1 convolution is the same as after it, and less work.
        return ((x if self.conv1x1 is None else self.conv1x1(x)) + y) / math.sqrt(2)


class StyleBlock(nnx.Module):
    """As `Block`, normalised by a style, and doubled before its first convolution if so.

    Args:
      residual: without, it has no shortcut, and the sum is not divided.
    """

    def __init__(self, channel, features, style_dim, *, up=False, residual=True, rngs):
        self.conv1 = _conv(channel, features, rngs=rngs)
        self.conv2 = _conv(features, features, rngs=rngs)
        self.norm1 = layers.StyleNorm(style_dim, channel, init=INIT, rngs=rngs)
        self.norm2 = layers.StyleNorm(style_dim, features, init=INIT, rngs=rngs)
        self.conv1x1 = _conv(channel, features, 1, bias=False, rngs=rngs) if residual and channel != features else None
        self.up, self.residual = up, residual

    def __call__(self, x, style):
        y = layers.leaky_relu(self.norm1(x, style))
        y = self.conv1(_doubled(y) if self.up else y)
        y = self.conv2(layers.leaky_relu(self.norm2(y, style)))
        if not self.residual:
            return y
        x = x if self.conv1x1 is None else self.conv1x1(x)
        return ((_doubled(x) if self.up else x) + y) / math.sqrt(2)


class Generator(nnx.Module):
    """Halving blocks, two that keep the size, and the way back in a style.

    Args:
      size: side of images, a power of two from 16 on; the released code's from 32 on.
      style_dim: numbers in a style.
      channel_base, channel_max: see above.
      high_pass: details of the source, over it, are added on the way back, as for faces; 0: none are. With it there is a
        halving block more, and the way back has no shortcuts.

    Raises:
      ValueError: there is no such size.
    """

    def __init__(self, *, size=256, style_dim=64, channel_base=2**14, channel_max=512, high_pass=0.0, rngs):
        _check(size)
        channels = _channels(channel_base // size, channel_max, int(math.log2(stride(size, high_pass))))
        steps = list(zip(channels, channels[1:]))
        inner = channels[-1]
        self.from_rgb = _conv(3, channels[0], rngs=rngs)
        self.encode = nnx.List([
            *(Block(a, b, normalise=True, down=True, rngs=rngs) for a, b in steps),
            *(Block(inner, inner, normalise=True, rngs=rngs) for _ in range(2)),
        ])
        style = dict(residual=not high_pass, rngs=rngs)
        self.decode = nnx.List([
            *(StyleBlock(inner, inner, style_dim, **style) for _ in range(2)),
            *(StyleBlock(b, a, style_dim, up=True, **style) for a, b in reversed(steps)),
        ])
        self.norm = layers.InstanceNorm(channels[0], rngs=rngs)
        self.to_rgb = _conv(channels[0], 3, 1, rngs=rngs)
        self.size, self.high_pass = size, high_pass

    def __call__(self, image, style, masks=None):
        """Images in styles.

        Args:
          image: [batch, height, width, 3] in [-1, 1], sides multiples of what `stride` gives.
          style: [batch, style_dim].
          masks: with `high_pass`, where details of the source are added: [batch, height, width, 2] from 0 to 1, for maps
            of side 32 and for larger ones.

        Returns:
          [batch, height, width, 3], in [-1, 1] but for what training has not reached.
        """
        x, kept = self.from_rgb(image), []
        for block in self.encode:
            kept.append(x)
            x = block(x)
        for halvings, block in reversed(list(enumerate(reversed(self.decode)))):
            x = block(x, style)
            side = self.size >> halvings
            if self.high_pass and side in MASKED:
                mask = resample.resize(masks[..., :1] if side == 32 else masks[..., 1:], x.shape[1:3], antialias=False)
                details = kept[halvings] * mask.astype(x.dtype)
                x = x + resample.filtered(details, DETAILS / self.high_pass, padding=((1, 1), (1, 1)))
        return self.to_rgb(layers.leaky_relu(self.norm(x)))


class MappingNetwork(nnx.Module):
    """Latents to styles, by four layers and four more of each domain.

    Args:
      latent_dim, style_dim: numbers in a latent and in a style.
      domains: how many.
      width: of the hidden layers.
    """

    def __init__(self, *, domains, latent_dim=16, style_dim=64, width=512, rngs):
        widths = [latent_dim, *[width] * 4]
        self.shared = nnx.List(_linear(a, b, rngs) for a, b in zip(widths, widths[1:]))
        widths = [*[width] * 4, style_dim]
        self.unshared = nnx.List(
            nnx.List(_linear(a, b, rngs) for a, b in zip(widths, widths[1:])) for _ in range(domains)
        )

    def __call__(self, latent, label):
        """Styles [batch, style_dim] of latents [batch, latent_dim] in domains, by labels [batch]."""
        x = latent
        for layer in self.shared:
            x = jax.nn.relu(layer(x))
        found = []
        for *hidden, last in self.unshared:
            y = x
            for layer in hidden:
                y = jax.nn.relu(layer(y))
            found.append(last(y))
        return _chosen(jnp.stack(found, 1), label)


class Trunk(nnx.Module):
    """What the style encoder and the discriminator begin with: halving blocks without norms, to one place.

    Args:
      size, channel_base, channel_max: as of `Generator`.
    """

    def __init__(self, *, size, channel_base, channel_max, rngs):
        _check(size)
        channels = _channels(channel_base // size, channel_max, int(math.log2(size // LAST)))
        self.start = _conv(3, channels[0], rngs=rngs)
        self.blocks = nnx.List(Block(a, b, down=True, rngs=rngs) for a, b in zip(channels, channels[1:]))
        self.last = _conv(channels[-1], channels[-1], LAST, padding=0, rngs=rngs)
        self.features = channels[-1]

    def __call__(self, image):
        """Features [batch, 1, 1, channel] of images [batch, size, size, 3] in [-1, 1]."""
        x = self.start(image)
        for block in self.blocks:
            x = block(x)
        return layers.leaky_relu(self.last(layers.leaky_relu(x)))


class StyleEncoder(nnx.Module):
    """Styles of pictures; arguments as of `Generator` and `MappingNetwork`."""

    def __init__(self, *, domains, size=256, style_dim=64, channel_base=2**14, channel_max=512, rngs):
        self.trunk = Trunk(size=size, channel_base=channel_base, channel_max=channel_max, rngs=rngs)
        self.unshared = nnx.List(_linear(self.trunk.features, style_dim, rngs) for _ in range(domains))

    def __call__(self, image, label):
        """Styles [batch, style_dim] of images [batch, size, size, 3] as of domains, by labels [batch]."""
        x = self.trunk(image)[:, 0, 0]
        return _chosen(jnp.stack([head(x) for head in self.unshared], 1), label)


class Discriminator(nnx.Module):
    """Whether pictures are real ones of a domain; arguments as of `StyleEncoder`."""

    def __init__(self, *, domains, size=256, channel_base=2**14, channel_max=512, rngs):
        self.trunk = Trunk(size=size, channel_base=channel_base, channel_max=channel_max, rngs=rngs)
        self.heads = _conv(self.trunk.features, domains, 1, rngs=rngs)

    def __call__(self, image, label):
        """Logits [batch] of images [batch, size, size, 3] for domains, by labels [batch]."""
        return _chosen(self.heads(self.trunk(image))[:, 0, 0], label)


def stride(size, high_pass):
    """Pixels along a place of the generator's smallest map, of arguments as of `Generator`."""
    return size // (8 if high_pass else 16)


def _check(size):
    if size < 16 or size & (size - 1):
        raise ValueError(f"sides of images must be a power of two from 16 on, got {size}")


def _channels(first, most, blocks):
    """Channels before, between and after so many halving blocks."""
    found = [first]
    for _ in range(blocks):
        found.append(min(2 * found[-1], most))
    return found
