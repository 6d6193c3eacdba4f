"""Arrays that the fixture of what torch gives was made with."""

import numpy as np

CUBIC = ((16, 8), (5, 3))  # Sizes that `pooled` is resized to.


def sampled():
    """(image [2, 7, 9, 3], grid [2, 5, 6, 2] in and around [-1, 1], a cotangent [2, 5, 6, 3])."""
    rng = np.random.default_rng(0)
    image, change = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 7, 9, 3), (2, 5, 6, 3)))
    return image, rng.uniform(-1.3, 1.3, (2, 5, 6, 2)).astype(np.float32), change


def rays():
    """(points [40, 12, 3], directions [40, 3], depths [40, 12], ascending) along rays."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (40, 12, 3)).astype(np.float32)
    d = rng.normal(size=(40, 3)).astype(np.float32)
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    return x, d, np.sort(rng.uniform(2, 6, (40, 12))).astype(np.float32)


def pooled():
    """[2, 9, 8, 3]."""
    return np.random.default_rng(1).standard_normal((2, 9, 8, 3), np.float32)
