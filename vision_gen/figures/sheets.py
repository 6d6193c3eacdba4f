"""Sample sheets: rows of pictures in named columns, with text under them."""

import functools
import pathlib
import re

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 256  # Pixels that the longer side of a column's largest picture comes near where it is smaller,
WIDTH = 2560  # unless all columns together are wider than this.
# Width over height that a sheet comes near, by dividing its rows into groups side by side.
ASPECT = 1.5
MAX_LINES = 4  # Of a text; a column grows until its texts fit.
MARGIN, GAP, GROUP_GAP = 10, 6, 24
INK, FRAME, MARK = "#222222", "#d4d4d4", "#d62728"


def sheet(columns, captions=None, marked=()):
    """A grid of pictures, one row an example, with the columns' names above.

    Names and captions are wrapped to their column; where a word is wider than the column, or a text longer than four
    lines, the column grows. A column of small pictures is enlarged by whole pixels: to about 256, or where there are many
    columns to less, or as far as it does not exceed the sides of the largest of the others.

    Args:
      columns: {name: [batch, height, width, 1 or 3]}, or a sequence of [height, width, 1 or 3] of several sizes; floats
        in [-1, 1] or uint8. Without a name above if that is empty.
      captions: {name of a column: [batch] texts}, under its pictures.
      marked: numbers of rows that stand out in red.

    Returns:
      [height, width, 3] uint8.

    Raises:
      ValueError: columns differ in length, or captions are not of a column.
    """
    captions = captions or {}
    if not set(captions) <= set(columns) or len({len(x) for x in (*columns.values(), *captions.values())}) != 1:
        lengths = [{name: len(x) for name, x in group.items()} for group in (columns, captions)]
        raise ValueError(f"lengths of columns, {lengths[0]}, and of captions for them, {lengths[1]}, must agree")
    columns = {name: [pixels(image) for image in images] for name, images in columns.items()}
    sizes = [np.max([image.shape[:2] for image in images], 0) for images in columns.values()]
    side = min(SIDE, WIDTH / len(columns))
    scales = [max(1, round(side / max(size)), min(np.max(sizes, 0) // size)) for size in sizes]
    columns = [
        _Column(name, [enlarge(image, scale) for image in images], captions.get(name, ()))
        for (name, images), scale in zip(columns.items(), scales)
    ]
    font = typeface(int(np.clip(max(column.width for column in columns) / 16, 12, 24)))
    for column in columns:
        column.fit(font)
    return _draw(columns, font, marked)


class _Column:
    """Pictures under one another, with their texts broken into lines."""

    def __init__(self, name, images, captions):
        self.name, self.images, self.captions = name, images, [str(text) for text in captions]
        self.width = max(image.width for image in self.images)

    def fit(self, font):
        """Breaks the texts into lines and makes the column as wide as they need."""
        while True:
            header, *lines = (_wrap(text, font, self.width) for text in (self.name, *self.captions))
            broken = [header, *lines]
            if max(map(len, broken)) <= MAX_LINES and all(
                font.getlength(line) <= self.width for text in broken for line in text
            ):
                break
            self.width += 8
        self.header, self.lines = header, lines or [[]] * len(self.images)


def _wrap(text, font, width):
    """Lines of words as wide as fit; a text may also be broken after - _ / and commas, and within very long words."""
    lines = []
    for word in re.findall(r"\s*[^\s_/,-]{0,24}[_/,-]*", text):
        if lines and font.getlength(lines[-1] + word) <= width:
            lines[-1] += word
        elif word.strip():
            lines.append(word.strip())
    return lines


def _draw(columns, font, marked):
    line = font.size + 3
    text_height = lambda lines: line * len(lines) + (GAP // 2 if lines else 0)
    head = max(text_height(column.header) for column in columns)
    rows = [
        (
            max(column.images[i].height for column in columns),
            max(text_height(column.lines[i]) for column in columns),
        )
        for i in range(len(columns[0].images))
    ]
    width = sum(column.width + GAP for column in columns) - GAP
    groups = _groups(np.array([sum(row) + GAP for row in rows]), width, head)
    heights = [sum(sum(rows[i]) + GAP for i in group) for group in groups]
    size = (
        2 * MARGIN + len(groups) * (width + GROUP_GAP) - GROUP_GAP,
        2 * MARGIN + head + max(heights) - GAP,
    )
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)

    def write(lines, centre, top, ink=INK):
        for number, text in enumerate(lines):
            draw.text((centre, top + line * number), text, fill=ink, font=font, anchor="ma")

    for number, group in enumerate(groups):
        left = MARGIN + number * (width + GROUP_GAP)
        for column in columns:
            centre, top = left + column.width // 2, MARGIN + head
            write(column.header, centre, MARGIN + head - text_height(column.header))
            for i in group:
                image, (height, _) = column.images[i], rows[i]
                x, y = centre - image.width // 2, top + height - image.height
                edge, ink, frame = (3, MARK, MARK) if i in marked else (1, INK, FRAME)
                draw.rectangle([x - edge, y - edge, x + image.width + edge - 1, y + image.height + edge - 1], frame)
                canvas.paste(image, (x, y))
                write(column.lines[i], centre, top + height + GAP // 2, ink)
                top += sum(rows[i]) + GAP
            left += column.width + GAP
    return np.asarray(canvas)


def _groups(heights, width, head):
    """Ranges of rows that stand side by side, so that the whole comes near `ASPECT`.

    Args:
      heights: [rows], pixels.
      width: of a group.
      head: height above each group.
    """

    def divided(rows):
        return [range(i, min(i + rows, len(heights))) for i in range(0, len(heights), rows)]

    def miss(rows):
        groups = divided(rows)
        tallest = head + max(sum(heights[i] for i in group) for group in groups)
        empty = len(groups) * rows / len(heights) - 1
        return abs(np.log(len(groups) * (width + GROUP_GAP) / tallest / ASPECT)) + empty

    return divided(min(range(1, len(heights) + 1), key=miss))


def pixels(images):
    """Pictures as they are saved: RGB, uint8.

    Args:
      images: [..., 1 or 3], floats in [-1, 1] or uint8.

    Returns:
      [..., 3] uint8, rounded and clipped.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        images = np.uint8(np.clip(np.rint((images.astype(np.float32) + 1) * 127.5), 0, 255))
    return np.repeat(images, 3 // images.shape[-1], -1)


def enlarge(image, scale):
    """[height, width, 1 or 3], as of `pixels`, as a PIL RGB image, each pixel a square of `scale`."""
    image = Image.fromarray(pixels(image))
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
def typeface(size):
    """The font of sheets, of so many pixels."""
    import matplotlib  # Brings a font with more letters than Pillow's own.

    return ImageFont.truetype(pathlib.Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
