"""Data sets of the same shapes in one, each with a given share of the examples of an epoch.

`weights` are the shares by part, of any sum; by default all parts have the same. An epoch has as many examples as the
parts together; a part with a large share is run through more than once in it. Held-out examples come once each, part by
part.
"""

import numpy as np

from vision_gen import data
from vision_gen.data import parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts", "weights")


def shapes(settings):
    """Those of every part."""
    found = {name: data.shapes(part) for name, part in parts.read(settings, 2).items()}
    first = next(iter(found))
    for name, others in found.items():
        if others != found[first]:
            show = lambda shapes: ", ".join(f"{array} {shape}" for array, shape in shapes.items())
            raise InputError(
                f"{settings.section}.parts must have the same arrays: {first} has {show(found[first])}, but {name} has "
                f"{show(others)}"
            )
    return found[first]


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: the parts differ in arrays or classes, or a weight is missing, unknown or too small.
    """
    shapes(settings)
    sources = parts.opened(parts.read(settings, 2), split)
    first = next(iter(sources))
    for name, part in sources.items():
        if part.classes != sources[first].classes:
            raise InputError(
                f"{settings.section}.parts must have the same classes: {first} has {list(sources[first].classes)}, but "
                f"{name} has {list(part.classes)}"
            )
    return weighed(settings, sources)


def weighed(settings, sources):
    """The `Mixed` of sources by name, with the shares of `settings.weights`.

    Raises:
      InputError: a weight is missing, unknown or too small.
    """
    section = f"{settings.section}.weights"
    weights = settings.weights or dict.fromkeys(sources, 1)
    if weights.keys() != sources.keys():
        raise InputError(f"{section} must name the parts {sorted(sources)}, got {sorted(weights)}")
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise InputError(f"{section}.{name} must be a number above 0, got {weight!r}")
    mixed = Mixed(sources, weights)
    for name, count in mixed.counts.items():
        if not count:
            raise InputError(
                f"{section}.{name} is {weights[name]:g} of {sum(weights.values()):g}, none of an epoch of {len(mixed)} "
                "examples"
            )
    return mixed


class Mixed(source.Source):
    """The parts one after another; `counts` are their examples in an epoch of training, by name."""

    def __init__(self, sources, weights):
        self._sources = sources
        first = next(iter(sources.values()))
        self.shapes, self.classes, self.skipped = first.shapes, first.classes, parts.skipped(sources)
        self._ends = np.cumsum([len(part) for part in sources.values()])
        share = np.cumsum([0, *(weights[name] for name in sources)])
        bounds = np.round(share / share[-1] * len(self)).astype(int)
        self.counts = dict(zip(sources, np.diff(bounds).tolist()))

    def __len__(self):
        return int(self._ends[-1])

    def __getitem__(self, index):
        name, at = self._place(index)
        return self._sources[name][at]

    def name(self, index):
        """The part, and the name in it."""
        name, at = self._place(index)
        return f"{name}/{self._sources[name].name(at)}"

    def column(self, name):
        return np.concatenate([part.column(name) for part in self._sources.values()])

    def order(self, epoch, seed):
        runs, start = [], 0
        for number, (name, part) in enumerate(self._sources.items()):
            count = self.counts[name]
            runs.append(start + source.endless(len(part), epoch * count, (epoch + 1) * count, seed, number))
            start += len(part)
        return np.random.default_rng((seed, epoch)).permutation(np.concatenate(runs))

    def _place(self, index):
        """(part, number of its example)."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        name = list(self._sources)[number]
        return name, int(index - (self._ends[number] - len(self._sources[name])))
