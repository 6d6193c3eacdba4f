"""Pictures, each beside an exemplar, another picture that is like it: what CoCosNet is trained on (Zhang et al., CVPR 2020).

`parts` is one data set. An example has its arrays and `exemplar`, one of the `exemplar_nearest` pictures whose features
of EfficientNet-Lite0 point most nearly the same way, or with `exemplar_by` "label" any of the same label. In training it is
drawn anew in each epoch, and a share `exemplar_random` are any other pictures. Exemplars are pictures of "train", for
held-out examples too, which have the one that is most like them. Features are computed once and kept in the cache, by
what pictures contain.
"""

import hashlib

import numpy as np
import tqdm

from vision_gen import cache, data
from vision_gen.data import parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts", "exemplar_by", "exemplar_nearest", "exemplar_random")
TOGETHER = 1000  # Pictures that are compared with all others at a time.


def shapes(settings):
    """Those of the part, and `exemplar`, of the shape of `colour`."""
    by = ("label",) if settings.exemplar_by == "label" else ()
    found = parts.one(settings, "colour", *by)[1]
    return found | {"exemplar": found["colour"]}


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: there are too few pictures to train on, or none of a label; or the part has an order of its own kind.
    """
    whole = shapes(settings)
    (part,) = parts.read(settings, 1, 1).values()
    train = data.open(part, "train")
    if len(train) < 2:
        raise InputError(f"{part.section}: exemplars are other pictures of 'train', but it has one")
    if train.order(0, 0).max() >= len(train):
        raise InputError(f"{part.section}.name: {part.name} changes from epoch to epoch, so nothing is known to be like it")
    pictures = train if split == "train" else data.open(part, split)
    if settings.exemplar_by == "label":
        like = _of_label(pictures, train, part.section)
    else:
        like = nearest(_features(pictures, part), _features(train, part), settings.exemplar_nearest, own=pictures is train)
    return Exemplars(pictures, train, like, settings.exemplar_random, whole)


def _of_label(pictures, train, section):
    """For each of the pictures, the numbers of those in `train` that have its label."""
    labels, wanted = train.column("label"), pictures.column("label")
    members = {label: np.flatnonzero(labels == label) for label in np.unique(wanted)}
    for label, found in members.items():
        if len(found) <= (pictures is train):
            one = "only one picture" if len(found) else "no picture"
            raise InputError(f"{section}: {train.classes[label]!r} has {one} in 'train', so there is no exemplar")
    return [members[label] for label in wanted]


def _features(pictures, part):
    """Features [n, 1280] of all pictures."""
    from vision_gen.metrics import extract  # Not at the top: processes that read files do without JAX.

    extractor = extract.Extractor()
    digest = lambda image: hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
    digests = [digest(pictures[i]["colour"]) for i in range(len(pictures))]

    def compute(numbers):
        shown = tqdm.tqdm(numbers, "looking at pictures", disable=len(numbers) < TOGETHER)
        for found in extractor.stream(pictures[i]["colour"] for i in shown):
            yield from found["features"]

    return cache.features(cache.place("exemplars", extractor.key, part), digests, compute)


def nearest(features, others, count, own=False):
    """Which of some vectors have the largest cosines with each of others.

    Args:
      features: [n, features].
      others: [m, features].
      count: how many are wanted; there are no more than m, or m - 1.
      own: both are the same, and none is among its own.

    Returns:
      [n, count] numbers of `others`, the one with the largest cosine first.
    """
    features, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, others))
    count, found = min(count, len(others) - own), []
    for start in range(0, len(features), TOGETHER):
        cosines = features[start : start + TOGETHER] @ others.T
        if own:
            cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -np.inf
        best = np.argpartition(-cosines, count - 1, 1)[:, :count]
        found.append(np.take_along_axis(best, np.argsort(-np.take_along_axis(cosines, best, 1), 1), 1))
    return np.concatenate(found)


class Exemplars(source.Source):
    """Example i + n (1 + j) of n is picture i with exemplar j; example i of those held out has the most like it.

    Args:
      pictures: a source, of n examples.
      train: the source of exemplars; that of training is `pictures` itself.
      like: for each picture, numbers of exemplars that are like it.
      random: share of others.
      shapes: of an example.
    """

    def __init__(self, pictures, train, like, random, shapes):
        self._pictures, self._train, self._like, self._random, self.shapes = pictures, train, like, random, shapes
        self.classes, self.biases, self.traits = pictures.classes, pictures.biases, pictures.traits
        self.skipped = pictures.skipped

    def __len__(self):
        return len(self._pictures)

    def __getitem__(self, index):
        pair, place = divmod(int(index), len(self))
        exemplar = pair - 1 if pair else self._chosen(place, 0)
        return self._pictures[place] | {"exemplar": self._train[exemplar]["colour"]}

    def name(self, index):
        """That of the picture."""
        return self._pictures.name(int(index) % len(self))

    def column(self, name):
        return self._pictures.column(name) if name in self._pictures.shapes else super().column(name)

    def order(self, epoch, seed):
        places, rng = self._pictures.order(epoch, seed), np.random.default_rng((seed, epoch, 1))
        drawn = rng.random((2, len(places)))
        others = (places + rng.integers(1, len(self), len(places))) % len(self)
        like = np.array([self._chosen(place, share) for place, share in zip(places, drawn[0])])
        return places + len(self) * (1 + np.where(drawn[1] < self._random, others, like))

    def _chosen(self, place, share):
        """The exemplar of a picture at a share, from 0 to 1, of those like it; in training another than itself."""
        like = self._like[place]
        number = int(share * len(like))
        if self._pictures is self._train and like[number] == place:
            number = (number + 1) % len(like)
        return int(like[number])
