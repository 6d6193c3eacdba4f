"""StyleCLIP (Patashnik et al., ICCV 2021) without training: latents of StyleGAN2 are moved towards a text by CLIP.

`optimise` moves a latent, in W+ or in style space, until CLIP finds the text in the picture (section 4); `steer` moves
styles along a direction that stands for the change from one text to another (section 6; `directions`). Steps, rates and
weights are the released code's. That shows CLIP pictures in [-1, 1] as they are, made smaller by means over pixels;
`clip_input` "preprocessed" shows them as CLIP was trained.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from vision_gen import values
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import arcface, clip, stylegan2, vit
from vision_gen.ops import random, resample
from vision_gen.pretrained import arcface as pretrained_arcface
from vision_gen.pretrained import clip as pretrained_clip
from vision_gen.pretrained import stylegan2 as pretrained_stylegan2
from vision_gen.settings import Count, CountOrNone, NotNegative
from vision_gen.systems import frozen, judge, projection, texts
from vision_gen.systems.clip import TEMPLATES
from vision_gen.systems.styleclip import directions

TRUNCATION = 0.7  # Of latents that are drawn.
ADAM = optax.scale_by_adam()


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of StyleCLIP. The defaults are those of FFHQ at 1024 px and ViT-B/32; a network of a run has that
    run's settings.
    """

    clip_preset: Literal[tuple(clip.PRESETS)] = "ViT-B/32"  # Of published weights of CLIP, their sizes, and
    clip_activation: Literal["quick_gelu", "gelu"] = "quick_gelu"  # their activation.
    clip_input: Literal["published", "preprocessed"] = "published"  # "preprocessed": as CLIP was trained.
    z_size: Count = 512  # Of a published generator: these and those below.
    w_size: Count = 512
    mapping_layers: Count = 8
    channel_base: Count = 32768
    channel_max: Count = 512
    half_resolutions: CountOrNone = 0
    half: Literal["bfloat16", "float16"] = "bfloat16"
    conv_clamp: NotNegative = 0.0


