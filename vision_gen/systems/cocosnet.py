"""CoCosNet: cross-domain correspondence learning for exemplar-based image translation (Zhang et al., CVPR 2020).

A line drawing is painted in the colours and textures of an exemplar: a picture of the same kind, of which each place of
the drawing takes what is most like it. In training some exemplars are the drawing's own image, warped, for which the
truth is known; the others are images of other examples, where the paper looks for like ones. Networks and weights of
the losses are those of the released code for edges, which compares drawings beside what was learned and matches what
the discriminator sees; features are scaled otherwise than its own, hence its weight of the perceptual term is 0.001.
"""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.nets import cocosnet as nets
from vision_gen.nets import layers
from vision_gen.nets.patchgan import MultiscaleDiscriminator
from vision_gen.ops import augment, colour, losses, random, resample, tps
from vision_gen.ops.sketch import xdog
from vision_gen.pretrained import features
from vision_gen.settings import Count, NotNegative, Range, Share
from vision_gen.systems import scft

# Settings of each network that looks, and the layers that are compared.
LOOKS = {
    "efficientnet-lite0": ({}, ("stage1", "stage2", "stage3", "stage5", "stage7")),
    "vgg19": ({"classes": 0}, ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")),
}
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)  # Of the layers in the feature term,
CONTEXTS = (2, 4, 8)  # and of the last three in the contextual one.
SIGMA = 0.4  # Pixels: of the lines of exemplars, by XDoG.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of CoCosNet; the defaults are the released code's for edges, but for the network that looks."""

    width: Count = 64  # Channels of the translator's last block.
    temperature: Annotated[float, Range(1e-4)] = 0.01  # Of the softmax over the exemplar's places.
    attention_chunk: Count = 1024  # Places of the drawing that look at a time; less takes less memory.
    discriminator_width: Count = 64  # Channels of the discriminators' first convolutions.
    scales: Count = 2  # Discriminators, each of which sees images of half the size.
    self_share: Share = 0.3  # Of training examples whose exemplar is their own image, warped, not one of the data.
    tps_scale: NotNegative = 0.3  # How far each of 3 x 3 control points of the warp moves, of half the image's side.
    gan_weight: NotNegative = 10.0  # Of the adversarial term, hinge,
    matching_weight: NotNegative = 10.0  # of the difference of what discriminators see in outputs and images,
    feature_weight: NotNegative = 10.0  # of the error of features where the exemplar is the image itself,
    perceptual_weight: NotNegative = 0.1  # of the square error of those of the second last layer,
    contextual_weight: NotNegative = 10.0  # of features that are nowhere in the exemplar,
    domain_weight: NotNegative = 10.0  # of the distance of a drawing and its image in the common domain,
    cycle_weight: NotNegative = 1.0  # and of an exemplar from what is left of it there and back.
    perceptual: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"  # Network that looks; paper: "vgg19".
    flip: bool = True  # Mirror half of the images.
    line_share: Share = 1.0  # Of data with artists' lines: share of drawings that are these; others are made.
    xdog_share: Share = 0.8  # Of drawings that are made of the image: share by XDoG; others by Sobel.


