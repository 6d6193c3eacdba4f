"""Twemoji (github.com/jdecked/twemoji, CC BY 4.0): colour drawings of what OpenMoji draws too, in another style."""

from vision_gen.data import emoji, source

FIELDS = ("dir", "size", "labels")
LICENCE = "Drawings: Twemoji (https://github.com/jdecked/twemoji), CC BY 4.0"


def shapes(settings):
    """`colour` [size, size, 3], and the drawing's group as `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return emoji.Emoji(settings, split, shapes(settings), "Twemoji")