class StyleCLIP(System):
    """A generator, a CLIP, and a network that tells faces apart if there is one; none learns."""

    title = "Changes by a text (StyleCLIP)"
    Settings = Settings
    readers = {
        "generator": pretrained_stylegan2.read_generator,
        "clip": pretrained_clip.read,
        "identity": pretrained_arcface.read,
    }

    def __init__(self, experiment, *, rngs):
        self.generator = _generator(experiment, rngs=rngs)
        self.clip = frozen.clip(experiment, rngs, activation=experiment.model.clip_activation)
        if "identity" in experiment.init:
            self.identity = _identity(experiment, rngs=rngs)
        self.clip_input = experiment.model.clip_input
        of_noise = [isinstance(layer, stylegan2.StyledConv) for layer in self.generator.synthesis.styled]
        self.movable = nnx.static(tuple(of_noise))  # Of the layers of style space, those that make no colours.

    @classmethod
    def adapt(cls, attribute, name, value, like):
        return pretrained_clip.adapt(name, value, like) if attribute == "clip" else None

    @classmethod
    def tools(cls, experiment, facts):
        encode = texts.clip_encoder(experiment)
        start = values.Start(latent_shape(experiment))
        text, image = values.Text(encode=encode), values.Image()
        weight = lambda default, doc: values.Number(0, 1e6, default, doc=doc)
        of_drawn = values.Number(-2, 2, TRUNCATION, doc="of a latent that is drawn: how far it is from the mean")
        # A vocabulary that was learned from captions knows few of the words of the published templates.
        templates = "{}" if encode.tokenizer else TEMPLATES
        identity = {}
        if "identity" in experiment.init:
            identity = {"identity_weight": weight(0.0, "of becoming somebody else; the paper has 0.005")}
        without = "" if identity else " Without a term of identity: config.init.identity names no network of faces."
        return [
            Tool(
                "optimise",
                f"Moves a latent until its picture is what a text says.{without}",
                inputs={"latent": start, "text": text},
                outputs={"image": image, "before": image, "latent": values.Latent(start.shape)},
                options={
                    "steps": values.Number(1, 100_000, 300, whole=True, doc="of Adam"),
                    "space": values.Choice(("w+", "s"), "w+", "what is moved: latents, or styles (gives no latent)"),
                    "free_generation": values.Choice(("no", "yes"), "no", "as with l2_weight=0: it need not stay near"),
                    "l2_weight": weight(0.008, "of squared distance from the start"),
                    **identity,
                    "learning_rate": values.Number(0, 100, projection.RATE, doc="of Adam, at its highest"),
                    "truncation": of_drawn,
                },
                turns="steps",
                unit="step",
                previews=True,
            ),
            Tool(
                "steer",
                "Changes a picture as one text is changed to another, by a direction of style space.",
                inputs={"latent": start, "neutral": values.Text(encode=encode), "target": text},
                outputs={"image": image, "before": image},
                options={
                    "strength": values.Number(-100, 100, 4.0, doc="alpha: how far, in deviations of the channels"),
                    "threshold": values.Number(0, 1, 0.15, doc="beta: relevance from which on a channel is moved"),
                    "templates": values.Texts(templates, commas=False, holds="{}", doc="sentences around both texts"),
                    "pictures": values.Number(1, 10_000, 100, whole=True, doc="that relevance is measured on, once"),
                    "truncation": of_drawn,
                },
                fitting=directions.Directions(encode, generator_size(experiment)),
                unit="channel",
            ),
        ]

    # What is moved.

    def drawn(self, seed, truncation=TRUNCATION, truncation_cutoff=None):
        """ws [batch, layers, w_size] of seeds [batch]."""
        z = random.normal(jax.vmap(jax.random.key)(seed), (self.generator.settings.z_size,))
        return self.generator.mapping(z, truncation=truncation, truncation_cutoff=truncation_cutoff)

    def _started(self, latent, truncation):
        """ws [1, layers, w_size] of a `values.Start`."""
        drawn = self.drawn(latent["seed"], jnp.where(latent["mean"], 0.0, truncation)[:, None, None])
        return jnp.where((latent["drawn"] | latent["mean"])[:, None, None], drawn, latent["latent"])

    def styles(self, ws):
        """Style space as one axis, [batch, channels], of ws [batch, layers, w_size]."""
        return jnp.concatenate(self.generator.synthesis.styles(ws), 1)

    def layers(self, styles):
        """`styles` by layer, a list of [batch, channel]."""
        widths = [layer.affine.kernel.shape[1] for layer in self.generator.synthesis.styled]
        return jnp.split(styles, np.cumsum(widths)[:-1], 1)

    @property
    def moves(self):
        """Of the channels of style space, whether they may be moved: bool [channels], not those that make colours."""
        widths = [layer.affine.kernel.shape[1] for layer in self.generator.synthesis.styled]
        return np.repeat(self.movable, widths)

    def paint(self, place):
        """Pictures [batch, size, size, 3] of ws [batch, layers, w_size] or of styles [batch, channels]."""
        synthesis = self.generator.synthesis
        return synthesis(place, "const") if place.ndim == 3 else synthesis.paint(self.layers(place), "const")

    # Losses, each [batch].

    def look(self, images):
        """CLIP's features of pictures, as `clip_input` shows them, of length 1."""
        side = 2 * (self.clip.sizes.image,)
        if self.clip_input == "preprocessed":
            return clip.unit(self.clip.encode_image(resample.resize(images, side, "cubic")))
        return clip.unit(self.clip.image(resample.area(images, side)))

    def unlike_text(self, images, text):
        """1 - the cosine of pictures and a text's feature [1, embedding] of length 1."""
        return 1 - jnp.sum(self.look(images) * text, -1)

    def unlike_face(self, images, face):
        """1 - the cosine of what tells the faces of pictures and features [batch, features] apart."""
        return 1 - jnp.sum(self.face(images) * face, -1)

    def face(self, images):
        """Features [batch, features] that tell faces apart, of length 1."""
        published = isinstance(self.identity, arcface.IRSE50)
        return clip.unit(self.identity.look(images) if published else judge.look(self.identity, images)[1])

    def read_text(self, text):
        """The feature [batch, embedding] of texts [batch, length], of length 1."""
        return clip.unit(self.clip.encode_text(text))

    # Optimisation of a latent.

    def optimise_begin(
        self, *, latent, text, space, free_generation, l2_weight, learning_rate, truncation, steps, identity_weight=None
    ):
        """The state before the first step; see the tool for what is given."""
        ws = self._started(latent, truncation)
        start = ws if space == "w+" else self.styles(ws)
        before = self.paint(start)
        stays = jnp.float32(free_generation == "no")
        state = {
            "place": start,
            "start": start,
            "before": before,
            "moments": ADAM.init(start),
            "text": self.read_text(text),
            "rate": learning_rate,
            "weights": {"l2": stays * l2_weight},
        }
        if identity_weight is not None:
            state["weights"]["identity"] = stays * identity_weight
            state["face"] = self.face(before)
        return state

    def loss(self, place, state):
        """What is made smaller, equation 1 of the paper: a scalar."""
        images, weights = self.paint(place), state["weights"]
        total = self.unlike_text(images, state["text"]) + weights["l2"] * jnp.sum((place - state["start"]) ** 2)
        if "identity" in weights:
            total = total + weights["identity"] * self.unlike_face(images, state["face"])
        return total.sum()

    def optimise_advance(self, state, now):
        """The state after one more step of Adam."""
        place = state["place"]
        slope = jax.grad(self.loss)(place, state)
        if place.ndim == 2:
            slope = jnp.where(self.moves, slope, 0.0)
        move, moments = ADAM.update(slope, state["moments"])
        return {**state, "place": place - projection.rate(now.progress, state["rate"]) * move, "moments": moments}

    def optimise_finish(self, state):
        place = state["place"]
        found = {"image": self.paint(place), "before": state["before"]}
        return found | ({"latent": place} if place.ndim == 3 else {})

    optimise_preview = optimise_finish

    # Directions of style space. What `directions` asks for, and what it does with it:

    def of_seeds(self, *, seed):
        """Styles [batch, channels] of seeds as directions are measured on: the later layers are not truncated."""
        return self.styles(self.drawn(seed, TRUNCATION, directions.TRUNCATED))

    def fingerprint(self, *, seed):
        """What tells one pair of networks from others: styles, and what CLIP sees; and which channels may be moved."""
        styles = self.of_seeds(seed=seed)
        return {"styles": styles, "seen": self._seen(styles), "moves": jnp.asarray(self.moves)}

    def _seen(self, styles):
        """CLIP's features of what a file of the picture would show it, of length 1."""
        side = 2 * (self.clip.sizes.image,)
        images = resample.resize(jnp.clip(self.paint(styles), -1, 1), side, "cubic")
        return clip.unit(self.clip.encode_image(images))

    def statistics(self, *, seed):
        """(mean, variance) [channels] of the styles of seeds."""
        styles = self.of_seeds(seed=seed)
        return styles.mean(0), styles.var(0)

    def differences(self, *, seed, mean, deviation, channel):
        """How CLIP sees channels move, [channels that are asked for, seeds, embedding] of length 1.

        Args:
          seed: [seeds], of pictures.
          mean, deviation: [channels], of `statistics`.
          channel: numbers of those that are moved, one at a time, from so far below the mean to so far above.
        """
        styles = self.of_seeds(seed=seed)

        def moved(by):
            to = (mean + by * deviation)[channel]
            return jax.vmap(lambda number, value: styles.at[:, number].set(value))(channel, to)

        both = jnp.stack([moved(-directions.REACH), moved(directions.REACH)])
        low, high = self._seen(both.reshape(-1, styles.shape[1])).reshape(2, len(channel), len(seed), -1)
        return clip.unit(high - low)

    def steer(
        self, *, latent, neutral, target, relevance, deviation, strength, threshold, truncation, templates, pictures
    ):
        """Pictures after and before, how many channels were moved, and how relevant the most relevant one is.

        Args:
          latent: of `values.Start`.
          neutral, target: tokens [1, templates, length].
          relevance: [channels, embedding], 0 where a channel is not to be moved.
          deviation: [channels], of `statistics`.
          strength, threshold, truncation: [1].
          templates, pictures: are in the others already.
        """
        change = clip.unit(self.clip.encode_class(target[0]) - self.clip.encode_class(neutral[0]))
        move, count, most = directions.direction(relevance, change, threshold)
        styles = self.styles(self._started(latent, truncation))
        after = self.paint(styles + strength[:, None] * move * deviation)
        return {"image": after, "before": self.paint(styles), "count": count, "most": most}


