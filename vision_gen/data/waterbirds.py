"""Waterbirds (Sagawa et al., ICLR 2020): birds of land and of water before either ground, of which most are at home.

`dir` has `metadata.csv`: a line for each image, with `img_filename`, its file below `dir`; `y`, 0 for a bird of land
and 1 for one of water; `place`, the same of the ground; and `split`, 0, 1 or 2 for "train", "val" and "test".
"""

import csv

import numpy as np

from vision_gen.data import bias, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "skip_unreadable", "max_pixels")
TABLE = "metadata.csv"
_NUMBERS = {"y": ("0", "1"), "place": ("0", "1"), "split": ("0", "1", "2")}
shapes = bias.shapes


def open(settings, split):
    """Examples as of `bias.shapes`.

    Raises:
      InputError: the table is missing or wrong, or an image that it names is not there; names the line.
    """
    folder = settings.folder
    rows = _rows(folder)
    chosen = [row for row in rows if row["split"] == str(source.SPLITS.index(split))]
    bird, ground = (np.array([row[name] for row in chosen], int) for name in ("y", "place"))
    names = [row["img_filename"] for row in chosen]
    paths = [folder / name for name in names]
    return bias.Files(
        settings, ("landbird", "waterbird"), ("land", "water"), bird, ground, bird == ground, paths, names
    )


def _rows(folder):
    path, needed = folder / TABLE, ("img_filename", *_NUMBERS)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            header, rows = table.fieldnames or (), list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); Waterbirds has it beside its folders") from error
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]!r}; it must have {', '.join(needed)}")
    seen = set()
    for number, row in enumerate(rows, 2):
        for name, allowed in _NUMBERS.items():
            if row[name] not in allowed:
                raise InputError(f"{path}: line {number} has {name} {row[name]!r}; it must be {' or '.join(allowed)}")
        if not row["img_filename"] or not (folder / row["img_filename"]).is_file():
            raise InputError(f"{path}: line {number} names {row['img_filename']!r}, which is not there")
        if row["img_filename"] in seen:
            raise InputError(f"{path}: line {number} names {row['img_filename']!r} again")
        seen.add(row["img_filename"])
    return rows
