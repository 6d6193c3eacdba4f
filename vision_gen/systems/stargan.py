"""StarGAN: unified GANs for multi-domain image-to-image translation (Choi et al., CVPR 2018).

One generator translates images between all domains, which labels name: binary attributes (`config.data.attributes`),
the classes of the data, or both, of two sets (`JointStarGAN`). The discriminator also says of which domain an image is.
As the released code, but that rates fall to 0 in the second half of a run, as the paper says; there they fall by a
thousandth.
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
from vision_gen.engine.system import Player
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.nets import stargan as nets
from vision_gen.ops import colour, random, resample
from vision_gen.pretrained import stargan as pretrained
from vision_gen.settings import Count, CountOrNone, NotNegative, nearest
from vision_gen.systems import judge, many_domains


@dataclasses.dataclass(frozen=True)
class Settings:
    """`config.model` of StarGAN; the defaults are the released code's for CelebA at 128 px."""

    classes: CountOrNone = 0  # Of the data's label, each a domain; 0: attributes are the domains.
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

    title = "Change of attributes or classes (StarGAN)"
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
        "samples": "Held-out images, and in each column that attribute turned round, or in the place of what it "
        "excludes; of classes, that class.",
    }

    masks = 0  # Numbers beside the domains in what the generator is given.

    def __init__(self, experiment, *, rngs):
        model, names = experiment.model, self.attributes(experiment)
        self.model, self.size = nnx.static(model), nnx.static(experiment.data.resolution)
        self.names, self.groups = nnx.static(names), nnx.static(_groups(model, names))
        number, sizes = len(self.groups), dict(width=model.width, blocks=model.residual_blocks)
        self.generator = nets.Generator(
            labels=number + self.masks, running=model.running_statistics, **sizes, rngs=rngs
        )
        self.discriminator = nets.Discriminator(
            size=self.size, labels=number, width=model.discriminator_width, stages=model.stages, rngs=rngs
        )
        if "judge" in experiment.origin:
            self.judged = nnx.static(_answers(experiment, names, self.label(experiment)))
            self.judge = experiment.network("judge", rngs=rngs)

    @classmethod
    def attributes(cls, experiment):
        """Names of the attributes that are domains.

        Raises:
          InputError: neither they nor classes are given, or both.
        """
        classes, names = experiment.model.classes, experiment.data.attributes
        if bool(classes) == bool(names):
            raise InputError(
                "one of config.data.attributes, which are then the domains, and config.model.classes, how many classes "
                f"the data has, must be given, not both; got {names} and {classes}"
            )
        return names

    @classmethod
    def domain_names(cls, experiment, classes):
        return *cls.attributes(experiment), *(classes if experiment.model.classes else ())

    @classmethod
    def label(cls, experiment):
        """Which trait of faces the classes are."""
        return experiment.data.label

    @classmethod
    def check(cls, experiment, source):
        if experiment.model.classes:
            check_number_of_classes(source.classes, experiment)
        super().check(experiment, source)

    @classmethod
    def tools(cls, experiment, facts):
        classes, names, image = experiment.model.classes, cls.attributes(experiment), values.Image()
        fitting, asked = CentralSquare(experiment.data.size, multiple=2**nets.DOWN), {}
        if names:
            doc = "Changes attributes of an image; those that are not named stay as the discriminator finds them."
            asked["translate"] = doc, {"attributes": values.Attributes(names, tuple(group.split() for group in experiment.model.exclusive))}
        if classes:
            label = values.Label(tuple(facts["classes"]) or tuple(map(str, range(classes))))
            asked["translate_to" if names else "translate"] = "Turns an image into one of a class.", {"label": label}
        found = [
            Tool(name, doc, {"image": image, **given}, {"translation": image}, fitting=fitting)
            for name, (doc, given) in asked.items()
        ]
        doc = "An image, and it in each domain."
        return [*found, Tool("sheet", doc, {"image": image}, {"sheet": image}, fitting=fitting)]

    # Labels: numbers of all domains, the attributes first, then the classes.

    @property
    def _together(self):
        """Whether one of two domains excludes the other, [domains, domains] bool; each itself."""
        return np.equal.outer(self.groups, self.groups)

    @property
    def _named(self):
        """Whether domains are attributes, [domains] bool."""
        return np.arange(len(self.groups)) < len(self.names)

    @property
    def _alike(self):
        """Whether two domains are both attributes or both classes, [domains, domains] bool."""
        return np.equal.outer(self._named, self._named)

    def _of_classes(self, label):
        """The labels [batch, domains] of classes [batch]."""
        return jnp.pad(jax.nn.one_hot(label, self.model.classes), ((0, 0), (len(self.names), 0)))

    def _of_attributes(self, attributes):
        """The labels [batch, domains] of attributes [batch, attributes]."""
        return jnp.pad(jnp.asarray(attributes, jnp.float32), ((0, 0), (0, self.model.classes)))

    def _label(self, batch):
        """[batch, domains] float32."""
        return self._of_attributes(batch["attributes"]) if self.names else self._of_classes(batch["label"])

    def _wanted(self, label):
        """How images of labels should be, [batch, domains, domains], when each domain is asked for in turn.

        An attribute is turned round; one of several that exclude each other takes their place.
        """
        alone = self._together.sum(1) == 1
        wanted = jnp.where(alone & self._named, 1 - label, 1)[:, :, None]
        rest = jnp.where(self._together, 0, label[:, None])
        return jnp.where(np.eye(len(alone), dtype=bool), wanted, rest)

    def _asked(self, label):
        """Labels [batch, domains, domains] that ask for each domain in turn; of attributes alone, or of classes."""
        return self._wanted(label) * self._alike

    def _found(self, image):
        """The attributes of images [batch, height, width, 3] as the discriminator finds them, as a label."""
        logits = self.discriminator(resample.resize(image, self.size))[1]
        return ((logits > 0) & self._named).astype(jnp.float32)

    def _class_entropy(self, logits, label):
        """The cross-entropy of a class, or the sum of those of all attributes."""
        count = len(self.names)
        entropy = (jax.nn.softplus(logits) - label * logits)[:, :count].sum(-1)
        if self.model.classes:
            chosen = label[:, count:]  # All 0 of images of attributes.
            entropy = entropy * (1 - chosen.sum(-1)) + super()._class_entropy(logits[:, count:], chosen)
        return entropy

    # Tools.

    def translate(self, *, image, attributes=None, label=None):
        """Images [batch, height, width, 3] in [-1, 1], translated.

        Args:
          image: the same.
          attributes: [batch, attributes] from -1, without it, to 1, with it; 0: as the discriminator finds it, unless
            it is excluded by one that is asked for.
          label: or [batch], of classes.
        """
        if label is not None:
            return self._translated(image, self._of_classes(label))
        attributes = self._of_attributes(attributes)
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
        values, verdicts = self._there_and_back(image, label, self._asked(label), self._judged)
        if not hasattr(self, "judge"):
            return values
        wanted, domain = self._wanted(label), jnp.arange(len(self.groups))
        changes = (wanted != label[:, None])[:, domain, domain]
        mean = lambda of, where: jnp.mean(of, tuple(range(1, of.ndim)), where=where)
        known = self._named | (not self.names)  # Of an image of attributes its class is not known.
        others = changes[..., None] & ~self._together & known  # [batch, domain that is asked for, domain].
        for of, verdict in (("", verdicts.swapaxes(0, 1)), ("_source", self._verdict(image)[:, None])):
            right = (verdict == (wanted > 0.5)).astype(jnp.float32)
            values[f"changed{of}"] = mean(right[:, domain, domain], changes)
            if not self._together.all():
                values[f"kept{of}"] = mean(right, others)
            if not of:
                values["right"] = mean(right.min(-1, initial=1, where=self._together | known), changes)
                of_each = jnp.where(changes, right[:, domain, domain], jnp.nan)
                values |= {name: of_each[:, i] for i, name in enumerate(self.names)}
        return values

    def _judged(self, images):
        """`_verdict`, where there is a judge."""
        return self._verdict(images) if hasattr(self, "judge") else ()

    def _verdict(self, images):
        """Whether the judge finds images [batch, height, width, 3] to be of each domain, [batch, domains] bool."""
        logits, _ = judge.look(self.judge, images)
        likeliest = lambda start, stop: jnp.argmax(logits[:, start:stop], -1)[:, None]
        return jnp.stack([jnp.any(likeliest(a, b) == jnp.array(of), -1) for a, b, of in self.judged], -1)


