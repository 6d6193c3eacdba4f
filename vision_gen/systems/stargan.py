"""StarGAN: unified GANs for multi-domain image-to-image translation (Choi et al., CVPR 2018).

One generator translates images between all domains, which labels name: binary attributes (`config.data.attributes`), or
the classes of the data. The discriminator also says of which domain an image is. As the released code, but that rates
fall to 0 in the second half of a run, as the paper says; there they fall by a thousandth.
"""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import values
from vision_gen.data import avatar_faces, faces
from vision_gen.engine.facts import check_number_of_classes
from vision_gen.engine.fitting import CentralSquare
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.figures import sheets
from vision_gen.nets import stargan as nets
from vision_gen.ops import colour, resample
from vision_gen.pretrained import stargan as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, nearest
from vision_gen.systems import judge, many_domains


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of StarGAN; the defaults are the released code's for CelebA at 128 px."""

    classes: CountOrNone = 0  # Of the data's label, each a domain; 0: config.data.attributes are the domains.
    exclusive: tuple[str, ...] = ()  # Attributes of which one at most is asked for: "Black_Hair Blond_Hair", ...
    width: Count = 64  # Channels of the generator's first convolution.
    residual_blocks: CountOrNone = 6
    discriminator_width: Count = 64  # Channels of the discriminator's first convolution.
    stages: Count = 6  # Convolutions of the discriminator, each of which halves the map.
    class_weight: NotNegative = 1.0  # Of the domains' cross-entropy.
    cycle_weight: NotNegative = 10.0  # Of the absolute error of what is translated there and back.
    penalty_weight: NotNegative = 10.0  # Of the gradient penalty.
    flip: bool = True  # Mirror half of the images.
    running_statistics: bool = False  # Used when trained, as torch's eval() does; the released code never calls it.


class StarGAN(many_domains.ManyDomains):
    """Classes are domains of which there is one always."""

    Settings = Settings
    readers = {
        "generator": pretrained.read_generator,
        "discriminator": pretrained.read_discriminator,
        "judge": None,
    }
    needs = {"colour": (None, None, 3), "label": ()}
    writers = {"generator": pretrained.GENERATOR_WRITERS, "discriminator": pretrained.DISCRIMINATOR_WRITERS}
    explained = many_domains.ManyDomains.explained | {
        "changed": "share of translations in which the judge finds what was asked for, of what is to change",
        "changed_source": "the same of the untranslated images",
        "kept": "share of the other attributes that the judge finds as they were",
        "kept_source": "the same of the untranslated images",
        "right": "share of translations whose attributes the judge finds all as they should be",
    }
    legends = {
        "samples": "Held-out images, each translated into every domain: of attributes, with each turned round, or in "
        "the place of what it excludes.",
        "translations": "Held-out images, and in each column that attribute turned round, or in the place of what it "
        "excludes; of classes, that class.",
    }

    def __init__(self, experiment, *, rngs):
        model, names = experiment.model, experiment.data.attributes
        if bool(model.classes) == bool(names):
            raise InputError(
                "one of config.data.attributes, which are then the domains, and config.model.classes, how many classes "
                f"the data has, must be given, not both; got {names} and {model.classes}"
            )
        self.model, self.size = nnx.static(model), nnx.static(experiment.data.resolution)
        self.names, self.groups = nnx.static(names), nnx.static(_groups(model, names))
        number = len(self.groups)
        self.generator = nets.Generator(
            labels=number, width=model.width, blocks=model.residual_blocks, running=model.running_statistics, rngs=rngs
        )
        self.discriminator = nets.Discriminator(
            size=self.size, labels=number, width=model.discriminator_width, stages=model.stages, rngs=rngs
        )
        if "judge" in experiment.origin:
            self.judged = nnx.static(_answers(experiment))
            self.judge = experiment.network("judge", rngs=rngs)

    @classmethod
    def check(cls, experiment, source):
        if experiment.model.classes:
            check_number_of_classes(source.classes, experiment)
        super().check(experiment, source)

    @classmethod
    def tools(cls, experiment, facts):
        model, image = experiment.model, values.Image()
        if model.classes:
            names = tuple(facts["classes"]) or tuple(map(str, range(model.classes)))
            asked, doc = {"label": values.Label(names)}, "Turns an image into one of a class."
        else:
            asked = {"attributes": values.Attributes(experiment.data.attributes)}
            doc = "Changes attributes of an image; those that are not named stay as the discriminator finds them."
        fitting = CentralSquare(experiment.data.size, multiple=2**nets.DOWN)
        return [
            Tool("translate", doc, {"image": image, **asked}, {"translation": image}, fitting=fitting),
            Tool("sheet", "An image, and it in each domain.", {"image": image}, {"sheet": image}, fitting=fitting),
        ]

    # Labels.

    @property
    def _together(self):
        """Whether one of two domains excludes the other, [domains, domains] bool; each itself."""
        return np.equal.outer(self.groups, self.groups)

    def _label(self, batch):
        """[batch, domains] float32."""
        if self.model.classes:
            return jax.nn.one_hot(batch["label"], self.model.classes)
        return jnp.asarray(batch["attributes"], jnp.float32)

    def _asked(self, label):
        """Labels [batch, domains, domains] that ask for each domain in turn.

        An attribute is turned round; one of several that exclude each other takes their place.
        """
        alone = self._together.sum(1) == 1
        wanted = jnp.where(alone, 1 - label, 1)[:, :, None]
        rest = jnp.where(self._together, 0, label[:, None])
        return jnp.where(np.eye(len(alone), dtype=bool), wanted, rest)

    def _found(self, image):
        """The label of images [batch, height, width, 3] as the discriminator finds it."""
        logits = self.discriminator(resample.resize(image, self.size))[1]
        return (logits > 0).astype(jnp.float32)

    def _class_terms(self, logits, label):
        if self.model.classes:
            return super()._class_terms(logits, label)
        return jax.nn.softplus(logits) - label * logits

    # Tools.

    def translate(self, *, image, attributes=None, label=None):
        """Images [batch, height, width, 3] in [-1, 1], translated.

        Args:
          image: the same.
          attributes: [batch, domains] from -1, without it, to 1, with it; 0: as the discriminator finds it, unless it
            is excluded by one that is asked for.
          label: or [batch], of classes.
        """
        if label is not None:
            return self._translated(image, jax.nn.one_hot(label, self.model.classes))
        excluded = (attributes > 0).astype(jnp.float32) @ self._together > 0
        found = jnp.where(excluded, 0, self._found(image))
        return self._translated(image, jnp.where(attributes == 0, found, (1 + attributes) / 2))

    def sheet(self, *, image):
        """[batch, height, (1 + domains) * width, 3]: images [batch, height, width, 3], each domain's beside them."""
        return jnp.concatenate([image, self._strip(image, self._asked(self._found(image)))], 2)

    # Figures.

    def sample(self, batch, keys):
        image = colour.from_uint8(batch["colour"])
        return {"source": image, "translations": self._strip(image, self._asked(self._label(batch)))}

    def evaluate(self, batch, keys):
        """How far translations into all domains are from images, and those back; with a judge whether they are right.

        What is asked for counts only where it is a change. An attribute's own share has its name.
        """
        image, label = colour.from_uint8(batch["colour"]), self._label(batch)
        asked = self._asked(label)
        judged = self._verdict if hasattr(self, "judge") else lambda made: ()
        values, verdicts = self._there_and_back(image, label, asked, judged)
        if hasattr(self, "judge"):
            domain = jnp.arange(len(self.groups))
            changes = (asked != label[:, None])[:, domain, domain]
            mean = lambda of, where: jnp.mean(of, tuple(range(1, of.ndim)), where=where)
            # [batch, domain that is asked for, domain].
            others = changes[..., None] & ~self._together
            for of, verdict in (("", verdicts.swapaxes(0, 1)), ("_source", self._verdict(image)[:, None])):
                right = (verdict == (asked > 0.5)).astype(jnp.float32)
                values[f"changed{of}"] = mean(right[:, domain, domain], changes)
                if not self._together.all():
                    values[f"kept{of}"] = mean(right, others)
                if not of:
                    values["right"] = mean(right.min(-1), changes)
                    of_each = jnp.where(changes, right[:, domain, domain], jnp.nan)
                    values |= {name: of_each[:, i] for i, name in enumerate(self.names)}
        return values

    def _verdict(self, images):
        """Whether the judge finds images [batch, height, width, 3] to be of each domain, [batch, domains] bool."""
        logits, _ = judge.look(self.judge, images)
        likeliest = lambda start, stop: jnp.argmax(logits[:, start:stop], -1)[:, None]
        return jnp.stack([jnp.any(likeliest(a, b) == jnp.array(of), -1) for a, b, of in self.judged], -1)

    @classmethod
    def figures(cls, model, source, values):
        """`translations`: a row a held-out image, a column a domain."""
        names = model.experiment.data.attributes or source.classes
        sample = model.apply("sample", source, 8)
        parts = np.split(sample["translations"], len(names), 2)
        return {"translations": sheets.sheet({"source": sample["source"], **dict(zip(names, parts))})}


