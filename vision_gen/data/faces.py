"""Faces with traits of several values, such as the colour of hair, and binary attributes in CelebA's manner."""

import numpy as np

from vision_gen.data import source
from vision_gen.errors import InputError
from vision_gen.settings import nearest

ANSWERS = ("no", "yes")


def shapes(settings, traits, attributes):
    """`colour` [height, width, 3]; with `labels` also `label`, `traits` and `attributes`.

    `traits` [traits] int32 are the numbers of their values, `attributes` [attributes] bool.

    Args:
      settings: `data.Settings`.
      traits, attributes: see `Faces`.

    Raises:
      InputError: a label or an attribute is named, but there are to be none, or there is no such attribute.
    """
    found = source.images(settings, colour=3)
    if settings.labels:
        found["traits"] = source.ShapeDtype((len(traits),), np.dtype(np.int32))
        found["attributes"] = source.ShapeDtype((len(_chosen(settings, attributes)),), np.dtype(bool))
    for field in ("label", "attributes"):
        value, section = getattr(settings, field), settings.section
        if value and not settings.labels:
            raise InputError(f"{section}.{field} is {value!r}, but {section}.labels=False asks for none")
    return found


def _chosen(settings, attributes):
    """Those of `attributes` that `settings` names, in its order."""
    for number, name in enumerate(settings.attributes):
        if name not in attributes:
            hint = nearest(name, attributes)
            raise InputError(f"{settings.section}.attributes: {settings.name} has no {name!r}{hint}")
        if name in settings.attributes[:number]:
            raise InputError(f"{settings.section}.attributes names {name!r} twice")
    return {name: attributes[name] for name in settings.attributes or attributes}


def classes(settings, traits, attributes, label):
    """Names of what `label` counts, () without labels; arguments as of `Faces`.

    Raises:
      InputError: `settings.label` is no trait and no attribute.
    """
    if not settings.labels:
        return ()
    label, known = settings.label or label, (*traits, *attributes)
    if label not in known:
        raise InputError(f"{settings.section}.label: {settings.name} has no {label!r}{nearest(label, known)}")
    return traits.get(label, ANSWERS)


class Faces(source.Source):
    """A subclass reads images, by `image`, and traits, by `values`.

    Args:
      settings: `data.Settings`.
      traits: {name: its values}.
      attributes: {name: (trait, the values of which it is true)}; `settings.attributes` chooses some.
      label: the trait or attribute that is `label` where `settings.label` names none; an attribute's classes are "no"
        and "yes".

    Raises:
      InputError: `settings.label` is no trait and no attribute.
    """

    def __init__(self, settings, traits, attributes, label):
        self.shapes = shapes(settings, traits, attributes)
        self.traits, self.attributes = traits, _chosen(settings, attributes)
        self._answers = _Answers(traits, self.attributes)
        self._kinds = attributes
        self.classes = classes(settings, traits, attributes, label)
        if self.classes:
            self._number = self._counter(settings.label or label)

    def image(self, index):
        """[height, width, 3] uint8."""
        raise NotImplementedError

    def values(self, index):
        """The numbers of the values of all traits, [traits] int32."""
        raise NotImplementedError

    def __getitem__(self, index):
        found = {"colour": self.image(index)}
        return found | self._labels(self.values(index)) if self.classes else found

    def column(self, name):
        if name == "colour" or name not in self.shapes:
            return super().column(name)
        return np.stack([self._labels(self.values(i))[name] for i in range(len(self))])

    def _counter(self, name):
        """Function of the numbers of all traits' values, [..., traits], that gives those of a trait or attribute."""
        if name in self.traits:
            place = list(self.traits).index(name)
            return lambda values: values[..., place]
        answers = _Answers(self.traits, {name: self._kinds[name]})
        return lambda values: np.int32(answers(values)[..., 0])

    def counted(self, name):
        """The numbers of the values of a trait or attribute, [examples] int32; an attribute's are of `ANSWERS`."""
        return self._counter(name)(np.stack([self.values(i) for i in range(len(self))]))

    def describe(self, index):
        """What is seen, in words: {trait: value}."""
        return {name: values[at] for (name, values), at in zip(self.traits.items(), self.values(index))}

    def _labels(self, values):
        return {"label": np.int32(self._number(values)), "traits": values, "attributes": self._answers(values)}


class _Answers:
    """Function of the numbers of all traits' values, [..., traits], that gives attributes, [..., attributes] bool."""

    def __init__(self, traits, attributes):
        self._of = np.array([list(traits).index(trait) for trait, _ in attributes.values()])
        self._true = np.zeros((len(attributes), max(map(len, traits.values()))), bool)
        for row, (trait, values) in zip(self._true, attributes.values()):
            row[[traits[trait].index(value) for value in values]] = True

    def __call__(self, values):
        return self._true[np.arange(len(self._of)), values[..., self._of]]
