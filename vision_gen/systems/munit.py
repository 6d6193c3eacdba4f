"""Multimodal unsupervised image-to-image translation, by styles that are drawn or those of exemplars.

MUNIT (Huang et al., ECCV 2018; `config.model.injection` "adain"): an image is a content that both domains share and a
style of its domain, a short code that is normal; an image of a is painted as of b in any style of b. GDWCT (Cho et al.,
CVPR 2019; "whitening"): styles are those of exemplars, and are given by whitening and colouring groups of channels.
Trained on examples with `a_colour` and `b_colour`, which have nothing to do with each other.

As the released codes, but that both players see the same translations of a step. GDWCT's code asks that the matrices U
be identities; here U^T U is to be one, as the paper has it.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.fitting import CentralSquare, WholePicture
from vision_gen.engine.system import Player
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import sheets
from vision_gen.nets import munit as nets
from vision_gen.ops import augment, colour, losses, random
from vision_gen.pretrained import munit as pretrained
from vision_gen.settings import Count, NotNegative
from vision_gen.systems.two_domains import STRIDE, TwoDomains, unlike

SIDES = ("ab", "ba")  # A domain and the other.
SHOWN = 6  # Contents, and exemplars, of a sheet.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of MUNIT and GDWCT; the defaults are MUNIT's released ones for 256 px."""

    injection: Literal["adain", "whitening"] = "adain"  # How the style enters: MUNIT's or GDWCT's way.
    width: Count = 64  # Channels of the generators' first convolutions.
    residual_blocks: Count = 4  # Of encoder and decoder each.
    style: Count = 8  # Of "adain": numbers of a style.
    hidden: Count = 256  # Units of the perceptrons that read styles.
    groups: Count = 8  # Of "whitening": of the content's channels; must divide `width`.
    discriminator_width: Count = 64  # Channels of the discriminators' first convolutions.
    stages: Count = 4  # Convolutions of a discriminator, each of which halves the map.
    scales: Count = 3  # Discriminators of a domain, each of which sees images of half the size.
    image_weight: NotNegative = 10.0  # Of the absolute error of images that are painted with their own codes.
    content_weight: NotNegative = 1.0  # Of that of contents that are found again in translations.
    style_weight: NotNegative = 1.0  # Of that of styles.
    cycle_weight: NotNegative = 0.0  # Of that of images that are translated there and back; GDWCT: 10.
    whitening_weight: NotNegative = 0.001  # Of "whitening": of how far contents are from white.
    colouring_weight: NotNegative = 10.0  # Of "whitening": of how far matrices are from orthogonal.
    flip: bool = True  # Mirror half of the images.


