"""SCFT: reference-based sketch colorization by spatially corresponding feature transfer.

Lee, Kim, Lee, Kim, Chang, Choo, CVPR 2020. The reference is made from the image itself: its
colours change at random, a(.), then a thin-plate spline warps it, s(.). The generator must paint
the sketch of the image in the changed colours, which only the reference shows, and because the
warp is known, so is which region of the reference each region of the sketch should attend to.
"""

import dataclasses
from typing import Annotated, Literal

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen import values
from vision_gen.engine.fitting import WholePicture
from vision_gen.engine.system import Now, System
from vision_gen.engine.tools import Tool
from vision_gen.figures.correspondence import draw_correspondence
from vision_gen.metrics import image as metrics
from vision_gen.nets import scft as net
from vision_gen.nets.patchgan import PatchDiscriminator
from vision_gen.ops import attention, augment, chunks, colour, losses, random, regions, resample, tps
from vision_gen.pretrained import features
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Share

# Positions may be off by this share of the image's side to count as found.
CORRESPONDENCE_RADIUS = 0.1
# Settings of each network for the perceptual and style terms, and the layers that they compare;
# the style is that of the last. VGG-19 and its layers are the paper's.
PERCEPTUAL = {
    "efficientnet-lite0": ({}, ("stage1", "stage2", "stage3", "stage5", "stage7")),
    "vgg19": ({"classes": 0}, ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")),
}

# Ways of the encoders' vectors into attention, and the other way of the same vectors.
BRANCHES = {"source": "query", "query": "source", "key": "value", "value": "key"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of SCFT; the defaults are the paper's, but for the perceptual network."""

    width: Count = 16  # Channels of the first level.
    levels: Count = 5  # Resolutions, each half the one before: 5 make 16 x 16 cells of 256 px.
    residual_blocks: CountOrNone = 4  # Further convolutions at the smallest map.
    norm: Literal["layer", "instance", "none"] = "layer"  # Normalisation in the generator; "instance" loses hues.
    attention: Literal["scaled", "stop_gradient"] = "scaled"  # Other: Li et al., ECCV 2022; triplet_weight 0.
    attention_chunk: Count = 1024  # Places of the sketch that attend at a time; less takes less memory.
    carry_colours: bool = False  # Attention moves the reference's pixels too: clearer colours. Not the paper's.
    colour_layer: bool = False  # The sketch is multiplied over the output: for line art. Not the paper's.
    discriminator_width: Count = 64  # Channels of the discriminator's first level.
    discriminator_norm: Literal["batch", "none"] = "batch"  # Its normalisation.
    gan_loss: Literal["cross_entropy", "least_squares"] = "cross_entropy"  # Of the adversarial terms.
    gan_weight: NotNegative = 1.0  # Of the adversarial term,
    reconstruction_weight: NotNegative = 30.0  # of the absolute error,
    triplet_weight: NotNegative = 1.0  # of the term that makes attention look at the right places,
    triplet_margin: NotNegative = 12.0  # whose scores are to lead the wrong places' by this.
    perceptual: Literal["efficientnet-lite0", "vgg19"] = "efficientnet-lite0"  # Compares its features; paper: "vgg19".
    perceptual_weight: NotNegative = 0.01  # Of the difference of these features,
    style_weight: NotNegative = 50.0  # and of the difference of their Gram matrices (style).
    jitter_shift: NotNegative = 0.2  # Images are recoloured at random: colours shift up to this, of 2,
    jitter_hue: NotNegative = 0.0  # and hues turn up to this, of a whole turn.
    tps_points: Annotated[int, Range(2)] = 3  # The reference is the image, warped: control points along a side,
    tps_scale: NotNegative = 0.3  # and how far each moves, of half the image's side.
    flip: bool = True  # Mirror half of the images.
    line_share: Share = 0.7  # Of data with artists' lines: share of sketches that are these; others are made.
    xdog_share: Share = 0.8  # Of sketches that are made of the image: share by XDoG; others by Sobel.
    unsteady: Share = 0.0  # Sketches are drawn by a hand that is unsteady up to this; see `ops.hand`.

    @property
    def is_perceptual(self):
        """Whether features of a classifier are compared."""
        return bool(self.perceptual_weight or self.style_weight)


class SCFT(System):
    """Discriminator, then generator, each step (section 3.4)."""

    title = "Sketch colorization (SCFT)"
    Settings = Settings
    players = ("discriminator", "generator")
    readers = {"perceptual": features.read}
    needs = {"colour": (None, None, 3)}
    columns = ("sketch", "reference", "output", "truth", "other", "recoloured")
    explained = {
        "psnr_sketch": "psnr of the sketch taken for the output",
        "psnr_reference": "psnr of the warped reference taken for the output",
        "correspondence": "share of inked cells whose strongest attention lies within a tenth of the side of the truth",
        "correspondence_identity": "correspondence of the guess that nothing has moved",
        "correspondence_all": "correspondence over all cells, blank ones too",
        "correspondence_all_identity": "correspondence_all of the guess that nothing has moved",
    }
    legends = {
        "samples": "output: the sketch in the colours of the reference, its own drawing warped. recoloured: in those of "
        "another.",
        "correspondence": "Where the attention of places on the sketch falls; a ring is where the warp has put each.",
    }

    def __init__(self, experiment, *, rngs):
        model = experiment.model
        self.model = nnx.static(model)
        if model.is_perceptual:
            self.perceptual = features.NETWORKS[model.perceptual](
                **PERCEPTUAL[model.perceptual][0], rngs=rngs
            )
        self.generator = net.SCFTGenerator(
            width=model.width,
            levels=model.levels,
            residual_blocks=model.residual_blocks,
            norm=model.norm,
            attention=model.attention,
            chunk=model.attention_chunk,
            carry=model.carry_colours,
            layer=model.colour_layer,
            rngs=rngs,
        )
        self.discriminator = PatchDiscriminator(
            channel=4,
            width=model.discriminator_width,
            norm=model.discriminator_norm,
            rngs=rngs,
        )

    @classmethod
    def tools(cls, experiment, facts):
        doc = "how far from their points ties reach within lines, as a share of the shorter side"
        return [
            Tool(
                "translate",
                "Colours a line drawing like a reference, or like several.",
                inputs={"sketch": values.Image(channels=1, lines=True), "reference": values.Images()},
                outputs={"image": values.Image(under="sketch" if experiment.model.colour_layer else "")},
                options={
                    "ties": values.Ties("sketch", "reference"),
                    "reach": values.Number(0.01, 1, 0.25, doc=doc),
                },
                # Every place attends to the whole reference: no tiles, and cells of the size that was trained with.
                # There what was drawn was as large in sketch and reference, with white paper around it.
                fitting=WholePicture(
                    stride=2 ** (experiment.model.levels - 1),
                    size=min(experiment.data.resolution),
                    apart=("reference",),
                    paper=True,
                ),
            )
        ]

    @classmethod
    def default_init(cls, settings):
        return {"perceptual": settings.perceptual} if settings.is_perceptual else {}

    def references(self, target, keys):
        """The augmented-self reference of images, and the sampling grid that made it.

        Returns:
          (reference [batch, height, width, 3], spline): reference(x) = target(spline(x)).
        """
        return tps.warped(keys, target, points=self.model.tps_points, scale=self.model.tps_scale)

    def forward(self, batch, now, nudges=None):
        """sketch, target = a(image), reference = s(a(image)), fake, query, key, sampling; `nudges` of the generator."""
        model = self.model
        key = lambda i: random.fold(now.keys, i)
        shares = dict(line_share=model.line_share, xdog_share=model.xdog_share)
        sketch = augment.sketches(batch, key(0), **shares, unsteady=model.unsteady)
        image = colour.from_uint8(batch["colour"])
        if model.flip:
            sketch, image = augment.flip(key(1), sketch, image)
        target = colour.jitter(image, key(2), shift=model.jitter_shift, hue=model.jitter_hue)
        reference, spline = self.references(target, key(3))
        fake, inside = self.generator(sketch, reference, train=True, nudges=nudges, intermediates=True)
        return {
            "sketch": sketch,
            "target": target,
            "reference": reference,
            "fake": fake,
            "query": inside["query"],
            "key": inside["key"],
            "sampling": tps.flow(*spline, *inside["key"].shape[1:3]),
        }

    def discriminator_loss(self, out, batch, now):
        """The adversarial game of equation 6, conditioned on the sketch."""
        kind = self.model.gan_loss
        fake = self.discriminator(out["sketch"], out["fake"], train=True)
        real = self.discriminator(out["sketch"], out["target"], train=True)
        return {"fake": losses.gan(fake, False, kind), "real": losses.gan(real, True, kind)}

    def generator_loss(self, out, batch, now):
        """Equation 9: adversarial, reconstruction, triplet, perceptual, style."""
        model = self.model
        logits = self.discriminator(out["sketch"], out["fake"], train=True)
        terms = {
            "gan": model.gan_weight * losses.gan(logits, True, model.gan_loss),
            "reconstruction": model.reconstruction_weight * losses.l1(out["fake"], out["target"]),
        }
        if model.triplet_weight:
            terms["triplet"] = model.triplet_weight * similarity_triplet(
                out["query"],
                out["key"],
                out["sampling"],
                random.fold(now.keys, 4),
                margin=model.triplet_margin,
                chunk=model.attention_chunk,
            )
        if model.is_perceptual:
            activations = lambda images: self.perceptual(images, intermediates=True)[1]
            fakes, targets = activations(out["fake"]), activations(out["target"])
            _, layers = PERCEPTUAL[model.perceptual]
            terms["perceptual"] = model.perceptual_weight * sum(
                losses.l1(fakes[name], targets[name]) for name in layers
            )
            last = layers[-1]
            terms["style"] = model.style_weight * losses.l1(
                losses.gram(fakes[last]), losses.gram(targets[last])
            )
        return terms

    def translate(self, *, sketch, reference, ties=None, reach=None):
        """Colours sketches like references; with `colour_layer` the layer.

        Args:
          sketch: [batch, height, width, 1] in [-1, 1].
          reference: [batch, *, *, 3] in [-1, 1], or a tuple of such of one size.
          ties: [batch, ties, 5], x and y on the sketch and on a reference, in pixels, and the number of the reference,
            from 1: there the sketch looks at the reference.
          reach: [batch], how far ties reach, as a share of the shorter side.

        Returns:
          [batch, height, width, 3] in [-1, 1].
        """
        image, inside = self._looked(sketch, reference, ties, reach)
        return inside.get("layer", image)

    def _looked(self, sketch, reference, ties, reach):
        """What the generator gives with its intermediates; arguments as of `translate`."""
        if isinstance(reference, tuple):
            reference = jnp.stack(reference, 1)
        if ties is not None and ties.shape[1]:
            ties = self._tied(sketch, reference.reshape(len(sketch), -1, *reference.shape[-3:]), ties, reach)
        else:
            ties = None
        return self.generator(sketch, reference, ties=ties, intermediates=True)

    def _tied(self, sketch, reference, ties, reach):
        """What the generator calls ties: cells around the points, within lines; one at least of each."""
        batch, count = ties.shape[:2]
        least = 2 ** (self.model.levels - 1)

        def cells(pictures, points, light):
            """[batch, ties, h, w] of pictures [batch, ties, height, width, channel]."""
            size = pictures.shape[2:4]
            pictures, points = (x.reshape(batch * count, *x.shape[2:]) for x in (pictures, points))
            found = regions.around(pictures, points, jnp.repeat(reach, count) * min(size), light=light)
            found = resample.average_pool(found, [n // least for n in size])
            # Half of a cell, or where it is small, half as much as the cell with most of it.
            found = (found >= found.max((1, 2), keepdims=True) / 2).astype(jnp.float32)
            return found.reshape(batch, count, *found.shape[1:3])

        here = cells(jnp.repeat(sketch[:, None], count, 1), ties[..., :2], 3.0)
        number = ties[..., 4].astype(jnp.int32) - 1
        chosen = jnp.take_along_axis(reference, number[..., None, None, None], 1)
        there = cells(chosen, ties[..., 2:4], 0.0)
        there = jax.nn.one_hot(number, reference.shape[1])[..., None, None] * there[:, :, None]
        there = there.reshape(batch, count, -1, there.shape[-1])
        return jnp.moveaxis(here, 1, -1), jnp.moveaxis(there, 1, -1)

    def attention(self, *, sketch, reference, ties=None, reach=None):
        """Where each cell of a sketch looks: [batch, h, w, h, w], sums to 1 over the last two; as of `translate`.

        Several references lie one below the other.
        """
        _, inside = self._looked(sketch, reference, ties, reach)
        query, key = inside["query"], inside["key"]
        flat = lambda x: x.reshape(x.shape[0], -1, x.shape[-1])
        return attention.attention_map(flat(query), flat(key)).reshape(
            *query.shape[:3], *key.shape[1:3]
        )

    def _held_out(self, batch, keys):
        sketch = augment.sketches(batch, keys)
        target = colour.from_uint8(batch["colour"])
        reference, spline = self.references(target, random.fold(keys, 3))
        return sketch, target, reference, spline

    def sample(self, batch, keys):
        """With the augmented-self reference, and with another drawing in its own colours."""
        sketch, target, reference, _ = self._held_out(batch, keys)
        other = jnp.roll(target, 1, 0)
        return {
            "sketch": sketch,
            "reference": reference,
            "output": self.generator(sketch, reference),
            "truth": target,
            "other": other,
            "recoloured": self.generator(sketch, other),
        }

    def evaluate(self, batch, keys):
        """PSNR and SSIM with augmented-self references in the drawing's own colours, PSNR of the
        sketch and of the reference taken for the image, and correspondence.

        `correspondence` is the share of sketch cells with ink whose strongest reference position
        lies within a tenth of the image's side of the truth; `_identity` the same for the guess
        that nothing moved; `_all` counts blank cells too.
        """
        sketch, target, reference, spline = self._held_out(batch, keys)
        fake, inside = self.generator(sketch, reference, intermediates=True)
        query, key = inside["query"], inside["key"]
        inked = resample.average_pool(sketch, query.shape[1:3])[..., 0] < 0.9
        inked = inked.reshape(inked.shape[0], -1)
        found, identity, valid = correspondence(query, key, tps.flow(*spline, *key.shape[1:3]))

        def share(hit, where):
            return jnp.sum(hit & where, -1) / jnp.sum(where, -1)  # NaN, so left out, if none.

        return {
            "psnr": metrics.psnr(fake, target),
            "ssim": metrics.ssim(fake, target),
            "psnr_sketch": metrics.psnr(jnp.repeat(sketch, 3, -1), target),
            "psnr_reference": metrics.psnr(reference, target),
            "correspondence": share(found, valid & inked),
            "correspondence_identity": share(identity, valid & inked),
            "correspondence_all": share(found, valid),
            "correspondence_all_identity": share(identity, valid),
        }

    def gradient_cosines(self, batch, keys):
        """Do the gradients of the branches into attention agree with their sum? Li et al., ECCV 2022.

        The sketch's vectors go two ways, as the `source` of the result and to its `query`, the reference's to `key` and
        `value`. Of each of these four the cosine of the generator's gradient by that way with that by both is taken, 0
        where one is nothing; below 0 a way is in conflict with what the encoder is told.

        Returns:
          {branch: [batch] of all places together, branch + "_places": [batch, places]}.
        """
        model, (height, width) = self.model, batch["colour"].shape[1:3]
        least = 2 ** (model.levels - 1)
        shape = len(keys), height // least, width // least, 2 * model.width * (2 * least - 1)
        graphdef, state = nnx.split(self)
        now = Now(keys, 0, 0.0)

        def loss(nudges):
            system = nnx.merge(graphdef, state, copy=True)
            return sum(system.generator_loss(system.forward(batch, now, nudges), batch, now).values())

        found = jax.grad(loss)({name: jnp.zeros(shape) for name in BRANCHES})
        flat = lambda x: x.reshape(len(keys), -1)
        cosines = {}
        for name, partner in BRANCHES.items():
            total = found[name] + found[partner]
            cosines[name] = cosine(flat(found[name]), flat(total))
            cosines[f"{name}_places"] = flat(cosine(found[name], total))
        return cosines

    def look(self, batch, keys):
        """Sketch, its drawing, warped reference, attention and the cells that the warp makes the right ones."""
        sketch, image, reference, spline = self._held_out(batch, keys)
        attended = self.attention(sketch=sketch, reference=reference)
        shape = attended.shape[1:3]
        weights, valid = net.correspondence_weights(
            tps.flow(*spline, *shape),
            jnp.broadcast_to(jnp.arange(shape[0] * shape[1]), (sketch.shape[0], shape[0] * shape[1])),
            resample.identity_grid(*shape),
        )
        truth = weights @ resample.identity_grid(*shape).reshape(-1, 2)
        return {
            "sketch": sketch,
            "image": image,
            "reference": reference,
            "attention": attended,
            "truth": truth,
            "valid": valid,
        }

    @classmethod
    def figures(cls, model, source, values):
        """`correspondence`: query points on sketches and where in the reference they look."""
        return {"correspondence": draw_correspondence(model.apply("look", source, 6))}


def cosine(a, b):
    """Cosine of vectors [..., d]: [...], 0 where one is nothing."""
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return jnp.sum(unit(a) * unit(b), -1)


def similarity_triplet(query, key, sampling, keys, *, margin=12.0, chunk=1024):
    """Similarity-based triplet loss (equation 5), by region and from the known warp.

    mean over sketch cells i of max(0, S(i, n) - S(i, p) + margin), S(i, j) = q_i k_j / sqrt(d).
    The positive p is the mean of the reference cells that show what cell i shows, weighted by a
    bilinear kernel; as keys are linear in V_r, the weights apply to the keys. The negative n is a
    random cell that does not show it. Cells that the warp moved out of the frame have no
    positive and are left out.

    Args:
      query: [batch, h, w, d].
      key: [batch, h, w, d].
      sampling: position in the sketch that each reference cell shows, [batch, h, w, 2].
      keys: [batch], for the negatives.
      margin: the paper's gamma, 12.
      chunk: sketch cells whose weights over all reference cells exist at a time.
    """
    batch, height, width, depth = query.shape
    cells = height * width
    query = query.reshape(batch, cells, depth).astype(jnp.float32)
    key = key.reshape(batch, cells, depth).astype(jnp.float32)
    grid = resample.identity_grid(height, width)
    index = jnp.broadcast_to(jnp.arange(cells), (batch, cells))
    draw = random.integers(random.fold(keys, 0), 0, cells, (cells,))

    def positives(index):
        # The index and the draw of the negative, [batch, m, 2].
        weights, valid = net.correspondence_weights(sampling, index[..., 0], grid)
        taken = jnp.take_along_axis(weights, index[..., 1:], -1)[..., 0]
        return jnp.concatenate(
            [weights @ key, valid[..., None], (taken == 0)[..., None]], -1
        )

    found = chunks.in_chunks(positives, jnp.stack([index, draw], -1), chunk)
    positive, valid, other = found[..., :depth], found[..., depth], found[..., depth + 1]
    negative = jnp.take_along_axis(key, draw[..., None], 1)
    difference = jnp.sum(query * (negative - positive), -1) / depth**0.5
    counted = lax.stop_gradient(valid * other)
    # By example, so that the mean does not depend on how the batch is split over devices.
    each = jnp.sum(jax.nn.relu(difference + margin) * counted, 1) / jnp.maximum(counted.sum(1), 1)
    return each.mean()


def correspondence(query, key, sampling):
    """Does the strongest attention of each sketch cell lie where the warp has put it?

    Args:
      query, key: [batch, h, w, d].
      sampling: position in the sketch that each reference cell shows, [batch, h, w, 2].

    Returns:
      (found, identity, valid), each [batch, h * w] bool: the strongest position lies within
      CORRESPONDENCE_RADIUS of the image's side of the truth; so does the cell's own position;
      there is a truth.
    """
    batch, height, width, depth = query.shape
    cells = height * width
    grid = resample.identity_grid(height, width)
    positions = grid.reshape(-1, 2)
    index = jnp.broadcast_to(jnp.arange(cells), (batch, cells))
    weights, valid = net.correspondence_weights(sampling, index, grid)
    truth = weights @ positions
    scores = attention.attention_map(
        query.reshape(batch, cells, depth), key.reshape(batch, cells, depth)
    )
    strongest = positions[jnp.argmax(scores, -1)]
    # Positions run over 2 from side to side.
    near = lambda p: jnp.linalg.norm(p - truth, axis=-1) / 2 <= CORRESPONDENCE_RADIUS
    return near(strongest), near(positions), valid
