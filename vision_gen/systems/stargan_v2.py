"""StarGAN v2: diverse image synthesis for multiple domains (Choi et al., CVPR 2020).

One generator translates images between all domains, the classes of the data, in styles. A style comes of a latent, by the
mapping network, or of a reference picture, by the style encoder. Trained on `data.references`, as the released code.
"""

import dataclasses

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.system import Player, System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import sheets
from vision_gen.metrics import patches
from vision_gen.nets import landmarks
from vision_gen.nets import stargan_v2 as nets
from vision_gen.ops import augment, colour, losses, random, resample
from vision_gen.pretrained import stargan_v2 as pretrained
from vision_gen.settings import Count, NotNegative, Share
from vision_gen.systems import domain_pairs, film

COLUMNS, ROWS = 4, 6  # Latents beside each other on sheets; pictures of the sheet of references.
GUIDES = ("latent", "reference")
BY_LATENTS = ("by a latent", "by another", "by a third")  # Columns of the sample sheet.


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of StarGAN v2; the defaults are the paper's for 256 px."""

    classes: Count = 2  # Of the data's label, each a domain.
    style_dim: Count = 64  # Numbers in a style.
    latent_dim: Count = 16  # Numbers in a latent.
    mapping_width: Count = 512  # Of the mapping network's hidden layers.
    channel_base: Count = 2**14  # Maps of the images' size have channel_base / size channels, smaller ones more,
    channel_max: Count = 512  # but this many at most.
    high_pass: NotNegative = 0.0  # Details of faces' features, over this, are added to maps (CelebA-HQ: 1). 0: none are.
    r1_weight: NotNegative = 1.0  # Of half the squared gradient of real images' logits.
    style_weight: NotNegative = 1.0  # Of the absolute error of the style that is found in what was painted in one.
    diversity_weight: NotNegative = 1.0  # At first, of the difference of two styles' images; it falls to 0 over the run.
    cycle_weight: NotNegative = 1.0  # Of the absolute error of what is translated there and back.
    crop: Share = 0.5  # Of images, those of which a random window is taken, of 0.8 of the area or more.
    flip: bool = True  # Mirror half of the images.


