"""The nets of the conditional GAN of Mirza & Osindero (2014), section 4.1: perceptrons, maxout in the discriminator."""

import math

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import random

DROPOUT = 0.5


class MaxoutGenerator(nnx.Module):
    """Latent and class through hidden layers of their own, one of both, and sigmoid pixels.

    Args:
      size: (height, width) of the images.
      latent: numbers in a latent; the paper's 100.
      classes: how many there are.
      hidden: units of the latent, the class, and both.
      channels: of the images.
    """

    def __init__(self, *, size, latent=100, classes=10, hidden=(200, 1000, 1200), channels=1, rngs):
        self.shape = (*size, channels)
        self.latent = layers.Linear(latent, hidden[0], rngs=rngs)
        self.label = layers.Linear(classes, hidden[1], rngs=rngs)
        self.joint = layers.Linear(hidden[0] + hidden[1], hidden[2], rngs=rngs)
        self.out = layers.Linear(hidden[2], math.prod(self.shape), rngs=rngs)

    def __call__(self, latent, classes, keys=None, *, train):
        """Images [batch, height, width, channels] in [-1, 1], the paper's sigmoid being of [0, 1].

        Args:
          latent: [batch, latent].
          classes: [batch, classes], weights.
          keys: [batch], for dropout; needed if `train`.
          train: with dropout.
        """
        drop = lambda x, i: layers.dropout(x, random.fold(keys, i), DROPOUT) if train else x
        both = [drop(jax.nn.relu(self.latent(latent)), 0), drop(jax.nn.relu(self.label(classes)), 1)]
        x = drop(jax.nn.relu(self.joint(jnp.concatenate(both, -1))), 2)
        return jnp.tanh(self.out(x) / 2).reshape(-1, *self.shape)  # 2 sigmoid(x) - 1.


class MaxoutDiscriminator(nnx.Module):
    """Image and class through maxout layers of their own, one of both, and a logit.

    Args:
      size: (height, width) of the images.
      classes: how many there are.
      hidden: (units, pieces) of the image, the class, and both; a unit is the largest of its pieces (Goodfellow et al.
        2013).
      channels: of the images.
    """

    def __init__(self, *, size, classes=10, hidden=((240, 5), (50, 5), (240, 4)), channels=1, rngs):
        (image, of_image), (label, of_label), (joint, of_joint) = hidden
        self.pieces = of_image, of_label, of_joint
        self.image = layers.Linear(math.prod(size) * channels, image * of_image, rngs=rngs)
        self.label = layers.Linear(classes, label * of_label, rngs=rngs)
        self.joint = layers.Linear(image + label, joint * of_joint, rngs=rngs)
        self.out = layers.Linear(joint, 1, rngs=rngs)

    def __call__(self, image, classes, keys=None, *, train):
        """Logits [batch] of images [batch, height, width, channels] in [-1, 1]; the others as of `MaxoutGenerator`."""

        def maxout(layer, x, i):
            x = layer(x)
            x = x.reshape(len(x), -1, self.pieces[i]).max(-1)
            return layers.dropout(x, random.fold(keys, i), DROPOUT) if train else x

        pixels = (image.reshape(len(image), -1) + 1) / 2  # As the paper has them.
        both = maxout(self.image, pixels, 0), maxout(self.label, classes, 1)
        return self.out(maxout(self.joint, jnp.concatenate(both, -1), 2))[:, 0]
