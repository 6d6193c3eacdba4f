"""Automatic colorization: grey pictures in the colours that things of their look have.

Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016. A network tells a distribution over 313 colours at every
place; rare colours count more when it learns, so that it does not paint all in the grey mean of what is possible.
"""

import dataclasses
from typing import Annotated

from flax import nnx
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import colour as colour_metrics
from vision_gen.metrics import image as metrics
from vision_gen.nets import colorization as nets
from vision_gen.nets import layers
from vision_gen.ops import augment, colour, gamut, random
from vision_gen.pretrained import colorization as pretrained
from vision_gen.settings import Count, CountOrNone, Range, Share

# Pictures with no colour farther from grey than this teach nothing.
GREY = 5.0
SLOWEST = 1e-3  # Share of a step in the running distribution of colours.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of automatic colorization; the defaults are the paper's."""

    width: Count = 64  # Channels of the first block.
    uniform: Share = 0.5  # Of the uniform distribution in what rare colours are weighed by (lambda).
    temperature: Annotated[float, Range(0.01)] = 0.38  # Of the annealed mean.
    crop: CountOrNone = 0  # Side of the window of each picture that is trained on; 0: all of it.
    flip: bool = True


class Prior(nnx.Module):
    """The distribution of the colours that were trained on, as a running mean."""

    def __init__(self, bins):
        self.shares = nnx.BatchStat(jnp.full(bins, 1 / bins))

    def update(self, shares, step):
        """Takes in the distribution of a step, [bins]: the mean of all at first, later of the last thousand or so."""
        rate = jnp.maximum(1 / (step.astype(jnp.float32) + 1), SLOWEST)
        self.shares[...] += rate * (layers.across_devices(shares) - self.shares[...])


class Colorization(System):
    """One network, which learns by rebalanced cross-entropy (equations 2 to 4)."""

    title = "Automatic colorization"
    Settings = Settings
    players = ("network",)
    readers = {"network": pretrained.read}
    writers = {"network": pretrained.ECCV16_WRITERS}
    needs = {"colour": (None, None, 3)}
    columns = ("grey", "output", "truth")
    set_figures = ("auc_rebalanced", "auc_rebalanced_grey", "auc_rebalanced_mean")
    explained = {
        "psnr_grey": "psnr of the grey picture",
        "psnr_mean": "psnr of the picture in the mean colour of what was trained on",
        "auc": "area under the share of pixels whose colour errs less than x, x from 0 to 150; 1 is perfect",
        "auc_grey": "auc of grey",
        "auc_mean": "auc of the mean colour",
        "auc_rebalanced": "auc with every pixel counting inversely to how frequent its colour is in the set",
        "auc_rebalanced_grey": "auc_rebalanced of grey",
        "auc_rebalanced_mean": "auc_rebalanced of the mean colour",
        "colourfulness": "how colourful outputs are (Hasler & Süsstrunk); 0 is grey",
        "colourfulness_truth": "colourfulness of the truth",
    }
    legends = {"samples": "Held-out pictures in grey, the colours that are made up for them, and their own."}

    def __init__(self, experiment, *, rngs):
        self.model = nnx.static(experiment.model)
        self.network = nets.ECCV16(width=experiment.model.width, rngs=rngs)
        self.prior = Prior(len(gamut.in_gamut()))

    @classmethod
    def check(cls, experiment, source):
        check_sides(experiment)

    @classmethod
    def tools(cls, experiment, facts):
        return [
            Tool(
                "colorize",
                "Colours a grey picture; of a picture in colour, its lightness.",
                inputs={"image": values.Image()},
                outputs={"image": values.Image(lightness="image")},
                fitting=WholePicture(stride=nets.STRIDE, size=trained_at(experiment)),
            )
        ]

    def forward(self, batch, now):
        """logits, and the colours `ab` that they should give, [batch, height / 4, width / 4, 2]."""
        image = colour.from_uint8(batch["colour"])
        if self.model.crop:
            (image,) = augment.window(random.fold(now.keys, 0), image, size=self.model.crop)
        if self.model.flip:
            (image,) = augment.flip(random.fold(now.keys, 1), image)
        lightness, ab = colour.lightness_and_ab(image)
        logits = self.network(lightness, train=True)
        return {"logits": logits, "ab": ab[:, :: nets.COARSE, :: nets.COARSE]}

    def network_loss(self, out, batch, now):
        """Equation 2: a pixel counts as its nearest bin is rare; grey pictures do not."""
        bins = gamut.in_gamut()
        number, weight = gamut.encode(out["ab"], bins)
        coloured = jnp.any(jnp.abs(out["ab"]) > GREY, (1, 2, 3)).astype(jnp.float32)[:, None, None]
        self.prior.update(gamut.histogram(number, weight * coloured[..., None], len(bins)), now.step)
        counts = coloured * gamut.rarity(self.prior.shares[...], bins, self.model.uniform)[number[..., 0]]
        return {"cross_entropy": jnp.mean(counts * gamut.cross_entropy(out["logits"], number, weight))}

    def colorize(self, *, image):
        """Colours ab / 110 [batch, height, width, 2] for pictures [batch, height, width, 3] in [-1, 1]."""
        lightness, _ = colour.lightness_and_ab(image)
        return self.network.colours(self.network(lightness, train=False), self.model.temperature)

    def _held_out(self, batch):
        truth = colour.from_uint8(batch["colour"])
        return truth, self.colorize(image=truth) * gamut.REACH

    def sample(self, batch, keys):
        truth, ab = self._held_out(batch)
        return {
            "grey": colour.with_lightness_of(truth, jnp.zeros_like(ab)),
            "output": colour.with_lightness_of(truth, ab),
            "truth": truth,
        }

    def evaluate(self, batch, keys):
        """PSNR and area under the curve of the output, of grey and of the mean colour; colourfulness."""
        truth, ab = self._held_out(batch)
        mean = self.prior.shares[...].astype(jnp.float32) @ gamut.in_gamut()
        guesses = {"": ab, "_grey": jnp.zeros_like(ab), "_mean": jnp.broadcast_to(mean, ab.shape)}
        output = colour.with_lightness_of(truth, ab)
        return {
            **figures(truth, guesses),
            "colourfulness": colour_metrics.colourfulness(output),
            "colourfulness_truth": colour_metrics.colourfulness(truth),
        }

    @classmethod
    def summarise(cls, values, classes):
        return rebalanced(values)


