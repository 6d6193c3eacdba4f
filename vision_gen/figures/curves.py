"""A figure of examples by a number that was set."""

import io

import numpy as np
from PIL import Image


def draw(label, numbers, title, values, others=()):
    """A curve of means with their standard errors.

    Args:
      label: what the numbers are.
      numbers: not negative, rising.
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
    axes.fill_between(numbers, mean - error, mean + error, alpha=0.25)
    axes.plot(numbers, mean, "o-")
    for name, other in dict(others).items():
        axes.axhline(np.nanmean(other), linestyle="--", color="grey")
        axes.annotate(name, (1, np.nanmean(other)), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(numbers, numbers)
    axes.minorticks_off()
    axes.set(xlabel=label, ylabel=title)
    axes.grid(alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file)
    return np.asarray(Image.open(file).convert("RGB"))
