"""Interactive enhancement of edges: colours that a colorizer bleeds over an edge end there, where a user scribbles.

Kim, Lee, Park et al., "Deep Edge-Aware Interactive Colorization against Color-Bleeding Effects", ICCV 2021. The
colorizer, of `systems.colorization` or `systems.hints`, stays as it is; a network adds to its features. Only the metric
was released: layers, weights of the loss and how users are simulated are ours.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import System, load_class
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import curves
from vision_gen.metrics import bleeding, masked
from vision_gen.nets import colorization as nets
from vision_gen.nets import edge_enhancer
from vision_gen.ops import augment, colour, gamut, guided, pool, random, sketch, users
from vision_gen.pretrained import colorization as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Share
from vision_gen.systems import colorization

COUNTS = (1, 2, 5, 10)  # Of scribbles, that are evaluated.
SHOWN = 5
GUIDED = dict(radius=4, epsilon=1e-4)  # The filter that is compared with, of lightness in units of 100.
ENDS = {n: "" if n == SHOWN else f"_{n}" for n in COUNTS}  # Of the names of their figures.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of the enhancement of edges; nothing of it is published, all is ours."""

    colorizer: Literal["siggraph17", "eccv16"] = "siggraph17"  # Network of published weights; a run's is what it is.
    block: Literal["block1", "block2", "block3", "block4", "block5", "block6", "block7"] = "block2"  # That is changed.
    width: Count = 64  # Channels of the first layer.
    stop: Share = 0.3  # Users stop after each scribble with this probability; there is one at least.
    most: Count = 8  # Scribbles of a picture that is trained on.
    reach: Share = 0.15  # Of a scribble to either side, as a share of the picture's shorter side.
    margins: tuple[int, int] = (1, 3)  # Least and most pixels that a scribble is wider than the edge, on either side.
    edge_weight: NotNegative = 10.0  # Of the difference of slopes inside scribbles.
    colour_weight: NotNegative = 1.0  # Of the difference of colours inside scribbles.
    regularisation_weight: NotNegative = 1.0  # Of what is added to features outside scribbles.
    crop: CountOrNone = 0  # Side of the window of each picture that is trained on; 0: all of it.
    flip: bool = True

    def __post_init__(self):
        if not 0 <= self.margins[0] <= self.margins[1]:
            raise InputError(f"margins must be two numbers of pixels, the larger one second, got {self.margins}")


