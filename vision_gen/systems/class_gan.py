"""What GANs conditioned on a class have in common, whatever their nets and losses: draws, tools, sheets and figures.

Whether an image is of the class that was asked for is said by a judge: a classifier that was trained on real images, in
a run or the zoo, `config.init.judge`. Its features also say how near the two distributions are, and whether classes
have collapsed.
"""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.system import System
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import confusion, sheets
from vision_gen.metrics import accuracy, distribution
from vision_gen.ops import augment, colour, random
from vision_gen.systems import film, judge

DRAWS = 8  # Of each class on a class sheet.
FARTHEST = 4.0  # A normal number is nearer to 0, all but one in 16,000.


class ClassGAN(System):
    """Discriminator, then generator, each step. Subclasses have the networks, losses and settings.

    `generator(latent, classes, keys, train=...)` gives images of `config.model.channels`, the classes being weights
    [batch, classes]. Both players are shown the labels of the batch.
    """

    players = ("discriminator", "generator")
    readers = {"judge": None}
    needs = {"colour": (None, None, 3), "label": ()}
    columns = ("truth", "output", "another")
    explained = {
        "agreement": "share of generated images that the judge finds to be of the class that was asked for",
        "agreement_truth": "share of real images that the judge finds to be of their class",
        "spread": "mean difference, of at most 2, of two generated images of one class; 0: the class has collapsed",
        "spread_truth": "mean difference, of at most 2, of two real images of one class",
        "judge_distance": "Frechet distance of the judge's features; lower is better",
        "judge_precision": "share of generated images that lie among the real ones, by the judge's features",
        "judge_recall": "share of real images that lie among the generated ones, by the judge's features",
    }
    legends = {
        "samples": "Held-out images, and two that were generated for the class of each.",
        "classes": "A row a class, a column a draw.",
        "confusion": "What the judge took the images that were generated for each class for.",
    }
    prior = "normal"  # Of the latents; or "uniform", from 0 to 1.

    def _build(self, experiment, generator, discriminator, rngs):
        self.model = nnx.static(experiment.model)
        self.generator, self.discriminator = generator, discriminator
        if "judge" in experiment.origin:
            self.judged = nnx.static(judge.of_label(experiment, experiment.data.label))
            self.judge = experiment.network("judge", rngs=rngs)

    @classmethod
    def check(cls, experiment, source):
        check_number_of_classes(source.classes, experiment)
        if "judge" in experiment.origin and experiment.train.eval_images < 4:
            least = "config.train.eval_images must be at least 4, of which precision and recall can be said"
            raise InputError(f"{least}, got {experiment.train.eval_images}")

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        return ("judge_distance", "judge_precision", "judge_recall") if "judge" in experiment.origin else ()

    @classmethod
    def tools(cls, experiment, facts):
        names = tuple(facts["classes"]) or tuple(map(str, range(experiment.model.classes)))
        label, seed = values.Label(names), {"seed": values.Seed()}
        if cls.prior == "normal":
            doc = "how far from 0 the numbers of a latent may lie; less makes images surer, and more alike"
            seed["truncation"] = values.Number(0.1, FARTHEST, FARTHEST, doc=doc)
        length = dict(high=1000, whole=True, static=True)
        return [
            Tool("generate", "Draws an image of a class.", {"label": label}, {"image": values.Image()}, seed),
            Tool(
                "generate_many",
                "Draws many images of a class, each from a seed of its own: the seed, the next one, and so on.",
                {"label": label},
                {"images": values.Clip(rate=2.0)},
                {"number": values.Number(1, default=16, doc="of images", **length), **seed},
                turns="number",
            ),
            Tool(
                "morph",
                "Turns an image of one class into one of another.",
                {"start": label, "end": label},
                {"film": values.Clip()},
                {"frames": values.Number(2, default=30, **length), "end_seed": values.Seed(1), **seed},
                turns="frames",
            ),
            Tool("sheet", f"Draws {DRAWS} images of every class, a row a class.", {}, {"image": values.Image()}, seed),
        ]

    # Draws.

    def _latents(self, keys):
        """Latents [batch, latent] of keys [batch]."""
        draw = random.normal if self.prior == "normal" else random.uniform
        return draw(keys, (self.model.latent,))

    def _chosen(self, seed, truncation=None):
        """Latents of seeds [batch], within `truncation` [1] of 0."""
        keys = jax.vmap(jax.random.key)(seed)
        if truncation is None:
            return self._latents(keys)
        shape = (self.model.latent,)
        return jax.vmap(lambda key: jax.random.truncated_normal(key, -truncation[0], truncation[0], shape))(keys)

    def _weights(self, label):
        return jax.nn.one_hot(label, self.model.classes)

    def _images(self, latent, classes):
        """Images [batch, height, width, 3] in [-1, 1] of latents [batch, latent] and weights [batch, classes]."""
        return _rgb(self.generator(latent, classes, train=False))

    def _real(self, batch, keys=None):
        """The images of a batch as the discriminator sees them; with `keys` mirrored at random, where that is set."""
        image = colour.from_uint8(batch["colour"])
        if keys is not None and self.model.flip:
            (image,) = augment.flip(keys, image)
        return colour.luma(image) if self.model.channels == 1 else image

    def forward(self, batch, now):
        """real, fake [batch, height, width, channels] and the weights of their classes [batch, classes]."""
        key = lambda i: random.fold(now.keys, i)
        classes = self._weights(batch["label"])
        fake = self.generator(self._latents(key(0)), classes, key(1), train=True)
        return {"real": self._real(batch, key(2)), "fake": fake, "classes": classes}

    # Tools.

    def generate(self, *, label, seed, truncation=None):
        """Images [batch, height, width, 3] of classes [batch], from seeds [batch]."""
        return self._images(self._chosen(seed, truncation), self._weights(label))

    def generate_many_begin(self, *, label, number, seed, truncation=None):
        """Nothing drawn yet; one image a turn."""
        latents = self._chosen(seed + jnp.arange(number, dtype=seed.dtype), truncation)
        return film.begin(self._images, latents, jnp.repeat(self._weights(label), number, 0))

    def morph_begin(self, *, start, end, frames, seed, end_seed, truncation=None):
        """No frame yet. Latents go along the arc between the two, uniform ones and classes straight."""
        share = jnp.linspace(0, 1, frames)[:, None]
        ends = self._chosen(seed, truncation), self._chosen(end_seed, truncation)
        latents = slerp(*ends, share) if self.prior == "normal" else (1 - share) * ends[0] + share * ends[1]
        return film.begin(self._images, latents, (1 - share) * self._weights(start) + share * self._weights(end))

    def morph_advance(self, state, now):
        """One more frame."""
        return film.advance(self._images, state, now)

    def morph_finish(self, state):
        """The frames that there are."""
        return state["film"]

    generate_many_advance, generate_many_finish = morph_advance, morph_finish

    def sheet(self, *, seed, truncation=None):
        """[1, classes * height, DRAWS * width, 3]: a row a class, a column a draw, from `seed` on."""
        number = self.model.classes
        latents = self._chosen(seed + jnp.arange(DRAWS, dtype=seed.dtype), truncation)
        images = self._images(jnp.tile(latents, (number, 1)), jnp.repeat(jnp.eye(number), DRAWS, 0))
        _, height, width, _ = images.shape
        images = images.reshape(number, DRAWS, height, width, 3).swapaxes(1, 2)
        return images.reshape(1, number * height, DRAWS * width, 3)

    # Figures.

    def sample(self, batch, keys):
        classes = self._weights(batch["label"])
        draw = lambda i: self._images(self._latents(random.fold(keys, i)), classes)
        return {"truth": _rgb(self._real(batch)), "output": draw(0), "another": draw(1), "label": batch["label"]}

    @classmethod
    def captions(cls, sample, classes):
        return {"truth": [classes[label] for label in sample["label"]]}

    def evaluate(self, batch, keys):
        """How far apart images of a class are; with a judge, whether it agrees, and its features for `summarise`.

        The classes that are asked for are those of the examples.
        """
        found, label = self.sample(batch, keys), batch["label"]
        apart = lambda a, b: jnp.abs(a - b).mean((1, 2, 3))
        # The next example of the class, of those that are evaluated together; NaN for its only one.
        after = (jnp.arange(len(label)) - jnp.arange(len(label))[:, None] - 1) % len(label)
        after = jnp.where(label[:, None] == label, after, len(label))
        partner = jnp.argmin(after, 1)
        values = {
            "spread": apart(found["output"], found["another"]),
            "spread_truth": jnp.where(
                partner == jnp.arange(len(label)), jnp.nan, apart(found["truth"], found["truth"][partner])
            ),
        }
        if hasattr(self, "judge"):
            verdict, features = self._judged(found["output"])
            verdict_truth, features_truth = self._judged(found["truth"])
            values |= {
                "agreement": accuracy.top_k(verdict, label, 1),
                "agreement_truth": accuracy.top_k(verdict_truth, label, 1),
                "label": label,
                "predicted": jnp.argmax(verdict, -1),
                "features": features,
                "features_truth": features_truth,
            }
        return values

    def _judged(self, images):
        """The judge's logits [batch, classes] and features [batch, width] of images [batch, height, width, 3]."""
        logits, features = judge.look(self.judge, images)
        return logits[:, slice(*self.judged)], features

    @classmethod
    def summarise(cls, values, classes):
        """Distance, precision and recall of the judge's features; see `metrics.distribution`."""
        if "features" not in values:
            return {}
        real, made = values["features_truth"], values["features"]
        both = distribution.precision_recall(real, made)
        moments = [x for features in (real, made) for x in (features.mean(0), np.cov(features, rowvar=False))]
        return {
            "judge_distance": distribution.frechet_distance(*moments),
            "judge_precision": both.precision,
            "judge_recall": both.recall,
        }

    @classmethod
    def figures(cls, model, source, values):
        """`classes`: a sheet of all classes; with a judge `confusion`, what it took the images of each class for."""
        number = len(source.classes)
        rows = model.sheet()
        rows = rows.reshape(number, -1, *rows.shape[1:])
        columns = {str(i): part for i, part in enumerate(np.split(rows, DRAWS, 2))}
        drawn = {"classes": sheets.sheet(columns, {"0": source.classes})}
        if "predicted" in values:
            drawn["confusion"] = confusion.draw(values["label"], values["predicted"], source.classes)
        return drawn


def slerp(a, b, share):
    """Points on the arc from `a` to `b` [1, numbers] at shares [points, 1] of it: [points, numbers]."""
    cosine = (a * b).sum() / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    weight = lambda x: jnp.where(angle > 1e-3, jnp.sin(x * angle) / jnp.maximum(jnp.sin(angle), 1e-6), x)
    return weight(1 - share) * a + weight(share) * b


def _rgb(image):
    """[..., 1 or 3] as [..., 3]."""
    return jnp.repeat(image, 3 // image.shape[-1], -1)
