"""Sample sheets: rows of images with named columns."""

import functools
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 2


def sheet(columns, *, max_rows=16):
    """A grid of images, one row an example, with the column names above.

    Args:
      columns: {name: [batch, height, width, 1 or 3] in [-1, 1]}, all of one size.
      max_rows: more examples than this go into further groups of columns.

    Returns:
      [height, width, 3] uint8.
    """
    names = list(columns)
    arrays = []
    for images in columns.values():
        images = np.asarray(images, np.float32)
        images = np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
        arrays.append(np.uint8(np.clip((images + 1) * 127.5 + 0.5, 0, 255)))
    count, height, width = arrays[0].shape[:3]
    rows = min(count, max_rows)
    groups = -(-count // rows)
    font = _font(max(9, min(14, width // 6)))
    top = font.size + 6
    sheet_height = top + rows * (height + GAP)
    sheet_width = groups * (len(names) * (width + GAP) + 3 * GAP)
    canvas = Image.new("RGB", (sheet_width, sheet_height), "white")
    draw = ImageDraw.Draw(canvas)
    for index in range(count):
        group, row = divmod(index, rows)
        left = group * (len(names) * (width + GAP) + 3 * GAP)
        for column, (name, images) in enumerate(zip(names, arrays)):
            x = left + column * (width + GAP)
            canvas.paste(Image.fromarray(images[index]), (x, top + row * (height + GAP)))
            if row == 0:
                draw.text((x + width / 2, top / 2), name, fill="black", font=font, anchor="mm")
    return np.asarray(canvas)


def enlarge(image, scale):
    """[height, width, 1 or 3] in [-1, 1] as a PIL RGB image, each pixel a square of `scale`."""
    image = np.uint8(np.clip((np.asarray(image, np.float32) + 1) * 127.5 + 0.5, 0, 255))
    image = Image.fromarray(np.repeat(image, 3 // image.shape[-1], -1))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def save(path, image):
    """Writes [height, width, 3] uint8, or frames [frames, height, width, 3], making the folder."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.ndim == 3:
        Image.fromarray(image).save(path)
    else:
        first, *rest = map(Image.fromarray, image)
        first.save(path, save_all=True, append_images=rest, duration=50, loop=0)


@functools.cache
def _font(size):
    return ImageFont.load_default(size)
