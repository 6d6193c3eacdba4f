"""Clips that the package makes: drawings that move, turn, grow and cover each other over a ground that moves as well.

OpenMoji's drawings, over noise of many scales or over a photograph of scikit-learn's. What is where is known: masks of the
drawings, and two points of each. No drawing and no photograph of a held-out split occurs in training. Each example is
drawn when it is asked for, from its number; every epoch of training has clips of its own.
"""

import dataclasses
import functools
import io

import numpy as np
from PIL import Image
import resvg_py

from vision_gen.data import emoji, photographs, source
from vision_gen.errors import InputError

FIELDS = ("size", "frames", "held_out_frames")
LICENCE = (
    "Drawings: OpenMoji (https://openmoji.org), CC BY-SA 4.0; photographs: scikit-learn's china.jpg and flower.jpg, CC BY"
)
DRAWINGS = 3  # Of a clip.
POINTS = 2  # Of a drawing.
_COUNTS = {"train": 4000, "val": 40, "test": 100}
_PHOTOGRAPHS = {"train": "china.jpg", "val": "flower.jpg", "test": "flower.jpg"}


def shapes(settings):
    """`frames` [frames, height, width, 3] uint8."""
    height, width = settings.resolution
    if min(height, width) < 32:
        raise InputError(f"{settings.section}.size must be at least 32 for {settings.name}, got {settings.size}")
    return {"frames": source.ShapeDtype((settings.frames, height, width, 3), np.dtype(np.uint8))}


def open(settings, split):
    """Training examples as of `shapes`; held-out ones have `held_out_frames` frames, and what is where (`Clips`)."""
    return Clips(settings, split)


class Clips(source.Source):
    """See the module.

    Held-out examples also have `labels` [frames, height, width] uint8, 0 on the ground and 1 to `DRAWINGS` where a
    drawing is seen, and `points` [frames, DRAWINGS, POINTS, 3] float32: x and y in pixels, and 1 where the point is seen,
    0 where it is covered or out of the picture.
    """

    def __init__(self, settings, split):
        self._split = split
        self.shapes = shapes(settings)
        self._frames = settings.frames if split == "train" else settings.held_out_frames
        self._size = height, width = settings.resolution
        if split != "train":
            spec = lambda *shape, dtype=np.uint8: source.ShapeDtype(shape, np.dtype(dtype))
            self.shapes = {
                "frames": spec(self._frames, height, width, 3),
                "labels": spec(self._frames, height, width),
                "points": spec(self._frames, DRAWINGS, POINTS, 3, dtype=np.float32),
            }
        self._drawings = emoji.openmoji_drawings(split)

    def __len__(self):
        return _COUNTS[self._split]

    def order(self, epoch, seed):
        """Clips that no other epoch has."""
        return epoch * len(self) + super().order(epoch, seed)

    def name(self, index):
        return f"{index:05d}"

    def __getitem__(self, index):
        rng = np.random.default_rng([source.SPLITS.index(self._split), int(index)])
        times = np.linspace(0, 1, self._frames) * (self._frames - 1) / 8
        ground = _Layer(_ground(rng, self._split, self._size), self._size, rng)
        chosen = rng.choice(len(self._drawings), DRAWINGS, replace=False)
        angles = rng.uniform(0, 2 * np.pi) + np.arange(DRAWINGS) * 2 * np.pi / DRAWINGS
        layers = [
            _Layer(_drawn(self._drawings[i], max(self._size)), self._size, rng, angle) for i, angle in zip(chosen, angles)
        ]
        found = [self._frame(ground, layers, time) for time in times]
        example = {"frames": np.stack([frame for frame, _, _ in found])}
        if self._split != "train":
            example["labels"] = np.stack([labels for _, labels, _ in found])
            example["points"] = np.stack([points for _, _, points in found])
        return example

    def _frame(self, ground, layers, time):
        """(picture, labels, points) at a time."""
        picture = ground.seen(time).convert("RGBA")
        labels = np.zeros(self._size, np.uint8)
        for number, layer in enumerate(layers, 1):
            seen = layer.seen(time)
            picture.alpha_composite(seen)
            labels[np.asarray(seen)[..., 3] >= 128] = number
        points = []
        for number, layer in enumerate(layers, 1):
            for x, y in layer.places(time):
                row, column = int(np.floor(y)), int(np.floor(x))
                inside = 0 <= row < self._size[0] and 0 <= column < self._size[1]
                points.append((x, y, float(inside and labels[row, column] == number)))
        return np.asarray(picture.convert("RGB")), labels, np.float32(points).reshape(DRAWINGS, POINTS, 3)