def figures(truth, guesses):
    """Figures of guesses {end of their names: ab [batch, height, width, 2]}; their `by_colour` is for `rebalanced`."""
    _, ab = colour.lightness_and_ab(truth)
    near = {end: colour_metrics.accuracy(guess, ab) for end, guess in guesses.items()}
    found = {"by_colour": colour_metrics.by_colour(jnp.ones(ab.shape[:3]), ab)}
    for end, guess in guesses.items():
        found[f"psnr{end}"] = metrics.psnr(colour.with_lightness_of(truth, guess), truth)
        found[f"auc{end}"] = near[end].mean((1, 2))
        found[f"by_colour{end or '_output'}"] = colour_metrics.by_colour(near[end], ab)
    return found


def rebalanced(values):
    """`auc_rebalanced` of a whole set, by the ends of the names of what `figures` was given."""
    counts = values["by_colour"].sum(0)
    ends = [name.removeprefix("by_colour") for name in values if name.startswith("by_colour_")]
    area = lambda end: colour_metrics.rebalanced(values[f"by_colour{end}"].sum(0), counts)
    return {f"auc_rebalanced{'' if end == '_output' else end}": area(end) for end in ends}


def trained_at(experiment):
    """Pixels of the shorter side that was trained on."""
    return experiment.model.crop or min(experiment.data.resolution)


def check_sides(experiment):
    """Refuses sizes that the networks cannot take."""
    height, width = experiment.data.resolution
    stride, crop = nets.STRIDE, experiment.model.crop
    if height % stride or width % stride:
        raise InputError(f"config.data.size must be a multiple of {stride}, got {experiment.data.size}")
    if crop % stride or crop > min(height, width):
        raise InputError(f"config.model.crop must be a multiple of {stride}, and at most config.data.size, got {crop}")