# What the networks are built of.


def _generator(experiment, *, rngs):
    size = experiment.data.resolution[0]
    if "generator" in experiment.origin:
        right = "the generator of a stylegan2.StyleGAN2"
        found = frozen.of_kind(experiment, "generator", stylegan2.Generator, right, rngs)
    else:
        fields = {field.name for field in dataclasses.fields(stylegan2.GeneratorSettings)}
        model = {name: value for name, value in dataclasses.asdict(experiment.model).items() if name in fields}
        found = stylegan2.Generator(stylegan2.GeneratorSettings(size=size, **model), rngs)
    if found.settings.classes:
        raise InputError(
            f"config.init.generator draws images of {found.settings.classes} classes; it must be one without"
        )
    if found.settings.size != size:
        raise InputError(
            f"config.data.size is {size}; the generator of config.init.generator has {found.settings.size}"
        )
    return found


def _identity(experiment, *, rngs):
    if "identity" not in experiment.origin:
        return arcface.IRSE50(rngs=rngs)
    right = "the network of a classifier.Classifier (runs/x:network), or a file of ArcFace's IR-SE50"
    return frozen.of_kind(experiment, "identity", vit.ViT, right, rngs)


def _generator_settings(experiment):
    return nnx.eval_shape(lambda: _generator(experiment, rngs=nnx.Rngs(0))).settings


def latent_shape(experiment):
    """(layers, w_size) of the generator's latents."""
    settings = _generator_settings(experiment)
    return settings.layers, settings.w_size


def generator_size(experiment):
    """Pixels of a side of its pictures."""
    return _generator_settings(experiment).size
