"""CycleGAN: unpaired image-to-image translation using cycle-consistent adversarial networks (Zhu et al., ICCV 2017).

One generator paints images of domain a as of b, the other the way back. Each domain has a discriminator, which also
sees what was painted some steps ago. Trained on examples with `a_colour` and `b_colour`, which have nothing to do with
each other.
"""

import dataclasses
from typing import Annotated

from flax import nnx
from jax import lax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import Player
from vision_gen.engine.tools import Tool
from vision_gen.nets import layers
from vision_gen.nets.patchgan import PatchDiscriminator
from vision_gen.nets.resnet_generator import ResNetGenerator
from vision_gen.ops import augment, colour, losses, random
from vision_gen.pretrained import cyclegan as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Range
from vision_gen.systems.two_domains import STRIDE, TwoDomains


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of CycleGAN; the defaults are the reference implementation's."""

    width: Count = 64  # Channels of the generators' first convolution.
    residual_blocks: CountOrNone = 9  # 6 for images of 128 px and less.
    discriminator_width: Count = 64  # Channels of the discriminators' first convolution.
    cycle_weight: NotNegative = 10.0  # Of the absolute error of what is translated there and back.
    identity_weight: NotNegative = 0.5  # Of that of what is of the domain already, as a share of `cycle_weight`.
    pool: CountOrNone = 50  # Painted images that are kept for each discriminator; 0: it sees the last alone.
    jitter: Annotated[float, Range(1)] = 286 / 256  # Enlarge images by it and cut a window of the old size; 1 is off.
    flip: bool = True  # Mirror half of the images.