class MUNIT(TwoDomains):
    """Both discriminators, then both generators, each step."""

    title = "Translation in many styles (MUNIT)"
    Settings = Settings
    players = (
        Player("discriminators", modules=("discriminator_a", "discriminator_b")),
        Player("generators", modules=("generator_a", "generator_b")),
    )
    readers = {**TwoDomains.readers, **pretrained.READERS}
    writers = pretrained.WRITERS
    columns = ("a", "a again", "a as b", "another b", "b", "b again", "b as a", "another a")
    explained = {
        **TwoDomains.explained,
        **{
            name: text
            for side, other in SIDES
            for name, text in {
                f"again_{side}": f"mean difference, of at most 2, of an image of {side} and what its own codes give",
                f"diversity_{side}": f"mean difference, of at most 2, of an image of {other} in two styles of {side}",
                f"diversity_{side}_images": f"the same of two images of {side}",
                f"feature_diversity_{side}": f"as feature_{side}, of an image of {other} in two styles of {side}",
            }.items()
        },
    }
    legends = {
        "samples": "Held-out images of each domain, painted again, and as of the other in two styles: drawn ones, or "
        "of GDWCT those of other held-out images.",
        "exemplars_b": "A row an image of a, a column the image of b whose style it gets.",
        "exemplars_a": "A row an image of b, a column the image of a whose style it gets.",
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        both, whitens = dict(width=model.width, blocks=model.residual_blocks, hidden=model.hidden), _whitens(model)
        if whitens and model.width % model.groups:
            raise InputError(f"config.model.groups is {model.groups}; it must divide config.model.width, {model.width}")
        for side, _ in SIDES:
            if whitens:
                generator = nets.WhiteningGenerator(**both, groups=model.groups, rngs=rngs)
            else:
                generator = nets.AdaINGenerator(**both, style=model.style, rngs=rngs)
            discriminator = nets.Discriminators(
                width=model.discriminator_width, stages=model.stages, scales=model.scales,
                slope=0.01 if whitens else 0.2, rngs=rngs,
            )  # fmt: skip
            setattr(self, f"generator_{side}", generator)
            setattr(self, f"discriminator_{side}", discriminator)
        self._looks(experiment, rngs)
        self.model = nnx.static(model)

    @classmethod
    def check(cls, experiment, source):
        super().check(experiment, source)
        model, size = experiment.model, experiment.data.size
        least = 2 ** (model.stages + model.scales - 1)
        if min(experiment.data.resolution) < least:
            of = f"of {model.stages} stages at {model.scales} scales (config.model.stages and scales)"
            raise InputError(f"config.data.size must be at least {least} for discriminators {of}, got {size}")

    @classmethod
    def tools(cls, experiment, facts):
        size, image, images = min(experiment.data.resolution), values.Image(), values.Images(folder=True)
        found = []
        for side, other in reversed(SIDES):
            fitting, paints = WholePicture(stride=STRIDE, size=size), f"Paints an image of {other} as of {side}"
            like = Tool(
                f"to_{side}_like",
                f"{paints}, in the style of an exemplar of {side}.",
                {"image": image, "exemplar": image},
                {"translation": image},
                fitting=dataclasses.replace(fitting, apart=("exemplar",)),
            )
            sheet = Tool(
                f"sheet_{side}",
                f"Paints images of {other}, a row each, in the styles of exemplars of {side}, a column each.",
                {"images": images, "exemplars": images},
                {"sheet": image},
                fitting=CentralSquare(experiment.data.size, multiple=STRIDE),
            )
            drawn = Tool(
                f"to_{side}",
                f"{paints}, in a style that a seed draws.",
                {"image": image},
                {"translation": image},
                {"seed": values.Seed()},
                fitting=fitting,
            )
            found += [like, sheet] if _whitens(experiment.model) else [drawn, like, sheet]
        return found

    # Networks of a domain.

    def _encode(self, side, image, train=False):
        return getattr(self, f"generator_{side}").encode(image, train=train)

    def _decode(self, side, *codes, train=False):
        return getattr(self, f"generator_{side}").decode(*codes, train=train)

    def _drawn(self, keys):
        return random.normal(keys, (self.model.style,))

    # Training.

    def forward(self, batch, now):
        """By the name of a domain: the image (real), it again, what is made of the other's (fake), and codes of each.

        content and style are of the images, wanted is the style of the translation, and content_fake, style_fake
        what is found in that; with a `cycle_weight` back is the image that was translated there and back.
        """
        out, regularisers, whitens = {}, [], _whitens(self.model)
        for number, (side, _) in enumerate(SIDES):
            image, keys = colour.from_uint8(batch[f"{side}_colour"]), random.fold(now.keys, number)
            if self.model.flip:
                (image,) = augment.flip(random.fold(keys, 0), image)
            content, style = self._encode(side, image, train=True)
            wanted = style if whitens else self._drawn(random.fold(keys, 1))
            again, _ = self._decode(side, content, style, train=True)
            named = dict(real=image, content=content, style=style, wanted=wanted, again=again)
            out |= {f"{name}_{side}": value for name, value in named.items()}
        for side, other in SIDES:
            fake, found = self._decode(side, out[f"content_{other}"], out[f"wanted_{side}"], train=True)
            content, style = self._encode(side, fake, train=True)
            out |= {f"fake_{side}": fake, f"content_fake_{side}": content, f"style_fake_{side}": style}
            regularisers.append(found)
        if self.model.cycle_weight:
            for side, other in SIDES:
                style = out[f"style_fake_{side}" if whitens else f"style_{side}"]
                out[f"back_{side}"], found = self._decode(side, out[f"content_fake_{other}"], style, train=True)
                regularisers.append(found)
        return out | jax.tree.map(lambda *each: sum(each) / len(each), *regularisers)

    def discriminators_loss(self, out, batch, now):
        """Least squares at every scale."""
        terms = {}
        for side, _ in SIDES:
            look = getattr(self, f"discriminator_{side}")
            terms[f"real_{side}"] = _judged(look(out[f"real_{side}"]), True)
            terms[f"fake_{side}"] = _judged(look(lax.stop_gradient(out[f"fake_{side}"])), False)
        return terms

    def generators_loss(self, out, batch, now):
        """MUNIT's full objective, or GDWCT's."""
        model, terms = self.model, {}
        for side, other in SIDES:
            look = getattr(self, f"discriminator_{side}")
            real = out[f"real_{side}"]
            terms[f"gan_{side}"] = _judged(look(out[f"fake_{side}"]), True)
            terms[f"image_{side}"] = model.image_weight * losses.l1(out[f"again_{side}"], real)
            found = losses.l1(out[f"content_fake_{other}"], out[f"content_{side}"])
            terms[f"content_{side}"] = model.content_weight * found
            terms[f"style_{side}"] = model.style_weight * losses.l1(out[f"style_fake_{side}"], out[f"wanted_{side}"])
            if model.cycle_weight:
                terms[f"cycle_{side}"] = model.cycle_weight * losses.l1(out[f"back_{side}"], real)
        if _whitens(model):
            terms["whitening"] = model.whitening_weight * out["whitening"]
            terms["colouring"] = model.colouring_weight * out["colouring"]
        return terms

    # Tools.

    def _painted(self, side, other, image, style):
        return self._decode(side, self._encode(other, image)[0], style)[0]

    def to_b(self, *, image, seed):
        """Images [batch, height, width, 3] in [-1, 1] of a as of b, in styles of seeds [batch]."""
        return self._painted("b", "a", image, self._drawn(jax.vmap(jax.random.key)(seed)))

    def to_a(self, *, image, seed):
        """Images of b as of a; see `to_b`."""
        return self._painted("a", "b", image, self._drawn(jax.vmap(jax.random.key)(seed)))

    def to_b_like(self, *, image, exemplar):
        """Images [batch, height, width, 3] in [-1, 1] of a as of b, in the styles of exemplars [batch, *, *, 3]."""
        return self._painted("b", "a", image, self._encode("b", exemplar)[1])

    def to_a_like(self, *, image, exemplar):
        """Images of b as of a; see `to_b_like`."""
        return self._painted("a", "b", image, self._encode("a", exemplar)[1])

    def sheet_b(self, *, images, exemplars):
        """[1, (1 + images) height, (1 + exemplars) width, 3] of tuples of [1, height, width, 3], all in [-1, 1]."""
        return self._sheet("b", "a", jnp.concatenate(images), jnp.concatenate(exemplars))

    def sheet_a(self, *, images, exemplars):
        """The other way; see `sheet_b`."""
        return self._sheet("a", "b", jnp.concatenate(images), jnp.concatenate(exemplars))

    def _sheet(self, side, other, images, exemplars):
        contents, styles = self._encode(other, images)[0], self._encode(side, exemplars)[1]
        row = lambda content: self._decode(side, jnp.broadcast_to(content, (len(styles), *content.shape)), styles)[0]
        rows = jnp.concatenate([images[:, None], lax.map(row, contents)], 1)
        top = jnp.concatenate([jnp.ones_like(exemplars[:1]), exemplars])[None]
        grid = jnp.concatenate([top, rows]).transpose(0, 2, 1, 3, 4)
        return grid.reshape(1, grid.shape[0] * grid.shape[1], -1, 3)

    # Figures.

    def sample(self, batch, keys):
        """Styles of "a as b" and "another b" are drawn, or of "whitening" those of the next two images of b."""
        found, codes = {}, {}
        for side, _ in SIDES:
            found[side] = colour.from_uint8(batch[f"{side}_colour"])
            codes[side] = self._encode(side, found[side])
            found[f"{side} again"], _ = self._decode(side, *codes[side])
        for side, other in SIDES:
            for number, name in enumerate((f"{other} as {side}", f"another {side}")):
                if _whitens(self.model):
                    style = jnp.roll(codes[side][1], 1 + number, 0)
                else:
                    style = self._drawn(random.fold(keys, 2 * number + (side == "a")))
                found[name], _ = self._decode(side, codes[other][0], style)
        return found

    def evaluate(self, batch, keys):
        """Figures of `two_domains`, of images that are painted again, and how much the style changes."""
        found = self.sample(batch, keys)
        values = self._figures(found)
        apart = lambda one, other: jnp.abs(one - other).mean((1, 2, 3))
        for side, other in SIDES:
            made, another = found[f"{other} as {side}"], found[f"another {side}"]
            values[f"again_{side}"] = apart(found[f"{side} again"], found[side])
            values[f"diversity_{side}"] = apart(made, another)
            values[f"diversity_{side}_images"] = apart(found[side], jnp.roll(found[side], 1, 0))
            if hasattr(self, "features"):
                values[f"feature_diversity_{side}"] = unlike(values[f"seen {other} as {side}"], *self._seen(another))
        return values

    @classmethod
    def figures(cls, model, source, values):
        """`exemplars_b`, `exemplars_a`: sheets of some held-out images in the styles of others."""
        numbers = np.linspace(0, len(source) - 1, SHOWN).round().astype(int)
        images = {side: [source[i][f"{side}_colour"] for i in numbers] for side, _ in SIDES}
        paint = {"b": model.sheet_b, "a": model.sheet_a}
        drawn = {side: paint[side](images[other], images[side]) for side, other in SIDES}
        return {f"exemplars_{side}": np.asarray(sheets.enlarge(sheet, 2)) for side, sheet in drawn.items()}


def _whitens(model):
    return model.injection == "whitening"


def _judged(logits, real):
    """Least squares of logits at several scales, summed."""
    return sum(losses.gan(one, real, "least_squares") for one in logits)
