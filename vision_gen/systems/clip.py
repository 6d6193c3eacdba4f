"""CLIP (Radford et al., ICML 2021): pictures and texts, by which of a batch belong together.

The batch is that of all devices; each compares its own examples with all others.
"""

import dataclasses
import hashlib
import importlib.resources
from typing import Literal

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import sklearn.linear_model
import tqdm

from vision_gen import cache, data, values
from vision_gen.data import captioned, images
from vision_gen.engine.fitting import CentralSquare, Fitted
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import retrieval
from vision_gen.nets import clip, layers
from vision_gen.ops import augment, colour, losses, random
from vision_gen.pretrained import clip as pretrained
from vision_gen.settings import Count, CountOrNone, Share
from vision_gen.systems import texts

GROUP = 100  # Pictures among which the one that a caption belongs to is looked for.
TEMPLATES = str(importlib.resources.files("vision_gen.data") / "imagenet_templates.txt")


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model`; the defaults are ViT-B/32's."""

    embedding: Count = 512  # Numbers in a feature of a picture or text.
    image_layers: int | tuple[int, ...] = 12  # Blocks of a ViT; of a ResNet those of its four stages, (3, 4, 6, 3).
    image_width: Count = 768  # Of a ViT's tokens; of a ResNet's first stage.
    patch: CountOrNone = 32  # Pixels along the side of a ViT's patches; of a ResNet 0.
    text_layers: Count = 12
    text_width: Count = 512
    vocabulary: Count = 49_408  # Tokens, at least as many as the data's tokenizer has.
    head: Count = 64  # Width of an attention head.
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"  # Of the transformers; published weights need their own.
    crop_area: Share = 0.9  # Least share of a picture that a random crop has; 1 is off.
    chunk: Count = 4096  # Examples that are compared with all others at a time.
    remat: Literal["none", "full", "dots"] = "none"  # Save memory, compute again: "full" all, "dots" all but products.
    unroll: Count = 1  # Blocks written out in one turn of a loop: 1 compiles fastest, all run fastest on CPU and GPU.


def fields_of(sizes):
    """The fields of `Settings` and of `config.data` of `nets.clip.Sizes`: (model, data)."""
    sizes = dataclasses.asdict(sizes)
    of_data = dict(size=sizes.pop("image"), text_length=sizes.pop("length"))
    return sizes, of_data


def symmetric(image, text, scale, *, chunk=4096):
    """The loss of figure 3: of each picture which text is its own and of each text which picture, in the global batch.

    Args:
      image, text: features [batch, embedding] of this device's examples, of any length.
      scale: of their cosines.
      chunk: examples that are compared with all others at a time.
    """
    image, text = clip.unit(image), clip.unit(text)
    own = layers.own_part(jnp.arange(layers.across_devices_count(len(image))), len(image))
    directions = (image, text), (text, image)
    return sum(losses.contrastive(a, layers.all_devices(b), own, scale, chunk=chunk) for a, b in directions) / 2


class CLIP(System):
    """One player, both towers."""

    title = "Pictures and texts (CLIP)"
    Settings = Settings
    players = ("network",)
    readers = {"network": pretrained.read}
    needs = {"colour": (None, None, 3), "tokens": (None,)}
    writers = {"network": pretrained.WRITERS}
    columns = ("image", "found")
    evaluation_batch = 64
    explained = {
        "recall_at_1": f"share of captions whose picture is the nearest of {GROUP}; of all, where there are fewer",
        "recall_at_5": f"share of captions whose picture is among the five nearest of {GROUP}",
        "zero_shot": "share of what is asked about a picture in words that is answered rightly, of all questions",
        "linear_probe": "the same by logistic regression on features of one half of the pictures, of the other half",
    }
    legends = {"samples": "Held-out pictures, and the one of them that is nearest to the caption."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        if len(set(experiment.data.resolution)) > 1:
            raise InputError(f"config.data.size must be that of a square for CLIP, got {experiment.data.size}")
        names = [field.name for field in dataclasses.fields(clip.Sizes) if hasattr(model, field.name)]
        sizes = clip.Sizes(
            image=experiment.data.resolution[0],
            length=experiment.data.text_length,
            **{name: getattr(model, name) for name in names},
        )
        blocks = dict(activation=model.activation, remat=model.remat, unroll=model.unroll)
        self.network = clip.CLIP(sizes, **blocks, rngs=rngs)
        self.model = nnx.static(model)

    @classmethod
    def adapt(cls, attribute, name, value, like):
        return pretrained.adapt(name, value, like)

    @classmethod
    def check(cls, experiment, source):
        """The tokens of the data are in the vocabulary, and the batch is compared as a whole."""
        texts.check_vocabulary(experiment.model.vocabulary, source.tokenizer)
        if experiment.train.accumulate > 1 or experiment.config.players.network.shrink > 1:
            raise InputError(
                "config.train.accumulate and config.players.network.shrink must be 1: the loss compares all examples "
                'of a batch; config.model.remat="full" saves memory'
            )
        for name, overrides in experiment.evaluations.items():
            other, _ = data.evaluation(experiment.data, overrides, f"config.evaluations.{name}")
            theirs, ours = (_asked(of) or "nothing" for of in (other, experiment.data))
            if theirs != ours:
                raise InputError(
                    f"config.evaluations.{name}: {theirs} can be asked of it, but {ours} of config.data; figures must "
                    "be the same"
                )

    @classmethod
    def export_notes(cls, experiment):
        """What the files do not say."""
        if experiment.data.tokenizer == "clip":
            return ()
        tokenizer = experiment.data.tokenizer
        return (f"texts are numbered by {tokenizer}, which is not written; CLIP's own has other numbers",)

    @classmethod
    def tools(cls, experiment, facts):
        encode = texts.encoder(experiment, facts)
        fit = dict(size=experiment.data.resolution[0], multiple=experiment.model.patch or 32)
        image, text = values.Image(), values.Text(encode=encode)
        templates = values.Texts(TEMPLATES, commas=False, holds="{}", doc="sentences in which {} is the name")
        number = values.Number(1, 10_000, 10, whole=True, doc="how many are given")
        return [
            Tool(
                "similarity",
                "Says how well a text describes a picture.",
                inputs={"image": image, "text": text},
                outputs={"similarity": values.Number(-1, 1)},
                fitting=CentralSquare(**fit),
            ),
            Tool(
                "classify",
                "Says which of some names suits a picture.",
                inputs={"image": image, "names": values.Texts()},
                outputs={"scores": values.Scores()},
                options={"templates": templates},
                fitting=Prompts(**fit, encode=encode),
            ),
            Tool(
                "search",
                "Finds the pictures of a folder that a text describes, or that are like a picture.",
                inputs={"folder": values.Folder(), "query": values.Query()},
                outputs={"found": values.Ranking()},
                options={"number": number},
                fitting=Search(**fit, encode=encode),
            ),
        ]

    def similarity(self, *, image, text):
        """Cosines [batch] of pictures [batch, height, width, 3] in [-1, 1] and texts [batch, length]."""
        return jnp.sum(clip.unit(self.network.encode_image(image)) * clip.unit(self.network.encode_text(text)), -1)

    def classify(self, *, image, names, templates):
        """Probabilities [batch, names] of pictures; `names` [1, names, templates, length] are in their templates
        already.
        """
        classes = lax.map(self.network.encode_class, names[0])
        cosines = clip.unit(self.network.encode_image(image)) @ classes.T
        return jax.nn.softmax(self.network.temperature() * cosines, -1)

    def search(self, *, image, text, number):
        """Features of pictures and of texts."""
        return {"image": clip.unit(self.network.encode_image(image)), "text": clip.unit(self.network.encode_text(text))}

    def watched(self):
        return {"scale": self.network.temperature()}

    def forward(self, batch, now):
        """Features [batch, embedding] of both, of pictures that are cropped a little."""
        images = colour.from_uint8(batch["colour"])
        if self.model.crop_area < 1:
            images = augment.resized_crop(random.fold(now.keys, 0), images, area=self.model.crop_area)
        image = self.network.encode_image(images, train=True)
        return {"image": image, "text": self.network.encode_text(batch["tokens"])}

    def network_loss(self, out, batch, now):
        """Figure 3 of the paper."""
        scale = self.network.temperature()
        return {"contrastive": symmetric(out["image"], out["text"], scale, chunk=self.model.chunk)}

    def evaluate(self, batch, keys):
        """Features, and whether what is asked is answered rightly: `zero_shot_NAME`, and their mean `zero_shot`."""
        image = clip.unit(self.network.encode_image(colour.from_uint8(batch["colour"])))
        found = {"image": image, "text": clip.unit(self.network.encode_text(batch["tokens"]))}
        right = {}
        for name in [name.removeprefix("ask_") for name in batch if name.startswith("ask_")]:
            classes = lax.map(self.network.encode_class, batch[f"ask_{name}"][0])  # The same of all examples.
            truth = found[f"is_{name}"] = batch[f"is_{name}"]
            answer = jnp.argmax(image @ classes.T, -1)
            right[f"zero_shot_{name}"] = jnp.where(truth >= 0, answer == truth, jnp.nan).astype(jnp.float32)
        if right:
            found |= right | {"zero_shot": jnp.nanmean(jnp.stack(list(right.values())), 0)}
        return found | ({"is_label": batch["label"]} if "label" in batch and not right else {})

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        return ("recall_at_1", "recall_at_5", *(("linear_probe",) if _asked(experiment.data) else ()))

    @classmethod
    def summarise(cls, values, classes):
        """Recall of pictures by their captions, and of features that answer by logistic regression (section 3.2)."""
        groups = [slice(at, at + GROUP) for at in range(0, max(len(values["image"]) - GROUP, 0) + 1, GROUP)]
        recalls = [retrieval.recall_at_k(values["text"][of], values["image"][of], (1, 5)) for of in groups]
        found = {f"recall_at_{k}": float(np.mean([recall[k] for recall in recalls])) for k in (1, 5)}
        asked = [values[name] for name in values if name.startswith("is_")]
        return found | (
            {"linear_probe": float(np.nanmean([_probe(values["image"], of) for of in asked]))} if asked else {}
        )

    def sample(self, batch, keys):
        """Pictures, and for each caption the nearest of them."""
        images = colour.from_uint8(batch["colour"])
        image, text = self.network.encode_image(images), self.network.encode_text(batch["tokens"])
        cosines = clip.unit(text) @ clip.unit(image).T
        texts = {"text": batch["text"]} if "text" in batch else {}
        return {"image": images, "found": images[jnp.argmax(cosines, -1)], "similarity": cosines.max(-1), **texts}

    @classmethod
    def captions(cls, sample, classes):
        """The caption, and how similar the nearest picture is to it."""
        if "text" not in sample:
            return {}
        return {
            "image": captioned.written(sample["text"]),
            "found": [f"{cosine:.2f}" for cosine in sample["similarity"]],
        }


def _asked(settings):
    """What is known of examples beside their captions."""
    return list(data.asked(settings)) or ["label"] * ("label" in data.shapes(settings))


def _probe(features, truth):
    """Share of the second half that logistic regression on the first half gets right, with the published strength."""
    features, truth = features[truth >= 0], truth[truth >= 0]
    half = len(truth) // 2
    if len(np.unique(truth[:half])) < 2:
        return np.nan
    probe = sklearn.linear_model.LogisticRegression(C=0.316, max_iter=1000).fit(features[:half], truth[:half])
    return probe.score(features[half:], truth[half:])


@dataclasses.dataclass(frozen=True)
class Prompts(CentralSquare):
    """`CentralSquare` with names put into templates.

    Attributes:
      encode: function of a text that gives its tokens [1, length].
    """

    encode: object = None

    def fit(self, kinds, inputs, options, called=None):
        pictures = super().fit({"image": kinds["image"]}, {"image": inputs["image"]}, options, called)
        prompts = [
            [self.encode(text.replace("{}", name))[0] for text in read_templates(options)] for name in inputs["names"]
        ]
        return _FittedPrompts([{**pictures.parts[0], "names": np.stack(prompts)[None]}], inputs["names"])


def read_templates(options):
    """The option `templates`: sentences with {}; by default a path."""
    found = options["templates"]
    return values.Texts(commas=False).read(found, "templates") if isinstance(found, str) else found


class _FittedPrompts(Fitted):
    """Scores have the names that were given."""

    def __init__(self, parts, names):
        super().__init__(parts)
        self._names = names

    def option(self, kind, value, name):
        return None  # The templates are in the names.

    def output(self, kind, array):
        return dataclasses.replace(kind, names=self._names).value(array)


@dataclasses.dataclass(frozen=True)
class Search(CentralSquare):
    """All pictures of a folder beside one query; their features are kept by what the files contain."""

    encode: object = None

    def fit(self, kinds, inputs, options, called=None):
        query = inputs["query"]
        if options["size"] % self.multiple:
            raise InputError(f"size must be a multiple of {self.multiple}, got {options['size']}")
        pictures = _Pictures(options["size"])
        text = self.encode(query if isinstance(query, str) else "picture")
        picture = None if isinstance(query, str) else images.fit(query, options["size"])
        return _FittedSearch(inputs["folder"], pictures, text, picture, options["number"])


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """Pictures as the network takes them, so many at a time that one program serves all."""

    size: int
    TOGETHER = 16

    def array(self, found):
        """[TOGETHER, size, size, 3] in [-1, 1] of a list of uint8 pictures, grey behind them."""
        whole = np.full((self.TOGETHER, self.size, self.size, 3), 127.5, np.float32)
        for place, picture in zip(whole, found):
            place[:] = picture
        return whole / np.float32(127.5) - 1

    def read(self, path):
        return images.fit(images.read(path), self.size)


class _FittedSearch(Fitted):
    """The index of a folder."""

    def __init__(self, folder, pictures, text, picture, most):
        super().__init__([])
        self._names, self._paths = tuple(folder), list(folder.values())
        self._pictures, self._text, self._picture, self._most = pictures, text, picture, most

    def option(self, kind, value, name):
        return None  # It is for the result.

    def output(self, kind, array):
        return dataclasses.replace(kind, names=self._names, most=self._most).value(array)

    def each(self, call):
        def features(found):
            given = {"image": self._pictures.array(found), "text": self._text}
            return {name: np.asarray(part, np.float32) for name, part in jax.device_get(call(given)).items()}

        first = features([] if self._picture is None else [self._picture])
        query = first["text"][0] if self._picture is None else first["image"][0]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._paths]
        together = self._pictures.TOGETHER

        def index(numbers):
            starts = range(0, len(numbers), together)
            for at in tqdm.tqdm(starts, "indexing", disable=len(numbers) <= together):
                part = [self._pictures.read(self._paths[number]) for number in numbers[at : at + together]]
                yield from features(part)["image"][: len(part)]

        # What a grey picture looks like tells one network from another.
        place = cache.place("search", first["image"][-1], self._pictures.size, 1)
        return {"found": cache.features(place, digests, index)[None] @ query}
