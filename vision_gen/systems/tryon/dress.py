"""VITON-HD whole: a person in another garment, by the three networks one after the other."""

import dataclasses

import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import AtSize
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.nets.tryon import AliasGenerator, Matcher, Segmenter
from vision_gen.ops import random, resample
from vision_gen.pretrained import tryon as pretrained
from vision_gen.settings import Count, CountOrNone
from vision_gen.systems.tryon import stages


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model`; the defaults are the released networks'. Networks of runs are as these have built them."""

    small: tuple[int, int] = (256, 192)  # (height, width) at which the first two networks look.
    segmentation_width: Count = 64  # Channels of the first stage of the network that finds regions,
    warp_width: Count = 64  # and of the first convolutions of the one that bends the garment.
    # Channels of the painter's blocks; each but the first has a map of twice the size of that before it.
    widths: tuple[int, ...] = (1024, 1024, 1024, 512, 256, 128, 64, 32)
    masked: CountOrNone = 5  # So many of them, the first, normalise apart where the garment does not reach.
    hidden: Count = 128  # Channels of what regions are made into at each normalisation.
    added: Count = 16  # Channels of the input that each block is given.


class TryOn(System):
    """Three networks that others have trained: published files, or runs of the three stages."""

    title = "Virtual try-on (VITON-HD)"
    Settings = Settings
    readers = pretrained.READERS
    writers = pretrained.WRITERS
    columns = ("image", "cloth", "agnostic", "regions", "warped", "output", "truth")
    explained = {
        "psnr_person": "psnr of the person as it is",
        "ssim_person": "ssim of the person as it is",
        "psnr_pasted": "psnr of the flat garment, fitted to the box of the found region and pasted",
        "ssim_pasted": "ssim of the same",
        "iou": "intersection over union of the garment's found region with the truth",
        "iou_warped": "intersection over union of the bent garment with the true region",
        "iou_flat": "the same of the garment as it lies",
        "iou_reach": "intersection over union of the bent garment with the found region",
    }
    legends = {
        "samples": "agnostic: what is kept of the person; regions: found, of the person in the cloth; warped: the "
        "cloth, bent; truth: the person in the cloth, or where nobody knows that, the person.",
    }
    evaluation_batch = 8

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        build = {
            "segmentation": lambda: Segmenter(width=model.segmentation_width, size=model.small, rngs=rngs),
            "warp": lambda: Matcher(width=model.warp_width, size=model.small, rngs=rngs),
            "synthesis": lambda: AliasGenerator(
                widths=model.widths, masked=model.masked, hidden=model.hidden, added=model.added, rngs=rngs
            ),
        }
        for name, make in build.items():
            trained = name in experiment.origin
            setattr(self, name, experiment.network(name, rngs=rngs) if trained else make())

    @classmethod
    def check(cls, experiment, source):
        """Refuses data of a size that a network cannot take."""
        built = lambda name: experiment.origin[name].model if name in experiment.origin else experiment.model
        stride = 2 ** (len(built("synthesis").widths) - 1)
        parts = dict(segmentation=built("segmentation").small, warp=built("warp").small, synthesis=(stride, stride))
        for name, part in parts.items():
            if any(n % m for n, m in zip(experiment.data.resolution, part)):
                right = f"a multiple of {tuple(part)} for the network {name}"
                raise InputError(f"config.data.size must be {right}, got {experiment.data.size}")

    @classmethod
    def tools(cls, experiment, facts):
        TryOn.check(experiment, None)
        return [
            Tool(
                "dress",
                "Shows a person in a garment.",
                inputs={"person": values.Person(), "cloth": values.Garment()},
                outputs={
                    "image": values.Image(),
                    "agnostic": values.Image(),
                    "regions": values.Image(),
                    "warped": values.Image(),
                    "missed": values.Mask(),
                    "mask": values.Mask(),
                },
                options={"seed": values.Seed()},
                fitting=AtSize(experiment.data.resolution),
                titles={
                    "image": "The person in the garment",
                    "agnostic": "What is kept of the person",
                    "regions": "The regions that are found",
                    "warped": "The garment, bent",
                    "missed": "Where it does not reach",
                    "mask": "The garment's mask",
                },
            )
        ]

    def dress(self, *, person, cloth, seed):
        """The picture and what led to it.

        Args:
          person: dict of uint8 [batch, height, width, *]: image, pose, parse, agnostic, parse_agnostic.
          cloth: dict of such: cloth, cloth_mask.
          seed: [batch] of noise.

        Returns:
          image; agnostic, what was kept of the person; regions, found; warped, the garment on white; missed, where it
          does not reach; mask, the garment's as it was read or made.
        """
        given = stages.read({**person, **cloth})
        found = self._dressed(given, jax.vmap(jax.random.key)(seed))
        return {
            "image": found["image"],
            "agnostic": given["agnostic"],
            "regions": stages.drawn(found["classes"]),
            "warped": found["warped"] * found["mask"] + (1 - found["mask"]),
            "missed": found["missed"],
            "mask": given["mask"],
        }

    def _dressed(self, given, keys):
        """What the three networks give: classes, regions, warped, mask, missed, image."""
        classes = stages.segmented(self.segmentation, given, random.fold(keys, 0))
        regions = stages.regions(classes)
        warped, mask, _ = stages.bent(self.warp, regions[..., stages.UPPER : stages.UPPER + 1], given)
        seen = stages.synthesis_input(regions, warped, mask, given)
        image = self.synthesis(*seen, random.fold(keys, 1))
        return dict(classes=classes, regions=regions, warped=warped, mask=mask, missed=seen[-1], image=image)

    def sample(self, batch, keys):
        given = stages.read(batch)
        found = self._dressed(given, keys)
        pictures = {name: given[name] for name in ("image", "cloth", "agnostic", "truth")}
        warped = found["warped"] * found["mask"] + (1 - found["mask"])
        return pictures | {"regions": stages.drawn(found["classes"]), "warped": warped, "output": found["image"]}

    def evaluate(self, batch, keys):
        """PSNR and SSIM of the picture beside the truth, and how well garments and regions lie on it.

        Of unpaired examples whose truth is known also the same of two pictures that cost nothing; of those whose truth
        is not known only how well the garment lies on the found region.
        """
        given = stages.read(batch)
        found = self._dressed(given, keys)
        upper = found["regions"][..., stages.UPPER : stages.UPPER + 1]
        reach = {"iou_reach": stages.iou(found["mask"], upper)}
        if "unpaired" in batch:
            return reach
        truth = (given["truth_classes"] == stages.UPPER_CLASS)[..., None]
        pictures = {"": found["image"]}
        if "truth" in batch:
            pictures |= {"_person": given["image"], "_pasted": pasted(given, upper)}
        figures = {
            f"{name}{what}": getattr(metrics, name)(picture, given["truth"])
            for what, picture in pictures.items()
            for name in ("psnr", "ssim")
        }
        return figures | reach | {
            "iou": stages.iou(upper, truth),
            "iou_warped": stages.iou(found["mask"], truth),
            "iou_flat": stages.iou(given["mask"], truth),
        }


def pasted(given, upper):
    """People with the flat garment over them, stretched so that its box is that of a region [..., 1]."""

    def box(mask):
        """(first, last + 1) of columns and rows, [batch, 2] each."""
        along = (jnp.any(mask[..., 0] > 0.5, axis) for axis in (1, 2))
        ends = lambda x: (jnp.argmax(x, 1), x.shape[1] - jnp.argmax(x[:, ::-1], 1))
        return (jnp.stack(found, -1).astype(jnp.float32) for found in zip(*map(ends, along)))

    size = upper.shape[1:3]
    (first, last), (first_flat, last_flat) = box(upper), box(given["mask"])
    pixels = (resample.identity_grid(*size) + 1) / 2 * jnp.float32(size[::-1])
    at = lambda x: x[:, None, None]
    share = (pixels - at(first)) / at(last - first)
    place = (at(first_flat) + share * at(last_flat - first_flat)) / jnp.float32(size[::-1]) * 2 - 1
    layer = resample.grid_sample(jnp.concatenate([given["cloth"], given["mask"]], -1), place)
    return jnp.where(layer[..., 3:] > 0.5, layer[..., :3], given["image"])
