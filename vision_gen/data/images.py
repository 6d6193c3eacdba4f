"""Reading image files into uint8 arrays, whatever they are."""

import collections
import concurrent.futures
import functools
import hashlib
import io
import logging
import os
import pathlib
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp")
MAX_PIXELS = 178_956_970  # Of one image, as PIL has it: larger ones may be small files made to fill the memory.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # Of half of it.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # Of palettes and metadata.


def read(path, max_pixels=MAX_PIXELS):
    """An image file as [height, width, 3] uint8 RGB, transparency over white; see `read_rgba`."""
    return _read(path, over_white, max_pixels=max_pixels)


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
    return _read(path, lambda image: np.asarray(_eight_bits(image).convert("RGB")), upright=False)


def read_rgba(path, *, upright=True, max_pixels=MAX_PIXELS):
    """An image file as [height, width, 4] uint8, alpha not multiplied in.

    16-bit scaled to 8-bit, grey repeated to three channels.

    Args:
      path: the file.
      upright: turn it as its EXIF orientation says. Otherwise it is given as it is stored.
      max_pixels: of the image, at most.

    Raises:
      InputError: the file cannot be decoded, ends early or is too large; names it.
    """
    return _read(path, lambda image: np.asarray(_eight_bits(image).convert("RGBA")), upright, max_pixels)


class Named(io.BytesIO):
    """Bytes of a file, which messages call by its name."""

    def __init__(self, data, name):
        super().__init__(data)
        self._name = name

    def __str__(self):
        return self._name


