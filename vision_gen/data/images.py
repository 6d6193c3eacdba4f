"""Reading image files into uint8 arrays, whatever they are."""

import collections
import concurrent.futures
import functools
import hashlib
import pathlib

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vision_gen.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def read(path):
    """An image file as [height, width, 3] uint8 RGB, transparency over white; see `read_rgba`."""
    return over_white(_open(path))


def over_white(image):
    """A PIL image as [height, width, 3] uint8 RGB, transparency over white, 16-bit scaled to 8-bit."""
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(paper, image)
    return np.asarray(image.convert("RGB"))


def read_rgb(path):
    """An image file as [height, width, 3] uint8 RGB, as pytorch-fid and clean-fid read it: its transparency is dropped,
    and it is not turned; otherwise as `read_rgba`."""
    return np.asarray(_open(path, upright=False).convert("RGB"))


def read_rgba(path):
    """An image file as [height, width, 4] uint8, alpha not multiplied in.

    Turned as its EXIF orientation says, 16-bit scaled to 8-bit, grey repeated to three channels.

    Raises:
      InputError: the file cannot be decoded or ends early; names it.
    """
    return np.asarray(_open(path).convert("RGBA"))


def _open(path, upright=True):
    """A decoded PIL image of 8 bits a channel; upright or as it is stored."""
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image) if upright else image
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected an image ({', '.join(SUFFIXES)})") from None
    except Exception as error:  # PIL raises many kinds, SyntaxError among them.
        raise InputError(f"{path}: not a readable image ({error})") from error
    return _eight_bits(image)


def _eight_bits(image):
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit grey: 65535 is white.
        grey = np.clip(np.asarray(image, np.float64) / 257, 0, 255).round().astype(np.uint8)
        image = Image.fromarray(grey)
    return image


def fit(image, size):
    """The middle of an image in the shape of `size`, resized to it.

    Args:
      image: [height, width, 3] uint8.
      size: pixels of a square, or (height, width).
    """
    height, width = np.broadcast_to(size, 2).tolist()
    return np.asarray(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS))


def size(path, upright=True):
    """(height, width) of an image file when it stands upright, or as it is stored, from its header."""
    with Image.open(path) as image:
        height, width = image.height, image.width
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned and upright else (height, width)


def problem(path, *, decode):
    """What is wrong with an image file, or None.

    Args:
      path: the file.
      decode: decode it whole as well. Otherwise only its header is read and the end marker of its
        format looked for, which finds a truncated download without decoding a large folder.
    """
    try:
        with Image.open(path) as image:
            kind = image.format
        with open(path, "rb") as file:
            data = file.read(12)
            file.seek(0, 2)
            length = file.tell()
            file.seek(max(0, length - 4096))
            tail = file.read()
    except Exception as error:
        return f"not a readable image ({error})"
    if kind == "PNG" and b"IEND" not in tail:
        return "truncated (a PNG without its end)"
    if kind == "JPEG" and b"\xff\xd9" not in tail:
        return "truncated (a JPEG without its end)"
    if kind == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > length:
        return "truncated (a WebP shorter than it says)"
    if decode:
        try:
            read(path)
        except InputError as error:
            return str(error).removeprefix(f"{path}: ")
    return None


def find(folder, field="config.data.dir"):
    """Image files below `folder`, sorted.

    Args:
      folder: where to look.
      field: what the folder was given as, for messages.

    Raises:
      InputError: the folder is missing or has none.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"{field}: {str(folder)!r} is not a folder")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(
            f"{field}: no images ({', '.join(SUFFIXES)}) below {str(folder)!r}"
        )
    return paths


def checked(folder, field):
    """Image files below `folder`, sorted; none is missing its end.

    Raises:
      InputError: the folder is missing or has none, or a file is broken, by name.
    """
    paths = find(folder, field)
    with concurrent.futures.ThreadPoolExecutor() as executor:
        for path, why in zip(paths, executor.map(functools.partial(problem, decode=False), paths)):
            if why:
                raise InputError(f"{path}: {why}")
    return paths


def readable(paths, settings):
    """Splits files into those that are whole and those that are not, which `settings.skip_unreadable` must allow.

    Returns:
      (whole, broken): lists of paths.

    Raises:
      InputError: a file is broken and must not be left out.
    """
    # Files to be left out must all be known now: each is decoded once.
    check = functools.partial(problem, decode=settings.skip_unreadable)
    with concurrent.futures.ThreadPoolExecutor() as executor:
        broken = {path: why for path, why in zip(paths, executor.map(check, paths)) if why}
    if broken and not settings.skip_unreadable:
        path, why = next(iter(broken.items()))
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise InputError(f"{path}: {why}{more}; {settings.section}.skip_unreadable=True leaves such files out")
    return [path for path in paths if path not in broken], list(broken)


def in_order(paths, ahead=64):
    """The files as `read_rgb` gives them, decoded in threads a little ahead of their use."""
    with concurrent.futures.ThreadPoolExecutor() as executor:
        waiting = collections.deque()
        for path in paths:
            waiting.append(executor.submit(read_rgb, path))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def fingerprint(paths, progress=None):
    """SHA-256, in hexadecimal, of the files' bytes in order; `progress` is called with (done, total)."""
    digest = hashlib.sha256()
    for number, path in enumerate(paths, 1):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
        if progress:
            progress(number, len(paths))
    return digest.hexdigest()
