"""Labelled images, each beside two others of one class, its references: what StarGAN v2 is trained on.

`parts` is one data set with labels. In training, images come balanced by class, and so do references, in an order of
their own; which two of a class meet is drawn anew in each epoch. Held-out images have references of other classes in turn,
in order. An example has `colour` and `label`, `reference` and `other_reference`, which are images of one class, and its
number, `reference_label`.
"""

import numpy as np

from vision_gen import data
from vision_gen.data import balanced, parts
from vision_gen.errors import InputError

FIELDS = ("size", "parts")


def shapes(settings):
    """Those of `colour` and `label` of the part, twice."""
    found = parts.one(settings, "colour", "label")[1]
    image, label = found["colour"], found["label"]
    return dict(colour=image, label=label, reference=image, other_reference=image, reference_label=label)


def classes(settings):
    """Those of the part, where that knows them."""
    return data.classes(parts.one(settings)[0])


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: all images of the split are of one class.
    """
    whole = shapes(settings)
    (part,) = parts.opened(parts.read(settings, 1, 1), split).values()
    present = np.unique(part.column("label"))
    if len(present) < 2:
        found = f"those of {split!r} are all {part.classes[present[0]]!r}"
        raise InputError(f"{settings.section}.parts: images of each split must be of two classes, {found}")
    return References(part, whole)


class References(balanced.Balanced):
    """Example i + n (1 + j + n k) of n images is image i with references j and k; example i has any."""

    def __init__(self, part, shapes):
        super().__init__(part, "label")
        self.shapes = shapes
        # Of each image, its class among those that there are.
        self._places = np.unique(part.column("label"), return_inverse=True)[1]

    def __getitem__(self, index):
        place, first, second = self._triple(int(index))
        found = {name: self._part[place][name] for name in ("colour", "label")}
        return found | {
            "reference": self._part[first]["colour"],
            "other_reference": self._part[second]["colour"],
            "reference_label": self._part[first]["label"],
        }

    def name(self, index):
        """That of the image."""
        return self._part.name(self._triple(int(index))[0])

    def order(self, epoch, seed):
        count, rng = len(self), np.random.default_rng((seed, epoch, 1))
        image, first = super().order(epoch, seed), super().order(epoch, seed + 1)
        second = np.array([rng.choice(self._members[self._places[at]]) for at in first])
        return image + count * (1 + first + count * second)

    def _triple(self, index):
        """Numbers of an image and of its references."""
        count = len(self)
        pair, place = divmod(index, count)
        if pair:
            second, first = divmod(pair - 1, count)
            return place, first, second
        classes = len(self._members)
        members = self._members[(self._places[place] + 1 + place % (classes - 1)) % classes]
        return place, members[place % len(members)], members[(place + 1) % len(members)]