class StarGANv2(System):
    """Discriminator, then generator: each by a latent and by a reference, of which the last moves the generator alone."""

    title = "Translation between classes (StarGAN v2)"
    Settings = Settings
    players = (
        "discriminator",
        Player("discriminator_reference", modules=("discriminator",), forward="none"),
        "generator",
        Player("mapping_network", turn="generator"),
        Player("style_encoder", turn="generator"),
        Player("generator_reference", modules=("generator",), forward="none"),
    )
    readers = pretrained.READERS
    writers = pretrained.WRITERS
    needs = {
        "colour": (None, None, 3), "label": (),
        "reference": (None, None, 3), "other_reference": (None, None, 3), "reference_label": (),
    }  # fmt: skip
    columns = ("source", *BY_LATENTS, "reference", "by the reference")
    set_figures = ("patches_latent", "patches_reference")
    protocol_figures = domain_pairs.FIGURES
    explained = domain_pairs.EXPLAINED | {
        "cycle": "mean difference, of at most 2, of an image and what is translated there and back",
        "moved": "mean difference, of at most 2, of an image and its translation; 0: nothing is translated",
        "spread_latent": "mean difference, of at most 2, of an image's translations by two latents; 0: all are alike",
        "spread_reference": "the same by two references",
        "patches_latent": "sliced Wasserstein distance of patches of translations by latents and of real images of "
        "their domains; lower is better",
        "patches_reference": "the same of translations by references",
    }
    legends = {
        "samples": "Held-out images, translated into the domain of the reference: by three latents, and in its style.",
        "latents": f"Held-out images, and each domain by {COLUMNS} latents.",
        "references": "Held-out images at the left, in the styles of the held-out images above.",
    }

    def __init__(self, experiment, *, rngs):
        model, (height, width) = experiment.model, experiment.data.resolution
        if height != width:
            raise InputError(f"config.data.size must be of a square, got {experiment.data.size}")
        widths = dict(size=height, channel_base=model.channel_base, channel_max=model.channel_max, rngs=rngs)
        style, domains = dict(style_dim=model.style_dim), dict(domains=model.classes)
        self.generator = nets.Generator(high_pass=model.high_pass, **style, **widths)
        self.mapping_network = nets.MappingNetwork(
            latent_dim=model.latent_dim, width=model.mapping_width, **style, **domains, rngs=rngs
        )
        self.style_encoder = nets.StyleEncoder(**style, **domains, **widths)
        self.discriminator = nets.Discriminator(**domains, **widths)
        if model.high_pass:
            if "landmarks" not in experiment.init:
                right = "wing.ckpt, or a file of all networks such as 100000_nets_ema.ckpt, for config.model.high_pass"
                raise InputError(f"config.init.landmarks must name {right}")
            self.landmarks = landmarks.FaceLandmarks(rngs=rngs)
        self.model = nnx.static(model)

    @classmethod
    def check(cls, experiment, source):
        check_number_of_classes(source.classes, experiment)

    @classmethod
    def tools(cls, experiment, facts):
        image = values.Image()
        label = {"label": values.Label(tuple(facts["classes"]) or tuple(map(str, range(experiment.model.classes))))}
        size, high_pass = experiment.data.resolution[0], experiment.model.high_pass
        fitting = dict(fitting=CentralSquare(size, multiple=nets.stride(size, high_pass)))
        frames = {"frames": values.Number(2, 1000, 30, whole=True, doc="of the film", static=True)}
        seed, made, clip = {"seed": values.Seed()}, {"translation": image}, {"film": values.Clip()}
        between = dict(options=frames, turns="frames", **fitting)
        return [
            Tool("translate", "Turns an image into one of a domain.", {"image": image, **label}, made, seed, **fitting),
            Tool(
                "translate_like",
                "Turns an image into one of a reference's domain, in its style.",
                {"image": image, "reference": image, **label},
                made,
                **fitting,
            ),
            Tool(
                "sheet",
                f"An image in every domain, a row each, by {COLUMNS} latents.",
                {"image": image},
                {"sheet": image},
                seed,
                **fitting,
            ),
            Tool(
                "interpolate",
                "Films the way from one latent's style to another's.",
                {"image": image, **label},
                clip,
                **between | dict(options=frames | seed | {"other": values.Seed(1)}),
            ),
            Tool(
                "interpolate_like",
                "Films the way from one reference's style to another's, both of a domain.",
                {"image": image, "first": image, "second": image, **label},
                clip,
                **between,
            ),
        ]

    # Training.

    def _augmented(self, batch, name, keys):
        image = colour.from_uint8(batch[name])
        if self.model.crop:
            window = augment.resized_crop(random.fold(keys, 0), image, area=0.8, ratio=1.1)
            cropped = random.bernoulli(random.fold(keys, 1), self.model.crop)
            image = jnp.where(cropped[:, None, None, None], window, image)
        return augment.flip(random.fold(keys, 2), image)[0] if self.model.flip else image

    def _real(self, batch, now):
        return self._augmented(batch, "colour", random.fold(now.keys, 0))

    def _styles_of_references(self, batch, now):
        """Of both, [batch, style_dim] each."""
        names = {1: "reference", 2: "other_reference"}
        images = [self._augmented(batch, name, random.fold(now.keys, i)) for i, name in names.items()]
        return self._encoded(*((image, batch["reference_label"]) for image in images))

    def _encoded(self, *pictures):
        """Styles [batch, style_dim] of each of some pairs of images and labels [batch]; together, which compiles less."""
        images, labels = map(jnp.concatenate, zip(*pictures))
        return jnp.split(self.style_encoder(images, labels), len(pictures))

    def _style(self, keys, label):
        """Styles [batch, style_dim] of latents drawn by keys [batch], in domains, by labels [batch]."""
        return self.mapping_network(random.normal(keys, (self.model.latent_dim,)), label)

    def _painter(self, image):
        """Function of styles [batch, style_dim] that paints images [batch, size, size, 3] in them."""
        masks = lax.stop_gradient(landmarks.masks(self.landmarks(image))) if self.model.high_pass else None
        return lambda style: self.generator(image, style, masks)

    def forward(self, batch, now):
        """What the turns by latents read: real, fake [batch, size, size, 3], and the style [batch, style_dim] of fake."""
        real = self._real(batch, now)
        style = self._style(random.fold(now.keys, 3), batch["reference_label"])
        return {"real": real, "style": style, "fake": self._painter(real)(style)}

    def discriminator_loss(self, out, batch, now):
        """Equation 1, and the gradient penalty R1 of real images."""
        return self._judged(out["real"], out["fake"], batch)

    def discriminator_reference_loss(self, out, batch, now):
        """The same of what is painted in the styles of references."""
        real = self._real(batch, now)
        return self._judged(real, self._painter(real)(self._styles_of_references(batch, now)[0]), batch)

    def _judged(self, real, fake, batch):
        penalty, logits = losses.r1(lambda image: self.discriminator(image, batch["label"]), real)
        verdict = self.discriminator(fake, batch["reference_label"])
        return {
            "real": losses.gan(logits, True, "cross_entropy"),
            "fake": losses.gan(verdict, False, "cross_entropy"),
            "penalty": self.model.r1_weight * penalty,
        }

    def generator_loss(self, out, batch, now):
        """Equations 1 to 4."""
        other = self._style(random.fold(now.keys, 4), batch["reference_label"])
        return self._painted(out["real"], out["fake"], out["style"], other, batch, now)

    def generator_reference_loss(self, out, batch, now):
        """The same in the styles of references."""
        real, (style, other) = self._real(batch, now), self._styles_of_references(batch, now)
        return self._painted(real, self._painter(real)(style), style, other, batch, now)

    def _painted(self, real, fake, style, other, batch, now):
        model, target = self.model, batch["reference_label"]
        apart = losses.l1(fake, lax.stop_gradient(self._painter(real)(other)))
        found, origin = self._encoded((fake, target), (real, batch["label"]))
        back = self._painter(fake)(origin)
        return {
            "gan": losses.gan(self.discriminator(fake, target), True, "cross_entropy"),
            "style": model.style_weight * losses.l1(found, style),
            "diversity": -model.diversity_weight * (1 - now.progress) * apart,
            "cycle": model.cycle_weight * losses.l1(back, real),
        }

    # Tools.

    def _seeded(self, seed, label, count=1):
        """Styles [seeds * count, style_dim] of seeds from each of `seed` on."""
        seeds = (seed[:, None] + jnp.arange(count, dtype=seed.dtype)).reshape(-1)
        return self._style(jax.vmap(jax.random.key)(seeds), jnp.broadcast_to(label, len(seeds)))

    def _like(self, reference, label):
        """Styles [batch, style_dim] of references [batch, height, width, 3]."""
        return self.style_encoder(resample.resize(reference, 2 * (self.generator.size,)), label)

    def translate(self, *, image, label, seed):
        """Images [batch, size, size, 3] in [-1, 1] in domains `label` [batch], in styles of seeds [batch]."""
        return self._painter(image)(self._seeded(seed, label))

    def translate_like(self, *, image, reference, label):
        """Images [batch, size, size, 3] in [-1, 1] in the styles of references of domains `label` [batch]."""
        return self._painter(image)(self._like(reference, label))

    def sheet(self, *, image, seed):
        """[1, domains * size, (1 + latents) * size, 3]: an image [1, size, size, 3] at the left, its translations beside."""
        rows = []
        for domain in range(self.model.classes):
            strip = self._strip(image, self._seeded(seed, domain, COLUMNS)[:, None])
            rows.append(jnp.concatenate([image if not domain else jnp.ones_like(image), strip], 2))
        return jnp.concatenate(rows, 1)

    def _strip(self, image, styles):
        """Images [batch, size, size, 3] in each of styles [styles, batch, style_dim]: [batch, size, styles * size, 3]."""
        return jnp.concatenate(list(lax.map(self._painter(image), styles)), 2)

    def interpolate_begin(self, *, image, label, seed, other, frames):
        """No frame yet; styles on a straight line from that of one seed to that of another."""
        return self._between(image, self._seeded(seed, label), self._seeded(other, label), frames)

    def interpolate_like_begin(self, *, image, first, second, label, frames):
        """The same from the style of one reference to that of another."""
        return self._between(image, *(self._like(x, label) for x in (first, second)), frames)

    def _between(self, image, first, second, frames):
        share = jnp.linspace(0, 1, frames)[:, None]
        images = jnp.broadcast_to(image, (frames, *image.shape[1:]))
        return film.begin(self._frame, images, (1 - share) * first + share * second)

    def _frame(self, image, style):
        return self._painter(image)(style)

    def interpolate_advance(self, state, now):
        """One more frame."""
        return film.advance(self._frame, state, now)

    def interpolate_finish(self, state):
        """The frames that there are."""
        return state["film"]

    interpolate_like_advance, interpolate_like_finish = interpolate_advance, interpolate_finish

    # Figures.

    def _latents(self, keys, label, count):
        """Styles [count, batch, style_dim] of so many latents an example in one domain each, by labels [batch]."""
        return jnp.stack([self._style(random.fold(keys, i), label) for i in range(count)])

    def sample(self, batch, keys):
        image, target = colour.from_uint8(batch["colour"]), batch["reference_label"]
        reference = colour.from_uint8(batch["reference"])
        styles = [*self._latents(keys, target, len(BY_LATENTS)), self.style_encoder(reference, target)]
        made = lax.map(self._painter(image), jnp.stack(styles))
        return {
            "source": image,
            "reference": reference,
            **dict(zip((*BY_LATENTS, "by the reference"), made)),
            "label": batch["label"],
            "reference_label": target,
        }

    @classmethod
    def captions(cls, sample, classes):
        if not classes:
            return {}
        names = {"source": "label", "reference": "reference_label"}
        return {column: [classes[i] for i in sample[name]] for column, name in names.items()}

    def evaluate(self, batch, keys):
        """How far translations are from images and from each other, and random patches of them, for `summarise`."""
        image, target = colour.from_uint8(batch["colour"]), batch["reference_label"]
        references = [colour.from_uint8(batch[name]) for name in ("reference", "other_reference")]
        *of_references, origin = self._encoded(*((x, target) for x in references), (image, batch["label"]))
        styles = [*self._latents(keys, target, 2), *of_references]
        made = lax.map(self._painter(image), jnp.stack(styles))
        back = self._painter(made[0])(origin)
        apart = lambda a, b: jnp.abs(a - b).mean((1, 2, 3))
        found = {"cycle": apart(back, image), "moved": apart(made[0], image)}
        for number, guide in enumerate(GUIDES):
            first, second = made[2 * number : 2 * number + 2]
            found |= {f"spread_{guide}": apart(first, second), f"made_{guide}": patches.descriptors(first, keys)}
        return found | {"real": patches.descriptors(references[0], keys)}

    @classmethod
    def summarise(cls, values, classes):
        return {f"patches_{guide}": patches.distance(values["real"], values[f"made_{guide}"]) for guide in GUIDES}

    @classmethod
    def protocol(cls, names, model, source, real, extractor, progress):
        return domain_pairs.figures(names, model, source, real, extractor, progress)

    def styles(self, batch, keys):
        """Of images themselves, for `domain_pairs`."""
        return {"styles": self.style_encoder(colour.from_uint8(batch["colour"]), batch["label"])}

    def outputs(self, batch, keys):
        """See `domain_pairs.figures`."""
        image, domains = colour.from_uint8(batch["colour"]), self.model.classes
        if "styles" in batch:
            styles = batch["styles"].swapaxes(0, 1)
        else:
            number = jnp.arange((domains - 1) * domain_pairs.OUTPUTS)
            label = lambda n: (batch["label"] + 1 + n // domain_pairs.OUTPUTS) % domains
            one = lambda n: self._style(random.fold(keys, n), label(n))
            styles = jax.vmap(one)(number)
        paint = self._painter(image)
        return {"outputs": lax.map(lambda style: colour.to_uint8(paint(style)), styles).swapaxes(0, 1)}

    def references(self, batch, keys):
        """Images of a batch in the styles of all its references."""
        image = colour.from_uint8(batch["colour"])
        styles = self.style_encoder(colour.from_uint8(batch["reference"]), batch["reference_label"])
        each = jnp.broadcast_to(styles[:, None], (len(styles), len(image), styles.shape[1]))
        return {"source": image, "reference": colour.from_uint8(batch["reference"]), "made": self._strip(image, each)}

    def latents(self, batch, keys):
        """Images of a batch in every domain, by latents."""
        image = colour.from_uint8(batch["colour"])
        label = lambda domain: jnp.full(len(image), domain, jnp.int32)
        strips = [self._strip(image, self._latents(keys, label(i), COLUMNS)) for i in range(self.model.classes)]
        return {"source": image, "made": jnp.stack(strips, 1)}

    @classmethod
    def figures(cls, model, source, values):
        """`latents`: a row a held-out image, a column a domain; `references`: rows of images, columns of references."""
        found = model.apply("latents", source, ROWS)
        made = {name: found["made"][:, i] for i, name in enumerate(source.classes)}
        grid = model.apply("references", source, ROWS)
        count, side = grid["source"].shape[:2]
        above = np.concatenate([np.ones_like(grid["source"][0]), *grid["reference"]], 1)
        rows = np.concatenate([grid["source"], grid["made"][:, :, : count * side]], 2)
        whole = np.concatenate([above, rows.reshape(-1, *rows.shape[2:])])
        return {"latents": sheets.sheet({"source": found["source"], **made}), "references": sheets.pixels(whole)}
