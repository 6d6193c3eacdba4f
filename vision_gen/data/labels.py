"""Pictures of numbered regions, as DAVIS and PASCAL VOC have them."""

import numpy as np
from PIL import Image

from vision_gen.errors import InputError


def _palette():
    """The bits of a number, in threes from the lowest, are the highest bits of red, green and blue."""
    number = np.arange(256)
    channel = lambda c: sum((number >> (3 * bit + c) & 1) << (7 - bit) for bit in range(8))
    return np.stack([channel(c) for c in range(3)], -1).astype(np.uint8)


PALETTE = _palette()  # PASCAL VOC's: [256, 3] uint8.


def read(path, colours=None):
    """The numbers [height, width] uint8 in a picture with a palette, or a grey one; of another its colours, [..., 3].

    Args:
      path: the file.
      colours: [n, 3] by number. Where a palette has none but these, they count: programs that paint sort palettes anew.

    Raises:
      InputError: it cannot be read; names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            found = np.asarray(image.convert("L") if image.mode == "LA" else image)
            if image.mode in ("I", "I;16") and 0 <= found.min() and found.max() <= 255:
                return found.astype(np.uint8)
            if image.mode == "P" and colours is not None:
                return _sorted_as(found, np.reshape(image.getpalette(), (-1, 3)), colours)
            return found if image.mode in ("P", "L", "LA") else np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a picture of numbered regions") from None
    except Exception as error:  # PIL raises many kinds.
        raise InputError(f"{path}: not a readable picture of numbered regions ({error})") from error


def _sorted_as(numbers, palette, colours):
    """Numbers of a palette as those of the same colours among others, if all that they are of are there."""
    used = np.unique(numbers)
    places = of_colours(palette[used[used < len(palette)]][None], colours)[0]
    if len(places) < len(used) or (places == 255).any():
        return numbers
    return places[np.searchsorted(used, numbers)]


def of_colours(array, palette):
    """Where colours [height, width, 3] are in a palette [n, 3]: uint8 [height, width], 255 is nowhere."""
    number = np.full(array.shape[:2], 255, np.uint8)
    for label, colour in enumerate(palette):
        number[(array == colour).all(-1)] = label
    return number


def numbers(array, most, where):
    """Labels [height, width] uint8, from 0 to `most`, of what `read` gives; where they are 0 and 255 alone, 255 is 1.

    Raises:
      InputError: a number is higher, or a colour none of `PALETTE`; `where` says of what.
    """
    if array.ndim == 3 and array.shape[2] == 3:
        number = of_colours(array, PALETTE[: most + 1])
        unknown = array[number == 255]
        if len(unknown):
            raise InputError(
                f"{where}: has the colour {unknown[0].tolist()}, which is none of the first {most + 1} of PASCAL VOC's"
            )
        array = number
    if set(np.unique(array)) <= {0, 255}:
        return np.uint8(array > 0)
    if array.max() > most:
        raise InputError(
            f"{where}: has the label {array[array > most].min()} ({len(np.unique(array))} different ones); at most "
            f"{most} are allowed"
        )
    return array
