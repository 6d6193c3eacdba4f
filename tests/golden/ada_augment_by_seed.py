"""What `make_ada_augment` and the tests of `ops.ada_augment` both use."""

import numpy as np

# The reference's operations, each group's alone and all together.
OPERATIONS = {
    "blit": ("xflip", "rotate90", "xint"),
    "geom": ("scale", "rotate", "aniso", "xfrac"),
    "color": ("brightness", "contrast", "lumaflip", "hue", "saturation"),
    "filter": ("imgfilter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
}
OPERATIONS["bgcfnc"] = sum(OPERATIONS.values(), ())


def pictures():
    """Smooth waves of colour, [4, 24, 24, 3] float32 in [-1, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24] / 24
    waves = rng.normal(size=(4, 3, 5, 2)) * 2
    phase = waves[..., 0, None, None] * x + waves[..., 1, None, None] * y + rng.uniform(0, 1, (4, 3, 5, 1, 1))
    return np.sin(2 * np.pi * phase).mean(2).transpose(0, 2, 3, 1).astype(np.float32)
