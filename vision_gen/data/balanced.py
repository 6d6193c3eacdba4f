"""A data set whose classes come equally often in training, however many examples each has.

`parts` is one data set; `balance_by` the scalar array of its examples whose values are the classes, by default `label`.
An epoch has about as many examples as the data set, the same number of each class; held-out examples come once each.
"""

import numpy as np

from vision_gen import data
from vision_gen.data import parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts", "balance_by")


def shapes(settings):
    """Those of the part."""
    (part,) = parts.read(settings, 1, 1).values()
    found, key = data.shapes(part), settings.balance_by
    if key not in found or found[key].shape:
        scalars = [name for name, array in found.items() if not array.shape]
        raise InputError(
            f"{settings.section}.balance_by is {key!r}; examples of {part.name} have the scalars {scalars or 'none'}"
            + (f"; {part.section}.labels=True adds labels" if not part.labels else "")
        )
    return found


def open(settings, split):
    """See `shapes`."""
    shapes(settings)
    (part,) = parts.opened(parts.read(settings, 1, 1), split).values()
    return Balanced(part, settings.balance_by)


class Balanced(source.Source):
    """Within an epoch, every class comes once before one comes again."""

    def __init__(self, part, key):
        self._part = part
        self.shapes, self.classes, self.biases, self.skipped = part.shapes, part.classes, part.biases, part.skipped
        values = part.column(key)
        self._members = [np.flatnonzero(values == value) for value in np.unique(values)]

    def __len__(self):
        return len(self._part)

    def __getitem__(self, index):
        return self._part[index]

    def name(self, index):
        """As the part has it."""
        return self._part.name(index)

    def column(self, name):
        return self._part.column(name)

    def order(self, epoch, seed):
        each = -(-len(self) // len(self._members))
        rounds = [
            members[source.endless(len(members), epoch * each, (epoch + 1) * each, seed, number)]
            for number, members in enumerate(self._members)
        ]
        return np.random.default_rng((seed, epoch)).permuted(np.stack(rounds, -1), axis=1).ravel()
