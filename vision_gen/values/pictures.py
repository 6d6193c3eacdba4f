"""Pictures, masks and colour hints. Checked values are uint8 [height, width, channel] or bool [height, width]."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import PIL.Image
from PIL import ImageColor, ImageDraw

from vision_gen.data import images, labels
from vision_gen.errors import InputError
from vision_gen.values.kind import Kind, is_path, made


@dataclasses.dataclass(frozen=True)
class Image(Kind):
    """A picture.

    Read from a file (png, jpg, webp), a PIL image, or a uint8 array [height, width], or [..., 1], [..., 3] or
    [..., 4]; transparency over white. The value is [height, width, 3] uint8 whatever `channels` is, as lines are
    made of colours; a result is [height, width, channels].

    Attributes:
      channels: of the array that the system is given, in [-1, 1]; 1 is the luma.
      lines: it is a line drawing, dark on white; a photograph can be made into one, as training did.
      under: of a result, the line drawing among the inputs that is to be multiplied over it.
      lit: of a result, the picture among the inputs that it lights: the system gives how much, [batch, rows, columns],
        0 to 1.
      lightness: of a result, the picture among the inputs whose lightness it has. The system gives ab / 110 of CIE Lab
        [..., 2], or with a third channel how much of that lies over the picture's own colours: where it is 0 every
        pixel stays as it is.
    """

    channels: int = 3
    lines: bool = False
    under: str = ""
    lightness: str = ""
    lit: str = ""
    suffixes = (".png", ".jpg", ".jpeg", ".webp")
    reads = images.SUFFIXES

    def read(self, value, name):
        if is_path(value):
            try:
                return images.read(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        if isinstance(value, PIL.Image.Image):
            return images.over_white(value)
        array = pixels(value, name, (1, 3, 4), "a path or an image")
        return images.over_white(PIL.Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array))

    def array(self, value):
        found = np.asarray(value, np.float32)[None] / np.float32(127.5) - 1
        if self.channels == 1 and found.shape[-1] == 3:
            found = found @ np.float32([[0.299], [0.587], [0.114]])
        return found

    def value(self, array):
        return np.uint8(np.clip(np.round((np.asarray(array[0], np.float32) + 1) * 127.5), 0, 255))

    def write(self, value, path):
        self.check_path(path)
        save(value, path)

    def describe(self):
        if self.lines:
            return "a line drawing, or a photograph to make one of (png, jpg, webp)"
        return f"{'a grey' if self.channels == 1 else 'an'} image (png, jpg, webp)"


@dataclasses.dataclass(frozen=True)
class Images(Image):
    """One picture or several of any sizes: a tuple of uint8 arrays [height, width, 3].

    Read from what `Image` is read from, a list of such, or paths with commas between them. The system is given a tuple
    of [1, height, width, channels].

    Attributes:
      folder: a folder stands for all its pictures; otherwise for one that goes with each file of another input.
    """

    folder: bool = False

    @property
    def reads(self):
        return () if self.folder else images.SUFFIXES

    def read(self, value, name):
        if is_path(value):
            path = pathlib.Path(value)
            if self.folder and path.is_dir():
                value = images.checked(path, name)
            elif not path.exists():
                value = [os.path.expanduser(part.strip()) for part in str(value).split(",")]
        several = value if isinstance(value, (list, tuple)) else [value]
        if not several:
            raise InputError(f"{name} must be {self.describe()}, got none")
        read = super().read
        return tuple(read(one, name if len(several) == 1 else f"{name} {i}") for i, one in enumerate(several, 1))

    def array(self, value):
        return tuple(super(Images, self).array(one) for one in value)

    def describe(self):
        return f"{super().describe()}, several with commas between them{', or a folder of them' * self.folder}"


@dataclasses.dataclass(frozen=True)
class Folder(Kind):
    """All pictures below a folder: {name within it: path}, sorted. What is made of them is the affair of the fitting."""

    def read(self, value, name):
        if not is_path(value):
            raise InputError(f"{name} must be {self.describe()}, got {value!r}")
        folder = pathlib.Path(value).expanduser()
        return {path.relative_to(folder).as_posix(): path for path in images.checked(folder, name)}

    def describe(self):
        return "a folder of pictures"


@dataclasses.dataclass(frozen=True)
class Query(Image):
    """A picture, or a text: [height, width, 3] uint8 or str.

    Text that ends like a picture's file is the path of one. What is made of it is the affair of the tool's fitting.
    """

    def read(self, value, name):
        if isinstance(value, str) and not value.lower().endswith(images.SUFFIXES):
            if not value.strip():
                raise InputError(f"{name} must be {self.describe()}, got {value!r}")
            return value
        return super().read(value, name)

    def opens(self, value):
        return not isinstance(value, str) or value.lower().endswith(images.SUFFIXES)

    def describe(self):
        return "a text, or a picture (png, jpg, webp)"


@dataclasses.dataclass(frozen=True)
class Mask(Kind):
    """A region: bool [height, width], true inside.

    Read from a black-and-white picture (white is inside, transparent outside), a bool array, or a uint8 one of 0 and
    1 or 0 to 255. The system is given [1, height, width, 1] of 0 and 1.
    """

    suffixes = (".png", ".webp")
    reads = images.SUFFIXES

    def read(self, value, name):
        if is_path(value):
            try:
                value = images.read_rgba(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        elif isinstance(value, PIL.Image.Image):
            value = np.asarray(value.convert("RGBA"))
        value = np.asarray(value)
        if value.dtype == bool and value.ndim == 2 and value.size:
            return value
        array = pixels(value, name, (1, 3, 4), "a black-and-white image or a bool array [height, width]")
        colours = array[..., :3].astype(int)
        if np.ptp(colours, axis=-1).max() > 16:
            raise InputError(f"{name}: has colours; a mask is black and white, white inside")
        grey = colours.mean(-1)
        inside = grey >= (1 if grey.max() <= 1 else 128)
        return inside & (array[..., 3] >= 128) if array.shape[-1] == 4 else inside

    def array(self, value):
        return np.asarray(value, np.float32)[None, ..., None]

    def value(self, array):
        return np.asarray(array)[0, ..., 0] > 0.5

    def write(self, value, path):
        self.check_path(path)
        save(np.uint8(value)[..., None] * 255, path)

    def describe(self):
        return "a black-and-white image, white inside (png, webp)"


@dataclasses.dataclass(frozen=True)
class Labels(Kind):
    """Regions with numbers: uint8 [height, width], 0 for what is none.

    Read from a picture with a palette, whose numbers count, as DAVIS and PASCAL VOC have them; from a grey one of numbers up to
    `most`, or of black and white; from one in PASCAL VOC's colours; or from a uint8 array. The system is given [1,
    height, width, highest number + 1] of 0 and 1. Written as a picture with PASCAL VOC's palette.

    Attributes:
      most: the highest number that is allowed.
    """

    most: int = 20
    suffixes = (".png",)
    reads = (".png", ".bmp", ".tif", ".tiff", ".gif")

    def read(self, value, name):
        if is_path(value):
            try:
                value = labels.read(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        elif isinstance(value, PIL.Image.Image):
            value = np.asarray(value if value.mode in ("P", "L") else value.convert("RGB"))
        array = pixels(value, name, (1, 3), "labels [height, width]")
        return labels.numbers(array[..., 0] if array.shape[-1] == 1 else array, self.most, name)

    def array(self, value):
        return np.eye(int(value.max()) + 1, dtype=np.float32)[value][None]

    def value(self, array):
        return np.asarray(array[0], np.uint8)

    def write(self, value, path):
        self.check_path(path)
        image = PIL.Image.fromarray(value)
        image.putpalette(labels.PALETTE.reshape(-1).tolist())  # Makes it mode P.
        image.save(made(path))

    def describe(self):
        return f"numbered regions, 0 to {self.most} (png with a palette, or grey)"


@dataclasses.dataclass(frozen=True)
class Scribble(Kind):
    """Colours put down here and there: uint8 [height, width, 4], alpha 0 where there is none, or strokes.

    Read from a picture with transparency, an array [height, width, 4], or strokes as a list of {"colour": "#c83200",
    "points": [[x, y], ...], "width": 3} (JSON, a .json file or Python; points and width in pixels of the picture that
    they lie on; a single point is a dot). The system is given RGBA [1, height, width, 4], colours in [-1, 1], alpha
    0 or 1.

    Attributes:
      least: strokes that there must be; 0 allows none, [].
    """

    least: int = 1
    suffixes = (".png", ".webp")
    reads = (*images.SUFFIXES, ".json")

    def read(self, value, name):
        if is_path(value) and str(value).lower().endswith(images.SUFFIXES):
            try:
                found = images.read_rgba(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        elif isinstance(value, PIL.Image.Image):
            found = np.asarray(value.convert("RGBA"))
        elif isinstance(value, np.ndarray):
            found = pixels(value, name, (4,), "an image with transparency, or strokes")
        else:
            return tuple(_strokes(value, name, self.least))
        if (found[..., 3] >= 128).all():
            raise InputError(f"{name}: is opaque everywhere; hints are drawn on a transparent picture")
        return found

    def draw(self, value, size):
        """A value as a picture of `size` = (height, width).

        Raises:
          InputError: it is a picture of another size, or a stroke lies outside.
        """
        if not isinstance(value, tuple):
            if value.shape[:2] != tuple(size):
                raise InputError(
                    f"the scribble has {value.shape[1]} x {value.shape[0]} pixels, its picture {size[1]} x {size[0]}"
                )
            return value
        canvas = PIL.Image.new("RGBA", (size[1], size[0]), (0, 0, 0, 0))
        draw = ImageDraw.Draw(canvas)
        for number, (tint, points, width) in enumerate(value, 1):
            low, high = np.min(points, 0) - width / 2, np.max(points, 0) + width / 2
            if (high < 0).any() or (low >= size[::-1]).any():
                raise InputError(
                    f"stroke {number} of {len(value)} lies outside the picture: it goes through {points[0]}, the "
                    f"picture has {size[1]} x {size[0]} pixels"
                )
            if len(points) > 1:
                draw.line([tuple(p) for p in points], fill=tint, width=max(1, round(width)), joint="curve")
            for x, y in (points[0], points[-1]):
                draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=tint)
        return np.asarray(canvas)

    def array(self, value):
        colours = np.asarray(value[..., :3], np.float32) / np.float32(127.5) - 1
        alpha = np.float32(value[..., 3:] >= 128)
        return np.concatenate([colours * alpha, alpha], -1)[None]

    def value(self, array):
        array = np.asarray(array[0], np.float32)
        alpha = array[..., 3:] > 0.5
        colours = np.clip(np.round((array[..., :3] + 1) * 127.5), 0, 255)
        return np.uint8(np.concatenate([colours * alpha, 255 * alpha], -1))

    def write(self, value, path):
        self.check_path(path)
        save(value, path)

    def describe(self):
        stroke = '{"colour": "#c83200", "points": [[x, y], ...], "width": 3}'
        return f"colour hints: an image with transparency, or strokes [{stroke}, ...]"


def _strokes(value, name, least):
    """Strokes as (RGBA, [(x, y), ...], width)."""
    right = 'strokes are a list of {"colour": "#c83200", "points": [[x, y], ...], "width": 3}'
    try:
        if is_path(value):
            text = str(value)
            value = json.loads(pathlib.Path(text).read_text() if text.endswith(".json") else text)
        found = []
        for stroke in value:
            unknown = sorted(set(stroke) - {"colour", "points", "width"})
            if unknown:
                raise ValueError(f"unknown field {unknown[0]!r}")
            points = np.asarray(stroke["points"], float).reshape(-1, 2)
            width = float(stroke.get("width", 3))
            if not len(points) or not np.isfinite(points).all() or not 0 < width < 1e4:
                raise ValueError("a stroke needs points and a width above 0")
            found.append((ImageColor.getcolor(stroke["colour"], "RGBA"), points.tolist(), width))
        if len(found) < least:
            raise ValueError("there are none")
        return found
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{name}: cannot be read as strokes ({error}); {right}") from error


def pixels(value, name, channels, right):
    """A uint8 array [height, width, channel] of what should be one.

    Args:
      value: an array, [height, width] or with channels.
      name: of the input.
      channels: numbers of channels that are allowed.
      right: what else would be right, for messages.
    """
    array = np.asarray(value)
    shaped = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint8 or shaped.ndim != 3 or shaped.shape[2] not in channels or not array.size:
        raise InputError(
            f"{name} must be {right}, or a uint8 array [height, width, {' or '.join(map(str, channels))}], got "
            f"{array.dtype} {list(array.shape)}"
        )
    return shaped


def save(value, path):
    """Writes [height, width, 1, 3 or 4] uint8 as an image file."""
    image = PIL.Image.fromarray(value[..., 0] if value.shape[-1] == 1 else value)
    path = made(path)
    try:
        image.save(path, **({"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
