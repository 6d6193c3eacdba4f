"""Image classification with a Vision Transformer (Dosovitskiy et al., ICLR 2021).

Trained as its successors do (Touvron et al. 2021; Steiner et al. 2022): AdamW, warm-up, cosine,
RandAugment, mixup and CutMix, label smoothing, stochastic depth.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import confusion, sheets
from vision_gen.metrics import accuracy, groups
from vision_gen.nets import vit
from vision_gen.ops import augment, colour, rand_augment, random, resample
from vision_gen.pretrained import vit as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Share


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of the classifier; the defaults are Steiner et al.'s for ImageNet-1k, augmentation `medium2`."""

    size: str | tuple[int, ...] = "B"  # "Ti", "S", "B", "L", "H", or width, MLP, heads, depth: (128, 256, 4, 4).
    patch: Count = 16  # Pixels along a patch's side.
    classes: Count = 1000
    positions: Literal["learned", "sincos"] = "learned"
    pool: Literal["token", "gap", "map"] = "token"  # Class token, mean of the patches, attention with a learned query.
    dropout: Share = 0.1
    drop_path: Share = 0.1  # Stochastic depth of the last block; linearly less before.
    remat: Literal["none", "full", "dots"] = "none"  # Compute again in the backward pass: see `nets.vit.ViT`.
    unroll: Count = 1  # The number of blocks is faster on CPU, and moves less memory on GPU.
    label_smoothing: Share = 0.0
    crop_area: Share = 0.05  # Least share of an image that a random crop has; 1 is off.
    flip: bool = True
    operations: CountOrNone = 2  # Of RandAugment, each image.
    magnitude: NotNegative = 15 / 3
    mixup: NotNegative = 0.2  # Alpha; 0 is off.
    cutmix: NotNegative = 0.0  # Alpha; 0 is off.


