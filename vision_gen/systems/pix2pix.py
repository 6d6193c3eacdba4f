"""pix2pix: image-to-image translation with conditional adversarial networks.

Isola, Zhu, Zhou, Efros, CVPR 2017. A U-Net translates line drawings into colour drawings against
a PatchGAN that looks at drawing and image together.
"""

import dataclasses
import math
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.metrics import image as metrics
from vision_gen.nets.patchgan import PatchDiscriminator
from vision_gen.nets.unet import UNet
from vision_gen.ops import augment, colour, losses, random
from vision_gen.pretrained import pix2pix as pretrained
from vision_gen.settings import Count, NotNegative, Share


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of pix2pix; the defaults are the paper's but for the noise at test time."""

    width: Count = 64  # Channels of the generator's first stage.
    discriminator_width: Count = 64
    gan_loss: Literal["cross_entropy", "least_squares"] = "cross_entropy"
    l1_weight: NotNegative = 100.0
    jitter: NotNegative = 286 / 256  # Images are enlarged by it, and a window of the old size is cut; 1 is off.
    flip: bool = True
    line_share: Share = 0.7  # Of the sketches, those that are the artist's; see `augment.sketches`.
    xdog_share: Share = 0.8  # Of the others, those by XDoG.
    noise_at_test: bool = False  # The paper's dropout and batch statistics at test time, which suit its batch of 1.


class Pix2Pix(System):
    """Discriminator, then generator, each step (equations 1 to 4)."""

    Settings = Settings
    players = ("discriminator", "generator")
    readers = {"generator": pretrained.read_generator, "discriminator": pretrained.read_discriminator}
    columns = ("sketch", "output", "truth")

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.generator = UNet(size=min(experiment.data.resolution), width=model.width, rngs=rngs)
        self.discriminator = PatchDiscriminator(
            channel=6, width=model.discriminator_width, rngs=rngs
        )
        self.model = nnx.static(model)

    @classmethod
    def tools(cls, experiment, facts):
        # The U-Net's map is one pixel at the size that it was trained at.
        stride = 2 ** int(math.log2(min(experiment.data.resolution)))
        return [
            Tool(
                "translate",
                "Colours a line drawing.",
                inputs={"sketch": values.Image(channels=1, lines=True)},
                outputs={"image": values.Image()},
                options={"seed": values.Seed()} if experiment.model.noise_at_test else {},
                fitting=WholePicture(stride=stride, tile=max(1024, 2 * stride)),
            )
        ]

    def forward(self, batch, now):
        """source, target [batch, height, width, 3] and the generated fake."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        source = augment.sketches(
            batch, key(0), line_share=model.line_share, xdog_share=model.xdog_share
        )
        target = colour.from_uint8(batch["colour"])
        if model.jitter > 1:
            source, target = augment.crop(key(1), source, target, scale=model.jitter)
        if model.flip:
            source, target = augment.flip(key(2), source, target)
        source = jnp.repeat(source, 3, -1)
        fake = self.generator(source, key(3), train=True)
        return {"source": source, "target": target, "fake": fake}

    def discriminator_loss(self, out, batch, now):
        """Equation 1, halved as the paper does to slow the discriminator down."""
        kind = self.model.gan_loss
        fake = self.discriminator(out["source"], out["fake"], train=True)
        real = self.discriminator(out["source"], out["target"], train=True)
        return {
            "fake": 0.5 * losses.gan(fake, False, kind),
            "real": 0.5 * losses.gan(real, True, kind),
        }

    def generator_loss(self, out, batch, now):
        """Equation 4: adversarial and L1."""
        logits = self.discriminator(out["source"], out["fake"], train=True)
        return {
            "gan": losses.gan(logits, True, self.model.gan_loss),
            "l1": self.model.l1_weight * losses.l1(out["fake"], out["target"]),
        }

    def translate(self, *, sketch, seed=None):
        """Colours sketches [batch, height, width, 1] in [-1, 1]; `seed` [batch] is that of the test-time noise."""
        return self._painted(sketch, None if seed is None else jax.vmap(jax.random.key)(seed))

    def _painted(self, sketch, keys):
        return self.generator(jnp.repeat(sketch, 3, -1), keys, train=self.model.noise_at_test)

    def _held_out(self, batch, keys):
        sketch = augment.sketches(batch, keys)
        return sketch, colour.from_uint8(batch["colour"]), self._painted(sketch, keys)

    def sample(self, batch, keys):
        sketch, target, fake = self._held_out(batch, keys)
        return {"sketch": sketch, "output": fake, "truth": target}

    def evaluate(self, batch, keys):
        """PSNR and SSIM of the output, and PSNR of the sketch taken for the image."""
        sketch, target, fake = self._held_out(batch, keys)
        return {
            "psnr": metrics.psnr(fake, target),
            "ssim": metrics.ssim(fake, target),
            "psnr_sketch": metrics.psnr(jnp.repeat(sketch, 3, -1), target),
        }

