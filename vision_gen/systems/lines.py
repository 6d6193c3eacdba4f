"""Lines as a hand draws them: a network that draws the lines that an artist would have drawn of a picture.

Ours, in the manner of Simo-Serra et al., "Learning to Simplify" (SIGGRAPH 2016), which goes from rough sketches to
clean ones. It learns from drawings whose colours lie apart from their lines (`data.openmoji_lines`), of pictures with
lines and without, and is told how wide lines shall be. `ops.hand` makes its lines unsteady.
"""

import dataclasses

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import XDOG_SIGMA, WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import segmentation
from vision_gen.nets import lines as nets
from vision_gen.nets.resnet_generator import ResNetGenerator
from vision_gen.ops import augment, colour, hand, random, resample, sketch
from vision_gen.pretrained import informative as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Share

NEAR = 1  # Pixels within which a line counts as found.
PICTURES = ("flat", "colour")  # Without lines and with them.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of lines."""

    width: Count = 24  # Channels of the first level.
    levels: Count = 4  # Resolutions, the first of half the picture's size.
    crop: CountOrNone = 0  # Side that is trained on: a window, or as often the whole, made smaller; 0: the whole.
    flat_share: Share = 0.6  # Of pictures that are trained on, those without their lines.
    blur: NotNegative = 0.8  # Pictures are blurred at random, up to this, in pixels,
    jitter_shift: NotNegative = 0.3  # their colours shift up to this, of 2,
    jitter_hue: NotNegative = 0.5  # and hues turn up to this, of a whole turn.
    flip: bool = True  # Mirror half of the images.
    entropy_weight: NotNegative = 1.0  # Of the cross-entropy of each pixel's ink,
    overlap_weight: NotNegative = 0.5  # and of the share of ink that does not overlap (Dice): lines rather than greys.

    def __post_init__(self):
        if self.crop % 2**self.levels:
            raise InputError(f"crop must be a multiple of {2**self.levels}, of 2 to the levels, got {self.crop}")


