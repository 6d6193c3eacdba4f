"""What the examples of each class were taken for."""

import io

import numpy as np
from PIL import Image

# With more classes than these, names or numbers could not be read.
MOST_NAMED, MOST_COUNTED = 60, 25


def draw(label, predicted, classes):
    """The confusion matrix: a row a class, dark where many of its examples were taken for the column's class.

    Args:
      label, predicted: [examples] integers.
      classes: names by label.

    Returns:
      [height, width, 3] uint8.
    """
    from matplotlib.figure import Figure  # Takes most of a second to import.

    number = len(classes)
    cells = np.asarray(label) * number + np.asarray(predicted)
    counts = np.bincount(cells, minlength=number**2).reshape(number, number)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3, 0.4 * number) if number <= MOST_NAMED else 12
    figure = Figure(figsize=(side, side), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))  # Names lie outside; the picture grows by them.
    shade = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shade, cax=axes.inset_axes((1 + 0.15 / side, 0, 0.2 / side, 1)), label="share of the class")
    axes.set(xlabel="predicted", ylabel="truth")
    if number <= MOST_NAMED:
        slanted = dict(rotation=45, ha="right", rotation_mode="anchor") if max(map(len, classes)) > 2 else {}
        axes.set_xticks(range(number), classes, **slanted)
        axes.set_yticks(range(number), classes)
    if number <= MOST_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, count, ha="center", va="center", size=8, color=ink)
    file = io.BytesIO()
    figure.savefig(file, bbox_inches="tight", pad_inches=0.1)
    return np.asarray(Image.open(file).convert("RGB"))