class CoCosNet(System):
    """Generator, which is correspondence and translator, then discriminator, each step."""

    title = "Painting like an exemplar (CoCosNet)"
    Settings = Settings
    players = ("generator", "discriminator")
    readers = {"perceptual": features.read}
    needs = {"colour": (None, None, 3)}
    columns = ("sketch", "exemplar", "warped", "output", "truth", "other", "warped other", "recoloured")
    explained = {
        "psnr_sketch": "psnr of the sketch taken for the output",
        "psnr_exemplar": "psnr of the warped exemplar taken for the output",
        "psnr_warped": "psnr of what the correspondence alone makes of the exemplar",
        "correspondence": "share of inked cells whose strongest attention lies within a tenth of the side of the truth",
        "correspondence_identity": "correspondence of the guess that nothing has moved",
    }
    legends = {
        "samples": "output: the sketch painted like the exemplar, its own drawing warped; warped: the exemplar where "
        "it is looked at. recoloured: the same with another.",
    }

    evaluation_batch = 8  # All pairs of places of so many examples are in memory.

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        self.perceptual = features.NETWORKS[model.perceptual](**LOOKS[model.perceptual][0], rngs=rngs)
        self.generator = nets.CoCosNet(
            width=model.width, temperature=model.temperature, chunk=model.attention_chunk, rngs=rngs
        )
        self.discriminator = MultiscaleDiscriminator(
            4, width=model.discriminator_width, scales=model.scales, norm="spectral", attention=True, rngs=rngs
        )

    @classmethod
    def default_init(cls, settings):
        return {"perceptual": settings.perceptual}

    @classmethod
    def check(cls, experiment, source):
        least = max(nets.STRIDE, 32 * 2 ** (experiment.model.scales - 1))  # Of which a PatchGAN has a place at least.
        size = experiment.data.resolution
        if any(side % nets.STRIDE for side in size) or min(size) < least:
            right = f"multiples of {nets.STRIDE}, at least {least} for config.model.scales={experiment.model.scales}"
            raise InputError(f"config.data.size must be of {right}, got {experiment.data.size}")

    @classmethod
    def tools(cls, experiment, facts):
        fitting = WholePicture(
            stride=nets.STRIDE, size=min(experiment.data.resolution), apart=("exemplar",), paper=True
        )
        return [
            Tool(
                "translate",
                "Paints a line drawing like an exemplar.",
                inputs={"sketch": values.Image(channels=1, lines=True), "exemplar": values.Image()},
                outputs={"image": values.Image(), "warped": values.Image()},
                fitting=fitting,
            )
        ]

    def forward(self, batch, now):
        """sketch, image, exemplar, fake; own [batch], 1 where the exemplar is the image; and what the losses compare.

        `adapted` and `adapted_image` are the sketch and the image in the common domain, `small` and `returned` the
        exemplar's cells and what is left of them there and back.
        """
        model, key = self.model, lambda i: random.fold(now.keys, i)
        sketch = augment.sketches(batch, key(0), line_share=model.line_share, xdog_share=model.xdog_share)
        image = colour.from_uint8(batch["colour"])
        if model.flip:
            sketch, image = augment.flip(key(1), sketch, image)
        own = random.bernoulli(key(2), model.self_share)
        others, warped = self._others(batch, image, key(4)), tps.warped(key(3), image, scale=model.tps_scale)[0]
        exemplar = jnp.where(own[:, None, None, None], warped, others)
        fake, inside = self._painted(sketch, exemplar, train=True)
        corresponds = self.generator.correspondence
        return {
            "sketch": sketch,
            "image": image,
            "exemplar": exemplar,
            "own": own.astype(jnp.float32),
            "fake": fake,
            "adapted": inside["adapted"],
            "adapted_image": corresponds.adapted(corresponds.exemplars, image, train=True),
            "small": inside["small"],
            "returned": inside["returned"],
        }

    def _others(self, batch, image, keys):
        """The exemplars of the data, mirrored as images are; where it has none, images of other examples."""
        if "exemplar" not in batch:
            return layers.own_part(jnp.roll(layers.all_devices(image), 1, 0), len(image))
        exemplar = colour.from_uint8(batch["exemplar"])
        return augment.flip(keys, exemplar)[0] if self.model.flip else exemplar

    def _painted(self, lines, exemplar, train=False):
        """The generator's image and intermediates; the lines of exemplars are made, as nobody has drawn them."""
        drawn = xdog(exemplar, jnp.full(len(exemplar), SIGMA))
        return self.generator(lines, exemplar, drawn, train=train, intermediates=True)

    def _seen(self, image):
        """The maps of the network that looks, finest first."""
        found = self.perceptual(image, intermediates=True)[1]
        return [found[name].astype(jnp.float32) for name in LOOKS[self.model.perceptual][1]]

    def _judged(self, out, name):
        """[(logits, features by layer)] of each scale."""
        return self.discriminator(out["sketch"], out[name], train=True, intermediates=True)

    def discriminator_loss(self, out, batch, now):
        """Hinge, at every scale."""
        weight = self.model.gan_weight / self.model.scales
        look = lambda name, real: sum(losses.gan(x, real, "hinge") for x, _ in self._judged(out, name))
        return {"real": weight * look("image", True), "fake": weight * look("fake", False)}

    def generator_loss(self, out, batch, now):
        """The full objective (section 3.3), and feature matching (Wang et al. 2018), as the released code has it."""
        model = self.model
        fake, real, style = map(self._seen, (out["fake"], out["image"], out["exemplar"]))
        apart = lambda a, b: jnp.mean(jnp.abs(a - b), (1, 2, 3)) * out["own"]
        half = lambda x: resample.average_pool(x, [n // 2 for n in x.shape[1:3]])
        contexts = zip(CONTEXTS, *([half(x[-3]), *x[-2:]] for x in (fake, style)))
        feature = sum(share * apart(a, b).mean() for share, a, b in zip(SHARES, fake, real))
        judged, truth = self._judged(out, "fake"), self._judged(out, "image")
        gan = sum(losses.fooled(logits, "hinge") for logits, _ in judged)
        matching = sum(losses.l1(a[name], b[name]) for (_, a), (_, b) in zip(judged, truth) for name in a)
        return {
            "gan": model.gan_weight * gan / model.scales,
            "matching": model.matching_weight * matching / model.scales,
            "feature": model.feature_weight * feature,
            "perceptual": model.perceptual_weight * jnp.mean((fake[-2] - real[-2]) ** 2),
            "contextual": model.contextual_weight * sum(times * losses.contextual(a, b) for times, a, b in contexts),
            "domain": model.domain_weight * losses.l1(out["adapted"], out["adapted_image"]),
            "cycle": model.cycle_weight * losses.l1(out["returned"], out["small"]),
        }

    def translate(self, *, sketch, exemplar):
        """Sketches [batch, height, width, 1] like exemplars [batch, *, *, 3], in [-1, 1]; `warped` are these, moved."""
        image, inside = self._painted(sketch, exemplar)
        return {"image": image, "warped": inside["warped"]}

    def sample(self, batch, keys):
        """With the image itself, warped, as the exemplar, and with that of the data, or another's."""
        sketch, image = augment.sketches(batch, keys), colour.from_uint8(batch["colour"])
        exemplar, _ = tps.warped(random.fold(keys, 3), image, scale=self.model.tps_scale)
        other = colour.from_uint8(batch["exemplar"]) if "exemplar" in batch else jnp.roll(image, 1, 0)
        own, others = (self.translate(sketch=sketch, exemplar=x) for x in (exemplar, other))
        return {
            "sketch": sketch, "exemplar": exemplar, "warped": own["warped"], "output": own["image"], "truth": image,
            "other": other, "warped other": others["warped"], "recoloured": others["image"],
        }  # fmt: skip

    def evaluate(self, batch, keys):
        """With the image itself, warped, as the exemplar: PSNR and SSIM of the output, and correspondence as SCFT's."""
        sketch, image = augment.sketches(batch, keys), colour.from_uint8(batch["colour"])
        exemplar, spline = tps.warped(random.fold(keys, 3), image, scale=self.model.tps_scale)
        fake, inside = self._painted(sketch, exemplar)
        query, key = inside["query"], inside["key"]
        found, identity, valid = scft.correspondence(query, key, tps.flow(*spline, *key.shape[1:3]))
        inked = resample.average_pool(sketch, query.shape[1:3])[..., 0].reshape(len(sketch), -1) < 0.9
        share = lambda hit: jnp.sum(hit & valid & inked, -1) / jnp.sum(valid & inked, -1)  # NaN, so left out, if none.
        return {
            "psnr": metrics.psnr(fake, image),
            "ssim": metrics.ssim(fake, image),
            "psnr_sketch": metrics.psnr(jnp.repeat(sketch, 3, -1), image),
            "psnr_exemplar": metrics.psnr(exemplar, image),
            "psnr_warped": metrics.psnr(inside["warped"], image),
            "correspondence": share(found),
            "correspondence_identity": share(identity),
        }
