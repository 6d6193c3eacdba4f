"""A figure of examples by a number that was set."""

import io

import numpy as np
from PIL import Image


def draw(label, numbers, title, values, others=()):
    """A curve of means with their standard errors.

    Args:
      label: what the numbers are.
      numbers: in the order of the curve; they stand at equal distances.
      title: what the values are.
      values: [examples] for each number; NaN is left out.
      others: {name: [examples]} that do not depend on it, drawn as dashed lines.

    Returns:
      [height, width, 3] uint8.
    """
    from matplotlib.figure import Figure  # Takes most of a second to import.

    mean = np.array([np.nanmean(v) for v in values])
    error = np.array([np.nanstd(v) / np.sqrt(np.sum(~np.isnan(v))) for v in values])
    figure = Figure(figsize=(5, 3.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(numbers))
    axes.fill_between(places, mean - error, mean + error, alpha=0.25)
    axes.plot(places, mean, "o-")
    for name, other in dict(others).items():
        axes.axhline(np.nanmean(other), linestyle="--", color="grey")
        axes.annotate(name, (1, np.nanmean(other)), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_xticks(places, numbers)
    axes.set(xlabel=label, ylabel=title)
    axes.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file)
    return np.asarray(Image.open(file).convert("RGB"))
