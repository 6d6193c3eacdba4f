"""VITON-HD's first stage: the regions of a person in a new garment (section 3.2).

A U-Net against a discriminator at two scales that sees what it was given too (least squares), and cross-entropy.
"""

import dataclasses
from typing import Annotated

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.engine.system import System
from vision_gen.nets.patchgan import MultiscaleDiscriminator
from vision_gen.nets.tryon import CLASSES, SEGMENTER_CHANNELS, Segmenter
from vision_gen.ops import losses, random, resample
from vision_gen.pretrained import tryon as pretrained
from vision_gen.settings import Count, NotNegative, Range
from vision_gen.systems.tryon import stages


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model`; the defaults are the released network's and the paper's."""

    width: Count = 64  # Channels of the network's first stage.
    levels: Annotated[int, Range(3)] = 5  # Its stages down.
    small: tuple[int, int] = (256, 192)  # (height, width) at which it looks.
    discriminator_width: Count = 64  # Channels of the discriminators' first convolutions.
    scales: Count = 2  # Discriminators, each of which sees maps of half the size.
    gan_weight: NotNegative = 1.0  # Of the adversarial term, least squares,
    entropy_weight: NotNegative = 10.0  # and of the cross-entropy, of logits as in HR-VITON; the paper says no more.


class Segmentation(System):
    """Discriminator, then the network, each step."""

    title = "Virtual try-on: the regions (VITON-HD)"
    Settings = Settings
    players = ("discriminator", "segmentation")
    readers = {"segmentation": pretrained.READERS["segmentation"]}
    writers = {"segmentation": pretrained.WRITERS["segmentation"]}
    needs = stages.NEEDS
    columns = ("image", "cloth", "kept", "found", "right")
    explained = {
        "iou": "intersection over union of the garment's region with the truth",
        "iou_all": "the same, mean of the classes that there are",
        "accuracy": "share of pixels of the right class",
        "accuracy_kept": "accuracy of what is handed in taken for the answer",
    }
    legends = {"samples": "kept: the regions that are handed in; found and right: of the person in the garment."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        self.segmentation = Segmenter(width=model.width, levels=model.levels, size=model.small, rngs=rngs)
        self.discriminator = MultiscaleDiscriminator(
            SEGMENTER_CHANNELS - 1 + CLASSES, width=model.discriminator_width, scales=model.scales, rngs=rngs
        )

    @classmethod
    def check(cls, experiment, source):
        stages.check_small(experiment, 2 ** (experiment.model.levels - 1))

    def forward(self, batch, now):
        """What the network is given, [batch, *small, 21], and its logits, [batch, *small, 13]."""
        given = stages.segmentation_input(stages.read(batch), self.segmentation.size, random.fold(now.keys, 0))
        logits = self.segmentation(given, random.fold(now.keys, 1)).astype(jnp.float32)
        return {"given": given, "logits": logits}

    def _truth(self, batch):
        """The right classes as maps [batch, *small, 13] of 0 and 1."""
        classes = stages.read(batch)["truth_classes"][..., None]
        return jax.nn.one_hot(resample.nearest(classes, self.segmentation.size)[..., 0], CLASSES)

    def _judged(self, out, shares, judge):
        found = self.discriminator(out["given"][..., :-1], shares, train=True)  # All but the noise.
        return self.model.gan_weight * sum(map(judge, found)) / len(found)

    def discriminator_loss(self, out, batch, now):
        look = lambda shares, real: self._judged(out, shares, lambda x: losses.gan(x, real, "least_squares"))
        return {"real": 0.5 * look(self._truth(batch), True), "fake": 0.5 * look(jax.nn.sigmoid(out["logits"]), False)}

    def segmentation_loss(self, out, batch, now):
        """Equations 1 and 2."""
        entropy = -jnp.sum(self._truth(batch) * jax.nn.log_softmax(out["logits"]), -1).mean()
        gan = self._judged(out, jax.nn.sigmoid(out["logits"]), lambda x: losses.fooled(x, "least_squares"))
        return {"gan": gan, "entropy": self.model.entropy_weight * entropy}

    def sample(self, batch, keys):
        given = stages.read(batch)
        found = stages.segmented(self.segmentation, given, keys)
        pictures = {"kept": given["kept"].argmax(-1), "found": found, "right": given["truth_classes"]}
        drawn = {name: stages.drawn(labels) for name, labels in pictures.items()}
        return {"image": given["image"], "cloth": given["cloth"], **drawn}

    def evaluate(self, batch, keys):
        """At the size of the data; of unpaired examples against the person in the garment, where that is known."""
        stages.check_known(batch)
        given = stages.read(batch)
        truth, found = given["truth_classes"], stages.segmented(self.segmentation, given, keys)
        alike = jnp.stack([stages.iou((found == i)[..., None], (truth == i)[..., None]) for i in range(CLASSES)], -1)
        there = jnp.stack([((found == i) | (truth == i)).any((1, 2)) for i in range(CLASSES)], -1)
        share = lambda x: jnp.mean((x == truth).astype(jnp.float32), (1, 2))
        return {
            "iou": alike[:, stages.UPPER_CLASS],
            "iou_all": jnp.sum(alike * there, -1) / jnp.sum(there, -1),
            "accuracy": share(found),
            "accuracy_kept": share(given["kept"].argmax(-1)),
        }
