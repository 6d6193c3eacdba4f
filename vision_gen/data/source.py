"""What a source of examples is, and what every source needs."""

import dataclasses
import hashlib
import typing

import numpy as np

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class ShapeDtype:
    """Shape and type of one array of an example."""

    shape: tuple
    dtype: np.dtype

    def __str__(self):
        return f"{list(self.shape)} {self.dtype}"


class Source(typing.Protocol):
    """Random access to examples: dicts of numpy arrays.

    Images are `colour` [height, width, 3] uint8; drawings that come with their artist's lines have `line`
    [height, width, 1] as well, pairs `source` [height, width, 3], and labelled ones `label`, int32. A data set inherits
    from it and gives what has no default.

    A source of pictures that are described has `captions(index)`, one text or more; `data.captioned` makes numbers of
    them. If it has `traits` too, `named(index)` [captions, traits] bool says which each of them names.

    Attributes:
      shapes: {name: ShapeDtype} of every example.
      classes: names of what `label` counts, () if unlabelled.
      biases: names of what `bias` counts, () if it has none; see `data.bias`.
      traits: {name: names of its values} of what `traits` [traits] int32 counts, {} without.
      skipped: files that were left out.
    """

    shapes: dict
    classes: tuple = ()
    biases: tuple = ()
    traits: typing.ClassVar[dict] = {}
    skipped: tuple = ()

    def __len__(self): ...

    def __getitem__(self, index): ...

    def name(self, index):
        """What example `index` is called, like a file, and no other in the source."""
        ...

    def order(self, epoch, seed):
        """The examples of an epoch, in order: [n] ints that `source[...]` takes, n the same for all epochs.

        Args:
          epoch: its number, from 0.
          seed: of the run.
        """
        return shuffle(len(self), seed, epoch)

    def column(self, name):
        """One array of all examples, [len(self), ...]; a source that knows it without decoding images overrides it."""
        return np.stack([self[i][name] for i in range(len(self))])


def shuffle(count, *seed):
    """Random order of `count` examples, [count] int."""
    return np.random.default_rng(seed).permutation(count)


def endless(count, start, stop, *seed):
    """Places `start` to `stop` in an endless run through one shuffle of `count` after another, [stop - start] int."""
    first = start // count
    run = [shuffle(count, *seed, epoch) for epoch in range(first, -(-stop // count))]
    return np.concatenate(run)[start - first * count : stop - first * count]


def images(settings, **channels):
    """Shapes of an example of images, {name: channels}, of the size that `settings` says, and its label."""
    found = {name: ShapeDtype((*settings.resolution, n), np.dtype(np.uint8)) for name, n in channels.items()}
    if settings.labels:
        found["label"] = ShapeDtype((), np.dtype(np.int32))
    return found


def noise(shapes, rng=None, classes=1):
    """An example of given shapes.

    Args:
      shapes: {name: ShapeDtype}.
      rng: a `numpy.random.Generator` to draw it from: all values of uint8, normal floats, integers below `classes`. By
        default all zeros.
    """

    def draw(shape, dtype):
        if rng is None:
            return np.zeros(shape, dtype)
        if dtype == np.uint8:
            return rng.integers(0, 256, shape, dtype)
        return np.asarray(rng.normal(size=shape) if dtype.kind == "f" else rng.integers(classes, size=shape), dtype)

    return {name: draw(spec.shape, spec.dtype) for name, spec in shapes.items()}


def stack(examples):
    """A list of examples as one dict of arrays with a leading batch axis."""
    return {name: np.stack([e[name] for e in examples]) for name in examples[0]}


def fingerprint(source, progress=None):
    """SHA-256, in hexadecimal, of every example's arrays: what figures of a source are figures of.

    `progress` is called with (done, total).
    """
    digest = hashlib.sha256()
    for i in range(len(source)):
        for name, value in sorted(source[i].items()):
            value = np.ascontiguousarray(value)
            digest.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
        if progress:
            progress(i + 1, len(source))
    return digest.hexdigest()
