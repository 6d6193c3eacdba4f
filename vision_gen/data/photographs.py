"""Photographs and textures that scikit-image and scikit-learn bring: windows of them, at random places and scales.

Each window is cut out when it is asked for, from its number, and of a split always the same. No picture of a held-out
split occurs in training.
"""

import functools
import importlib.util
import pathlib

import numpy as np
from PIL import Image

from vision_gen.data import images, source

FIELDS = ("size",)
LICENCE = (
    "Photographs and textures: scikit-image's data (astronaut and hubble_deep_field NASA; brick, chelsea, coffee, grass, "
    "gravel and rocket CC0; ihc its authors; motorcycle_left Middlebury Stereo), scikit-learn's china.jpg and flower.jpg, CC BY"
)
PICTURES = {
    "train": (
        "astronaut.png", "brick.png", "china.jpg", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
        "motorcycle_left.png", "rocket.jpg",
    ),
    "val": ("flower.jpg",),
    "test": ("chelsea.png", "coffee.png", "grass.png"),
}  # fmt: skip
LEAST = 0.7  # Of `size`: pixels along a window's side.
_COUNTS = {"train": 4000, "val": 40, "test": 120}


def shapes(settings):
    """`colour` [height, width, 3]."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return Windows(settings, split)


class Windows(source.Source):
    """See the module. A window has the shape of `size`; it is a little smaller at least, at most all of the picture."""

    def __init__(self, settings, split):
        self._split, self._size = split, settings.resolution
        self.shapes = shapes(settings)

    def __len__(self):
        return _COUNTS[self._split]

    def name(self, index):
        """The picture's, and the number."""
        return f"{pathlib.PurePath(self._picture(index)).stem}_{index:05d}"

    def _picture(self, index):
        return PICTURES[self._split][index % len(PICTURES[self._split])]

    def __getitem__(self, index):
        rng = np.random.default_rng([source.SPLITS.index(self._split), int(index)])
        picture = read(self._picture(index))
        # How many times as large as `size` the window is: at most as the picture allows.
        most = min(whole / side for whole, side in zip(picture.size[::-1], self._size))
        times = np.exp(rng.uniform(np.log(min(LEAST, most)), np.log(most)))
        height, width = (min(round(times * side), whole) for side, whole in zip(self._size, picture.size[::-1]))
        left, top = rng.integers(0, picture.width - width + 1), rng.integers(0, picture.height - height + 1)
        box = (left, top, left + width, top + height)
        return {"colour": np.asarray(picture.resize(self._size[::-1], Image.Resampling.LANCZOS, box))}


@functools.cache
def read(name):
    """A picture as a PIL image, RGB, by the name of its file in either package."""
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        path = pathlib.Path(importlib.util.find_spec(package).origin).parent / folder / name
        if path.is_file():
            return Image.fromarray(images.read(path))
    raise FileNotFoundError(f"{name} is neither in scikit-image nor in scikit-learn")
