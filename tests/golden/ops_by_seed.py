"""Arrays that the fixture of torch's operations was made with."""

import numpy as np

CUBIC = ((16, 8), (5, 3))  # Sizes that `pooled` is resized to.


def sampled():
    """(image [2, 7, 9, 3], grid [2, 5, 6, 2] in and around [-1, 1], a cotangent [2, 5, 6, 3])."""
    rng = np.random.default_rng(0)
    image, change = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 7, 9, 3), (2, 5, 6, 3)))
    return image, rng.uniform(-1.3, 1.3, (2, 5, 6, 2)).astype(np.float32), change


def pooled():
    """[2, 9, 8, 3]."""
    return np.random.default_rng(1).standard_normal((2, 9, 8, 3), np.float32)
