"""ACGAN: conditional image synthesis with auxiliary classifier GANs (Odena, Olah, Shlens, ICML 2017).

The discriminator says whether an image is real and of which class it is. With L_S the log-likelihood of the right
source and L_C that of the right class, it maximises L_S + L_C, and the generator L_C - L_S.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from vision_gen.nets import class_gan, pytorch_gan
from vision_gen.ops import losses, random
from vision_gen.pretrained import pytorch_gan as pretrained
from vision_gen.settings import Count, NotNegative, Share
from vision_gen.systems.class_gan import ClassGAN


class AuxiliaryGAN(ClassGAN):
    """`discriminator(image, keys, train=...)` gives logits of being real [batch] and of classes [batch, classes]."""

    def _looked(self, out, name, now, i, real):
        """-L_S and -L_C of some images that are to be taken for `real` ones, or not."""
        source, logits = self.discriminator(out[name], random.fold(now.keys, i), train=True)
        log = jax.nn.log_softmax(logits.astype(jnp.float32))
        found = jnp.mean((out["classes"] * log).sum(-1))
        return losses.gan(source, real, "cross_entropy"), -self.model.class_weight * found

    def discriminator_loss(self, out, batch, now):
        """-(L_S + L_C), equations 2 and 3, of real and of generated images."""
        source_real, class_real = self._looked(out, "real", now, 3, True)
        source_fake, class_fake = self._looked(out, "fake", now, 4, False)
        terms = {"source_real": source_real, "source_fake": source_fake, "class_real": class_real}
        return terms | ({"class_fake": class_fake} if self.model.classify_fakes else {})

    def generator_loss(self, out, batch, now):
        """L_S - L_C of generated images, L_S in the form that does not saturate."""
        source, classes = self._looked(out, "fake", now, 5, True)
        return {"source": source, "class": classes}


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of ACGAN; the defaults are the paper's for CIFAR-10."""

    classes: Count = 10
    channels: Literal[1, 3] = 3  # 1: grey.
    latent: Count = 100  # The paper's 110 count the class.
    widths: tuple[int, ...] = (384, 192, 96)  # Channels of the generator's maps, from the smallest.
    discriminator_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # Every other convolution halves the map.
    dropout: Share = 0.5  # Of the discriminator.
    noise: NotNegative = 0.0  # Standard deviation of what is added to its activations; the paper tries 0, 0.1 and 0.2.
    class_weight: NotNegative = 1.0  # Of L_C.
    classify_fakes: bool = True  # The discriminator learns classes of generated images, too, as in the paper.
    flip: bool = False  # Mirror real images at random.


class ACGAN(AuxiliaryGAN):
    """The nets of the paper's appendix A."""

    title = "Images of a class (ACGAN)"
    Settings = Settings

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both = dict(size=experiment.data.resolution, classes=model.classes, channels=model.channels, rngs=rngs)
        generator = class_gan.Generator(latent=model.latent, widths=model.widths, kernel=5, **both)
        discriminator = class_gan.AuxiliaryDiscriminator(
            widths=model.discriminator_widths, dropout=model.dropout, noise=model.noise, **both
        )
        self._build(experiment, generator, discriminator, rngs)


@dataclasses.dataclass(frozen=True)
class ResizeSettings:
    """`config.model` of PyTorch-GAN's ACGAN, with its sizes."""

    classes: Count = 10
    channels: Literal[1, 3] = 1  # 1: grey.
    latent: Count = 100
    class_weight: NotNegative = 1.0  # Of L_C.
    classify_fakes: bool = True  # The discriminator learns classes of generated images, too, as in the paper.
    flip: bool = False  # Mirror real images at random.


class ResizeACGAN(AuxiliaryGAN):
    """Nearest neighbours and convolutions, as PyTorch-GAN's `acgan.py`, whose checkpoints it reads and writes."""

    title = "Images of a class (ACGAN)"
    Settings = ResizeSettings
    readers = {
        **ClassGAN.readers,
        "generator": pretrained.reader(pretrained.RESIZE_GENERATOR),
        "discriminator": pretrained.reader(pretrained.RESIZE_DISCRIMINATOR),
    }
    writers = {
        "generator": pretrained.writers(pretrained.RESIZE_GENERATOR, "generator.pth"),
        "discriminator": pretrained.writers(pretrained.RESIZE_DISCRIMINATOR, "discriminator.pth"),
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both = dict(size=experiment.data.resolution, classes=model.classes, channels=model.channels, rngs=rngs)
        generator = pytorch_gan.ResizeGenerator(latent=model.latent, **both)
        self._build(experiment, generator, pytorch_gan.ResizeDiscriminator(**both), rngs)
