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
      InputError: the part is no faces or has labels of its own, or has no such traits or values.
    """
    part, *_ = _plan(settings)
    return bias.shapes(settings) | {"colour": data.shapes(part)["colour"]}


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: a held-out split has no example of a label with a bias.
    """
    return Chosen(settings, split)


def _plan(settings):
    """(settings of the part, {label: the bias that goes with it}, (trait, names of its values) of label and bias)."""
    (part,) = parts.read(settings, 1, 1).values()
    section, (traits, attributes) = settings.section, data.kinds(part)
    if not traits:
        raise InputError(f"{part.section}.name must be a data set of faces (avatars, celeba), got {part.name!r}")
    if part.labels:
        raise InputError(f"{part.section}.labels must be False for {settings.name}: label_by says what the label is")
    known, chosen = dict.fromkeys(attributes, faces.ANSWERS) | traits, []
    for field in ("label_by", "bias_by"):
        name = getattr(settings, field)
        if name not in known:
            raise InputError(f"{section}.{field}: {part.name} has no {name!r}{nearest(name, known)}")
        chosen.append((name, known[name]))
    if settings.label_by == settings.bias_by:
        raise InputError(f"{section}.label_by and bias_by must be two traits, got {settings.label_by!r} for both")
    (_, classes), (_, biases) = chosen
    pairs = settings.goes_with or {name: biases[i % len(biases)] for i, name in enumerate(classes)}
    for given, (trait, names) in zip((pairs.keys(), pairs.values()), chosen):
        for value in given:
            if value not in names:
                raise InputError(f"{section}.goes_with: {trait} has no value {value!r}{nearest(str(value), names)}")
    if len(set(pairs.values())) < 2:
        raise InputError(f"{section}.goes_with must name labels that different biases go with, got {dict(pairs)}")
    return part, pairs, chosen


class Chosen(bias.Biased):
    """Some of the part's examples, in their order."""

    def __init__(self, settings, split):
        part, pairs, of = _plan(settings)
        self._part = data.open(part, split)
        (classes, label), (biases, kind) = (
            _kept(names, values, self._part.counted(trait))
            for (trait, names), values in zip(of, (pairs.keys(), pairs.values()))
        )
        aligned = np.array([biases.index(pairs[name]) for name in classes])[label] == kind
        group = np.where((label < 0) | (kind < 0), -1, label * len(biases) + kind)
        counts = np.bincount(group[group >= 0], minlength=len(classes) * len(biases))
        if split != "train" and not counts.all():
            a, b = divmod(int(counts.argmin()), len(biases))
            raise InputError(
                f"{settings.section}.parts: {part.name} has no example of {classes[a]!r} with {biases[b]!r} in "
                f"{split!r}, which needs all equally often; take more examples, or name fewer values in goes_with"
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