class Lines(System):
    """One network that is told how wide lines shall be."""

    title = "Line drawings of pictures"
    Settings = Settings
    players = ("network",)
    needs = {
        "colour": (None, None, 3),
        "flat": (None, None, 3),
        "lines": (None, None, None),
        "weights": (None,),
    }
    columns = ("flat", "xdog", "thin", "output", "thick", "hand", "truth", "colour", "of_colour")
    explained = {
        **{
            f"{figure}_{picture}{way}": f"{phrase} of {what}"
            for figure, phrase in {
                "f": f"harmonic mean of precision and recall within {NEAR} pixel",
                "precision": f"share of ink with the artist's within {NEAR} pixel,",
                "recall": f"share of the artist's ink with some within {NEAR} pixel,",
            }.items()
            for picture, kind in {"flat": "without lines", "colour": "that have their lines"}.items()
            for way, what in {"": f"lines of pictures {kind}", "_xdog": f"XDoG of pictures {kind}"}.items()
        },
        "weight_error": "of pictures that have their lines, how far lines are from as wide as asked, of that, the mean over "
        "several widths",
        "weight_error_fixed": "weight_error if lines of the middle width were given for all",
    }
    legends = {
        "samples": "Held-out pictures without lines, XDoG of them, lines of three widths, the middle ones by an "
        "unsteady hand, and the artist's; then pictures that have lines, and the lines drawn of those.",
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        self.network = nets.LineNet(width=model.width, levels=model.levels, rngs=rngs)

    @classmethod
    def check(cls, experiment, source):
        crop, stride, sides = experiment.model.crop, 2**experiment.model.levels, experiment.data.resolution
        if crop > min(sides):
            raise InputError(f"config.model.crop is {crop}, but the pictures have {sides[0]} x {sides[1]} pixels")
        if any(side % stride for side in sides):
            right = f"a multiple of {stride}, of 2 to config.model.levels"
            raise InputError(f"config.data.size must be {right}, got {sides}")

    @classmethod
    def tools(cls, experiment, facts):
        weight = values.Number(0.5, 8, 2.0, doc="how wide lines are, in pixels")
        return [_tool(2**experiment.model.levels, weight=weight)]

    def draw(self, image, weight):
        """Lines [batch, height, width, 1] in [-1, 1] of images [..., 3], `weight` [batch] pixels wide."""
        return nets.lines(self.network(image, weight))

    def forward(self, batch, now):
        """`logits` of ink, and the `ink` [batch, height, width, 1] in [0, 1] that they should give."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        # Lines of one width are in the picture, or none; those that are asked for have another.
        drawn, number = (random.integers(key(i), 0, batch["weights"].shape[1])[:, None] for i in (0, 1))
        of_width = lambda number: jnp.take_along_axis(batch["lines"], number[:, None, None], 3) / 255
        image, ink = colour.from_uint8(batch["flat"]), 1 - of_width(number)
        flat = random.bernoulli(key(7), model.flat_share)[:, None, None, None]
        image = jnp.where(flat, image, colour.multiply(image, 2 * of_width(drawn) - 1))
        weight = jnp.take_along_axis(batch["weights"], number, 1)[:, 0]
        if model.crop:
            whole = random.bernoulli(key(2), 0.5)
            scale = model.crop / min(image.shape[1:3])
            parts = augment.window(key(3), image, ink, size=model.crop)
            squares = augment.window(key(3), image, ink, size=min(image.shape[1:3]))
            smaller = (resample.resize(x, (model.crop, model.crop)) for x in squares)
            image, ink = (jnp.where(whole[:, None, None, None], *pair) for pair in zip(smaller, parts))
            weight = jnp.where(whole, weight * scale, weight)
        if model.flip:
            image, ink = augment.flip(key(4), image, ink)
        image = colour.jitter(image, key(5), shift=model.jitter_shift, hue=model.jitter_hue)
        if model.blur:
            image = sketch.gaussian_blur(image, random.uniform(key(6), (), 0.2, model.blur))
        return {"logits": self.network(image, weight), "ink": ink}

    def network_loss(self, out, batch, now):
        """Cross-entropy of every pixel, and by example one minus the Dice coefficient of ink."""
        logits, ink = out["logits"], out["ink"]
        entropy = jax.nn.softplus(logits) - ink * logits
        found, axes = jax.nn.sigmoid(logits), (1, 2, 3)
        overlap = (2 * jnp.sum(found * ink, axes) + 1) / (jnp.sum(found + ink, axes) + 1)
        return {
            "entropy": self.model.entropy_weight * entropy.mean(),
            "overlap": self.model.overlap_weight * jnp.mean(1 - overlap),
        }

    def sketch(self, *, image, weight, hand, seed):
        """Lines [1, height, width, 1] of a picture, `weight` pixels wide; see `ops.hand` for `hand`."""
        return _by_hand(self.draw(image, weight), image, hand, seed)

    def sample(self, batch, keys):
        flat, picture = (colour.from_uint8(batch[name]) for name in PICTURES)
        lines, middle = colour.from_uint8(batch["lines"]), batch["lines"].shape[-1] // 2
        drawn = lambda image, number: self.draw(image, batch["weights"][:, number])
        output = drawn(flat, middle)
        return {
            "flat": flat,
            "xdog": _xdog(flat),
            "thin": drawn(flat, 0),
            "output": output,
            "thick": drawn(flat, -1),
            "hand": hand.unsteady(output, keys, 0.7),
            "truth": lines[..., middle : middle + 1],
            "colour": picture,
            "of_colour": drawn(picture, middle),
        }

    def evaluate(self, batch, keys):
        """Ink of the network and of XDoG beside the artist's, of pictures without lines and with; and widths."""
        lines, weights = colour.from_uint8(batch["lines"]), batch["weights"]
        middle, found = lines.shape[-1] // 2, {}
        inked = lambda x: x[..., 0] < 0
        truth = inked(lines[..., middle : middle + 1])
        for name in PICTURES:
            given = colour.from_uint8(batch[name])
            for way, drawn in {"": self.draw(given, weights[:, middle]), "_xdog": _xdog(given)}.items():
                precision, recall, f = segmentation.near(inked(drawn), truth, NEAR)
                found |= {f"f_{name}{way}": f, f"precision_{name}{way}": precision, f"recall_{name}{way}": recall}
        picture = colour.from_uint8(batch["colour"])
        measured = lax.map(lambda weight: sketch.weight(self.draw(picture, weight)), weights.T)
        true = lax.map(lambda one: sketch.weight(one[..., None]), jnp.moveaxis(lines, -1, 0))
        true = jnp.where(true > 0, true, jnp.nan)  # Which leaves a drawing out.
        off = lambda measured: jnp.mean(jnp.abs(measured / true - 1), 0)
        found |= {"weight_error": off(measured), "weight_error_fixed": off(measured[middle])}
        return found


@dataclasses.dataclass(frozen=True)
class Published:
    """`config.model` of `Informative`; the defaults are the published files'."""

    width: Count = 64  # Channels of the first convolution.
    blocks: Count = 3  # Residual blocks.


class Informative(System):
    """Published weights of Chan et al., "Learning to generate line drawings that convey ..." (CVPR 2022)."""

    title = "Line drawings of pictures (Chan et al.)"
    Settings = Published
    readers = {"network": pretrained.read}
    writers = {"network": pretrained.WRITERS}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.network = ResNetGenerator(width=model.width, blocks=model.blocks, channels=1, rngs=rngs)

    @classmethod
    def tools(cls, experiment, facts):
        return [_tool(stride=4)]

    def sketch(self, *, image, hand, seed):
        """Lines [1, height, width, 1] of a picture; see `ops.hand` for `hand`."""
        ink = self.network.logits((image + 1) / 2).astype(jnp.float32)  # Pictures from 0 to 1, and a sigmoid.
        return _by_hand(2 * jax.nn.sigmoid(ink) - 1, image, hand, seed)


def _tool(stride, **options):
    """The tool that draws lines, in the picture's own pixels and by one hand over all of it: no tiles."""
    return Tool(
        "sketch",
        "Draws the lines of a picture.",
        inputs={"image": values.Image()},
        outputs={"lines": values.Image(channels=1)},
        options={
            **options,
            "hand": values.Number(0, 1, 0.0, doc="how unsteady the hand is that draws them"),
            "seed": values.Seed(),
        },
        fitting=WholePicture(stride=stride),
    )


def _by_hand(lines, image, amount, seed):
    """`hand.unsteady`, at no cost where the amount is 0; one seed draws other images otherwise."""
    mark = jnp.sum((image + 1) * 127.5).astype(jnp.uint32)
    keys = jax.vmap(lambda number: jax.random.fold_in(jax.random.key(number), mark))(seed)
    return lax.cond(jnp.any(amount > 0), lambda x: hand.unsteady(x, keys, amount), lambda x: x, lines)


def _xdog(picture):
    return sketch.xdog(picture, jnp.full(len(picture), XDOG_SIGMA))
