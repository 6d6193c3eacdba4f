"""Features and pictures that the fixture of the metrics was made with."""

import numpy as np


def feature_sets():
    """{name: (features, features)}, float64 [images, dimension]: two sets to compare."""
    found = {}
    for seed, (name, count, dimension) in enumerate(
        [("well", 400, 32), ("singular", 40, 96), ("nearly", 300, 48)]
    ):
        rng = np.random.default_rng(seed)
        mix = rng.standard_normal((dimension, dimension)) / dimension**0.5
        if name == "nearly":  # Most directions hardly vary.
            mix *= 10.0 ** -np.linspace(0, 6, dimension)[:, None]
        a = rng.standard_normal((count, dimension)) @ mix
        b = 1.3 * rng.standard_normal((count, dimension)) @ mix + 0.5
        found[name] = a, b
    return found


def logits():
    """[500, 20] for the Inception Score."""
    return 3 * np.random.default_rng(7).standard_normal((500, 20)).astype(np.float32)


def pictures():
    """{name: [height, width, 3] uint8}: smaller than, larger than, and not as wide as 299 px."""
    rng = np.random.default_rng(3)
    shapes = {"small": (64, 64), "large": (400, 512), "tall": (300, 50)}
    return {name: rng.integers(0, 256, (*shape, 3), np.uint8) for name, shape in shapes.items()}


def pair():
    """Two images [1, 96, 96, 3] in [-1, 1] for LPIPS."""
    rng = np.random.default_rng(5)
    return rng.uniform(-1, 1, (2, 1, 96, 96, 3)).astype(np.float32)


def smooth_pair():
    """Two batches [2, 176, 180, 3] in [-1, 1] with structure at every scale, one with noise."""
    rng = np.random.default_rng(0)
    x = np.cumsum(np.cumsum(rng.uniform(-1, 1, (2, 176, 180, 3)), 1), 2)
    x = (x / np.abs(x).max()).astype(np.float32)
    noise = 0.05 * rng.standard_normal(x.shape)
    return x, np.clip(x + noise, -1, 1).astype(np.float32)


def bleeding():
    """{name: (result, truth)}: colours ab [height, width, 2] float32 with edges that the result blurs."""
    found = {}
    for seed, (name, height, width) in enumerate([("wide", 48, 64), ("tall", 56, 40), ("flat", 32, 32)]):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:height, :width]
        truth = rng.normal(0, 1, (height, width, 2))
        for _ in range(0 if name == "flat" else 6):
            middle, radius = rng.uniform(0, (height, width)), rng.uniform(5, 15)
            truth[np.hypot(rows - middle[0], columns - middle[1]) < radius] = rng.uniform(-80, 80, 2)
        if name == "flat":
            truth[:] = 12.0, -7.0
        blurred = truth.copy()
        for _ in range(3):  # A mean of three by three.
            shifted = [np.roll(blurred, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            blurred = np.mean(shifted, 0)
        found[name] = np.float32(blurred), np.float32(truth)
    return found
