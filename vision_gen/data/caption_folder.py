"""The images below a folder, each with a text beside it: `name.jpg` and `name.txt`, UTF-8, one caption a line.

Splits are those of `image_folder`.
"""

from vision_gen.data import described, image_folder, images
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "skip_unreadable", "max_pixels")
SUFFIXES = (".txt",)


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`."""
    return image_folder.shapes(settings)


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: a picture has no text, a text no picture, or one is empty or not UTF-8; names it.
    """
    folder, field = settings.folder, f"{settings.section}.dir"
    known = {path.with_suffix("") for path in images.find(folder, field, SUFFIXES)}
    for path in sorted(folder.rglob(f"*{SUFFIXES[0]}")):
        if path.with_suffix("") not in known and not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        ):
            raise InputError(f"{path}: a text without a picture of its name")
    source = image_folder.ImageFolder(settings, split, SUFFIXES)
    pictures = {source.name(index): path for index, path in enumerate(source.paths)}
    return described.Described(settings, pictures, {n: _read(path) for n, path in pictures.items()}, source.skipped)


def _read(picture):
    path = picture.with_suffix(SUFFIXES[0])
    try:
        return described.lines(path.read_bytes(), path)
    except FileNotFoundError:
        raise InputError(f"{picture}: a picture without a text; {path.name} should lie beside it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
