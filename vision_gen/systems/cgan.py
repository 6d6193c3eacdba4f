"""Conditional GANs, whose discriminator scores an image together with a class (Mirza & Osindero 2014).

`CGAN` has convolutional nets and a projection discriminator (Miyato & Koyama, ICLR 2018); `MaxoutCGAN` the nets of the
paper; `PerceptronCGAN` those of PyTorch-GAN's `cgan.py`, whose checkpoints it reads and writes.
"""

import dataclasses
from typing import Literal

from vision_gen.nets import class_gan, maxout_gan, pytorch_gan
from vision_gen.ops import losses, random
from vision_gen.pretrained import pytorch_gan as pretrained
from vision_gen.settings import Count
from vision_gen.systems.class_gan import ClassGAN


class ConditionalGAN(ClassGAN):
    """`discriminator(image, classes, keys, train=...)` gives logits [batch]."""

    def discriminator_loss(self, out, batch, now):
        """Equation 2, or the loss of `config.model.gan_loss`."""
        look = lambda name, i: self.discriminator(out[name], out["classes"], random.fold(now.keys, i), train=True)
        kind = self.model.gan_loss
        return {"real": losses.gan(look("real", 3), True, kind), "fake": losses.gan(look("fake", 4), False, kind)}

    def generator_loss(self, out, batch, now):
        """Equation 2 for the generator; of cross-entropy, as everywhere, its form that does not saturate."""
        logits = self.discriminator(out["fake"], out["classes"], random.fold(now.keys, 5), train=True)
        return {"gan": losses.fooled(logits, self.model.gan_loss)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of a conditional GAN with a projection discriminator; the default widths are DCGAN's for 64 px."""

    classes: Count = 10
    channels: Literal[1, 3] = 3  # 1: grey.
    latent: Count = 128
    widths: tuple[int, ...] = (512, 256, 128, 64)  # Channels of the generator's maps, from the smallest.
    discriminator_widths: tuple[int, ...] = (64, 128, 256, 512)  # Each convolution halves the map.
    discriminator_norm: Literal["spectral", "batch", "none"] = "spectral"
    gan_loss: Literal["hinge", "cross_entropy", "least_squares"] = "hinge"
    flip: bool = False  # Mirror real images at random.


class CGAN(ConditionalGAN):
    """Transposed convolutions against a projection discriminator."""

    title = "Images of a class (conditional GAN)"
    Settings = Settings

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both = dict(classes=model.classes, channels=model.channels, rngs=rngs)
        generator = class_gan.Generator(
            size=experiment.data.resolution, latent=model.latent, widths=model.widths, **both
        )
        discriminator = class_gan.ProjectionDiscriminator(
            widths=model.discriminator_widths, norm=model.discriminator_norm, **both
        )
        self._build(experiment, generator, discriminator, rngs)


@dataclasses.dataclass(frozen=True)
class MaxoutSettings:
    """`config.model` of the conditional GAN of the paper, with its sizes for MNIST."""

    classes: Count = 10
    channels: Literal[1, 3] = 1  # 1: grey.
    latent: Count = 100
    hidden: tuple[int, int, int] = (200, 1000, 1200)  # The generator's units of the latent, the class, and both.
    image_maxout: tuple[int, int] = (240, 5)  # The discriminator's units of the image, and pieces of each,
    class_maxout: tuple[int, int] = (50, 5)  # of the class,
    joint_maxout: tuple[int, int] = (240, 4)  # and of both.
    gan_loss: Literal["cross_entropy", "hinge", "least_squares"] = "cross_entropy"
    flip: bool = False  # Mirror real images at random.


class MaxoutCGAN(ConditionalGAN):
    """Perceptrons, maxout in the discriminator (section 4.1)."""

    title = "Images of a class (conditional GAN)"
    Settings = MaxoutSettings
    prior = "uniform"

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both = dict(size=experiment.data.resolution, classes=model.classes, channels=model.channels, rngs=rngs)
        generator = maxout_gan.MaxoutGenerator(latent=model.latent, hidden=model.hidden, **both)
        maxout = model.image_maxout, model.class_maxout, model.joint_maxout
        self._build(experiment, generator, maxout_gan.MaxoutDiscriminator(hidden=maxout, **both), rngs)


@dataclasses.dataclass(frozen=True)
class PerceptronSettings:
    """`config.model` of PyTorch-GAN's conditional GAN, with its sizes."""

    classes: Count = 10
    channels: Literal[1, 3] = 1  # 1: grey.
    latent: Count = 100
    gan_loss: Literal["least_squares", "cross_entropy", "hinge"] = "least_squares"
    flip: bool = False  # Mirror real images at random.


class PerceptronCGAN(ConditionalGAN):
    """Perceptrons with embedded classes, as PyTorch-GAN's `cgan.py`."""

    title = "Images of a class (conditional GAN)"
    Settings = PerceptronSettings
    readers = {
        **ClassGAN.readers,
        "generator": pretrained.reader(pretrained.PERCEPTRON_GENERATOR),
        "discriminator": pretrained.reader(pretrained.PERCEPTRON_DISCRIMINATOR),
    }
    writers = {
        "generator": pretrained.writers(pretrained.PERCEPTRON_GENERATOR, "generator.pth"),
        "discriminator": pretrained.writers(pretrained.PERCEPTRON_DISCRIMINATOR, "discriminator.pth"),
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both = dict(size=experiment.data.resolution, classes=model.classes, channels=model.channels, rngs=rngs)
        generator = pytorch_gan.PerceptronGenerator(latent=model.latent, **both)
        self._build(experiment, generator, pytorch_gan.PerceptronDiscriminator(**both), rngs)
