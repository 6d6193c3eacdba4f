"""FIR resampling is the plain one: zeros between the pixels, padding, a filter, every k-th pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import fir


def plain(x, taps, up, down, padding, flip, gain):
    """As the words say it, in 64 bits."""
    taps = np.float64(taps) / np.sum(taps)
    kernel = np.outer(taps, taps) * gain
    kernel = kernel if flip else kernel[::-1, ::-1]
    batch, height, width, channel = x.shape
    wide = np.zeros((batch, height * up, width * up, channel))
    wide[:, ::up, ::up] = x
    low, high = padding
    edge = (max(low, 0), max(high, 0))
    wide = np.pad(wide, ((0, 0), edge, edge, (0, 0)))
    cut = lambda n: slice(max(-low, 0), n - max(-high, 0))
    wide = wide[:, cut(wide.shape[1]), cut(wide.shape[2])]
    windows = np.lib.stride_tricks.sliding_window_view(wide, kernel.shape, (1, 2))
    return np.einsum("bpqcij,ij->bpqc", windows, kernel)[:, ::down, ::down]


CASES = [  # taps, up, down, padding, flip, gain
    ((1, 3, 3, 1), 2, 1, (2, 1), False, 4.0),
    ((1, 3, 3, 1), 1, 2, (1, 1), False, 1.0),
    ((1, 2, 4), 1, 1, (1, 1), False, 1.0),
    ((1, 2, 4), 1, 1, (1, 1), True, 1.0),
    ((1, 2, 4, 3, 1), 3, 2, (4, -2), False, 2.0),
    ((1, 2), 1, 3, (-1, 2), True, 1.0),
    ((1,), 2, 1, (0, 0), False, 1.0),  # Fewer taps than phases: one is zeros.
    ((1, 2, 3, 4, 5, 6), 2, 3, (3, 4), True, 1.0),
]


@pytest.mark.parametrize("form", ["phases", "convolution"])
def test_it_is_the_plain_filter_and_so_are_its_gradients(form, monkeypatch):
    chosen = {"phases": fir._by_phases, "convolution": fir._by_convolution}[form]  # The second is TPU's.
    monkeypatch.setattr(fir, "_by_phases", chosen)
    rng = np.random.default_rng(0)
    x = np.float32(rng.normal(size=(2, 7, 5, 3)))
    for taps, up, down, padding, flip, gain in CASES:
        settings = dict(up=up, down=down, padding=padding, flip=flip, gain=gain)
        wanted = plain(x, taps, up, down, padding, flip, gain)
        y = np.float32(rng.normal(size=wanted.shape))

        @jax.jit
        def look(x, y):
            mine, pull = jax.vjp(lambda x: fir.upfirdn(x, taps, **settings), x)
            adjoint, again = jax.vjp(lambda y: pull(y)[0], y)
            return mine, adjoint, again(x)[0]

        mine, adjoint, again = look(x, y)
        np.testing.assert_allclose(mine, wanted, atol=1e-5)
        # It is linear: its gradient is its adjoint, and the gradient's gradient is the filter again.
        np.testing.assert_allclose(np.sum(adjoint * x), np.sum(np.float64(y) * wanted), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(again, wanted, atol=1e-5)


def test_sizes_and_constants_are_kept():
    x = jnp.ones((1, 8, 6, 1))
    for taps in ((1, 3, 3, 1), (1, 2, 1)):
        for result, size in (
            (fir.upsample(x, taps), (16, 12)),
            (fir.downsample(x, taps), (4, 3)),
            (fir.filter(x, taps, gain=2.0) / 2, (8, 6)),
        ):
            assert result.shape == (1, *size, 1)
            np.testing.assert_allclose(result[0, 3:-3, 2:-2], 1, atol=1e-6)
    assert fir.upsample(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_what_cannot_be_filtered_is_named():
    with pytest.raises(ValueError, match="4 taps do not fit into the map"):
        fir.upfirdn(jnp.ones((1, 3, 8, 1)), fir.TAPS)
    with pytest.raises(ValueError, match="whose sum is not 0"):
        fir.upfirdn(jnp.ones((1, 3, 8, 1)), (1, -1))