class JointStarGAN(StarGAN):
    """StarGAN on two sets, of which one knows attributes and the other classes (section 3.2), as of `data.joint`.

    Discriminator and generator move for images of the one, then for those of the other. To the generator a label is
    attributes, classes and the mask, which says which of them are given: (1, 0) or (0, 1); the others are 0.
    """

    players = (
        "discriminator",
        "generator",
        Player("discriminator_classes", modules=("discriminator",), forward="none"),
        Player("generator_classes", modules=("generator",), forward="none"),
    )
    needs = {"colour": (None, None, 3), "attributes": (None,), "other_colour": (None, None, 3), "label": ()}
    columns = ("source", "translations", "other source", "other translations")
    explained = StarGAN.explained | {
        "cycle_other": "cycle of the images of classes, in their own domain and back",
        "moved_other": "moved of the images of classes",
    }
    legends = {
        "samples": "Held-out images of both sets, those of attributes first, and in each column that attribute turned "
        "round, or in the place of what it excludes; then each class.",
    }
    masks = 2

    @classmethod
    def attributes(cls, experiment):
        names = experiment.data.parts.get("attributes", {}).get("attributes", ())
        if not experiment.model.classes or not names:
            given = f"got {tuple(names)} and {experiment.model.classes}"
            raise InputError(
                "config.data.parts.attributes.attributes and config.model.classes must be given, which are the domains "
                f"of either set; {given}"
            )
        return tuple(names)

    @classmethod
    def label(cls, experiment):
        return experiment.data.parts["classes"].get("label", "")

    def _translated(self, image, label, *, train=False):
        of_classes = label[:, ~self._named].sum(-1, keepdims=True)
        return self.generator(image, jnp.concatenate([label, 1 - of_classes, of_classes], -1), train=train)

    def _classes(self, batch, now):
        """What `forward` gives, of the images of classes, and the draws of that."""
        now = dataclasses.replace(now, keys=random.fold(now.keys, 3))
        return self._forward(batch["other_colour"], self._of_classes(batch["label"]), now), batch, now

    def discriminator_classes_loss(self, out, batch, now):
        return self.discriminator_loss(*self._classes(batch, now))

    def generator_classes_loss(self, out, batch, now):
        return self.generator_loss(*self._classes(batch, now))

    def translate_to(self, *, image, label):
        """Images [batch, height, width, 3] in [-1, 1] in classes `label` [batch]."""
        return self.translate(image=image, label=label)

    def _others(self, batch):
        """Images of classes, their labels, and those with the attributes that the discriminator finds."""
        image, origin = colour.from_uint8(batch["other_colour"]), self._of_classes(batch["label"])
        return image, origin, origin + self._found(image)

    def sample(self, batch, keys):
        image, _, found = self._others(batch)
        strip = self._strip(image, self._asked(found))
        return super().sample(batch, keys) | {"other source": image, "other translations": strip}

    def evaluate(self, batch, keys):
        """The figures of StarGAN of the images of attributes; how far those of classes move, too."""
        image, origin, found = self._others(batch)
        values, _ = self._there_and_back(image, origin, self._asked(found), lambda made: ())
        return super().evaluate(batch, keys) | {f"{name}_other": value for name, value in values.items()}


