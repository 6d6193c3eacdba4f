"""Scans of hand-written digits in ten colours, after the Colored MNIST of Nam et al. (NeurIPS 2020).

In training each digit has a colour of its own, but for the share `conflicting` of the scans, which have another. In
"val" and "test" every scan comes in every colour. Tints differ a little from scan to scan.
"""

import dataclasses

import numpy as np

from vision_gen.data import bias, digits, source

FIELDS = ("size", "conflicting")
LICENCE = digits.LICENCE
COLOURS = {
    "red": (228, 42, 46),
    "orange": (255, 136, 10),
    "yellow": (250, 225, 40),
    "green": (52, 168, 60),
    "cyan": (50, 214, 222),
    "blue": (40, 90, 235),
    "purple": (150, 60, 190),
    "pink": (250, 120, 185),
    "brown": (150, 92, 48),
    "white": (240, 240, 240),
}  # By the digit that each goes with: zeros are red.
TINT = 8  # Standard deviation of each channel.


def shapes(settings):
    """As of `bias.shapes`; `size` is 8 or 28."""
    digits.shapes(settings)
    return bias.shapes(settings)


def open(settings, split):
    """See `shapes`; the label is the digit, the bias its colour."""
    return ColouredDigits(settings, split)


class ColouredDigits(bias.Biased):
    """In memory, grey; coloured when asked for."""

    def __init__(self, settings, split):
        shapes(settings)
        scans = digits.Digits(dataclasses.replace(settings, name="digits", labels=True), split)
        self._grey, digit = scans.column("colour"), scans.column("label")
        self._split, self._names, self._each = split, scans, 1
        if split == "train":
            colour = bias.drawn(digit, settings.conflicting)
        else:
            self._each = len(COLOURS)
            colour, digit = bias.each(self._each, len(digit)), np.repeat(digit, self._each)
        super().__init__(settings, scans.classes, COLOURS, digit, colour, digit == colour)

    def image(self, index):
        rng = np.random.default_rng([source.SPLITS.index(self._split), int(index)])
        colour = list(COLOURS.values())[self._numbers["bias"][index]] + rng.normal(0, TINT, 3)
        return np.uint8(np.clip(colour, 0, 255) * (self._grey[index // self._each] / 255) + 0.5)

    def name(self, index):
        """The scan's number in the whole set, and its colour."""
        return f"{self._names.name(index // self._each)}_{self.biases[self._numbers['bias'][index]]}"
