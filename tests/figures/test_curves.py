"""The curve of a figure by a number."""

import numpy as np

from vision_gen.figures import curves


def test_a_curve_is_drawn_with_its_error_and_other_figures():
    rng = np.random.default_rng(0)
    values = [rng.normal(20 + n, 1, 30) for n in range(4)]
    plain = curves.draw("hints", (0, 1, 5, 50), "PSNR in dB", values)
    assert plain.dtype == np.uint8 and plain.ndim == 3 and plain.shape[2] == 3 and min(plain.shape[:2]) > 200
    assert np.any(curves.draw("hints", (0, 1, 5, 50), "PSNR in dB", values, {"grey": np.full(30, 18.0)}) != plain)
    values[2][0] = np.nan
    assert np.any(curves.draw("hints", (0, 1, 5, 50), "PSNR in dB", values) != plain)