@dataclasses.dataclass
class _Layer:
    """A picture that moves: where it is at a time is a similarity of the plane.

    Attributes:
      picture: a PIL image, RGBA.
      size: (height, width) of the frames.
      rng: for its path.
      side: the angle under which it lies from the middle at first; without, it covers the frames, and moves little.
    """

    picture: Image.Image
    size: tuple
    rng: dataclasses.InitVar[np.random.Generator]
    side: dataclasses.InitVar[float | None] = None

    def __post_init__(self, rng, side):
        height, width = self.size
        still = side is None
        away = np.zeros(2) if still else rng.uniform(0.2, 0.3) * np.array([np.cos(side), np.sin(side)])
        side = min(height, width)
        share = rng.uniform(1.0, 1.2) if still else rng.uniform(0.35, 0.6) * side / max(self.picture.size)
        reach = 0.04 if still else 0.35
        draw = lambda n, scale: rng.normal(0, scale, n)
        self._centre = np.array([width, height]) * (0.5 + away)
        # There and back, and a faster swing, in pixels; of angle in radians; of the size's logarithm.
        self._velocity, self._swing = draw(2, reach * side) - 0.7 * side * away, draw(2, 0.3 * reach * side)
        self._angle, self._turn, self._sway = draw(3, (0.05, 0.05, 0.02) if still else (0.2, 0.5, 0.15))
        self._share, self._growth = share, 0.02 * rng.normal() if still else 0.2 * rng.normal()
        self._rate, self._phase = rng.uniform(3, 6), rng.uniform(0, 6.28)
        if not still:
            rows, columns = np.nonzero(np.asarray(self.picture)[..., 3] >= 250)
            at = rng.choice(len(rows), POINTS) if len(rows) else np.zeros(POINTS, int)
            self._points = np.stack([columns[at], rows[at]], -1) + 0.5 if len(rows) else np.zeros((POINTS, 2))

    def _similarity(self, time):
        """(2 x 2 matrix, offset) that take the picture's pixels to the frame's."""
        swing = np.sin(self._rate * time + self._phase) - np.sin(self._phase)
        angle = self._angle + self._turn * time + self._sway * swing
        share = self._share * np.exp(self._growth * time)
        matrix = share * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = self._centre + self._velocity * np.sin(1.5 * time) / 1.5 + self._swing * swing
        return matrix, centre - matrix @ np.array(self.picture.size) / 2

    def seen(self, time):
        """The frame with this layer alone, RGBA."""
        matrix, offset = self._similarity(time)
        back = np.linalg.inv(matrix)
        coefficients = np.concatenate([back, (-back @ offset)[:, None]], 1).reshape(-1)
        return self.picture.transform(
            self.size[::-1], Image.Transform.AFFINE, coefficients.tolist(), Image.Resampling.BILINEAR
        )

    def places(self, time):
        """Where its points are: [POINTS, 2], x and y in pixels."""
        matrix, offset = self._similarity(time)
        return self._points @ matrix.T + offset


@functools.lru_cache(256)
def _drawn(path, size):
    """A drawing without background, RGBA, its margin cut off."""
    png = resvg_py.svg_to_bytes(
        svg_string=path.read_text(encoding="utf-8"), width=size, height=size, skip_system_fonts=True
    )
    with Image.open(io.BytesIO(png)) as image:
        image = image.convert("RGBA")
    return image.crop(image.getbbox()) if image.getbbox() else image


def _ground(rng, split, size):
    """A picture half as large again as the frames, RGBA: noise of many scales in two or three colours, or a photograph."""
    height, width = (round(1.7 * n) for n in size)
    if rng.random() < 0.5:
        photograph = photographs.read(_PHOTOGRAPHS[split])
        scale = rng.uniform(1.0, 1.4) * max(height / photograph.height, width / photograph.width)
        part = min(photograph.width, round(width / scale)), min(photograph.height, round(height / scale))
        left, top = (rng.integers(0, whole - cut + 1) for whole, cut in zip(photograph.size, part))
        box = (left, top, left + part[0], top + part[1])
        return photograph.resize((width, height), Image.Resampling.BICUBIC, box).convert("RGBA")
    field = np.zeros((height, width), np.float32)
    cells = 3
    while cells < min(height, width) / 2:
        noise = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        field += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) * (3 / cells) ** 0.7
        cells *= 2
    field = (field - field.min()) / max(np.ptp(field), 1e-6)
    colours = rng.uniform(30, 225, (3, 3))
    picture = [np.interp(field, (0.2, 0.5, 0.8), colours[:, channel]) for channel in range(3)]
    return Image.fromarray(np.uint8(np.stack(picture, -1))).convert("RGBA")
