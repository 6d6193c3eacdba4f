"""Image classification with a Vision Transformer (Dosovitskiy et al., ICLR 2021); see `resnet_classifier` for another.

Trained as its successors do (Touvron et al. 2021; Steiner et al. 2022): AdamW, warm-up, cosine,
RandAugment, mixup and CutMix, label smoothing, stochastic depth.

With `config.model.answers` the classes are the values of all traits of the data, a softmax for each trait.
"""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import confusion, sheets
from vision_gen.metrics import accuracy, groups
from vision_gen.nets import vit
from vision_gen.ops import augment, colour, rand_augment, random
from vision_gen.pretrained import vit as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Share

GROUPS = ("aligned", "conflicting", "unbiased", "worst_group")  # Figures of data with a bias.


@dataclasses.dataclass(frozen=True)
class Training:
    """What every network has of `config.model`; the defaults are Steiner et al.'s for ImageNet-1k, `medium2`."""

    classes: Count = 1000  # As many as the data has.
    answers: tuple[str, ...] = ()  # "trait=value" of each class: judges all traits of the data, not its label.
    label_smoothing: Share = 0.0  # Share of the target that is spread over all classes.
    crop_area: Share = 0.05  # Least share of an image that a random crop has; 1 is off.
    flip: bool = True  # Mirror half of the images.
    operations: CountOrNone = 2  # RandAugment: changes (of colour, shape) an image; 0 is off.
    magnitude: NotNegative = 15 / 3  # RandAugment: how strong they are, of 10.
    mixup: NotNegative = 0.2  # Blend pairs of images: alpha, larger is more; 0 is off.
    cutmix: NotNegative = 0.0  # Paste a part of another image: alpha, larger is more; 0 is off.


@dataclasses.dataclass(frozen=True)
class Settings(Training):
    """`config.model` of a ViT."""

    size: str | tuple[int, ...] = "B"  # "Ti", "S", "B", "L", "H", or width, MLP, heads, depth: (128, 256, 4, 4).
    patch: Count = 16  # Pixels along a patch's side.
    positions: Literal["learned", "sincos"] = "learned"  # Embeddings of where a patch lies; "sincos" is fixed.
    pool: Literal["token", "gap", "map"] = "token"  # How patches become one vector: class token, mean, or attention.
    dropout: Annotated[float, Range(0, 1, below=True)] = 0.1  # Share of activations that are dropped in training.
    drop_path: Annotated[float, Range(0, 1, below=True)] = 0.1  # Chance that the last block is left out.
    remat: Literal["none", "full", "dots"] = "none"  # Save memory, compute again: "full" all, "dots" all but products.
    unroll: Count = 1  # Blocks written out in one turn of a loop: 1 compiles fastest, all run fastest on CPU and GPU.


