"""Clips: pictures one after the other."""

import dataclasses
import importlib.util
import pathlib

import numpy as np
import PIL.Image
from PIL import ImageSequence

from vision_gen.data import images
from vision_gen.errors import InputError
from vision_gen.values.kind import Kind, is_path, made
from vision_gen.values.pictures import Labels, save

# Videos need imageio-ffmpeg, which brings ffmpeg along.
VIDEOS = (".mp4", ".webm", ".mov", ".avi", ".mkv")


@dataclasses.dataclass(frozen=True)
class Clip(Kind):
    """Frames of one size: uint8 [frames, height, width, 3].

    Read from an animated .gif, .webp or .png, a folder of frames (by name, all of one size), a video where
    imageio-ffmpeg is installed, or an array. The system is given [1, frames, height, width, 3] in [-1, 1].

    Attributes:
      rate: frames a second of the files that are written.
    """

    rate: float = 20.0
    suffixes = (".gif", ".webp", ".mp4", "")

    def read(self, value, name):
        if not is_path(value):
            array = np.asarray(value)
            if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or not array.size:
                raise InputError(
                    f"{name} must be {self.describe()}, or a uint8 array [frames, height, width, 3], got "
                    f"{array.dtype} {list(array.shape)}"
                )
            return array
        path = pathlib.Path(value)
        if path.is_dir():
            frames = [images.read(file) for file in images.checked(path, name)]
        elif path.suffix.lower() in VIDEOS:
            frames = _read_video(path, name)
        else:
            try:
                with PIL.Image.open(path) as file:
                    frames = [images.over_white(frame) for frame in ImageSequence.Iterator(file)]
            except FileNotFoundError:
                raise InputError(f"{name}: {str(path)!r}: no such file; it must be {self.describe()}") from None
            except Exception as error:  # PIL raises many kinds.
                raise InputError(f"{name}: {path} cannot be read ({error}); it must be {self.describe()}") from error
        sizes = {frame.shape for frame in frames}
        if len(sizes) > 1:
            raise InputError(f"{name}: the frames of {path} have {len(sizes)} sizes; all must be of one")
        return np.stack(frames)

    def array(self, value):
        return np.asarray(value, np.float32)[None] / np.float32(127.5) - 1

    def value(self, array):
        """Of frames in [-1, 1] or uint8; a dict `frames`, `count` [1] has only so many that are done."""
        if isinstance(array, dict):
            array = array["frames"][:, : int(array["count"][0])]
        array = np.asarray(array[0])
        if array.dtype != np.uint8:
            array = np.uint8(np.clip(np.round((array.astype(np.float32) + 1) * 127.5), 0, 255))
        return np.repeat(array, 3, -1) if array.shape[-1] == 1 else array

    def check_path(self, path, name="--output"):
        super().check_path(path, name)
        if pathlib.Path(path).suffix.lower() in VIDEOS:
            _ffmpeg(name, path)

    def write(self, value, path):
        self.check_path(path)
        path = made(path)
        if path.suffix == "":
            for number, frame in enumerate(value):
                save(frame, path / f"{number:05d}.png")
        elif path.suffix.lower() in VIDEOS:
            _write_video(value, path, self.rate)
        else:
            first, *rest = map(PIL.Image.fromarray, value)
            lossless = {"lossless": True} if path.suffix.lower() == ".webp" else {}
            first.save(
                path, save_all=True, append_images=rest, duration=round(1000 / self.rate), loop=0, **lossless
            )

    def describe(self):
        return "a clip (gif, webp, mp4, or a folder of frames)"


@dataclasses.dataclass(frozen=True)
class LabelClip(Kind):
    """Numbered regions of each frame: uint8 [frames, height, width]; a folder of pictures as of `Labels`."""

    suffixes = ("",)

    def value(self, array):
        """Of numbers; a dict `frames`, `count` [1] has only so many that are done."""
        if isinstance(array, dict):
            array = array["frames"][:, : int(array["count"][0])]
        return np.asarray(array[0], np.uint8)

    def write(self, value, path):
        self.check_path(path)
        for number, frame in enumerate(value):
            Labels(most=255).write(frame, pathlib.Path(path) / f"{number:05d}.png")

    def describe(self):
        return "numbered regions of each frame (a folder of png with a palette)"


def _ffmpeg(name, path):
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"{name}: {str(path)!r} needs imageio-ffmpeg (pip install imageio-ffmpeg); without it, .gif, .webp and "
            "folders of frames can be read and written"
        )
    import imageio_ffmpeg

    return imageio_ffmpeg


def _read_video(path, name):
    ffmpeg = _ffmpeg(name, path)
    if not path.is_file():
        raise InputError(f"{name}: {str(path)!r}: no such file")
    try:
        reader = ffmpeg.read_frames(str(path))
        width, height = next(reader)["size"]
        return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    except (OSError, RuntimeError, StopIteration, ValueError) as error:
        raise InputError(f"{name}: {path} cannot be read as a video ({str(error).splitlines()[0]})") from error


def _write_video(frames, path, rate):
    height, width = frames.shape[1:3]
    # Players want even sides.
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    writer = _ffmpeg("--output", path).write_frames(
        str(path), (frames.shape[2], frames.shape[1]), fps=rate, macro_block_size=1, quality=8
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