def _read(path, convert, upright=True, max_pixels=MAX_PIXELS):
    """What `convert` makes of a decoded PIL image."""
    try:
        with _opened(path, max_pixels) as image:
            image.load()
            return convert(ImageOps.exif_transpose(image) if upright else image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected an image ({', '.join(SUFFIXES)})") from None
    except Exception as error:  # PIL raises many kinds, SyntaxError among them.
        raise InputError(f"{path}: not a readable image ({error})") from error


def _opened(path, max_pixels):
    """A PIL image of which only the header is read.

    Raises:
      InputError: it has more than `max_pixels`; otherwise as PIL.
    """
    # PIL refuses twice its own limit, which is one for the whole process: it only ever grows here.
    Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS and max(Image.MAX_IMAGE_PIXELS, max_pixels // 2 + 1)
    more = f"more than {max_pixels:,} pixels, which config.data.max_pixels allows"
    try:
        image = Image.open(path)
    except Image.DecompressionBombError:
        raise InputError(more) from None
    if image.width * image.height > max_pixels:
        image.close()
        raise InputError(more)
    return image


def _eight_bits(image):
    """A PIL image of more than 8 bits a channel as one of 8; 65535 is white.

    Raises:
      InputError: it holds floats or numbers beyond, of which nobody knows what is white.
    """
    if image.mode == "F":
        raise InputError("an image of floats; it must have 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        grey = np.asarray(image, np.float64)
        if not 0 <= grey.min() <= grey.max() <= 65535:
            raise InputError(f"an image of numbers up to {grey.max():g}; it must have 8 or 16 bits a channel")
        image = Image.fromarray((grey / 257).round().astype(np.uint8))
    return image


def fit(image, size):
    """The middle of an image in the shape of `size`, resized to it.

    Args:
      image: [height, width, 3] uint8.
      size: pixels of a square, or (height, width).
    """
    height, width = np.broadcast_to(size, 2).tolist()
    return np.asarray(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS))


def fitted_box(whole, size):
    """(left, top, right, bottom) of the part that `fit` takes of an image of `whole` (height, width): float pixels."""
    height, width = np.broadcast_to(size, 2).tolist()
    scale = min(whole[0] / height, whole[1] / width)
    part = scale * width, scale * height
    left, top = ((side - cut) / 2 for side, cut in zip(whole[::-1], part))
    return left, top, left + part[0], top + part[1]


def rasterise(svg, size, background="#ffffff", mode="RGB"):
    """PNG bytes of an SVG text, `size` x `size`, over a background colour, in one of PIL's modes.

    A drawing that is not square lies in the middle.
    """
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, background=background, skip_system_fonts=True)
    image, out = Image.open(io.BytesIO(png)), io.BytesIO()
    ImageOps.pad(image, (size, size), color=background).convert(mode).save(out, "PNG")
    return out.getvalue()


def size(path, upright=True, max_pixels=MAX_PIXELS):
    """(height, width) of an image file when it stands upright, or as it is stored, from its header."""
    with _opened(path, max_pixels) as image:
        height, width = image.height, image.width
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (width, height) if turned and upright else (height, width)


def problem(path, *, decode, max_pixels=MAX_PIXELS):
    """What is wrong with an image file, or None.

    Args:
      path: the file.
      decode: decode it whole as well. Otherwise only its header is read and the end marker of its
        format looked for, which finds a truncated download without decoding a large folder; what has
        none, for other bytes may follow it, is decoded.
      max_pixels: it may have.
    """
    without = ""
    try:
        with _opened(path, max_pixels) as image:
            kind = image.format
        with open(path, "rb") as file:
            data = file.read(12)
            file.seek(0, 2)
            length = file.tell()
            file.seek(max(0, length - 4096))
            tail = file.read()
    except InputError as error:
        return str(error)
    except Exception as error:
        return f"not a readable image ({error})"
    if kind == "PNG" and b"IEND" not in tail:
        without = "truncated (a PNG without its end)"
    if kind in ("JPEG", "MPO") and b"\xff\xd9" not in tail:
        without = "truncated (a JPEG without its end)"
    if kind == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > length:
        without = "truncated (a WebP shorter than it says)"
    if decode or without or kind in ("TIFF", "BMP"):  # The last have no end marker.
        try:
            read(path, max_pixels)
        except InputError as error:
            return without or str(error).removeprefix(f"{path}: ")
    return None


def find(folder, field="config.data.dir", beside=()):
    """Image files below `folder`, sorted.

    Links to folders are followed, but no folder is read twice. Hidden files and folders, whose names begin with a dot,
    are left out without a word, other files with one.

    Args:
      folder: where to look.
      field: what the folder was given as, for messages.
      beside: suffixes of files that are read as well, and so not left out.

    Raises:
      InputError: the folder is missing or has none.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"{field}: {str(folder)!r} is not a folder")
    files = sorted(path for path in _files(folder) if path.suffix.lower() not in beside)
    paths = [path for path in files if path.suffix.lower() in SUFFIXES]
    others = collections.Counter(path.suffix.lower() or path.name for path in files)
    kinds = [f"{count} {suffix}" for suffix, count in others.most_common() if suffix not in SUFFIXES]
    left = ", ".join(kinds[:8]) + (", ..." if len(kinds) > 8 else "")
    if not paths:
        only = left and f", only {left}"
        raise InputError(f"{field}: no images ({', '.join(SUFFIXES)}) below {str(folder)!r}{only}")
    if kinds:
        say_once(f"{folder}: left out {len(files) - len(paths)} file(s) of other kinds: {left}")
    return paths


def _files(folder):
    """All files below a folder that are not hidden."""

    def unreadable(error):
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error

    found, seen, waiting = [], set(), [folder]
    while waiting:  # Links last, so that a folder goes by its own name where it has two.
        links = []
        for top in waiting:
            for where, folders, names in os.walk(top, onerror=unreadable):
                where = pathlib.Path(where)
                if where.resolve() in seen:
                    say_once(f"{where}: left out, for it is another name of a folder that is read already")
                    folders.clear()
                    continue
                seen.add(where.resolve())
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                links += [where / name for name in folders if (where / name).is_symlink()]
                found += [where / name for name in names if not name.startswith(".")]
        waiting = links
    return found


@functools.cache
def say_once(message, level=logging.INFO):
    """Logs it, once a process: every split reads the same files."""
    log.log(level, message)


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
    check = functools.partial(problem, decode=settings.skip_unreadable, max_pixels=settings.max_pixels)
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