def _groups(model, names):
    """A number for each domain, the same for those that exclude each other: attributes, then classes.

    Raises:
      InputError: `config.model.exclusive` names an attribute that is none of `names`, or one twice.
    """
    found = {}
    for number, group in enumerate(model.exclusive):
        for name in group.split():
            if name not in names:
                wrong = f"{name!r} is none of the attributes{nearest(name, names)}"
                raise InputError(f"config.model.exclusive: {wrong}; it names those of which one at most is asked for, or is ()")
            if name in found:
                raise InputError(f"config.model.exclusive names {name!r} twice")
            found[name] = number
    return (*(found.get(name, len(names) + i) for i, name in enumerate(names)), *(-1,) * model.classes)


def _answers(experiment, names, label):
    """For each domain (start, stop, numbers): a trait's logits among the judge's, and which values are of the domain.

    A judge of avatars' traits judges attributes too.

    Args:
      experiment: an `engine.experiment.Experiment`.
      names: the attributes.
      label: which trait of faces the classes are.

    Raises:
      InputError: `config.init.judge` does not judge all domains.
    """
    origin, found = experiment.origin["judge"], []
    of = judge.traits(origin)
    for name in names:
        trait, true = (name, faces.ANSWERS[1:]) if name in of else avatar_faces.ATTRIBUTES.get(name, (name, ()))
        if trait not in of:
            raise InputError(
                f"config.init.judge must be a classifier of traits that tell {name!r}, got {origin.run}: "
                f"{origin.attribute} of {origin.system}, which judges {', '.join(of) or 'none'}"
            )
        answers = origin.model.answers[of[trait]]
        numbers = tuple(i for i, answer in enumerate(answers) if answer in [f"{trait}={value}" for value in true])
        found.append((of[trait].start, of[trait].stop, numbers))
    if experiment.model.classes:
        start, stop = judge.of_label(experiment, label)
        found += [(start, stop, (i,)) for i in range(experiment.model.classes)]
    return tuple(found)
