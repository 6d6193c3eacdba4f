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
      InputError: a label is named, but there are to be none.
    """
    found = source.images(settings, colour=3)
    if settings.labels:
        found["traits"] = source.ShapeDtype((len(traits),), np.dtype(np.int32))
        found["attributes"] = source.ShapeDtype((len(attributes),), np.dtype(bool))
    elif settings.label:
        section = settings.section
        raise InputError(f"{section}.label is {settings.label!r}, but {section}.labels=False asks for none")
    return found


class Faces(source.Source):
    """A subclass reads images, by `image`, and traits, by `values`.

    Args:
      settings: `data.Settings`.
      traits: {name: its values}.
      attributes: {name: (trait, the values of which it is true)}.
      label: the trait or attribute that is `label` where `settings.label` names none; an attribute's classes are "no"
        and "yes".

    Raises:
      InputError: `settings.label` is no trait and no attribute.
    """

    def __init__(self, settings, traits, attributes, label):
        self.shapes = shapes(settings, traits, attributes)
        self.traits, self.attributes = traits, attributes
        names = list(traits)
        self._of = np.array([names.index(trait) for trait, _ in attributes.values()])
        self._true = np.zeros((len(attributes), max(map(len, traits.values()))), bool)
        for row, (trait, values) in zip(self._true, attributes.values()):
            row[[traits[trait].index(value) for value in values]] = True
        if settings.labels:
            label = settings.label or label
            if label not in (*traits, *attributes):
                hint = nearest(label, (*traits, *attributes))
                raise InputError(f"{settings.section}.label: {settings.name} has no {label!r}{hint}")
            self.classes = traits.get(label, ANSWERS)
            self._place = names.index(label) if label in traits else None
            self._attribute = None if label in traits else list(attributes).index(label)

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

    def describe(self, index):
        """What is seen, in words: {trait: value}."""
        return {name: values[at] for (name, values), at in zip(self.traits.items(), self.values(index))}

    def _labels(self, values):
        attributes = self._true[np.arange(len(self._of)), values[self._of]]
        label = attributes[self._attribute] if self._place is None else values[self._place]
        return {"label": np.int32(label), "traits": values, "attributes": attributes}
