"""Convolutional nets of class-conditional GANs.

Generators of transposed convolutions (Radford et al., ICLR 2016; Odena et al., ICML 2017, appendix A), and a trunk of
convolutions with either of two heads: the projection discriminator (Miyato & Koyama, ICLR 2018) scores an image
together with a class, the auxiliary classifier (Odena et al.) says source and class. Weights N(0, 0.02).

A class is given as weights [batch, classes]: one-hot, or of several classes, which lies between them.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import random

NORMAL = nnx.initializers.normal(0.02)


class Generator(nnx.Module):
    """Latent and class, joined, to a small map by a linear layer, and up by transposed convolutions of stride 2.

    Batch normalisation and ReLU after each but the first, which has ReLU alone, and the last: tanh.

    Args:
      size: (height, width) of the images, which 2^len(widths) divides.
      latent: numbers in a latent.
      classes: how many there are.
      widths: channels of the maps, from the smallest; (384, 192, 96) and a kernel of 5 are the ACGAN paper's for 32 px.
      channels: of the images.
      kernel: side of the transposed convolutions' kernels, 4 or 5.
    """

    def __init__(self, *, size, latent, classes, widths, channels=3, kernel=4, rngs):
        step = 2 ** len(widths)
        if size[0] % step or size[1] % step:
            raise ValueError(
                f"widths {tuple(widths)} are {len(widths)} doublings: the sides of config.data.size must be multiples "
                f"of {step}, got {size[0]} x {size[1]}"
            )
        self.base = size[0] // step, size[1] // step
        self.start = layers.Linear(latent + classes, self.base[0] * self.base[1] * widths[0], init=NORMAL, rngs=rngs)
        self.up = nnx.List(
            layers.ConvTranspose(inner, outer, kernel, init=NORMAL, rngs=rngs)
            for inner, outer in zip(widths, [*widths[1:], channels])
        )
        self.norms = nnx.List(layers.BatchNorm(width, rngs=rngs) for width in widths[1:])

    def __call__(self, latent, classes, keys=None, *, train):
        """Images [batch, height, width, channels] in [-1, 1].

        Args:
          latent: [batch, latent].
          classes: [batch, classes], weights.
          keys: not used; other generators have dropout.
          train: batch statistics, and the running ones updated.
        """
        x = jax.nn.relu(self.start(jnp.concatenate([latent, classes.astype(latent.dtype)], -1)))
        x = x.reshape(len(x), *self.base, -1)
        for up, norm in zip(self.up, self.norms):
            x = jax.nn.relu(norm(up(x), train=train))
        return jnp.tanh(self.up[-1](x))


class Trunk(nnx.Module):
    """Convolutions, each with a normalisation, LeakyReLU and dropout.

    Args:
      channels: of the images.
      widths: channels of the convolutions.
      strides: of each.
      kernel: side of their kernels.
      norm: "spectral", of every kernel; "batch", of every map but the first; or "none".
      dropout: share of activations that are left out in training.
      noise: standard deviation of what is added to activations in training.
    """

    def __init__(self, *, channels, widths, strides, kernel, norm, dropout=0.0, noise=0.0, rngs):
        self.dropout, self.noise = dropout, noise
        self.convs, self.norms = nnx.List(), nnx.List()
        for i, (inner, outer, stride) in enumerate(zip([channels, *widths], widths, strides)):
            padding = (((kernel - 1) // 2, (kernel - 1) // 2),) * 2
            self.convs.append(layers.Conv(inner, outer, kernel, stride=stride, padding=padding, init=NORMAL, rngs=rngs))
            if norm == "spectral":
                self.norms.append(layers.SpectralNorm(outer, rngs=rngs))
            else:
                self.norms.append(layers.BatchNorm(outer, rngs=rngs) if norm == "batch" and i else None)

    def __call__(self, image, keys=None, *, train):
        """The last map [batch, h, w, widths[-1]]; `keys` [batch], for dropout and noise, are needed if `train`."""
        x = image
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            if isinstance(norm, layers.SpectralNorm):
                x = conv(x, kernel=norm(conv.kernel[...], train=train))
            else:
                x = conv(x) if norm is None else norm(conv(x), train=train)
            x = layers.leaky_relu(x)
            if train and self.noise:
                x = x + (self.noise * random.normal16(random.fold(keys, 2 * i), x.shape[1:])).astype(x.dtype)
            if train and self.dropout:
                x = layers.dropout(x, random.fold(keys, 2 * i + 1), self.dropout)
        return x


class ProjectionDiscriminator(nnx.Module):
    """How real an image of a class is: psi(phi(x)) + <embed(class), phi(x)>, phi being the trunk's map, summed.

    Kernels of 4, stride 2. With `norm="spectral"` the head's are normalised, too.

    Args:
      classes: how many there are.
      channels, widths, norm: of `Trunk`.
    """

    def __init__(self, *, classes, widths, channels=3, norm="spectral", rngs):
        strides = (2,) * len(widths)
        self.trunk = Trunk(channels=channels, widths=widths, strides=strides, kernel=4, norm=norm, rngs=rngs)
        self.score = layers.Linear(widths[-1], 1, init=NORMAL, rngs=rngs)
        self.embed = layers.Linear(classes, widths[-1], bias=False, init=NORMAL, rngs=rngs)
        spectral = norm == "spectral"
        self.score_norm = layers.SpectralNorm(1, rngs=rngs) if spectral else None
        self.embed_norm = layers.SpectralNorm(widths[-1], rngs=rngs) if spectral else None

    def __call__(self, image, classes, keys=None, *, train):
        """Logits [batch]; `classes` [batch, classes] are weights."""
        phi = self.trunk(image, keys, train=train).sum((1, 2))

        def through(layer, norm, x):
            return layer(x) if norm is None else layer(x, kernel=norm(layer.kernel[...], train=train))

        embedded = through(self.embed, self.embed_norm, classes)
        return through(self.score, self.score_norm, phi)[:, 0] + (embedded * phi).sum(-1)


class AuxiliaryDiscriminator(nnx.Module):
    """Is an image real, and of which class is it: one linear layer of the whole last map.

    Kernels of 3, strides of 2 and 1 in turn, batch normalisation.

    Args:
      size: (height, width) of the images.
      classes: how many there are.
      channels, widths, dropout, noise: of `Trunk`; (16, 32, 64, 128, 256, 512) and dropout 0.5 are the paper's.
    """

    def __init__(self, *, size, classes, widths, channels=3, dropout=0.5, noise=0.0, rngs):
        strides = [2 - i % 2 for i in range(len(widths))]
        more = dict(dropout=dropout, noise=noise, rngs=rngs)
        self.trunk = Trunk(channels=channels, widths=widths, strides=strides, kernel=3, norm="batch", **more)
        for stride in strides:
            size = [-(-n // stride) for n in size]
        self.head = layers.Linear(size[0] * size[1] * widths[-1], 1 + classes, init=NORMAL, rngs=rngs)

    def __call__(self, image, keys=None, *, train):
        """Logits of being real [batch], and of the classes [batch, classes]."""
        x = self.trunk(image, keys, train=train)
        x = self.head(x.reshape(len(x), -1))
        return x[:, 0], x[:, 1:]
