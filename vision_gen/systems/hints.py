"""Colorization by hints: grey pictures in the colours that a user puts down here and there.

Zhang, Zhu, Isola, Geng, Lin, Yu, Efros, "Real-Time User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH
2017. One network learns from simulated users (`ops.users`), who give anything from no hint to many.
"""

import dataclasses
from typing import Annotated

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import curves
from vision_gen.metrics import image as metrics
from vision_gen.nets import colorization as nets
from vision_gen.ops import augment, colour, gamut, random, regions, users
from vision_gen.pretrained import colorization as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Share
from vision_gen.systems import colorization

MOST = 40  # Hints of a picture that is trained on; the published number has no bound, and is larger once in 200.
COUNTS = (0, 1, 2, 5, 10, 20, 50)  # Of hints, that are evaluated.
SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of colorization by hints; the defaults are the published code's."""

    width: Count = 64  # Channels of the first block.
    by_class: Share = 0.0  # Of the run, the first part: classes move the trunk, without hints; then colours do.
    stop: Share = 0.125  # Users stop after each hint with this probability.
    sizes: tuple[int, int] = (1, 9)  # Least and largest side of a hint in pixels.
    strokes: Share = 0.0  # Of the hints, those that are strokes along regions; ours.
    wrong: Share = 0.0  # Of the hints, those whose colour is picked wrong; ours.
    rounds: CountOrNone = 0  # Up to so many further hints, each where the result errs most; ours.
    class_weight: NotNegative = 1.0
    colour_weight: NotNegative = 10.0
    mask_centre: Share = 0.5  # Taken from the mask of hints; siggraph17-df00044c.pth wants 0.
    crop: CountOrNone = 0  # Side that is trained on; 0: that of the pictures.
    crop_area: Annotated[float, Range(0.01, 1)] = 0.08  # Least share of the picture in the random window; 1 takes all.
    flip: bool = True

    def __post_init__(self):
        if not 1 <= self.sizes[0] <= self.sizes[1]:
            raise InputError(f"sizes must be two sides of at least 1, the larger one second, got {self.sizes}")


