"""The nets that eriklindernoren/PyTorch-GAN has of conditional GAN and ACGAN, whose checkpoints many have.

They are not the papers'. Their batch normalisations divide by sqrt(variance + 0.8): what was meant as momentum became
epsilon there, and weights trained with it need it. Maps become vectors channel by channel, as in torch.
"""

import math

from flax import nnx
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import random

EPSILON = 0.8
NORMAL = nnx.initializers.normal(0.02)


def _norm(features, rngs, epsilon=EPSILON):
    return layers.BatchNorm(features, epsilon=epsilon, scale_init=lambda key, shape: 1 + NORMAL(key, shape), rngs=rngs)


def _vector(x):
    """[batch, height, width, channel] as [batch, channel * height * width]."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def _map(x, size):
    """[batch, channel * height * width] as [batch, height, width, channel]."""
    return x.reshape(len(x), -1, *size).transpose(0, 2, 3, 1)


class PerceptronGenerator(nnx.Module):
    """`cgan.py`: the class's embedding beside the latent, through linear layers of `widths`.

    Args:
      size: (height, width) of the images.
      latent: numbers in a latent.
      classes: how many there are.
      widths: of the hidden layers.
      channels: of the images.
    """

    def __init__(self, *, size, latent=100, classes=10, widths=(128, 256, 512, 1024), channels=1, rngs):
        self.size = size
        self.embed = layers.Linear(classes, classes, bias=False, init=nnx.initializers.normal(1.0), rngs=rngs)
        ends = [latent + classes, *widths, channels * math.prod(size)]
        self.linear = nnx.List(layers.Linear(a, b, rngs=rngs) for a, b in zip(ends, ends[1:]))
        self.norms = nnx.List(layers.BatchNorm(width, epsilon=EPSILON, rngs=rngs) for width in widths[1:])

    def __call__(self, latent, classes, keys=None, *, train):
        """As `nets.class_gan.Generator`."""
        x = layers.leaky_relu(self.linear[0](jnp.concatenate([self.embed(classes), latent], -1)))
        for i, norm in enumerate(self.norms):
            x = norm(self.linear[i + 1](x)[:, None, None], train=train)[:, 0, 0]
            x = layers.leaky_relu(x)
        return _map(jnp.tanh(self.linear[-1](x)), self.size)


class PerceptronDiscriminator(nnx.Module):
    """`cgan.py`: the image beside the class's embedding, through linear layers with dropout 0.4.

    Args:
      size, classes, channels: as of `PerceptronGenerator`.
      widths: of the hidden layers.
    """

    def __init__(self, *, size, classes=10, widths=(512, 512, 512), channels=1, rngs):
        self.embed = layers.Linear(classes, classes, bias=False, init=nnx.initializers.normal(1.0), rngs=rngs)
        ends = [classes + channels * math.prod(size), *widths, 1]
        self.linear = nnx.List(layers.Linear(a, b, rngs=rngs) for a, b in zip(ends, ends[1:]))

    def __call__(self, image, classes, keys=None, *, train):
        """Logits [batch]; `keys` [batch] are needed if `train`."""
        embedded = self.embed(classes)
        x = jnp.concatenate([_vector(image).astype(embedded.dtype), embedded], -1)
        for i, linear in enumerate(self.linear[:-1]):
            x = linear(x)
            if i and train:
                x = layers.dropout(x, random.fold(keys, i), 0.4)
            x = layers.leaky_relu(x)
        return self.linear[-1](x)[:, 0]


class ResizeGenerator(nnx.Module):
    """`acgan.py`: the class's embedding times the latent, a map, and twice its size by repeating it, then 3x3.

    Args:
      size: (height, width) of the images, multiples of 4.
      latent: numbers in a latent.
      classes: how many there are.
      widths: channels of the maps: the first two, and the last.
      channels: of the images.
    """

    def __init__(self, *, size, latent=100, classes=10, widths=(128, 64), channels=1, rngs):
        if size[0] % 4 or size[1] % 4:
            raise ValueError(f"the sides of config.data.size must be multiples of 4, got {size[0]} x {size[1]}")
        self.base = size[0] // 4, size[1] // 4
        wide, narrow = widths
        self.embed = layers.Linear(classes, latent, bias=False, init=nnx.initializers.normal(1.0), rngs=rngs)
        self.start = layers.Linear(latent, wide * math.prod(self.base), rngs=rngs)
        ends = [wide, wide, narrow, channels]
        self.convs = nnx.List(layers.Conv(a, b, init=NORMAL, rngs=rngs) for a, b in zip(ends, ends[1:]))
        self.norms = nnx.List([_norm(wide, rngs, 1e-5), _norm(wide, rngs), _norm(narrow, rngs)])

    def __call__(self, latent, classes, keys=None, *, train):
        """As `nets.class_gan.Generator`."""
        x = _map(self.start(self.embed(classes) * latent), self.base)
        x = self.norms[0](x, train=train)
        for conv, norm in zip(self.convs, self.norms[1:]):
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            x = layers.leaky_relu(norm(conv(x), train=train))
        return jnp.tanh(self.convs[-1](x))


class ResizeDiscriminator(nnx.Module):
    """`acgan.py`: convolutions 3x3 of stride 2, LeakyReLU, dropout 0.25 of whole channels, and then normalisation.

    Args:
      size, classes, channels: as of `ResizeGenerator`; sides of any number of pixels.
      widths: channels of the convolutions.
    """

    def __init__(self, *, size, classes=10, widths=(16, 32, 64, 128), channels=1, rngs):
        ends = [channels, *widths]
        self.convs = nnx.List(layers.Conv(a, b, stride=2, init=NORMAL, rngs=rngs) for a, b in zip(ends, widths))
        self.norms = nnx.List(_norm(width, rngs) for width in widths[1:])
        cells = math.prod(-(-n // 2 ** len(widths)) for n in size)
        self.source = layers.Linear(widths[-1] * cells, 1, rngs=rngs)
        self.auxiliary = layers.Linear(widths[-1] * cells, classes, rngs=rngs)

    def __call__(self, image, keys=None, *, train):
        """Logits of being real [batch], and of the classes [batch, classes]; `keys` [batch] are needed if `train`."""
        x = image
        for i, conv in enumerate(self.convs):
            x = layers.leaky_relu(conv(x))
            if train:
                kept = random.bernoulli16(random.fold(keys, i), 0.75, (1, 1, x.shape[-1]))
                x = jnp.where(kept, x * (1 / 0.75), 0)
            x = self.norms[i - 1](x, train=train) if i else x
        x = _vector(x)
        return self.source(x)[:, 0], self.auxiliary(x)
