"""OpenMoji with its colours apart from its lines, and these in several weights, drawn anew from the SVGs' strokes."""

import numpy as np

from vision_gen.data import emoji, openmoji, source

FIELDS = ("dir", "size")
LICENCE = openmoji.LICENCE
# Of the width that the artists drew strokes in, about 2 of a picture's 72 units.
FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
STROKE = 2 / 72


def feature(factor):
    """What TFDS calls the lines of strokes `factor` times as wide."""
    return f"line_{round(100 * factor)}"


def shapes(settings):
    """What an example has.

    `colour` and `flat` [size, size, 3], the drawing with its lines and without; `lines` [size, size, 5], thin to thick,
    and `weights` [5] float32, how wide they are in pixels, but for what artists drew wider or filled.
    """
    return source.images(settings, colour=3, flat=3, lines=len(FACTORS)) | {
        "weights": source.ShapeDtype((len(FACTORS),), np.dtype(np.float32))
    }


def weights(settings):
    """How wide the lines of an example are: [5] float32, in pixels."""
    return np.float32(FACTORS) * np.float32(STROKE * settings.size)


def example(settings, rng=None):
    """Noise in the place of pictures, see `source.noise`, and true widths."""
    return source.noise(shapes(settings), rng) | {"weights": weights(settings)}


def open(settings, split):
    """See `shapes`."""
    return Lines(settings, split)


class Lines(emoji.Emoji):
    """The drawings of a split."""

    def __init__(self, settings, split):
        super().__init__(settings, split, shapes(settings), "OpenMojiLines")
        self._weights = weights(settings)

    def _decoded(self, example):
        lines = np.concatenate([example[feature(factor)] for factor in FACTORS], -1)
        return {"colour": example["colour"], "flat": example["flat"], "lines": lines, "weights": self._weights}
