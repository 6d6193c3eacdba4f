"""Latents of a generator, to train what changes them: drawn ones by their number, or those of a file.

An example has a `seed`, by which its latent is drawn; there are `examples` to train on and a thousand in each other
split. Where `dir` is a file (.npy, or .pt as StyleCLIP has them) of [latents, layers, w_size], it has such a `latent`:
the last tenth of them is "test", the tenth before "val", and the rest "train".
"""

import functools

import numpy as np

from vision_gen.data import settings as reader
from vision_gen.data import source
from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file

FIELDS = ("dir", "size", "examples")
HELD_OUT = 1000  # Drawn latents of "val" and "test".


def shapes(settings):
    """`seed`, and of a file `latent` [layers, w_size]."""
    found = {"seed": source.ShapeDtype((), np.dtype(np.uint32))}
    if settings.dir:
        found["latent"] = source.ShapeDtype(_file(settings).shape[1:], np.dtype(np.float32))
    return found


def open(settings, split):
    """See `shapes`."""
    return Latents(settings, split)


class Latents(source.Source):
    """In memory."""

    def __init__(self, settings, split):
        self.shapes, self._file = shapes(settings), _file(settings) if settings.dir else None
        counts = [settings.examples, HELD_OUT, HELD_OUT]
        if settings.dir:
            count = len(self._file)
            if count < 10:
                raise InputError(f"{settings.section}.dir: {settings.dir} has {count} latents; at least 10 are needed")
            counts = [count - 2 * (count // 10), count // 10, count // 10]
        which = source.SPLITS.index(split)
        self._first, self._count = sum(counts[:which]), counts[which]

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        number = self._first + range(self._count)[index]
        found = {"seed": np.uint32(number)}
        return found if self._file is None else {**found, "latent": self._file[number]}

    def name(self, index):
        """Its number in the file, or in all that are drawn."""
        return f"{self._first + index:06d}"


def _file(settings):
    return read(reader.local(settings.dir, f"{settings.section}.dir"), f"{settings.section}.dir")


@functools.lru_cache(maxsize=2)
def read(path, where):
    """The latents of a file, [latents, layers, w_size] float32.

    Raises:
      InputError: it cannot be read as such; `where` says of what.
    """
    right = "it must be a .npy or .pt of [latents, layers, w_size]"
    try:
        found = np.load(path, allow_pickle=False) if path.suffix == ".npy" else torch_file.read(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: {path}: cannot be read ({error}); {right}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 3 or found.dtype.kind != "f":
        what = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        raise InputError(f"{where}: {path} holds {what}; {right}")
    if not np.isfinite(found).all():
        raise InputError(f"{where}: {path}: latent {np.flatnonzero(~np.isfinite(found).all((1, 2)))[0]} is not finite")
    return found.astype(np.float32)