class Hints(System):
    """One network with two heads: classes of colours, and colours."""

    title = "Colorization by hints"
    Settings = Settings
    players = ("network",)
    readers = {"network": pretrained.read}
    writers = {"network": pretrained.SIGGRAPH17_WRITERS}
    needs = {"colour": (None, None, 3)}
    columns = ("grey", "automatic", "hints", "output", "corrections", "corrected", "truth")
    set_figures = ("auc_rebalanced", "auc_rebalanced_grey")
    explained = {
        "psnr": f"peak signal-to-noise ratio with {SHOWN} hints at random places, in dB",
        "psnr_grey": "psnr of the grey picture",
        "psnr_directed": f"psnr with {SHOWN} hints, each where the result errs most",
        "auc": f"area under the share of pixels whose colour errs less than x, x from 0 to 150, with {SHOWN} hints",
        "auc_grey": "auc of grey",
        "auc_rebalanced": "auc with every pixel counting inversely to how frequent its colour is in the set",
        "auc_rebalanced_grey": "auc_rebalanced of grey",
        **{f"psnr_{n}": f"psnr with {n} hints" for n in COUNTS if n != SHOWN},
    }
    legends = {
        "samples": f"Held-out pictures in grey, coloured without hints; {SHOWN} hints at random places, and what they make; "
        f"{SHOWN} where the result errs most, one after the other, and what they make; the truth.",
        "hints": "PSNR by the number of hints at random places, with the standard error.",
    }

    def __init__(self, experiment, *, rngs):
        self.model = nnx.static(experiment.model)
        self.network = nets.SIGGRAPH17(width=experiment.model.width, rngs=rngs)

    @classmethod
    def check(cls, experiment, source):
        colorization.check_sides(experiment)
        if experiment.model.sizes[1] > colorization.trained_at(experiment):
            raise InputError(f"config.model.sizes are larger than pictures, got {experiment.model.sizes}")

    @classmethod
    def tools(cls, experiment, facts):
        doc = "as a share of the shorter side, how far from hints a picture changes; 0: all of it is coloured anew"
        return [
            Tool(
                "colorize",
                "Colours a picture by hints; with reach, only around them.",
                inputs={"image": values.Image(), "hints": values.Scribble(least=0)},
                outputs={"image": values.Image(lightness="image")},
                options={"reach": values.Number(0, 1, 0.0, doc=doc)},
                fitting=WholePicture(stride=nets.STRIDE, size=colorization.trained_at(experiment)),
            )
        ]

    def colours(self, lightness, hints, **settings):
        """What the network gives for hints as of `users`."""
        mask = hints[..., 2:] - self.model.mask_centre
        return self.network(lightness, hints[..., :2], mask, **settings)

    def forward(self, batch, now):
        """colours and logits of the network, and `ab` [batch, height, width, 2] that they should give, ab / 110."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        image = colour.from_uint8(batch["colour"])
        if model.crop:
            (image,) = augment.window(key(0), image, size=model.crop)
        if model.crop_area < 1:
            image = augment.resized_crop(key(1), image, area=model.crop_area)
        if model.flip:
            (image,) = augment.flip(key(2), image)
        lightness, ab = colour.lightness_and_ab(image)
        ab = ab / gamut.REACH
        by_class = now.progress < model.by_class
        counts = jnp.where(by_class, 0, users.count(key(3), model.stop, MOST))
        hints = users.hints(
            key(4), ab, counts, most=MOST, sizes=model.sizes, strokes=model.strokes, wrong=model.wrong
        )
        rounds = jnp.where(by_class, 0, random.integers(key(5), 0, model.rounds + 1))
        for number in range(model.rounds):
            found, _ = lax.stop_gradient(self.colours(lightness, hints, train=False))
            hints = users.correction(hints, ab, found, given=number < rounds)
        found, logits = self.colours(lightness, hints, train=True, by_class=by_class.astype(jnp.float32))
        return {"colours": found, "logits": logits, "ab": ab}

    def network_loss(self, out, batch, now):
        """Cross-entropy of the nearest bin, and L1 of colours; grey pictures do not count."""
        ab = out["ab"]
        spread = jnp.sum(ab.max((1, 2)) - ab.min((1, 2)), -1) * gamut.REACH
        coloured = (spread >= colorization.GREY).astype(jnp.float32)[:, None, None]
        number = gamut.nearest(ab[:, :: nets.COARSE, :: nets.COARSE] * gamut.REACH)[..., None]
        entropy = gamut.cross_entropy(out["logits"], number, 1.0)
        distance = jnp.abs(out["colours"].astype(jnp.float32) - ab).sum(-1)
        return {
            "class": self.model.class_weight * jnp.mean(coloured * entropy),
            "colour": self.model.colour_weight * jnp.mean(coloured * distance),
        }

    def colorize(self, *, image, hints, reach):
        """Colours and how much of them counts, [batch, height, width, 3], as of `values.Image.lightness`.

        Args:
          image: [batch, height, width, 3] in [-1, 1].
          hints: RGBA [batch, height, width, 4], colours in [-1, 1], alpha 0 or 1.
          reach: [batch], how far from hints a picture changes, of its shorter side; 0: all of it.
        """
        found, _ = self._colours_of(image, hints)
        lightness, _ = colour.lightness_and_ab(image)
        mask = hints[..., 3:]
        reach = (reach * min(image.shape[1:3]))[:, None, None, None]
        # The last quarter fades.
        share = jnp.clip((1 - regions.distance(mask, lightness) / jnp.maximum(reach, 1e-6)) * 4, 0, 1)
        return jnp.concatenate([found, jnp.where(reach > 0, share, 1.0)], -1)

    def suggest(self, *, image, hints, reach):
        """Probabilities of colours, [batch, height / 4, width / 4, 529] by `gamut.grid`; as of `colorize`."""
        del reach  # It says where the picture changes, and nothing of its colours.
        _, logits = self._colours_of(image, hints)
        return jax.nn.softmax(logits.astype(jnp.float32), -1)

    def colorize_user(self, *, image, hints, reach, number):
        """What hints by hand are worth beside none, as many at random places, and as many where the result errs most.

        Args:
          image: [1, height, width, 3], in its own colours, which are the truth.
          hints, reach: as of `colorize`; all of the picture is coloured.
          number: [1], of hints; simulated ones are squares as large as those by hand are on average.

        Returns:
          {who: {"psnr" in dB, "covered", share of pixels under hints, "off", how far hints are from the truth in ab}}.
        """
        del reach
        lightness, ab = colour.lightness_and_ab(image)
        ab, number = ab / gamut.REACH, number[0]
        found = lambda hints: self.colours(lightness, hints, train=False)[0]

        def worth(hints):
            psnr = metrics.psnr(colour.with_lightness_of(image, found(hints) * gamut.REACH), image)[0]
            mask = hints[..., 2]
            off = jnp.linalg.norm(hints[..., :2] - ab, axis=-1) * gamut.REACH
            return {"psnr": psnr, "covered": mask.mean(), "off": jnp.sum(off * mask) / jnp.maximum(mask.sum(), 1)}

        mine = self._hints_of(hints)
        side = jnp.maximum(1, jnp.round(jnp.sqrt(mine[..., 2].sum() / number))).astype(jnp.int32)
        keys = jax.random.split(jax.random.key(0), users.DRAWS)[:, None]
        drawn = lambda keys: users.hints(keys, ab, number, most=users.BY_HAND, sizes=(side, side))
        directed = lax.fori_loop(0, number, lambda i, h: users.correction(h, ab, found(h)), users.none(ab))
        return {
            "no hints": {"psnr": worth(users.none(ab))["psnr"]},
            "by hand": worth(mine),
            "simulated": lax.map(lambda keys: worth(drawn(keys)), keys),
            "where it errs most": worth(directed),
        }

    def _colours_of(self, image, hints):
        """What the network gives for pictures and hints as of `colorize`."""
        lightness, _ = colour.lightness_and_ab(image)
        return self.colours(lightness, self._hints_of(hints), train=False)

    def _hints_of(self, hints):
        """Hints as of `users` of RGBA as of `colorize`."""
        _, ab = colour.lightness_and_ab(hints[..., :3])
        mask = hints[..., 3:]
        return jnp.concatenate([ab / gamut.REACH * mask, mask], -1)

    def _held_out(self, batch, keys):
        """(images, lightness, ab / 110, hints of a number of them, colours of hints)."""
        truth = colour.from_uint8(batch["colour"])
        lightness, ab = colour.lightness_and_ab(truth)
        ab, most = ab / gamut.REACH, max(COUNTS)
        size = max(1, round(6 / 256 * min(truth.shape[1:3])))  # As published: 6 of 256 pixels.
        given = lambda count: users.hints(keys, ab, count, most=most, sizes=(size, size))
        found = lambda hints: self.colours(lightness, hints, train=False)[0]
        return truth, lightness, ab, given, found

    def sample(self, batch, keys):
        truth, lightness, ab, given, found = self._held_out(batch, keys)
        over = lambda ab: colour.with_lightness_of(truth, ab * gamut.REACH)

        def seen(hints):
            light = jnp.where(hints[..., 2:] > 0, jnp.clip(lightness, -0.15, 0.3), 0.2 + 0.3 * lightness) * 100 + 50
            return colour.lab_to_rgb(jnp.concatenate([light, hints[..., :2] * gamut.REACH], -1)) * 2 - 1

        hints, corrections = given(SHOWN), self._corrections(ab, found)
        return {
            "grey": over(jnp.zeros_like(ab)),
            "automatic": over(found(users.none(ab))),
            "hints": seen(hints),
            "output": over(found(hints)),
            "corrections": seen(corrections),
            "corrected": over(found(corrections)),
            "truth": truth,
        }

    def _corrections(self, ab, found):
        """`SHOWN` hints, each where the result of those before errs most."""
        return lax.fori_loop(0, SHOWN, lambda i, hints: users.correction(hints, ab, found(hints)), users.none(ab))

    def evaluate(self, batch, keys):
        """PSNR by the number of hints, with hints where the result errs most, and what `colorization.figures` has."""
        truth, lightness, ab, given, found = self._held_out(batch, keys)
        made = lax.map(lambda count: found(given(count)), jnp.array(COUNTS))
        psnr = lambda ab: metrics.psnr(colour.with_lightness_of(truth, ab * gamut.REACH), truth)
        directed = found(self._corrections(ab, found))
        guesses = {"": made[COUNTS.index(SHOWN)] * gamut.REACH, "_grey": jnp.zeros_like(ab)}
        return {
            **colorization.figures(truth, guesses),
            **{f"psnr_{n}": psnr(made[i]) for i, n in enumerate(COUNTS) if n != SHOWN},
            "psnr_directed": psnr(directed),
        }

    @classmethod
    def summarise(cls, values, classes):
        return colorization.rebalanced(values)

    @classmethod
    def figures(cls, model, source, values):
        """`hints`: PSNR by the number of hints."""
        if not values:
            return {}
        by_count = [values["psnr" if n == SHOWN else f"psnr_{n}"] for n in COUNTS]
        return {"hints": curves.draw("hints", COUNTS, "PSNR in dB", by_count, {"grey": values["psnr_grey"]})}
