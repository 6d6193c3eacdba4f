"""DALL-E's second stage: a transformer that goes on from a text with the codes of a picture (section 2.2, appendix B)."""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.data import captioned, source
from vision_gen.engine.fitting import CentralSquare, Fitting
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import clip, dalle, dvae
from vision_gen.ops import colour, losses, random, resample, sampling
from vision_gen.pretrained import clip as clip_pretrained
from vision_gen.pretrained import dalle as pretrained
from vision_gen.settings import Count, CountOrNone, Range, Share
from vision_gen.systems import classifier, frozen, judge, texts
from vision_gen.systems.dalle.autoencoder import sizes_of, usage

BEST_OF = 8  # Pictures of a caption that CLIP chooses from, in the figure of that name.
Temperature = Annotated[float, Range(1e-2)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of the transformer; the defaults are the published ones."""

    vocabulary: Count = 16_384  # Tokens of texts, at least as many as the data's tokenizer has.
    width: Count = 3968
    depth: Annotated[int, Range(2)] = 64
    head: Count = 64  # Width of an attention head.
    kernel: Count = 11  # Side of the neighbourhood that the last block looks at, in codes, odd.
    sandwich: bool = True  # Normalise what each block adds, too: bfloat16 then suffices.
    text_share: Share = 1 / 8  # Of the loss; the rest is the picture's.
    remat: Literal["none", "full", "dots"] = "none"  # Save memory, compute again: "full" all, "dots" all but products.
    unroll: Count = 1  # Blocks written out in one turn of a loop: 1 compiles fastest, all run fastest on CPU and GPU.
    temperature: Temperature = 1.0  # Of draws, unless a tool is asked otherwise; less makes likely codes likelier.
    top_k: CountOrNone = 0  # Of draws: only so many of the likeliest codes; 0: all.
    top_p: Annotated[float, Range(1e-3, 1)] = 1.0  # Of draws: the likeliest codes that have this probability together.
    clip_preset: Literal[tuple(clip.PRESETS)] = "ViT-B/32"  # What config.init.clip is, where it is a published file.


class DALLE(System):
    """One player, the transformer; the autoencoder, the judge and CLIP are frozen."""

    title = "Pictures of texts (DALL-E)"
    Settings = Settings
    players = ("transformer",)
    readers = {
        "encoder": pretrained.read,
        "decoder": pretrained.read,
        "clip": clip_pretrained.read,
        "judge": None,
    }
    needs = {"colour": (None, None, 3), "tokens": (None,)}
    columns = ("truth", "codes", "output", "another")
    protocol_figures = (f"agreement_best_of_{BEST_OF}",)
    explained = {
        "text_entropy": "of a token of a text, in nats; lower is better",
        "image_entropy": "of a code of a picture, in nats; lower is better",
        "agreement": "share of the traits named in captions that the judge finds in the pictures drawn for them",
        "agreement_truth": "share of the traits named in captions that the judge finds in the real pictures",
        f"agreement_best_of_{BEST_OF}": f"agreement of those pictures of {BEST_OF} for each caption that CLIP chooses",
        "code_perplexity": "how many codes, each as often, would be as various as those of the pictures drawn",
        "code_perplexity_truth": "how many codes, each as often, would be as various as those of the real pictures",
    }
    legends = {"samples": "Held-out pictures over their captions, what is left of them as codes, and two drawn for each caption."}

    def __init__(self, experiment, *, rngs):
        model, data = experiment.model, experiment.data
        self.model = nnx.static(model)
        kinds = {"encoder": dvae.Encoder, "decoder": dvae.Decoder}
        self.encoder, self.decoder = (_part(experiment, name, kind, rngs) for name, kind in kinds.items())
        if self.encoder.sizes != self.decoder.sizes:
            raise InputError(
                f"config.init.decoder must be of the sizes of config.init.encoder, {self.encoder.sizes}, got "
                f"{self.decoder.sizes}"
            )
        names = ("vocabulary", "width", "depth", "head", "kernel", "sandwich", "remat", "unroll")
        self.transformer = dalle.Transformer(
            text_length=data.text_length,
            codes=self.encoder.sizes.vocabulary,
            grid=_grid(experiment, self.encoder.sizes),
            **{name: getattr(model, name) for name in names},
            rngs=rngs,
        )
        if "clip" in experiment.init:
            self.clip = frozen.clip(experiment, rngs)
        if "judge" in experiment.origin:
            self.judge = experiment.network("judge", rngs=rngs)
            self.judged = nnx.static(tuple((of.start, of.stop) for of in judge.traits(experiment.origin["judge"]).values()))

    @classmethod
    def check(cls, experiment, source):
        texts.check_vocabulary(experiment.model.vocabulary, source.tokenizer)
        for name in ("encoder", "decoder"):
            if name not in experiment.init:
                raise InputError(
                    f"config.init.{name} must be the autoencoder's, a run of dalle.DVAE (runs/dvae:{name}) or the released "
                    f"{name}.pkl, got nothing"
                )
        if "judge" in experiment.origin:
            origin = experiment.origin["judge"]
            found = classifier.answers(source.traits) if "traits" in source.shapes else ()
            if not found or tuple(getattr(origin.model, "answers", ())) != found:
                raise InputError(
                    "config.init.judge must be a classifier.Classifier of all traits of the data, with "
                    f"{len(found)} answers in all, got {origin.run}: {origin.system}, "
                    f"{len(getattr(origin.model, 'answers', ()))} answers"
                )

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        found = ("code_perplexity", "code_perplexity_truth")
        return found + ("agreement", "agreement_truth") * ("judge" in experiment.origin)

    @classmethod
    def tools(cls, experiment, facts):
        model, encode = experiment.model, texts.encoder(experiment, facts)
        if "clip" in experiment.init:
            both = encode, texts.clip_encoder(experiment, cut=True)
            encode = lambda text: np.concatenate([encode(text) for encode in both], 1)
        number = values.Number(1, 512, 8 if "clip" in experiment.init else 1, whole=True, static=True, doc="pictures that are drawn")
        options = {
            "number": number,
            "temperature": values.Number(0.01, 10, model.temperature, doc="less makes likely codes likelier"),
            "top_k": values.Number(0, 10**6, model.top_k, whole=True, doc="so many of the likeliest codes alone; 0: all"),
            "top_p": values.Number(0.001, 1, model.top_p, doc="the likeliest codes that have this probability together"),
            "seed": values.Seed(),
        }
        given = {"share": values.Number(0, 1, 0.5, doc="how much of the picture is given, from its top")}
        outputs = {"image": values.Image(), "all": values.Clip(rate=2.0)}
        if "clip" in experiment.init:
            outputs["similarity"] = values.Number(-1, 1, doc="of the text to the picture, by CLIP, which has chosen it")
        grid = _grid(experiment, _sizes(experiment, "encoder"))
        how = dict(outputs=outputs, turns=grid[0], unit="row", previews=True)
        text = values.Text(encode=encode)
        return [
            Tool("generate", "Draws a picture that a text describes.", inputs={"text": text}, options=options, **how),
            Tool(
                "complete",
                "Draws the lower part of a picture, as a text describes it.",
                inputs={"text": text, "image": values.Image()},
                options={**given, **options},
                fitting=_OfOneSize(experiment.data.resolution),
                **how,
            ),
        ]

    # Draws.

    def _chosen(self, keys, given=None, count=0, **restrictions):
        """For `Transformer.draw`: codes drawn by keys [batch], but the first `count` of `given` [batch or 1, codes]."""

        def choose(logits, place):
            drawn = sampling.draw(random.fold(keys, place), sampling.restricted(logits, **restrictions))
            return drawn if given is None else jnp.where(place < count, given[:, place], drawn)

        return choose

    def _drawn(self, tokens, keys):
        """Codes [batch, codes] for texts [batch, text_length], by keys [batch]."""
        restrictions = {name: getattr(self.model, name) for name in ("temperature", "top_k", "top_p")}
        state = self.transformer.begin(tokens)
        return self.transformer.draw(state, 0, self.transformer.places, self._chosen(keys, **restrictions))["codes"]

    def _images(self, codes):
        """Images [batch, height, width, 3] in [-1, 1] of codes [batch, codes]."""
        return self.decoder.images(codes.reshape(len(codes), *self.transformer.grid))

    def _codes(self, images):
        return self.encoder.codes(images).reshape(len(images), -1)

    def _similarity(self, images, text):
        """Cosines [batch] of images and texts [batch or 1, length], which CLIP's tokenizer has numbered."""
        side = self.clip.sizes.image
        image = clip.unit(self.clip.encode_image(resample.resize(images, (side, side))))
        return jnp.sum(image * clip.unit(self.clip.encode_text(text)), -1)

    # Tools.

    def generate_begin(self, *, text, number, temperature, top_k, top_p, seed, image=None, share=None):
        """Nothing drawn yet; a row of codes a turn. `text` [1, tokens] has CLIP's tokens behind its own."""
        tokens, for_clip = text[:, : self.transformer.text_length], text[:, self.transformer.text_length :]
        drawn = jax.tree.map(lambda x: jnp.repeat(x, number, 0), self.transformer.begin(tokens))
        given, count = drawn["codes"][:1], jnp.int32(0)
        if image is not None:
            rows, columns = self.transformer.grid
            given, count = self._codes(image), (jnp.round(share[0] * rows) * columns).astype(jnp.int32)
        restrictions = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return {"drawn": drawn, "given": given, "count": count, "restrictions": restrictions, "clip": for_clip}

    complete_begin = generate_begin

    def generate_advance(self, state, now):
        """One more row."""
        keys = jax.vmap(lambda number: jax.random.fold_in(now.keys[0], number))(jnp.arange(len(state["drawn"]["codes"])))
        choose = self._chosen(keys, state["given"], state["count"], **state["restrictions"])
        columns = self.transformer.grid[1]
        return {**state, "drawn": self.transformer.draw(state["drawn"], now.step * columns, columns, choose)}

    def generate_finish(self, state):
        """All pictures; with CLIP those first that it finds like the text."""
        images, found = self._images(state["drawn"]["codes"]), {}
        if hasattr(self, "clip"):
            similarity = self._similarity(images, state["clip"])
            order = jnp.argsort(-similarity)
            images, found = images[order], {"similarity": similarity[order[:1]]}
        return {"image": images[:1], "all": images[None], **found}

    complete_advance, complete_finish = generate_advance, generate_finish
    generate_preview = complete_preview = generate_finish

    # Training.

    def forward(self, batch, now):
        """Logits, and the tokens that they should give."""
        codes = self._codes(colour.from_uint8(batch["colour"]))
        text, image = self.transformer(batch["tokens"], codes)
        return {"text": text, "image": image, "tokens": self.transformer.padded(batch["tokens"])[:, 1:], "codes": codes}

    def transformer_loss(self, out, batch, now):
        """Cross-entropy of texts, padding included, and of pictures, each over its own tokens."""
        share = self.model.text_share
        return {
            "text": share * losses.cross_entropy(out["text"], out["tokens"]).mean(),
            "image": (1 - share) * losses.cross_entropy(out["image"], out["codes"]).mean(),
        }

    # Figures.

    def sample(self, batch, keys):
        images, count = colour.from_uint8(batch["colour"]), len(keys)
        both = jnp.concatenate([random.fold(keys, 0), random.fold(keys, 1)])
        drawn = self._images(self._drawn(jnp.tile(batch["tokens"], (2, 1)), both))
        shown = {"truth": images, "codes": self.decoder.images(self.encoder.codes(images))}
        text = {"text": batch["text"]} if "text" in batch else {}
        return {**shown, "output": drawn[:count], "another": drawn[count:], **text}

    @classmethod
    def captions(cls, sample, classes):
        return {"truth": captioned.written(sample["text"])} if "text" in sample else {}

    def evaluate(self, batch, keys):
        """Entropies of the real pictures; codes of those drawn, and what the judge finds in them."""
        out = self.forward(batch, None)
        drawn = self._drawn(batch["tokens"], random.fold(keys, 0))
        found = {
            "text_entropy": losses.cross_entropy(out["text"], out["tokens"]).mean(-1),
            "image_entropy": losses.cross_entropy(out["image"], out["codes"]).mean(-1),
            "codes": drawn,
            "codes_truth": out["codes"],
            "vocabulary": jnp.full(len(drawn), self.encoder.sizes.vocabulary),
        }
        if hasattr(self, "judge"):
            found["right"] = self._right(self._images(drawn), batch)
            found["right_truth"] = self._right(colour.from_uint8(batch["colour"]), batch)
        return found

    def _right(self, images, batch):
        """Whether the judge finds each trait in images, [batch, traits] float32; NaN of what captions do not name."""
        logits, _ = judge.look(self.judge, images)
        found = jnp.stack([jnp.argmax(logits[:, slice(*of)], -1) for of in self.judged], -1)
        return jnp.where(batch["named"], (found == batch["traits"]).astype(jnp.float32), jnp.nan)

    @classmethod
    def summarise(cls, values, classes):
        count = int(values["vocabulary"][0])
        found = {
            "code_perplexity": usage(values["codes"], count)[0],
            "code_perplexity_truth": usage(values["codes_truth"], count)[0],
        }
        if "right" in values:
            found |= {"agreement": _mean(values["right"]), "agreement_truth": _mean(values["right_truth"])}
        return found

    def best_of(self, batch, keys):
        """`right` as `_right`, of those pictures of `BEST_OF` for each caption that CLIP chooses by `clip_tokens`."""
        number, batched = jnp.arange(BEST_OF), len(keys)
        each = jax.vmap(lambda n: random.fold(keys, n))(number).reshape(-1)
        images = self._images(self._drawn(jnp.tile(batch["tokens"], (BEST_OF, 1)), each))
        similarity = self._similarity(images, jnp.tile(batch["clip_tokens"], (BEST_OF, 1)))
        best = jnp.argmax(similarity.reshape(BEST_OF, batched), 0)
        images = images.reshape(BEST_OF, batched, *images.shape[1:])[best, jnp.arange(batched)]
        return {"right": self._right(images, batch)}

    @classmethod
    def protocol(cls, names, model, source, real, extractor, progress):
        experiment = model.experiment
        if "clip" not in experiment.init or "judge" not in experiment.origin:
            raise InputError(f"--metrics: {names[0]} needs config.init.clip and config.init.judge")
        examples = _WithClip(source, texts.clip_encoder(experiment, cut=True))
        parts = model.each("best_of", examples, progress(f"drawing {BEST_OF} of each"))
        right = np.concatenate([part["right"] for part in parts])
        return {names[0]: {"mean": _mean(right), "what": cls.explained[names[0]], "images": len(right)}}


def _mean(right):
    """Of the traits that are named; NaN where none is."""
    return float(np.nanmean(right)) if np.isfinite(right).any() else float("nan")


class _WithClip(source.Source):
    """Examples with their captions as CLIP's tokens beside them, `clip_tokens`."""

    def __init__(self, inner, encode):
        self._inner, self._encode = inner, encode
        self.classes, self.skipped = inner.classes, inner.skipped
        tokens = encode(inner.caption(0))[0]
        self.shapes = inner.shapes | {"clip_tokens": source.ShapeDtype(tokens.shape, tokens.dtype)}

    def __len__(self):
        return len(self._inner)

    def __getitem__(self, index):
        return self._inner[index] | {"clip_tokens": self._encode(self._inner.caption(index))[0]}

    def name(self, index):
        return self._inner.name(index)


@dataclasses.dataclass(frozen=True)
class _OfOneSize(CentralSquare):
    """The central part of a picture, in the size of training, for which there are places."""

    def options(self, inputs):
        return Fitting.options(self, inputs)

    def fit(self, kinds, inputs, options, called=None):
        return super().fit(kinds, inputs, {**options, "size": int(np.min(self.size))}, called)


def _sizes(experiment, name):
    """The `nets.dvae.Sizes` of the encoder or decoder: those of its run, or the published ones."""
    if name not in experiment.origin:
        return dvae.Sizes()
    other = experiment.other(name)
    return sizes_of(other.model) if hasattr(other.model, "groups") else dvae.Sizes()  # Refused when it is built.


def _part(experiment, name, kind, rngs):
    """The frozen encoder or decoder."""
    if name not in experiment.origin:
        return kind(dvae.Sizes(), rngs=rngs)
    return frozen.of_kind(experiment, name, kind, f"the {name} of a dalle.DVAE", rngs)


def _grid(experiment, sizes):
    """(rows, columns) of codes."""
    if any(side % sizes.factor for side in experiment.data.resolution):
        raise InputError(
            f"config.data.size must be a multiple of {sizes.factor}, what a code stands for, got {experiment.data.size}"
        )
    return tuple(side // sizes.factor for side in experiment.data.resolution)