class CycleGAN(TwoDomains):
    """Both generators, then both discriminators, each step, as the reference implementation."""

    title = "Translation without pairs (CycleGAN)"
    Settings = Settings
    players = (
        Player("generators", modules=("generator_b", "generator_a")),
        Player("discriminators", modules=("discriminator_b", "discriminator_a")),
    )
    readers = {
        **TwoDomains.readers,
        **{f"generator_{side}": pretrained.read_generator for side in "ba"},
        **{f"discriminator_{side}": pretrained.read_discriminator for side in "ba"},
    }
    writers = pretrained.WRITERS
    columns = ("a", "a as b", "a again", "b", "b as a", "b again")
    explained = {
        **TwoDomains.explained,
        "cycle_a": "mean difference, of at most 2, of an image of a and what is made of it there and back",
        "cycle_b": "the same of images of b",
    }
    legends = {"samples": "Held-out images of each domain, as of the other, and back again."}

    def __init__(self, experiment, *, rngs):
        model, size = experiment.model, experiment.data.resolution
        for side in "ba":
            generator = ResNetGenerator(width=model.width, blocks=model.residual_blocks, rngs=rngs)
            discriminator = PatchDiscriminator(
                channel=3, width=model.discriminator_width, norm="instance", rngs=rngs
            )
            setattr(self, f"generator_{side}", generator)
            setattr(self, f"discriminator_{side}", discriminator)
            setattr(self, f"pool_{side}", Pool(model.pool, (*size, 3)))
        self._looks(experiment, rngs)
        self.model = nnx.static(model)

    @classmethod
    def tools(cls, experiment, facts):
        kinds = {"image": values.Image()}, {"translation": values.Image()}
        fitting = WholePicture(stride=STRIDE, size=min(experiment.data.resolution))
        return [
            Tool("to_b", "Paints an image of domain a as of b.", *kinds, fitting=fitting),
            Tool("to_a", "Paints an image of domain b as of a.", *kinds, fitting=fitting),
        ]

    def to_b(self, *, image):
        """Images [batch, height, width, 3] in [-1, 1] of a as of b."""
        return self.generator_b(image)

    def to_a(self, *, image):
        """Images [batch, height, width, 3] in [-1, 1] of b as of a."""
        return self.generator_a(image)

    def forward(self, batch, now):
        """real, fake and back [batch, height, width, 3] of both domains: `back_a` of `fake_b`, which is of `real_a`."""
        out = {}
        for number, side in enumerate("ab"):
            keys = random.fold(now.keys, number)
            image = colour.from_uint8(batch[f"{side}_colour"])
            if self.model.jitter > 1:
                (image,) = augment.crop(random.fold(keys, 0), image, scale=self.model.jitter)
            if self.model.flip:
                (image,) = augment.flip(random.fold(keys, 1), image)
            out[f"real_{side}"] = image
        return out | self._there_and_back(out["real_a"], out["real_b"])

    def _there_and_back(self, a, b):
        found = {"fake_b": self.generator_b(a), "fake_a": self.generator_a(b)}
        return found | {"back_a": self.generator_a(found["fake_b"]), "back_b": self.generator_b(found["fake_a"])}

    def generators_loss(self, out, batch, now):
        """Equation 3 with least squares, and section 5.2's identity: what is of a domain already stays."""
        weight, terms = self.model.cycle_weight, {}
        for side in "ba":
            generator, discriminator = getattr(self, f"generator_{side}"), getattr(self, f"discriminator_{side}")
            real = out[f"real_{side}"]
            terms[f"gan_{side}"] = losses.gan(discriminator(out[f"fake_{side}"], train=True), True, "least_squares")
            terms[f"cycle_{side}"] = weight * losses.l1(out[f"back_{side}"], real)
            if self.model.identity_weight:
                terms[f"identity_{side}"] = weight * self.model.identity_weight * losses.l1(generator(real), real)
        return terms

    def discriminators_loss(self, out, batch, now):
        """Least squares, halved; of generated images those of the pools."""
        terms = {}
        for number, side in enumerate("ba"):
            discriminator, pool = getattr(self, f"discriminator_{side}"), getattr(self, f"pool_{side}")
            fake = pool(lax.stop_gradient(out[f"fake_{side}"]), random.fold(now.keys, 2 + number))
            judged = lambda image: discriminator(image, train=True)
            terms[f"real_{side}"] = 0.5 * losses.gan(judged(out[f"real_{side}"]), True, "least_squares")
            terms[f"fake_{side}"] = 0.5 * losses.gan(judged(fake), False, "least_squares")
        return terms

    def sample(self, batch, keys):
        a, b = colour.from_uint8(batch["a_colour"]), colour.from_uint8(batch["b_colour"])
        found = self._there_and_back(a, b)
        return {
            "a": a, "a as b": found["fake_b"], "a again": found["back_a"],
            "b": b, "b as a": found["fake_a"], "b again": found["back_b"],
        }  # fmt: skip

    def evaluate(self, batch, keys):
        """Figures of `two_domains`, and how far images that were translated there and back are from themselves."""
        found = self.sample(batch, keys)
        apart = lambda side: jnp.abs(found[f"{side} again"] - found[side]).mean((1, 2, 3))
        return {"cycle_a": apart("a"), "cycle_b": apart("b"), **self._figures(found)}


class Pool(nnx.Module):
    """Images that were generated before (Shrivastava et al., CVPR 2017), for a discriminator; alike on all devices.

    Args:
      size: how many are kept; 0: none.
      shape: of an image.
    """

    def __init__(self, size, shape):
        self.size = size
        if size:
            self.images = nnx.BatchStat(jnp.zeros((size, *shape)))
            self.count = nnx.BatchStat(jnp.int32(0))

    def __call__(self, images, keys):
        """What the discriminator shall see in the place of images [batch, ...], by a key for each.

        While there is room, an image is kept, and seen. Then every other one is seen, and every other one takes the
        place of one that was kept, which is seen.
        """
        if not self.size:
            return images
        swap = layers.all_devices(random.bernoulli(random.fold(keys, 0), 0.5))
        place = layers.all_devices(random.integers(random.fold(keys, 1), 0, self.size))
        everyone = layers.all_devices(images)

        def one(state, given):
            kept, count = state
            image, swap, place = given
            full = count >= self.size
            place = jnp.where(full, place, jnp.minimum(count, self.size - 1))
            seen = jnp.where(full & swap, kept[place], image)
            kept = kept.at[place].set(jnp.where(full & ~swap, kept[place], image))
            return (kept, jnp.minimum(count + 1, self.size)), seen

        state = self.images[...], self.count[...]
        (kept, count), seen = lax.scan(one, state, (everyone.astype(jnp.float32), swap, place))
        self.images[...], self.count[...] = kept, count
        return layers.own_part(seen, len(images)).astype(images.dtype)
