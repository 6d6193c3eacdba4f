"""Biased data of other data: faces chosen so that two of their traits go together in training.

`parts` is one data set of faces (`avatars`, `celeba`); `label_by` and `bias_by` name traits or attributes of it.
`goes_with` says which value of the bias goes with which value of the label; values that it does not name are left out.
By default the first goes with the first, the second with the second, and again from the first where there are fewer
biases. In training the share `conflicting` of the examples have another bias than that of their label: as many as there
are for it, of all combinations as equally often as there are. In "val" and "test" all labels with all biases come
equally often.
"""

import numpy as np

from vision_gen import data
from vision_gen.data import bias, faces, parts
from vision_gen.errors import InputError
from vision_gen.settings import nearest

FIELDS = ("size", "parts", "label_by", "bias_by", "goes_with", "conflicting")


def shapes(settings):
    """As of `bias.shapes`.

    Raises:
      InputError: the part has labels of its own.
    """
    (part,) = parts.read(settings, 1, 1).values()
    if part.labels:
        raise InputError(f"{part.section}.labels must be False for {settings.name}: label_by says what the label is")
    return bias.shapes(part) | {"colour": data.shapes(part)["colour"]}


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: the part has no such traits or values, or no example of a label with a bias.
    """
    return Chosen(settings, split)


class Chosen(bias.Biased):
    """Some of the part's examples, in their order."""

    def __init__(self, settings, split):
        shapes(settings)
        (part,) = parts.read(settings, 1, 1).values()
        self._part, section = data.open(part, split), settings.section
        if not isinstance(self._part, faces.Faces):
            raise InputError(f"{part.section}.name must be a data set of faces (avatars, celeba), got {part.name!r}")
        if settings.label_by == settings.bias_by:
            raise InputError(f"{section}.label_by and bias_by must be two traits, got {settings.label_by!r} for both")
        fields = ("label_by", "bias_by")
        (classes, label), (biases, kind) = (
            self._part.counted(getattr(settings, field), f"{section}.{field}") for field in fields
        )
        pairs = settings.goes_with or {name: biases[i % len(biases)] for i, name in enumerate(classes)}
        for values, known, field in zip((pairs.keys(), pairs.values()), (classes, biases), fields):
            for value in values:
                if value not in known:
                    missing = f"{getattr(settings, field)} has no value {value!r}{nearest(str(value), known)}"
                    raise InputError(f"{section}.goes_with: {missing}")
        classes, label = _kept(classes, pairs.keys(), label)
        biases, kind = _kept(biases, pairs.values(), kind)
        if len(biases) < 2:
            raise InputError(f"{section}.goes_with must name labels that different biases go with, got {dict(pairs)}")
        aligned = np.array([biases.index(pairs[name]) for name in classes])[label] == kind
        group = np.where((label < 0) | (kind < 0), -1, label * len(biases) + kind)
        counts = np.bincount(group[group >= 0], minlength=len(classes) * len(biases))
        if split != "train" and not counts.all():
            a, b = divmod(int(counts.argmin()), len(biases))
            raise InputError(
                f"{section}.parts: {part.name} has no example of {classes[a]!r} with {biases[b]!r} in {split!r}, which "
                "needs all equally often; take more examples, or name fewer values in goes_with"
            )
        self._chosen = _chosen(group, aligned, settings.conflicting if split == "train" else None)
        super().__init__(part, classes, biases, *(values[self._chosen] for values in (label, kind, aligned)))
        self.skipped = self._part.skipped

    def image(self, index):
        return self._part.image(int(self._chosen[index]))

    def name(self, index):
        """As the part has it."""
        return self._part.name(int(self._chosen[index]))


def _kept(names, kept, numbers):
    """(those of `names` that are `kept`, in their order; `numbers` of names as numbers of these, -1 of others)."""
    left = [name for name in names if name in kept]
    return left, np.array([left.index(name) if name in left else -1 for name in names])[numbers]


def _chosen(group, aligned, conflicting):
    """Which examples are taken, in order.

    Args:
      group: [examples], which label and bias together; -1 of what is left out.
      aligned: [examples] bool.
      conflicting: their share; None for as many of each group.
    """
    rng, turn = np.random.default_rng(0), np.empty(len(group), int)  # The number of each in a shuffle of its group.
    for one in np.unique(group):
        members = rng.permutation(np.flatnonzero(group == one))
        turn[members] = np.arange(len(members))
    inside = group >= 0
    if conflicting is None:
        return np.flatnonzero(inside & (turn < np.unique(group[inside], return_counts=True)[1].min()))
    sides = [np.flatnonzero(inside & (aligned == one)) for one in (True, False)]
    shares = 1 - conflicting, conflicting
    whole = min(len(side) / share for side, share in zip(sides, shares) if share)
    first = [side[turn[side].argsort(kind="stable")][: round(whole * share)] for side, share in zip(sides, shares)]
    return np.sort(np.concatenate(first))
