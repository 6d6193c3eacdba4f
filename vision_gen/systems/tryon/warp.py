"""VITON-HD's second stage: a garment that lies flat, bent as it is worn (section 3.3).

A thin-plate spline of 5 x 5 control points is found from features that correspond; the bent garment shall be the worn
one, and neighbouring control points shall move alike.
"""

import dataclasses
from typing import Annotated

from flax import nnx
import jax.numpy as jnp

from vision_gen.engine.system import System
from vision_gen.metrics import image as metrics
from vision_gen.nets.tryon import Matcher
from vision_gen.ops import losses
from vision_gen.pretrained import tryon as pretrained
from vision_gen.settings import Count, NotNegative, Range
from vision_gen.systems.tryon import stages


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model`; the defaults are the released network's and the paper's."""

    width: Count = 64  # Channels of the first convolutions.
    levels: Count = 4  # Halvings before features are compared.
    small: tuple[int, int] = (256, 192)  # (height, width) at which it looks.
    points: Annotated[int, Range(3)] = 5  # Control points along a side.
    constraint_weight: NotNegative = 0.04  # Of the second-order difference constraint,
    slope_weight: NotNegative = 1.0  # in which slopes count so much beside lengths; the paper's number is not known.
    mask_weight: NotNegative = 0.0  # Of the absolute error of the bent mask: HR-VITON's, the paper has none.


class Warp(System):
    """One network."""

    title = "Virtual try-on: the garment, bent (VITON-HD)"
    Settings = Settings
    players = ("warp",)
    readers = {"warp": pretrained.READERS["warp"]}
    writers = {"warp": pretrained.WRITERS["warp"]}
    needs = stages.NEEDS
    columns = ("image", "cloth", "bent", "worn", "over")
    explained = {
        "iou": "intersection over union of the bent garment with where it is worn",
        "iou_uncovered": "the same but for where arms and hair are, which may lie over it",
        "iou_flat": "iou of the garment as it lies",
        "psnr": "of the bent garment where it is worn, the rest white",
        "psnr_flat": "the same of the garment as it lies",
    }
    legends = {"samples": "bent: the cloth as it shall be worn; worn: as it is; over: bent, laid on what is kept."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        self.warp = Matcher(
            width=model.width, levels=model.levels, size=model.small, points=model.points, rngs=rngs
        )

    @classmethod
    def check(cls, experiment, source):
        stages.check_small(experiment, 2**experiment.model.levels)

    def _bent(self, batch, train):
        """(what `stages.read` gives, `bent`, `bent_mask`, `moved`, and `upper` and `worn`, where and what it is)."""
        given = stages.read(batch)
        upper = stages.regions(given["truth_classes"])[..., stages.UPPER : stages.UPPER + 1]
        cloth, mask, moved = stages.bent(self.warp, upper, given, train)
        white = lambda picture, mask: picture * mask + (1 - mask)
        found = {"bent": white(cloth, mask), "bent_mask": mask, "moved": moved}
        return given, found | {"upper": upper, "worn": white(given["truth"], upper)}

    def forward(self, batch, now):
        """bent and worn [batch, height, width, 3], white around the garment; bent_mask, upper [..., 1]; moved."""
        return self._bent(batch, train=True)[1]

    def warp_loss(self, out, batch, now):
        """Equation 3."""
        model = self.model
        control = jnp.asarray(self.warp.control) + out["moved"]
        lengths, slopes = unevenness(control.reshape(-1, self.warp.points, self.warp.points, 2))
        terms = {
            "l1": losses.l1(out["bent"], out["worn"]),
            "constraint": model.constraint_weight * (lengths + model.slope_weight * slopes),
        }
        if model.mask_weight:
            terms["mask"] = model.mask_weight * losses.l1(out["bent_mask"], out["upper"])
        return terms

    def sample(self, batch, keys):
        given, found = self._bent(batch, train=False)
        over = jnp.where(found["bent_mask"] > 0.5, found["bent"], given["agnostic"])
        pictures = {name: given[name] for name in ("image", "cloth")}
        return pictures | {"bent": found["bent"], "worn": found["worn"], "over": over}

    def evaluate(self, batch, keys):
        """With the true region of the garment; of unpaired examples where that is known."""
        stages.check_known(batch)
        given, found = self._bent(batch, train=False)
        flat = given["cloth"] * given["mask"] + (1 - given["mask"])
        over = stages.regions(given["truth_classes"])[..., list(stages.OVER)].sum(-1, keepdims=True)
        return {
            "iou": stages.iou(found["bent_mask"], found["upper"]),
            "iou_uncovered": stages.iou(found["bent_mask"] * (1 - over), found["upper"]),
            "iou_flat": stages.iou(given["mask"], found["upper"]),
            "psnr": metrics.psnr(found["bent"], found["worn"]),
            "psnr_flat": metrics.psnr(flat, found["worn"]),
        }


def unevenness(control):
    """The second-order difference constraint (Yang et al., CVPR 2020): how unlike control points lie to both sides.

    Args:
      control: [batch, n, n, 2] places.

    Returns:
      (lengths, slopes): mean difference of the squared distances to the two neighbours of a row, and of a column; and
      of the slopes towards them, multiplied by both runs, as their code has them, so that none is divided by 0.
    """
    lengths = slopes = 0.0
    for axis in (1, 2):
        step = jnp.diff(control, axis=axis)
        count = step.shape[axis]
        first, second = (jnp.take(step, jnp.arange(i, count - 1 + i), axis) for i in (0, 1))
        lengths += jnp.mean(jnp.abs(jnp.sum(first**2, -1) - jnp.sum(second**2, -1)))
        slopes += jnp.mean(jnp.abs(first[..., 1] * second[..., 0] - first[..., 0] * second[..., 1]))
    return lengths, slopes
