"""Emoji in three styles, each a class: OpenMoji's drawings, Twemoji's, and OpenMoji's lines alone.

Of a split all have the same subjects, but for some that one has not drawn; which drawings show the same is not told in
an example, only by its name. As two domains without labels they are `unpaired`, see `configs.cyclegan_emoji_styles`.
"""

import itertools

import numpy as np

from vision_gen.data import openmoji, source, twemoji
from vision_gen.data import settings as reader

FIELDS = ("dir", "size", "labels")
LICENCE = f"{openmoji.LICENCE}; {twemoji.LICENCE}"
STYLES = ("openmoji", "twemoji", "lines")


def shapes(settings):
    """`colour` [size, size, 3], and the style as `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return Styles(settings, split)


class Styles(source.Source):
    """One style after the other."""

    def __init__(self, settings, split):
        part = lambda module, name: module.open(
            reader.read({"name": name, "dir": settings.dir, "size": settings.size}, settings.section), split
        )
        drawings, others = part(openmoji, "openmoji"), part(twemoji, "twemoji")
        self._parts = (drawings, "colour"), (others, "colour"), (drawings, "line")
        self._starts = [0, *itertools.accumulate(len(part) for part, _ in self._parts)]
        self.shapes, self.classes = shapes(settings), STYLES if settings.labels else ()

    def __len__(self):
        return self._starts[-1]

    def __getitem__(self, index):
        style, place = self._place(index)
        part, name = self._parts[style]
        found = {"colour": np.broadcast_to(part[place][name], self.shapes["colour"].shape)}
        return found | ({"label": np.int32(style)} if self.classes else {})

    def name(self, index):
        """The style, and the drawing's code points."""
        style, place = self._place(index)
        return f"{STYLES[style]}/{self._parts[style][0].name(place)}"

    def column(self, name):
        if name == "label" and self.classes:
            return np.repeat(np.arange(len(STYLES), dtype=np.int32), np.diff(self._starts))
        return super().column(name)

    def _place(self, index):
        """(style, number of the drawing in it)."""
        style = int(np.searchsorted(self._starts, index, side="right")) - 1
        return style, int(index) - self._starts[style]
