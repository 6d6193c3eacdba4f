"""Where the attention of sketches falls on references (SCFT, Lee et al. 2020)."""

import numpy as np
from PIL import ImageDraw

from vision_gen.figures import sheets


def draw_correspondence(look, *, points=5, scale=3):
    """Rows of sketch, reference with the attended places, and the attention of the first point.

    A dot on the sketch is a query; the dot of its colour on the reference is where its attention
    is strongest, and the ring of its colour is where the warp has put it.

    Args:
      look: dict of numpy arrays: `sketch` [batch, height, width, 1] and `reference` [batch, height, width, 3] in
        [-1, 1], `attention` [batch, h, w, h, w] of each of the sketch's cells over the reference's, `truth`
        [batch, h * w, 2], the places (x, y) in [-1, 1] where it should look, and `valid` [batch, h * w], whether
        there is one.
      points: queries a sketch, spread over the cells with ink.
      scale: enlargement.

    Returns:
      [height, width, 3] uint8.
    """
    palette = ["#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324"]
    columns = {"sketch": [], "reference": [], "attention of red": []}
    for sketch, reference, attended, truth, valid in zip(
        *(look[name] for name in ("sketch", "reference", "attention", "truth", "valid"))
    ):
        height, width = attended.shape[:2]
        cell = sketch.shape[0] // height
        ink = sketch[..., 0].reshape(height, cell, width, cell).mean((1, 3)).ravel()
        candidates = np.flatnonzero((ink < 0.7) & valid)
        if not len(candidates):
            candidates = np.flatnonzero(valid)
        queries = candidates[np.linspace(0, len(candidates) - 1, points + 2).astype(int)[1:-1]]
        tiles = [sheets.enlarge(x, scale) for x in (sketch, reference)]
        left, right = (ImageDraw.Draw(tile) for tile in tiles)
        for query, tint in zip(queries, palette):
            place = lambda x, y: (x * tiles[0].width, y * tiles[0].height)
            row, column = divmod(int(query), width)
            dot(left, place((column + 0.5) / width, (row + 0.5) / height), tint)
            best = int(attended[row, column].argmax())
            dot(right, place((best % width + 0.5) / width, (best // width + 0.5) / height), tint)
            dot(right, place(*((truth[query] + 1) / 2)), tint, ring=True)
        row, column = divmod(int(queries[0]), width)
        heat = attended[row, column] / attended[row, column].max()
        heat = np.kron(1 - 2 * heat, np.ones((cell, cell)))[..., None]
        columns["sketch"].append(np.asarray(tiles[0]))
        columns["reference"].append(np.asarray(tiles[1]))
        columns["attention of red"].append(np.asarray(sheets.enlarge(heat, scale)))
    return sheets.sheet(columns)


def dot(draw, centre, tint, *, ring=False):
    """A filled dot, or a ring, around (x, y) on a PIL drawing."""
    radius = 7 if ring else 4
    box = [centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius]
    draw.ellipse(box, fill=None if ring else tint, outline=tint if ring else "white", width=2 if ring else 1)
