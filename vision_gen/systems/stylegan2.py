"""StyleGAN2 (Karras et al., CVPR 2020) with adaptive discriminator augmentation (Karras et al., NeurIPS 2020).

As in the reference implementation, the discriminator sees real and generated images through augmentations of probability p,
which rises while it is too sure of the real ones and falls while it is not; and each player draws images of its own.
"""

import dataclasses
from typing import Literal

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.system import Player, System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.metrics import patches, perceptual
from vision_gen.nets import layers, stylegan2 as nets
from vision_gen.ops import ada_augment, augment, colour, losses, random, resample
from vision_gen.pretrained import features, stylegan2 as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, Share
from vision_gen.systems import film, path_length, projection

# Steps after which the augmentation's probability is adjusted.
ADJUSTED_EVERY = 4
MIXED = 4, 6  # Rows and columns of mixtures.
# Settings of each network that images are compared by, and the layers.
PERCEPTUAL = {
    "efficientnet-lite0": ({}, perceptual.EFFICIENT_LAYERS),
    "vgg16": ({"classes": 0}, perceptual.LPIPS_LAYERS["vgg16"]),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of StyleGAN2; the defaults are the reference's for 1024 px ("stylegan2")."""

    classes: CountOrNone = 0  # Of the data's labels; 0: none.
    z_size: Count = 512
    w_size: Count = 512
    mapping_layers: Count = 8
    channel_base: Count = 32768  # A map of side n has channel_base / n channels, but
    channel_max: Count = 512  # this many at most.
    half_resolutions: CountOrNone = 4  # So many of the highest resolutions are computed in
    half: Literal["bfloat16", "float16"] = "bfloat16"  # this type, on any hardware.
    conv_clamp: NotNegative = 256.0  # Convolutions give at most so much; 0: anything.
    architecture: Literal["residual", "skip", "orig"] = "residual"  # Of the discriminator.
    label_layers: CountOrNone = 8  # Of its mapping of labels.
    group: CountOrNone = 4  # Images whose deviation the discriminator sees together; 0: all.
    frozen: CountOrNone = 0  # Of the discriminator's convolutions, from the image on, those that do not learn (Freeze-D).
    style_mixing: Share = 0.9  # Of the images, those that have two latents.
    r1_weight: NotNegative = 10.0  # The papers' gamma.
    path_length_weight: NotNegative = 2.0
    path_length_decay: Share = 0.01  # Of what is new in the mean length.
    perceptual: Literal["none", "efficientnet-lite0", "vgg16"] = "none"  # Measures path lengths, and guides projections.
    flip: bool = False  # Mirror real images at random.
    augmentation: Literal["adaptive", "fixed", "none"] = "adaptive"
    pipeline: Literal[tuple(ada_augment.PIPELINES)] = "bgc"
    probability: Share = 0.0  # Of "fixed" augmentations.
    target: Share = 0.6  # Of "adaptive" ones: share of real images taken for such, over that of the others.
    adaptive_images: Count = 500_000  # In which p can rise from 0 to 1.

    def __post_init__(self):
        if self.probability and self.augmentation != "fixed":
            raise InputError(f'probability is of augmentation="fixed", not of {self.augmentation!r}; leave it 0')


class Augmentation(nnx.Module):
    """The probability p of augmentations, and how surely real images were known for such since it last moved."""

    def __init__(self, probability):
        self.probability = nnx.BatchStat(jnp.float32(probability))
        self.signs = nnx.BatchStat(jnp.zeros(2))  # Sum of the logits' signs, and their number.
        self.overfitting = nnx.BatchStat(jnp.zeros(()))  # r_t, their mean when it last moved.
        self.adjusted = nnx.BatchStat(jnp.int32(0))  # The step.

    def see(self, logits):
        """Notes what the discriminator says of real images."""
        signs = jnp.sign(jax.lax.stop_gradient(logits))
        self.signs[...] += jnp.stack([signs.sum(), jnp.float32(signs.size)])

    def adjust(self, step, target, change):
        """Once every few steps, moves p by `change` where r_t is above `target`, and back where it is below."""
        due = (step % ADJUSTED_EVERY == 0) & (step != self.adjusted[...])
        total, number = self.signs[...]
        found = jnp.where(due, total / jnp.maximum(number, 1), self.overfitting[...])
        moved = jnp.clip(self.probability[...] + jnp.sign(found - target) * change, 0, 1)
        self.probability[...] = jnp.where(due, moved, self.probability[...])
        self.signs[...] = jnp.where(due, 0, self.signs[...])
        self.overfitting[...] = found
        self.adjusted[...] = jnp.where(due, step, self.adjusted[...]).astype(jnp.int32)


class StyleGAN2(System):
    """Discriminator, its gradient penalty, generator, its path lengths."""

    title = "Image generation (StyleGAN2)"
    Settings = Settings
    players = (
        "discriminator",
        Player("r1", modules=("discriminator",), forward="none", lazy=True),
        # Judged by the very images that the discriminator has just learned of, it learns worse.
        Player("generator", forward="own"),
        Player("path_length", modules=("generator",), forward="none", lazy=True),
    )
    readers = {
        "generator": pretrained.read_generator,
        "discriminator": pretrained.read_discriminator,
        "perceptual": features.read,
    }
    writers = {"generator": pretrained.GENERATOR_WRITERS, "discriminator": pretrained.DISCRIMINATOR_WRITERS}
    needs = {"colour": (None, None, 3)}
    columns = ("truth", "output", "truncated")
    set_figures = ("patch_distance",)
    explained = {
        "patch_distance": "sliced Wasserstein distance of patches of generated and held-out images; lower is better",
    }
    legends = {"samples": "Held-out images, generated ones, and the same latents half way to the mean."}

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        height, width = experiment.data.resolution
        if height != width or height < 8 or height & (height - 1):
            raise InputError(f"config.data.size must be a power of two from 8 on, got {experiment.data.size}")
        shared = ("classes", "channel_base", "channel_max", "half_resolutions", "half", "conv_clamp")
        common = {name: getattr(model, name) for name in shared} | dict(size=height)
        own = {name: getattr(model, name) for name in ("z_size", "w_size", "mapping_layers")}
        self.generator = nets.Generator(nets.GeneratorSettings(**common, **own), rngs)
        own = {name: getattr(model, name) for name in ("architecture", "group", "frozen")}
        own["mapping_layers"] = model.label_layers
        self.discriminator = nets.Discriminator(nets.DiscriminatorSettings(**common, **own), rngs)
        self.augmentation = Augmentation(model.probability)
        self.path_length = nnx.Dict(mean=nnx.BatchStat(jnp.zeros(())))
        if model.perceptual != "none":
            self.perceptual = features.NETWORKS[model.perceptual](**PERCEPTUAL[model.perceptual][0], rngs=rngs)
        self.model = nnx.static(model)
        # By how much p moves at once.
        self.change = ADJUSTED_EVERY * experiment.train.batch_size / model.adaptive_images

    @classmethod
    def default_init(cls, settings):
        return {"perceptual": settings.perceptual} if settings.perceptual != "none" else {}

    @classmethod
    def check(cls, experiment, source):
        check_number_of_classes(source.classes, experiment)
        model = experiment.model
        judged = experiment.train.batch_size // experiment.train.accumulate
        if judged % min(model.group or judged, judged):
            raise InputError(f"config.model.group is {model.group}; it must divide the {judged} images that are judged together")
        for player, field in (("r1", "r1_weight"), ("path_length", "path_length_weight")):
            if experiment.players[player][1].every and not getattr(model, field):
                raise InputError(f"config.model.{field} is 0; set config.players.{player}.every=0 as well")

    def watched(self):
        augmentation = self.augmentation
        return {
            "augmentation_probability": augmentation.probability[...],
            "overfitting": augmentation.overfitting[...],
            "path_length": self.path_length["mean"][...],
        }

    @classmethod
    def tools(cls, experiment, facts):
        model = experiment.model
        last = nets.GeneratorSettings(size=experiment.data.resolution[0]).layers - 1
        label = {"label": values.Label(tuple(facts["classes"]) or tuple(map(str, range(model.classes))))} if model.classes else {}
        seed = {"seed": values.Seed()}
        doc = "psi, how far latents are from their mean: 1 as drawn, less is surer and more alike"
        truncation = {"truncation": values.Number(-2, 2, 0.7, doc=doc)}
        layer = lambda default, doc, static=True: values.Number(
            0, last, min(default, last), whole=True, doc=doc, static=static
        )
        moved = {
            "number": values.Number(0, model.w_size - 1, 0, whole=True, doc="which direction; 0 changes most"),
            "reach": values.Number(-20, 20, 0.0, doc="how far the latent moves along it"),
            "moved_first": layer(0, "first layer that it changes", False),
            "moved_last": layer(last, "last such layer", False),
        }
        number = lambda low, default, doc: values.Number(low, 1000, default, whole=True, doc=doc, static=True)
        latent, clip = values.Latent((model.w_size,)), {"film": values.Clip()}
        found = [
            Tool("generate", "Draws an image.", label, {"image": values.Image(), "latent": latent}, seed | truncation),
            Tool("paint", "Draws the image of a latent w.", {"latent": latent}, {"image": values.Image()}),
            Tool(
                "mix",
                f"Draws {MIXED[0]} images and {MIXED[1]} others, and all mixtures of two: the first but for some layers.",
                label,
                {"image": values.Image()},
                seed
                | {
                    "others": values.Seed(1000),
                    "first": layer(0, "first layer that is the others'; early ones are poses and shapes"),
                    "last": layer(3, "last such layer; late ones are colours"),
                }
                | truncation,
            ),
            Tool(
                "mix_two",
                "Draws an image with some layers of another, moved along a direction of the generator's weights (SeFa).",
                label,
                {"image": values.Image(), "of_seed": values.Image(), "of_other": values.Image()},
                seed
                | {
                    "other": values.Seed(1000),
                    "first": layer(0, "first layer that is the other's; early ones are poses and shapes", False),
                    "last": layer(3, "last such layer; late ones are colours. Before the first: none is", False),
                }
                | truncation
                | moved,
            ),
            Tool(
                "interpolate",
                "Films the way through random latents and back.",
                label,
                clip,
                {"frames": number(2, 120, "of the film"), "stops": number(2, 4, "latents on the way")} | seed | truncation,
                turns="frames",
            ),
            Tool(
                "direction",
                "Films a change that the generator's own weights suggest, such as of the pose or of colours (SeFa).",
                label,
                clip,
                {
                    "number": values.Number(0, model.w_size - 1, 0, whole=True, doc="which; 0 changes most"),
                    "reach": values.Number(0, 100, 5, doc="how far the latent moves either way"),
                    "first": layer(0, "first layer that it changes"),
                    "last": layer(last, "last such layer"),
                    "frames": number(2, 30, "of the film"),
                }
                | seed
                | truncation,
                turns="frames",
            ),
            Tool(
                "project",
                "Finds the latent whose image is nearest to a picture, and films the search.",
                {"image": values.Image(), **label},
                {"image": values.Image(), "latent": latent, **clip},
                {"steps": values.Number(1, 100_000, 1000, whole=True, doc="of the search")},
                CentralSquare(experiment.data.resolution[0]),
                turns="steps",
            ),
        ]
        if model.perceptual != "none":
            found.append(
                Tool(
                    "path_length",
                    f"Perceptual path length in w, by features of {model.perceptual}; less is smoother.",
                    label,
                    {"path_length": values.Number(0, float("inf"))},
                    {"turns": values.Number(1, 10_000, 64, whole=True, doc="of 16 paths each", static=True)},
                    turns="turns",
                )
            )
        return found

    # What the losses share.

    def _label(self, batch):
        return batch["label"] if self.model.classes else None

    def _latents(self, keys, label):
        """ws [batch, layers, w_size] of random latents, some with those of others from a random layer on."""
        draw = lambda i: random.normal(random.fold(keys, i), (self.model.z_size,))
        ws = self.generator.mapping(draw(0), label, update=True)
        if not self.model.style_mixing:
            return ws
        others = self.generator.mapping(draw(1), label)
        mixes = random.bernoulli(random.fold(keys, 2), self.model.style_mixing)
        crossover = random.integers(random.fold(keys, 3), 1, ws.shape[1])
        return nets.mixed(ws, others, jnp.where(mixes, crossover, ws.shape[1]))

    def _real(self, batch, keys):
        real = colour.from_uint8(batch["colour"])
        return augment.flip(keys, real)[0] if self.model.flip else real

    def _judged(self, images, label, keys):
        """Logits [batch] of augmented images."""
        model = self.model
        if model.augmentation != "none":
            probability = self.augmentation.probability[...].astype(jnp.float32)
            images = ada_augment.apply(images, ada_augment.draw(keys, probability, model.pipeline, images.shape[1:]))
        return self.discriminator(images, label)

    # The step.

    def forward(self, batch, now):
        """real and fake [batch, size, size, 3]; p moves before."""
        if self.model.augmentation == "adaptive":
            self.augmentation.adjust(now.step, self.model.target, self.change)
        key = lambda i: random.fold(now.keys, i)
        ws = self._latents(key(0), self._label(batch))
        return {"real": self._real(batch, key(2)), "fake": self.generator.synthesis(ws, key=key(1))}

    def discriminator_loss(self, out, batch, now):
        """The non-saturating game."""
        look = lambda name, i: self._judged(out[name], self._label(batch), random.fold(now.keys, i))
        fake, real = look("fake", 3), look("real", 4)
        self.augmentation.see(real)
        return {"fake": losses.gan(fake, False, "cross_entropy"), "real": losses.gan(real, True, "cross_entropy")}

    def r1_loss(self, out, batch, now):
        """gamma / 2 |dD(x) / dx|^2 of real images x, through their augmentation (Mescheder et al. 2018)."""
        key = lambda i: random.fold(now.keys, i)

        judged = lambda images: self._judged(images, self._label(batch), key(6))
        penalty, logits = losses.r1(judged, self._real(batch, key(5)))
        self.augmentation.see(logits)
        return {"penalty": self.model.r1_weight * penalty}

    def generator_loss(self, out, batch, now):
        """Augmented anew, judged by the discriminator that has just moved."""
        logits = self._judged(out["fake"], self._label(batch), random.fold(now.keys, 7))
        return {"gan": losses.gan(logits, True, "cross_entropy")}

    def path_length_loss(self, out, batch, now):
        """(|J^T y| - a)^2 of Jacobians J of images to latents w and random images y, a being the mean (section 3.2)."""
        key = lambda i: random.fold(now.keys, i)
        ws = self._latents(key(8), self._label(batch))

        def along(ws):
            image = self.generator.synthesis(ws, key=key(9))
            noise = random.normal(key(10), image.shape[1:]) / (image.shape[1] * image.shape[2]) ** 0.5
            return jnp.sum(image * noise)

        lengths = jnp.sqrt(jnp.mean(jnp.sum(jax.grad(along)(ws) ** 2, 2), 1))
        old = self.path_length["mean"][...]
        mean = old + self.model.path_length_decay * (layers.across_devices(lengths.mean()) - old)
        self.path_length["mean"][...] = jax.lax.stop_gradient(mean)
        return {"penalty": self.model.path_length_weight * jnp.mean((lengths - mean) ** 2)}

    # Tools.

    def _chosen(self, seed, truncation, label=None):
        """ws [seeds, layers, w_size] of seeds."""
        latent = random.normal(jax.vmap(jax.random.key)(seed), (self.model.z_size,))
        label = None if label is None else jnp.broadcast_to(label, len(seed))
        return self.generator.mapping(latent, label, truncation=truncation)

    def _images(self, ws):
        return self.generator.synthesis(ws, "const")

    def generate(self, *, seed, truncation, label=None):
        """Images of seeds [batch], and their latents [batch, w_size]."""
        ws = self._chosen(seed, truncation, label)
        return {"image": self._images(ws), "latent": ws[:, 0]}

    def paint(self, *, latent):
        """Images of latents [batch, w_size]."""
        return projection.picture(self.generator, latent)

    def mix(self, *, seed, others, first, last, truncation, label=None):
        """[1, (rows + 1) * size, (columns + 1) * size, 3]: images at the left, others above, mixtures between."""
        rows, columns = MIXED
        number = lambda seed, count: seed + jnp.arange(count, dtype=seed.dtype)
        a, b = self._chosen(number(seed, rows), truncation, label), self._chosen(number(others, columns), truncation, label)
        layer = jnp.arange(a.shape[1])
        mixed = jnp.where(((layer >= first) & (layer <= last))[:, None], b, a[:, None])
        images = self._images(jnp.concatenate([a, b, mixed.reshape(-1, *a.shape[1:])]))
        left, above, inside = jnp.split(images, [rows, rows + columns])
        grid = jnp.concatenate([left[:, None], inside.reshape(rows, columns, *images.shape[1:])], 1)
        above = jnp.concatenate([jnp.ones_like(above[:1]), above])
        grid = jnp.concatenate([above[None], grid]).swapaxes(1, 2)
        return grid.reshape(1, grid.shape[0] * grid.shape[1], -1, 3)

    def mix_two(
        self, *, seed, other, first, last, truncation, number, reach, moved_first, moved_last, label=None
    ):
        """Images [1, size, size, 3]: of `seed` with layers `first` to `last` of `other`, moved along one of
        `nets.stylegan2.directions` of layers `moved_first` to `moved_last`; of `seed`, and of `other`.
        """
        both = self._chosen(jnp.concatenate([seed, other]), truncation, label)
        layer = jnp.arange(both.shape[1])[:, None]
        along = jnp.take(nets.directions(self.generator, moved_first[0], moved_last[0])[0], number[0], 0)
        mixed = jnp.where((layer >= first) & (layer <= last), both[1], both[0])
        mixed = mixed + jnp.where((layer >= moved_first) & (layer <= moved_last), reach * along, 0)
        image, of_seed, of_other = jnp.split(self._images(jnp.concatenate([mixed[None], both])), 3)
        return {"image": image, "of_seed": of_seed, "of_other": of_other}

    def interpolate_begin(self, *, frames, stops, seed, truncation, label=None):
        """No frame yet; latents w on straight lines through `stops` of them, from `seed` on, and back to the first."""
        ws = self._chosen(seed + jnp.arange(stops, dtype=seed.dtype), truncation, label)
        place = jnp.arange(frames) * stops / frames
        before, share = jnp.floor(place).astype(jnp.int32), (place % 1)[:, None, None]
        return film.begin(self._images, (1 - share) * ws[before] + share * ws[(before + 1) % stops])

    def interpolate_advance(self, state, now):
        """One more frame."""
        return film.advance(self._images, state, now)

    def interpolate_finish(self, state):
        """The frames that there are."""
        return state["film"]

    def direction_begin(self, *, number, reach, first, last, frames, seed, truncation, label=None):
        """No frame yet; a latent moved along one of `nets.stylegan2.directions`."""
        if first > last:
            raise InputError(f"first is {first}, the last layer {last}; it must not come after that")
        along = jnp.take(nets.directions(self.generator, first, last)[0], number, 0)[0]
        layer = jnp.arange(self.generator.settings.layers)[:, None]
        moves = jnp.linspace(-1, 1, frames)[:, None, None] * reach
        changed = moves * jnp.where((layer >= first) & (layer <= last), along, 0)
        return film.begin(self._images, self._chosen(seed, truncation, label) + changed)

    direction_advance, direction_finish = interpolate_advance, interpolate_finish

    def _look(self, images):
        """Maps that images are compared by, {layer: [batch, height, width, channel]}."""
        if self.model.perceptual != "none":
            found = self.perceptual(images, intermediates=True)[1]
            return {name: found[name] for name in PERCEPTUAL[self.model.perceptual][1]}
        found = {}
        while images.shape[1] >= 8:  # Beside ones, so that what has unit length still tells light from dark.
            found[str(images.shape[1])] = jnp.concatenate([images, jnp.ones_like(images[..., :1])], -1)
            images = resample.average_pool(images, (images.shape[1] // 2, images.shape[2] // 2))
        return found

    def project_begin(self, *, image, steps, label=None):
        """See `projection.begin`."""
        image = resample.resize(image, 2 * (self.generator.settings.size,))
        return projection.begin(self.generator, self._look, image, jax.random.key(0), label)

    def project_advance(self, state, now):
        return projection.advance(self.generator, self._look, state, now)

    def project_finish(self, state):
        image = projection.picture(self.generator, state["latent"], state["noises"])
        return {"image": image, "latent": state["latent"], "film": state["film"]}

    def path_length_begin(self, *, turns, label=None):
        return {**path_length.begin(turns), **({} if label is None else {"label": label})}

    def path_length_advance(self, state, now):
        label = state.get("label")
        lengths = path_length.advance(self.generator, self._look, {"lengths": state["lengths"]}, now, label)
        return {**state, **lengths}

    def path_length_finish(self, state):
        return path_length.finish(state)

    # Figures.

    def _drawn(self, keys, label, truncation=1.0):
        latent = random.normal(random.fold(keys, 0), (self.model.z_size,))
        ws = self.generator.mapping(latent, label, truncation=truncation)
        return self.generator.synthesis(ws, key=random.fold(keys, 1))

    def sample(self, batch, keys):
        label = self._label(batch)
        return {
            "truth": colour.from_uint8(batch["colour"]),
            "output": self._drawn(keys, label),
            "truncated": self._drawn(keys, label, 0.5),
        }

    def evaluate(self, batch, keys):
        """Random patches of held-out and of generated images, for `summarise`."""
        truth, output = colour.from_uint8(batch["colour"]), self._drawn(keys, self._label(batch))
        return {name: patches.descriptors(images, keys) for name, images in (("truth", truth), ("output", output))}

    @classmethod
    def summarise(cls, values, classes):
        return {"patch_distance": patches.distance(values["truth"], values["output"])}