class Classifier(System):
    """One player, the network."""

    Settings = Settings
    players = ("network",)
    readers = {"network": pretrained.read}
    needs = {"colour": (None, None, 3), "label": ()}
    writers = {"network": pretrained.WRITERS}
    columns = ("image", "attention")
    set_figures = ("worst_class_top1",)
    explained = {
        "top1": "share of images whose likeliest class is the right one",
        "top5": "share of images whose right class is among the five likeliest",
        "cross_entropy": "of the right class, in nats; lower is better",
        "worst_class_top1": "top1 of the class that is found least often",
    }
    legends = {
        "samples": "Held-out images, and light where the decision looks (attention rollout).",
        "predictions": "Held-out images under what they are taken for; those in red are something else.",
        "confusion": "What the images of each class were taken for: counts, dark for a large share of the class.",
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        if len(set(experiment.data.resolution)) > 1:
            raise InputError(f"config.data.size must be that of a square for a ViT, got {experiment.data.size}")
        names = ("size", "patch", "classes", "positions", "pool", "dropout", "drop_path", "remat", "unroll")
        self.network = vit.ViT(
            image=experiment.data.resolution[0], **{name: getattr(model, name) for name in names}, rngs=rngs
        )
        self.model = nnx.static(model)

    @classmethod
    def adapt(cls, attribute, name, value, like):
        return pretrained.adapt(name, value, like)

    @classmethod
    def check(cls, experiment, source):
        """As many classes as the data has."""
        check_number_of_classes(source, experiment)

    @classmethod
    def tools(cls, experiment, facts):
        return [
            Tool(
                "classify",
                "Says what an image shows.",
                inputs={"image": values.Image()},
                outputs={"scores": values.Scores(tuple(facts["classes"]))},
                fitting=CentralSquare(experiment.data.resolution[0], multiple=experiment.model.patch),
            )
        ]

    def classify(self, *, image):
        """Probabilities [batch, classes] of images [batch, height, width, 3] in [-1, 1]."""
        return jax.nn.softmax(self.network(image).astype(jnp.float32))

    def forward(self, batch, now):
        """Logits [batch, classes] of the augmented images, and the targets they should have."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        images = colour.from_uint8(batch["colour"])
        if model.crop_area < 1:
            images = augment.resized_crop(key(0), images, area=model.crop_area)
        if model.flip:
            (images,) = augment.flip(key(1), images)
        if model.operations:
            images = rand_augment.rand_augment(
                key(2), images, operations=model.operations, magnitude=model.magnitude
            )
        targets = jax.nn.one_hot(batch["label"], model.classes)
        targets += model.label_smoothing * (1 / model.classes - targets)
        if (model.mixup or model.cutmix) and len(images) % 2:
            raise InputError(
                f"mixup and CutMix need an even batch on every device, got {len(images)}; change "
                "config.train.batch_size or set config.model.mixup and config.model.cutmix to 0"
            )
        images, targets = rand_augment.mix(
            key(3), images, targets, mixup=model.mixup, cutmix=model.cutmix
        )
        return {"logits": self.network(images, key(4)), "targets": targets}

    def network_loss(self, out, batch, now):
        """Cross-entropy against the smoothed and mixed labels."""
        log = jax.nn.log_softmax(out["logits"].astype(jnp.float32))
        return {"cross_entropy": -jnp.mean((out["targets"] * log).sum(-1))}

    def evaluate(self, batch, keys):
        """Top-1 and top-5 accuracy and cross-entropy; the label and the likeliest class."""
        logits = self.network(colour.from_uint8(batch["colour"])).astype(jnp.float32)
        label = batch["label"]
        mine = jnp.take_along_axis(logits, label[:, None], 1)[:, 0]
        return {
            "top1": accuracy.top_k(logits, label, 1),
            "top5": accuracy.top_k(logits, label, 5),
            "cross_entropy": jax.nn.logsumexp(logits, -1) - mine,
            "label": label,
            "predicted": jnp.argmax(logits, -1),
        }

    @classmethod
    def summarise(cls, values, classes):
        """`worst_class_top1`: the accuracy of the class with the least, of those that the set has."""
        return {"worst_class_top1": groups.worst_group(values["top1"], values["label"])[1]}

    @classmethod
    def figures(cls, model, source, values):
        """`predictions` of some examples, and `confusion`: what those of each class were taken for."""
        sample = model.apply("sample", source, 24)
        drawn = {"predictions": cls._predictions(sample, source.classes)}
        if values:
            drawn["confusion"] = confusion.draw(values["label"], values["predicted"], source.classes)
        return drawn

    @staticmethod
    def _predictions(sample, classes):
        texts, wrong = [], []
        for number, (label, shares) in enumerate(zip(sample["label"], sample["probabilities"])):
            found = shares.argmax()
            text = f"is {classes[label]}" if found == label else f"is {classes[label]}, taken for {classes[found]}"
            texts.append(f"{text} ({shares[found]:.0%})")
            if found != label:
                wrong.append(number)
        return sheets.sheet({"": sample["image"]}, {"": texts}, marked=wrong)

    def sample(self, batch, keys):
        """Images, and what the decision is made of: attention rollout, light where it looks."""
        images = colour.from_uint8(batch["colour"])
        logits, inside = self.network(images, intermediates=True)
        total = vit.rollout(inside["attention"])
        patches = self.network.grid**2
        # Of the class token where there is one, of the mean token otherwise.
        row = total[:, 0] if self.model.pool == "token" else total.mean(1)
        look = row[:, -patches:].reshape(-1, self.network.grid, self.network.grid, 1)
        low, high = (f(look, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
        look = resample.resize((look - low) / jnp.maximum(high - low, 1e-9), images.shape[1:3])
        return {
            "image": images,
            "attention": (images + 1) * (0.15 + 0.85 * look) - 1,
            "label": batch["label"],
            "probabilities": jax.nn.softmax(logits.astype(jnp.float32)),
        }

    @classmethod
    def captions(cls, sample, classes):
        """The class, and the likeliest one with its probability."""
        likeliest = sample["probabilities"].argmax(-1)
        return {
            "image": [f"is {classes[label]}" for label in sample["label"]],
            "attention": [
                f"{classes[label]} ({share[label]:.0%})" for label, share in zip(likeliest, sample["probabilities"])
            ],
        }