class Classifier(System):
    """One player, the network."""

    title = "Image classification (ViT)"
    Settings = Settings
    players = ("network",)
    readers = {"network": pretrained.read}
    needs = {"colour": (None, None, 3), "label": ()}
    writers = {"network": pretrained.WRITERS}
    columns = ("image", "attention")
    # Further tools that light an image, of this network alone.
    looks = {"attention": "Lights where in an image the decision looks, by attention rollout."}
    set_figures = ("worst_class_top1",)
    explained = {
        "aligned": "top1 of images whose bias is the one that goes with their label in training",
        "conflicting": "top1 of images whose bias goes with another label in training",
        "unbiased": "mean of top1 over all labels with all biases",
        "worst_group": "top1 of the label with the bias that is found least often",
        "top1": "share of images whose likeliest class is the right one; of several traits the mean",
        "top5": "share of images whose right class is among the five likeliest",
        "cross_entropy": "of the right class, in nats; lower is better",
        "worst_class_top1": "top1 of the class that is found least often",
    }
    legends = {
        "samples": "Held-out images, clear where the decision looks and grey elsewhere (attention rollout).",
        "predictions": "Held-out images under what they are taken for; those in red are something else.",
        "confusion": "What the images of each class were taken for: counts, dark for a large share of the class; of "
        "several traits, of the one that is found least often.",
    }

    def __init__(self, experiment, *, rngs):
        self.network = self.build(experiment, rngs=rngs)
        self.model = nnx.static(experiment.model)

    @classmethod
    def build(cls, experiment, *, rngs):
        """The network of an experiment."""
        model = experiment.model
        if len(set(experiment.data.resolution)) > 1:
            raise InputError(f"config.data.size must be that of a square for a ViT, got {experiment.data.size}")
        names = ("size", "patch", "classes", "positions", "pool", "dropout", "drop_path", "remat", "unroll")
        return vit.ViT(image=experiment.data.resolution[0], **{name: getattr(model, name) for name in names}, rngs=rngs)

    def trained(self, images, keys):
        """The network's logits of images [batch, height, width, 3] as in training; `keys` [batch]."""
        return self.network(images, keys)

    def _traits(self, logits):
        """The logits of each trait alone: a list of [batch, values]."""
        return [logits[:, of].astype(jnp.float32) for of in places(self.model).values()]

    def _truth(self, batch):
        """Which of its values each trait has, [batch, traits]; of the label alone, [batch, 1]."""
        return batch["traits"] if self.model.answers else batch["label"][:, None]

    def _targets(self, batch):
        """1 at the class that is the truth of each trait, [batch, classes]."""
        starts = jnp.array([of.start for of in places(self.model).values()])
        return jax.nn.one_hot(self._truth(batch) + starts, self.model.classes).sum(1)

    def _cross_entropy(self, logits, targets):
        """[batch], the mean of all traits."""
        log = [jax.nn.log_softmax(own) for own in self._traits(logits)]
        return -(targets * jnp.concatenate(log, -1)).sum(-1) / len(log)

    def _alone(self, of_traits):
        """Of [batch, traits] what there is of the label alone, [batch]."""
        return of_traits if self.model.answers else of_traits[:, 0]

    @classmethod
    def adapt(cls, attribute, name, value, like):
        return pretrained.adapt(name, value, like)

    @classmethod
    def check(cls, experiment, source):
        """As many classes as the data has, or the traits that it has."""
        model, found = experiment.model, source.classes
        if model.answers:
            found = answers(source.traits)
            if model.answers != found:
                traits = ", ".join(source.traits) or "of which it has none"
                others = ", ".join(sorted({*model.answers} ^ {*found})[:6]) or "none"
                raise InputError(
                    f"config.model.answers must be those of the data's traits, {traits}, in their order; not in both "
                    f"are {others}"
                )
        check_number_of_classes(found, experiment)

    @classmethod
    def tools(cls, experiment, facts):
        judged, classes = experiment.model.answers, tuple(facts["classes"])
        whose = {"label": values.Label(judged or classes, default=-1, instead="likeliest")}
        lit = {"picture": values.Image(lit="image")}
        shared = dict(inputs={"image": values.Image()}, fitting=cls.fitting(experiment))
        scores = {"scores": values.Traits(judged) if judged else values.Scores(classes)}
        return [
            Tool("classify", "Says what an image shows.", outputs=scores, **shared),
            Tool("grad_cam", "Lights what speaks for a class in an image.", outputs=lit, options=whose, **shared),
            *(Tool(name, doc, outputs=lit, **shared) for name, doc in cls.looks.items()),
        ]

    @classmethod
    def fitting(cls, experiment):
        """How images come to the network's size."""
        return CentralSquare(experiment.data.resolution[0], multiple=experiment.model.patch)

    def classify(self, *, image):
        """Probabilities [batch, classes] of images [batch, height, width, 3] in [-1, 1]."""
        return self._probabilities(self.network(image))

    def _probabilities(self, logits):
        return jnp.concatenate([jax.nn.softmax(own) for own in self._traits(logits)], -1)

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
        targets = self._targets(batch)
        counts = [of.stop - of.start for of in places(model).values()]
        targets += model.label_smoothing * (1 / np.repeat(counts, counts) - targets)
        if (model.mixup or model.cutmix) and len(images) % 2:
            raise InputError(
                f"mixup and CutMix need an even batch on every device, got {len(images)}; change "
                "config.train.batch_size or set config.model.mixup and config.model.cutmix to 0"
            )
        images, targets = rand_augment.mix(
            key(3), images, targets, mixup=model.mixup, cutmix=model.cutmix
        )
        return {"logits": self.trained(images, key(4)), "targets": targets}

    def network_loss(self, out, batch, now):
        """Cross-entropy against the smoothed and mixed labels, the mean of all traits."""
        return {"cross_entropy": self._cross_entropy(out["logits"], out["targets"]).mean()}

    def evaluate(self, batch, keys):
        """Top-1 and top-5 accuracy and cross-entropy; the label and the likeliest class.

        Of traits, top-1 accuracy of each by its name in the place of top-5 accuracy, and means of all. Of data with a
        bias also that, and whether the label `agrees` with it, for figures of groups alone.
        """
        logits, truth = self.network(colour.from_uint8(batch["colour"])), self._truth(batch)
        traits = dict(zip(places(self.model), self._traits(logits)))
        right = {name: accuracy.top_k(own, number, 1) for (name, own), number in zip(traits.items(), truth.T)}
        return {
            **(right if self.model.answers else {"top5": accuracy.top_k(traits["label"], batch["label"], 5)}),
            "top1": sum(right.values()) / len(right),
            "cross_entropy": self._cross_entropy(logits, self._targets(batch)),
            "label": self._alone(truth),
            "predicted": self._alone(self._likeliest(logits)),
            **({"bias": batch["bias"], "agrees": batch["aligned"]} if "bias" in batch else {}),
        }

    def look(self, batch, keys):
        """`predicted` [batch] and `features` [batch, width] of a batch, for what shows a whole set."""
        logits, inside = self.network(colour.from_uint8(batch["colour"]), intermediates=True)
        return {"predicted": self._alone(self._likeliest(logits)), "features": inside["pooled"]}

    def _likeliest(self, logits):
        """[batch, traits]."""
        return jnp.stack([own.argmax(-1) for own in self._traits(logits)], -1)

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        return cls.set_figures + (GROUPS if "bias" in returned else ())

    @classmethod
    def summarise(cls, values, classes):
        """`worst_class_top1`: the accuracy of the class with the least, of those that the set has; of any trait.

        Of data with a bias also `aligned`, `conflicting`, `unbiased` and `worst_group`; NaN of what the set lacks.
        """
        label, predicted = (values[name].reshape(len(values["label"]), -1).T for name in ("label", "predicted"))
        found = {"worst_class_top1": min(groups.worst_group(a == b, a)[1] for a, b in zip(label, predicted))}
        if "bias" in values:
            right, aligned = (label == predicted).mean(0), values["agrees"] == 1
            _, means = groups.group_means(right, label[0] * (values["bias"].max() + 1) + values["bias"])
            sides = (float(right[side].mean()) if side.any() else float("nan") for side in (aligned, ~aligned))
            found |= dict(zip(GROUPS, (*sides, float(means.mean()), float(means.min()))))
        return found

    @classmethod
    def figures(cls, model, source, values):
        """`predictions` of some examples, and `confusion`: what those of each class were taken for.

        Of traits, those of the one that is found least often.
        """
        sample = model.apply("sample", source, 24)
        drawn = {"predictions": cls._predictions(sample, source)}
        if values:
            label, predicted, classes = values["label"], values["predicted"], source.classes
            if label.ndim > 1:
                worst = int((label == predicted).mean(0).argmin())
                label, predicted, classes = label[:, worst], predicted[:, worst], list(source.traits.values())[worst]
            drawn["confusion"] = confusion.draw(label, predicted, classes)
        return drawn

    @staticmethod
    def _predictions(sample, source):
        texts, wrong = [], []
        for number, (label, found) in enumerate(zip(sample["label"], sample["predicted"])):
            if label.ndim:
                traits = zip(source.traits.values(), label, found)
                text = "; ".join(f"{names[a]}, taken for {names[b]}" for names, a, b in traits if a != b) or "all right"
            else:
                right, taken = source.classes[label], source.classes[found]
                text = f"is {right}" if found == label else f"is {right}, taken for {taken}"
                text += f" ({sample['probabilities'][number, found]:.0%})"
            texts.append(text)
            if (found != label).any():
                wrong.append(number)
        return sheets.sheet({"": sample["image"]}, {"": texts}, marked=wrong)

    def attention(self, *, image):
        """Where the decision on images [batch, height, width, 3] looks: [batch, h, w] of patches, 0 to 1, by rollout."""
        return self.seen(image)[1]

    def features(self, *, image):
        """What the last layer decides by, [batch, width] float32, of images [batch, height, width, 3] in [-1, 1]."""
        return self.network(image, intermediates=True)[1]["pooled"].astype(jnp.float32)

    def grad_cam(self, *, image, label=None):
        """What speaks for a class: Grad-CAM (Selvaraju et al., ICCV 2017), of a ViT by tokens before its last block.

        Args:
          image: [batch, height, width, 3] in [-1, 1].
          label: [batch], numbers of classes (with `config.model.answers` of answers); -1 or None is the likeliest.

        Returns:
          [batch, h, w] float32, by places of the network's last maps: 0, where nothing does, to 1.
        """
        return self._cam(image, label)[1]

    def _cam(self, images, label=None):
        """(logits, `grad_cam`) of images."""
        values, (rows, columns) = self.network.places(images)
        logits, back = jax.vjp(self.network.decide, values)
        likeliest = self._probabilities(logits).argmax(-1)
        label = likeliest if label is None else jnp.where(label < 0, likeliest, label)
        (slope,) = back(jax.nn.one_hot(label, logits.shape[-1], dtype=logits.dtype))
        values, slope = (x[:, -rows * columns :].astype(jnp.float32) for x in (values, slope))
        heat = jax.nn.relu(jnp.einsum("bpc,bc->bp", values, slope.mean(1)))
        heat = heat / jnp.maximum(heat.max(-1, keepdims=True), 1e-12)
        return logits, heat.reshape(-1, rows, columns)

    def seen(self, images):
        """(logits, what `columns` shows beside images, [batch, h, w], 0 to 1)."""
        logits, inside = self.network(images, intermediates=True)
        total = vit.rollout(inside["attention"])
        height, width = (side // self.model.patch for side in images.shape[1:3])
        # Of the class token where there is one, of the mean token otherwise.
        row = total[:, 0] if self.model.pool == "token" else total.mean(1)
        look = row[:, -height * width :].reshape(-1, height, width)
        low, high = (f(look, (1, 2), keepdims=True) for f in (jnp.min, jnp.max))
        return logits, (look - low) / jnp.maximum(high - low, 1e-9)

    def sample(self, batch, keys):
        """Images, and the same clear where the decision looks, grey elsewhere."""
        images = colour.from_uint8(batch["colour"])
        logits, look = self.seen(images)
        return {
            "image": images,
            self.columns[1]: colour.lit(images, look),
            "label": self._alone(self._truth(batch)),
            "predicted": self._alone(self._likeliest(logits)),
            "probabilities": self._probabilities(logits),
        }

    @classmethod
    def captions(cls, sample, classes):
        """The class, and the likeliest one with its probability; of traits, how many were found."""
        label, likeliest = sample["label"], sample["predicted"]
        if label.ndim > 1:
            right = (label == likeliest).sum(-1)
            return {cls.columns[1]: [f"{count} of {label.shape[-1]} traits right" for count in right]}
        shares = sample["probabilities"]
        return {
            "image": [f"is {classes[number]}" for number in label],
            cls.columns[1]: [f"{classes[number]} ({share[number]:.0%})" for number, share in zip(likeliest, shares)],
        }


def answers(traits):
    """What `config.model.answers` is for data of some traits, {name: names of its values}."""
    return tuple(f"{trait}={value}" for trait, values in traits.items() for value in values)


def places(model):
    """Where the logits of each trait are among all, {trait: slice}; {"label": all} where the label alone is judged.

    Args:
      model: `config.model` of a classifier; of one that judges what another system makes,
        `experiment.origin["judge"].model`.
    """
    found = {}
    for number, answer in enumerate(getattr(model, "answers", ())):  # Older runs have none.
        trait = answer.partition("=")[0]
        found[trait] = slice(found[trait].start if trait in found else number, number + 1)
    return found or {"label": slice(0, model.classes)}
