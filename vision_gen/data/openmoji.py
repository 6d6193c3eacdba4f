"""OpenMoji (openmoji.org, CC BY-SA 4.0): colour drawings and the artists' own line drawings of them."""

from vision_gen.data import emoji, source

FIELDS = ("dir", "size", "labels")
LICENCE = "Drawings: OpenMoji (https://openmoji.org), CC BY-SA 4.0"


def shapes(settings):
    """`colour` [size, size, 3], `line` [size, size, 1], and the drawing's group as `label`."""
    return source.images(settings, colour=3, line=1)


def open(settings, split):
    """See `shapes`."""
    return emoji.Emoji(settings, split, shapes(settings), "OpenMoji")