class Edges(System):
    """One player, the network that is added to a frozen colorizer."""

    title = "Enhancement of edges"
    Settings = Settings
    players = ("enhancer",)
    readers = {"colorizer": pretrained.read}
    needs = {"colour": (None, None, 3)}
    columns = ("grey", "before", "scribbles", "output", "truth")
    set_figures = ("cdr_guided", *(f"cdr{before}{end}" for before in ("", "_before") for end in ENDS.values()))
    explained = {
        "outside": f"mean change outside {SHOWN} scribbles by the network, in grey levels of 255; the tool makes none",
        "psnr_inside_guided": "psnr_inside of what a guided filter makes of the colorizer's colours",
        "cdr_guided": "cdr of what a guided filter makes of the colorizer's colours",
        **{f"psnr_inside{end}": f"psnr of the pixels inside {n} scribbles" for n, end in ENDS.items()},
        **{f"psnr_inside_before{end}": f"psnr_inside{end} of what the colorizer gives" for n, end in ENDS.items()},
        **{f"cdr{end}": f"cluster discrepancy ratio inside {n} scribbles, 1 at best" for n, end in ENDS.items()},
        **{f"cdr_before{end}": f"cdr{end} of what the colorizer gives" for n, end in ENDS.items()},
    }
    legends = {
        "samples": f"Held-out pictures in grey, as the colorizer colours them, {SHOWN} scribbles along edges that it "
        "bleeds over, what is made of them, and the truth.",
        "scribbles": "What PSNR inside the scribbles gains by them, by their number, with the standard error.",
    }

    def __init__(self, experiment, *, rngs):
        self.model = nnx.static(experiment.model)
        origin, settings = experiment.origin.get("colorizer"), None
        if origin:
            self.colorizer = experiment.network("colorizer", rngs=rngs)
            settings = load_class(origin.system).Settings(**origin.model)
        else:
            published = {"siggraph17": nets.SIGGRAPH17, "eccv16": nets.ECCV16}
            self.colorizer = published[experiment.model.colorizer](rngs=rngs)
        if not isinstance(self.colorizer, (nets.SIGGRAPH17, nets.ECCV16)):
            raise InputError(
                "config.init.colorizer must be the network of a run of hints.Hints or colorization.Colorization, got "
                f"{origin.attribute!r} of one of {origin.system}"
            )
        # Of published weights the mask of hints is as it is, and the temperature the paper's.
        self.mask_centre = getattr(settings, "mask_centre", 0.0)
        self.temperature = getattr(settings, "temperature", 0.38)
        channel = getattr(self.colorizer, experiment.model.block).convs[-1].kernel.shape[-1]
        self.enhancer = edge_enhancer.EdgeEnhancer(channel, experiment.model.width, rngs=rngs)

    @classmethod
    def default_init(cls, settings):
        return {"colorizer": settings.colorizer}

    @classmethod
    def check(cls, experiment, source):
        colorization.check_sides(experiment)

    @classmethod
    def tools(cls, experiment, facts):
        return [
            Tool(
                "enhance",
                "Ends colours at edges that are scribbled on; grey pictures are coloured first, others change there only.",
                inputs={"image": values.Image(), "scribbles": values.Scribble()},
                outputs={"image": values.Image(lightness="image")},
                fitting=WholePicture(stride=nets.STRIDE, size=colorization.trained_at(experiment)),
            )
        ]

    def colours(self, lightness, edits=None):
        """(ab / 110 [batch, height, width, 2] by the colorizer without hints, its features that are to be changed).

        Args:
          lightness: [batch, height, width, 1].
          edits: of the colorizer.
        """
        network, how = self.colorizer, dict(train=False, edits=edits, intermediates=True)
        if isinstance(network, nets.ECCV16):
            logits, maps = network(lightness, **how)
            ab = network.colours(logits, self.temperature)
        else:
            hints = users.none(jnp.zeros((*lightness.shape[:3], 2)))
            (ab, _), maps = network(lightness, hints[..., :2], hints[..., 2:] - self.mask_centre, **how)
        return ab.astype(jnp.float32), maps[self.model.block]

    def enhanced(self, lightness, features, scribbles):
        """(ab / 110, what was added to the features, the share of each of their places that is scribbled on).

        Args:
          lightness: [batch, height, width, 1].
          features: from `colours`.
          scribbles: [batch, height, width, 1], 1 inside, else 0.
        """
        times = scribbles.shape[1] // features.shape[1]
        share = pool.average_pool(scribbles, times, stride=times)
        added = self.enhancer(features, share)
        return self.colours(lightness, {self.model.block: features + added})[0], added, share

    def forward(self, batch, now):
        """colours, `ab` that they should be, scribbles, what was `added` to features, the share of scribbles there."""
        model = self.model
        image = colour.from_uint8(batch["colour"])
        if model.crop:
            (image,) = augment.window(random.fold(now.keys, 0), image, size=model.crop)
        if model.flip:
            (image,) = augment.flip(random.fold(now.keys, 1), image)
        lightness, ab = colour.lightness_and_ab(image)
        ab = ab / gamut.REACH
        counts = 1 + users.count(random.fold(now.keys, 2), model.stop, model.most - 1)
        before, features = lax.stop_gradient(self.colours(lightness))
        scribbles = self._scribbles(random.fold(now.keys, 3), ab, before, counts, model.most)
        found, added, share = self.enhanced(lightness, features, scribbles)
        return {"colours": found, "ab": ab, "scribbles": scribbles, "added": added, "share": share}

    def _scribbles(self, keys, ab, before, counts, most):
        reach = round(self.model.reach * min(ab.shape[1:3]))
        return users.edges(keys, ab, before, counts, most=most, reach=reach, margins=self.model.margins)

    def enhancer_loss(self, out, batch, now):
        """Slopes and colours inside scribbles, and the square of what is added outside."""
        model, inside = self.model, out["scribbles"]
        far = out["colours"] - out["ab"]
        slopes = jnp.concatenate(sketch.slopes(far), -1)  # Those of a difference are the differences of slopes.
        mean = lambda x, where: jnp.mean(jnp.sum(x * where, (1, 2, 3)) / jnp.maximum(where.sum((1, 2, 3)), 1))
        outside = out["added"].astype(jnp.float32) ** 2 * (1 - out["share"])
        return {
            "edge": model.edge_weight * mean(jnp.abs(slopes), inside),
            "colour": model.colour_weight * mean(jnp.abs(far), inside),
            "regularisation": model.regularisation_weight * jnp.mean(outside),
        }

    def enhance(self, *, image, scribbles):
        """Colours and how much of them counts, [batch, height, width, 3], as of `values.Image.lightness`.

        Args:
          image: [batch, height, width, 3] in [-1, 1].
          scribbles: RGBA [batch, height, width, 4], alpha 0 or 1; colours do not count.
        """
        lightness, own = colour.lightness_and_ab(image)
        inside = scribbles[..., 3:]
        grey = jnp.all(jnp.abs(own) <= colorization.GREY, (1, 2, 3), keepdims=True)
        before, features = self.colours(lightness)
        ab = jnp.where(inside > 0, self.enhanced(lightness, features, inside)[0], before)
        return jnp.concatenate([ab, jnp.where(grey, 1.0, inside)], -1)

    def enhance_user(self, *, image, scribbles, number):
        """What scribbles by hand are worth beside as many simulated ones, each inside itself.

        Args:
          image: [1, height, width, 3], in its own colours, which are the truth.
          scribbles: as of `enhance`.
          number: [1], of scribbles.

        Returns:
          {who: {"psnr_inside", "psnr_inside_before" in dB, "covered", share of pixels under scribbles, "bleeding",
          share of these where an edge of the truth is lacking before}}.
        """
        lightness, ab = colour.lightness_and_ab(image)
        ab, (before, features) = ab / gamut.REACH, self.colours(lightness)
        lacks = users.lacking(ab, before) > users.MISSED
        over = lambda ab: colour.with_lightness_of(image, ab * gamut.REACH)

        def worth(scribbles):
            made = self.enhanced(lightness, features, scribbles)[0]
            return {
                "psnr_inside": masked.psnr(over(made), image, scribbles)[0],
                "psnr_inside_before": masked.psnr(over(before), image, scribbles)[0],
                "covered": scribbles.mean(),
                "bleeding": jnp.sum(lacks * scribbles) / jnp.maximum(scribbles.sum(), 1),
            }

        keys = jax.random.split(jax.random.key(0), users.DRAWS)[:, None]
        drawn = lambda keys: self._scribbles(keys, ab, before, number[0], users.BY_HAND)
        return {"by hand": worth(scribbles[..., 3:]), "simulated": lax.map(lambda keys: worth(drawn(keys)), keys)}

    def _held_out(self, batch, keys):
        """(images, their lightness and ab / 110, ab by the colorizer, function of a number: scribbles, ab by them)."""
        truth = colour.from_uint8(batch["colour"])
        lightness, ab = colour.lightness_and_ab(truth)
        ab, (before, features) = ab / gamut.REACH, self.colours(lightness)

        def after(count):
            scribbles = self._scribbles(keys, ab, before, count, max(COUNTS))
            return scribbles, self.enhanced(lightness, features, scribbles)[0]

        return truth, lightness, ab, before, after

    def sample(self, batch, keys):
        truth, _, ab, before, after = self._held_out(batch, keys)
        scribbles, made = after(SHOWN)
        over = lambda ab: colour.with_lightness_of(truth, ab * gamut.REACH)
        grey = over(jnp.zeros_like(ab))
        return {
            "grey": grey,
            "before": over(before),
            "scribbles": jnp.where(scribbles > 0, jnp.array([1.0, -0.6, -0.6]), 0.7 + 0.3 * grey),
            "output": over(jnp.where(scribbles > 0, made, before)),
            "truth": truth,
        }

    def evaluate(self, batch, keys):
        """PSNR inside scribbles by their number, NaN without any, the change outside, and maps for `summarise`."""
        truth, lightness, ab, before, after = self._held_out(batch, keys)
        filtered = guided.filtered(before, lightness, **GUIDED)
        scribbles, made = lax.map(after, jnp.array(COUNTS))
        over = lambda ab: colour.with_lightness_of(truth, ab * gamut.REACH)
        shown = COUNTS.index(SHOWN)
        inside = lambda ab, i: masked.psnr(over(ab), truth, scribbles[i])
        found = {"psnr_inside_guided": inside(filtered, shown)}
        for i, end in enumerate(ENDS.values()):
            found |= {f"psnr_inside{end}": inside(made[i], i), f"psnr_inside_before{end}": inside(before, i)}
        outside = 1 - scribbles[shown]
        change = jnp.abs(over(made[shown]) - over(before)).mean(-1, keepdims=True) * 127.5
        found["outside"] = jnp.sum(change * outside, (1, 2, 3)) / jnp.sum(outside, (1, 2, 3))
        by_picture = lambda x: jnp.moveaxis(x, 0, 1)
        maps = {"ab": ab, "before": before, "guided": filtered, "made": by_picture(made)}
        found |= {name: x.astype(jnp.float16) for name, x in maps.items()}
        return found | {"scribbles": by_picture(scribbles[..., 0] > 0)}

    @classmethod
    def summarise(cls, values, classes):
        """CDR, the mean of a and b, before and after."""
        found = {name: [] for name in cls.set_figures}
        maps = (values[name] for name in ("ab", "before", "guided", "made", "scribbles"))
        for ab, before, filtered, made, scribbles in zip(*maps):
            if not scribbles.any():
                continue
            truth, where, old = bleeding.clusters(ab), bleeding.edges(ab), bleeding.clusters(before)
            ratio = lambda clusters, i: np.mean(bleeding.of_parts(clusters, truth, where, scribbles[i]))
            found["cdr_guided"].append(ratio(bleeding.clusters(filtered), COUNTS.index(SHOWN)))
            for i, end in enumerate(ENDS.values()):
                found[f"cdr{end}"].append(ratio(bleeding.clusters(made[i]), i))
                found[f"cdr_before{end}"].append(ratio(old, i))
        return {name: float(np.mean(ratios)) if ratios else 1.0 for name, ratios in found.items()}

    @classmethod
    def figures(cls, model, source, values):
        """`scribbles`: the gain in PSNR by their number."""
        if not values:
            return {}
        gains = [values[f"psnr_inside{end}"] - values[f"psnr_inside_before{end}"] for end in ENDS.values()]
        return {"scribbles": curves.draw("scribbles", COUNTS, "gain in PSNR in dB", gains)}
