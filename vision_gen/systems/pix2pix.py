"""pix2pix: image-to-image translation with conditional adversarial networks.

Isola, Zhu, Zhou, Efros, CVPR 2017. A U-Net translates line drawings into colour drawings against
a PatchGAN that looks at drawing and image together. Trained on pairs, examples that have a `source`, it translates
that into `colour`.
"""

import dataclasses
import math
from typing import Annotated, Literal

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import data, values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.nets.patchgan import PatchDiscriminator
from vision_gen.nets.unet import UNet
from vision_gen.ops import augment, colour, losses, random
from vision_gen.pretrained import pix2pix as pretrained
from vision_gen.settings import Count, NotNegative, Range, Share


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of pix2pix; the defaults are the paper's but for the noise at test time."""

    width: Count = 64  # Channels of the generator's first stage.
    discriminator_width: Count = 64  # Channels of the discriminator's first stage.
    gan_loss: Literal["cross_entropy", "least_squares"] = "cross_entropy"  # Of the adversarial terms.
    l1_weight: NotNegative = 100.0  # Of the absolute error, beside the adversarial term's 1.
    colour_layer: bool = False  # The sketch is multiplied over the output: for line art.
    jitter: Annotated[float, Range(1)] = 286 / 256  # Enlarge images by it and cut a window of the old size; 1 is off.
    flip: bool = True  # Mirror half of the images.
    line_share: Share = 0.7  # Of data with artists' lines: share of sketches that are these; others are made.
    xdog_share: Share = 0.8  # Of sketches that are made of the image: share by XDoG; others by Sobel.
    unsteady: Share = 0.0  # Sketches are drawn by a hand that is unsteady up to this; pairs are lines then.
    noise_at_test: bool = False  # Dropout and batch statistics when used too, as in the paper, which has batches of 1.


class Pix2Pix(System):
    """Discriminator, then generator, each step (equations 1 to 4)."""

    title = "Image translation (pix2pix)"
    Settings = Settings
    players = ("discriminator", "generator")
    readers = {"generator": pretrained.read_generator, "discriminator": pretrained.read_discriminator}
    needs = {"colour": (None, None, 3)}
    writers = {"generator": pretrained.GENERATOR_WRITERS, "discriminator": pretrained.DISCRIMINATOR_WRITERS}
    columns = ("sketch", "output", "truth")
    explained = {"psnr_sketch": "psnr of the sketch taken for the output"}
    legends = {"samples": "Held-out sketches, what is made of them, and the truth."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.generator = UNet(size=min(experiment.data.resolution), width=model.width, rngs=rngs)
        self.discriminator = PatchDiscriminator(
            channel=6, width=model.discriminator_width, rngs=rngs
        )
        self.model = nnx.static(model)

    @classmethod
    def check(cls, experiment, source):
        if experiment.model.colour_layer and "source" in source.shapes:
            raise InputError("config.model.colour_layer is for line drawings; leave it False for pairs")

    @classmethod
    def export_notes(cls, experiment):
        layer = "config.model.colour_layer: the generator paints a layer; its output is to be multiplied by the drawing"
        return [layer] if experiment.model.colour_layer else []

    @classmethod
    def tools(cls, experiment, facts):
        # The U-Net's map is one pixel at the size that it was trained at.
        stride = 2 ** int(math.log2(min(experiment.data.resolution)))
        pairs = "source" in data.shapes(experiment.data)
        return [
            Tool(
                "translate",
                "Translates an image as those of the pairs." if pairs else "Colours a line drawing.",
                inputs={"sketch": values.Image() if pairs else values.Image(channels=1, lines=True)},
                outputs={"image": values.Image(under="sketch" if experiment.model.colour_layer else "")},
                options={"seed": values.Seed()} if experiment.model.noise_at_test else {},
                # Lines should be as wide as those that it was trained with.
                fitting=WholePicture(
                    stride=stride, size=0 if pairs else min(experiment.data.resolution), tile=max(1024, 2 * stride)
                ),
            )
        ]

    def forward(self, batch, now):
        """source, target [batch, height, width, 3] and the generated fake."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        shares = dict(line_share=model.line_share, xdog_share=model.xdog_share)
        source = _source(batch, key(0), **shares, unsteady=model.unsteady)
        target = colour.from_uint8(batch["colour"])
        if model.jitter > 1:
            source, target = augment.crop(key(1), source, target, scale=model.jitter)
        if model.flip:
            source, target = augment.flip(key(2), source, target)
        source = _rgb(source)
        fake = self._over(self.generator(source, key(3), train=True), source)
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
        """Colours sketches [batch, height, width, 1], or translates images [..., 3], in [-1, 1].

        `seed` [batch] is that of the test-time noise. With `colour_layer` it is the layer.
        """
        return self._painted(sketch, None if seed is None else jax.vmap(jax.random.key)(seed))

    def _painted(self, sketch, keys):
        if not self.model.noise_at_test:
            return self.generator(_rgb(sketch), train=False)
        graphdef, state = nnx.split(self.generator)
        # One at a time: the paper's statistics at test time are those of a single image.
        alone = lambda given: nnx.merge(graphdef, state, copy=True)(given[0][None], given[1][None], train=True)[0]
        return jax.lax.map(alone, (_rgb(sketch), keys))

    def _over(self, image, source):
        """What the generator has painted, with the lines that it was given over it if it is a layer."""
        return colour.multiply(image, source) if self.model.colour_layer else image

    def _held_out(self, batch, keys):
        sketch = _source(batch, keys)
        return sketch, colour.from_uint8(batch["colour"]), self._over(self._painted(sketch, keys), sketch)

    def sample(self, batch, keys):
        sketch, target, fake = self._held_out(batch, keys)
        return {"sketch": sketch, "output": fake, "truth": target}

    def evaluate(self, batch, keys):
        """PSNR and SSIM of the output, and PSNR of the sketch taken for the image."""
        sketch, target, fake = self._held_out(batch, keys)
        return {
            "psnr": metrics.psnr(fake, target),
            "ssim": metrics.ssim(fake, target),
            "psnr_sketch": metrics.psnr(_rgb(sketch), target),
        }


def _source(batch, keys, *, unsteady=0.0, **shares):
    """What is translated, in [-1, 1]: `source` [batch, height, width, 3] of pairs, otherwise sketches [..., 1]."""
    if "source" not in batch:
        return augment.sketches(batch, keys, unsteady=unsteady, **shares)
    return augment.sketches(batch, keys, unsteady=unsteady) if unsteady else colour.from_uint8(batch["source"])


def _rgb(image):
    """[..., 1 or 3] as [..., 3]."""
    return jnp.repeat(image, 3 // image.shape[-1], -1)

