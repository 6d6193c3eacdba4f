"""Scikit-learn's bundled scans of hand-written digits, 8 x 8: 1,797 in all.

Split 85, 5 and 10 percent, at random but always alike.
"""

import numpy as np

from vision_gen.data import source
from vision_gen.errors import InputError

FIELDS = ("size", "labels")
LICENCE = "Scans: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI, CC BY 4.0"


def shapes(settings):
    """`colour` [8, 8, 3], and the digit as `label`."""
    if settings.resolution != (8, 8):
        raise InputError(f"{settings.section}.size must be 8 for digits, got {settings.size}")
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return Digits(settings, split)


class Digits(source.Source):
    """In memory."""

    def __init__(self, settings, split):
        from sklearn.datasets import load_digits  # Takes most of a second to import.

        self.shapes = shapes(settings)
        scans, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(scans))
        bounds = [0, round(0.85 * len(scans)), round(0.90 * len(scans)), len(scans)]
        which = source.SPLITS.index(split)
        self._chosen = order[bounds[which] : bounds[which + 1]]
        grey = np.uint8(scans[self._chosen].reshape(-1, 8, 8, 1) * 255 / 16 + 0.5)
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
        """The scan's number in scikit-learn's set."""
        return f"{self._chosen[index]:04d}"