def _groups(model, names):
    """A number for each domain, the same for those that exclude each other.

    Raises:
      InputError: `config.model.exclusive` names an attribute that is none of `names`, or one twice.
    """
    if model.classes:
        return (0,) * model.classes
    found = {}
    for number, group in enumerate(model.exclusive):
        for name in group.split():
            if name not in names:
                wrong = f"{name!r} is none of config.data.attributes{nearest(name, names)}"
                raise InputError(f"config.model.exclusive: {wrong}")
            if name in found:
                raise InputError(f"config.model.exclusive names {name!r} twice")
            found[name] = number
    return tuple(found.get(name, len(names) + i) for i, name in enumerate(names))


def _answers(experiment):
    """For each domain (start, stop, numbers): a trait's logits among the judge's, and which values are of the domain.

    A judge of avatars' traits judges attributes too.

    Raises:
      InputError: `config.init.judge` does not judge all domains.
    """
    if experiment.model.classes:
        start, stop = judge.of_label(experiment)
        return tuple((start, stop, (i,)) for i in range(experiment.model.classes))
    origin, found = experiment.origin["judge"], []
    of = judge.traits(origin)
    for name in experiment.data.attributes:
        trait, true = (name, faces.ANSWERS[1:]) if name in of else avatar_faces.ATTRIBUTES.get(name, (name, ()))
        if trait not in of:
            raise InputError(
                f"config.init.judge must be a classifier of traits that tell {name!r}, got {origin.run}: "
                f"{origin.attribute} of {origin.system}, which judges {', '.join(of) or 'none'}"
            )
        answers = origin.model.answers[of[trait]]
        numbers = tuple(i for i, answer in enumerate(answers) if answer in [f"{trait}={value}" for value in true])
        found.append((of[trait].start, of[trait].stop, numbers))
    return tuple(found)
