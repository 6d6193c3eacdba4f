"""How far colours bleed over edges: the cluster discrepancy ratio (CDR).

Kim, Lee, Park et al., "Deep Edge-Aware Interactive Colorization against Color-Bleeding Effects", ICCV 2021, as their
released script computes it; where a region is given it fails, and here each channel's own edges in it count. At every edge
of a true channel a window is looked at: of its pixels that the truth has in another cluster than the edge, the share that
the result has in another one too. 1 is perfect. Edges are Canny's by quantiles, clusters SLIC's superpixels; outside the
picture is one more cluster.

Colours are a and b of CIE Lab, [height, width, 2] numpy, in any unit: neither edges nor clusters depend on it.
"""

import numpy as np

REACH = 5  # A window is the REACH pixels before a pixel and REACH - 1 after it, along both sides.
CLUSTERS = dict(n_segments=250, compactness=10, sigma=1, start_label=1)
EDGES = dict(sigma=1.2, low_threshold=0.2, high_threshold=0.7, use_quantiles=True)


def ratio(found, truth, region=None):
    """The ratios of the channels a and b, 1 where there are no edges.

    Args:
      found, truth: colours.
      region: [height, width] bool, in which edges count; None is everywhere.

    Returns:
      (of a, of b), floats in [0, 1].
    """
    return of_parts(clusters(found), clusters(truth), edges(truth), True if region is None else region)


def clusters(ab):
    """Numbers of superpixels from 1 on, of a and of b: [2, height, width] integers."""
    from skimage.segmentation import slic  # Takes a second to import.

    # As the script has it: three times the channel, which SLIC then takes for RGB.
    return np.stack([slic(np.repeat(np.float64(x)[..., None], 3, -1), **CLUSTERS) for x in _channels(ab)])


def edges(ab):
    """Where the edges of a and of b are: [2, height, width] bool, none on the outermost pixels."""
    from skimage.feature import canny

    return np.stack([canny(x, **EDGES) for x in _channels(ab)])


def of_parts(found, truth, where, region):
    """`ratio` of what `clusters` gives of a result and of the truth, and `edges` of the truth."""
    return tuple(_ratio(*channel) for channel in zip(found, truth, where & region))


def _channels(ab):
    return np.ascontiguousarray(np.moveaxis(np.float32(ab), -1, 0))


def _ratio(found, truth, where):
    if not where.any():
        return 1.0
    other, same = _windows(truth, where, np.not_equal), _windows(found, where, np.equal)
    count = other.sum(-1)
    return float(np.mean(1 - (other & same).sum(-1) / np.maximum(count, 1)))


def _windows(numbers, where, compare):
    """How the pixels around those `where` compare with them, [pixels, (2 REACH)^2]."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(numbers, REACH), (2 * REACH, 2 * REACH))
    rows, columns = np.nonzero(where)
    return compare(windows[rows, columns].reshape(len(rows), -1), numbers[rows, columns][:, None])
