"""Where the attention of sketches falls on references (SCFT, Lee et al. 2020)."""

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from vision_gen.figures import sheets

SIDE = 256  # Pixels that the longer side of a picture has at least.
TINTS = ("#e6194b", "#1f6fe0", "#f08020", "#8a2be2", "#128a3a")  # Of the places.
NEAR = 0.1  # Of the picture's side, around the truth.
PALE = 0.4  # How much is left of the reference's colours, for the heat to be seen.


def draw_correspondence(look, *, points=4):
    """Rows of a sketch with numbered places and, for each of them, the reference lit where its attention falls.

    A ring is where the warp has put the place. Under each picture stands how much of the attention lies within a tenth
    of the picture's side of the ring.

    Args:
      look: dict of numpy arrays: `sketch` [batch, height, width, 1], its drawing `image` and the `reference`
        [batch, height, width, 3] in [-1, 1], `attention` [batch, h, w, h, w] of each of the sketch's cells over the
        reference's, `truth` [batch, h * w, 2], the places (x, y) in [-1, 1] where it should look, and `valid`
        [batch, h * w], whether there is one.
      points: places a sketch, 5 at most; well apart, on ink or in colour.

    Returns:
      [height, width, 3] uint8.
    """
    headers = [f"where {number + 1} looks" for number in range(points)]
    columns, captions = ({name: [] for name in ("sketch", *headers)} for _ in range(2))
    for sketch, image, reference, attention, truth, valid in zip(
        *(look[name] for name in ("sketch", "image", "reference", "attention", "truth", "valid"))
    ):
        height, width = attention.shape[:2]
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        centres, truth = np.stack([x, y], -1).reshape(-1, 2), (truth + 1) / 2
        attention = attention.reshape(-1, height, width)
        drawn = np.minimum(sketch, image).min(-1)
        drawn = drawn.reshape(height, len(sketch) // height, width, -1).mean((1, 3))
        shown = (drawn.ravel() < 0.6) & valid
        chosen = _apart(centres, shown if shown.sum() >= points else valid, points)
        left = _enlarged(sketch)
        for number, cell in enumerate(chosen):
            _mark(left, centres[cell], number)
        columns["sketch"].append(np.asarray(left))
        captions["sketch"].append("")
        for number, (cell, header) in enumerate(zip(chosen, headers)):
            lit = _lit(reference, attention[cell], TINTS[number])
            _mark(lit, truth[cell], number, ring=True)
            columns[header].append(np.asarray(lit))
            near = np.linalg.norm(centres - truth[cell], axis=-1) <= NEAR
            captions[header].append(f"{attention[cell].ravel()[near].sum():.0%} near the ring")
    return sheets.sheet(columns, captions)


def _apart(centres, where, number):
    """`number` cells that lie apart, each in the middle of its share of all (k-means, begun with the farthest).

    Args:
      centres: [cells, 2].
      where: [cells] boolean, which cells there are to choose from.
    """
    candidates = np.flatnonzero(where)
    places = centres[candidates]
    distance = lambda to: np.linalg.norm(places[:, None] - to, axis=-1)
    means = places.mean(0, keepdims=True)
    for _ in range(number):
        means = np.concatenate([means, places[[distance(means).min(1).argmax()]]])
    means = means[1:]
    for _ in range(10):
        nearest = distance(means).argmin(1)
        means = np.stack([places[nearest == i].mean(0) if (nearest == i).any() else means[i] for i in range(number)])
    found = candidates[distance(means).argmin(0)]
    return found[np.lexsort(centres[found].T)]  # From top to bottom.


def _enlarged(image):
    image = Image.fromarray(sheets.pixels(image))
    scale = -(-SIDE // max(image.size))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)


def _lit(reference, attention, tint):
    """The reference, pale, with the heat of attention [h, w] over it."""
    picture = _enlarged(reference)
    heat = Image.fromarray(np.float32(attention / attention.max())).resize(picture.size, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(heat), 0, 1)[..., None] * 0.9
    pale = 255 - (255 - np.asarray(picture, np.float32)) * PALE
    return Image.fromarray(np.uint8(pale + (np.array(ImageColor.getrgb(tint)) - pale) * heat))


def _mark(picture, centre, number, *, ring=False):
    """A numbered dot, or a ring, around (x, y) in [0, 1] of a PIL picture."""
    draw, radius = ImageDraw.Draw(picture), 10
    x, y = np.array(centre) * picture.size
    box = lambda radius: [x - radius, y - radius, x + radius, y + radius]
    if ring:
        draw.ellipse(box(radius + 3), outline="white", width=5)
        draw.ellipse(box(radius + 2), outline="black", width=3)
    else:
        draw.ellipse(box(radius + 2), fill="white")
        draw.ellipse(box(radius), fill=TINTS[number])
        draw.text((x, y), str(number + 1), fill="white", font=sheets.typeface(15), anchor="mm")
