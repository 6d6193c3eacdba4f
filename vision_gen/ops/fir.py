"""Resampling through separable filters of finite impulse response (Karras et al. 2019, 2020).

The reference's upfirdn2d on maps [batch, height, width, channel]: zeros between the pixels, padding, a low-pass
filter, every k-th pixel kept. No zero is multiplied: each of the `up` output phases is a sum over the taps that meet
pixels, one direction after the other; on TPU, where what shifts maps costs their traffic, XLA's convolution of each
channel. The gradient is another such filter, so that derivatives of any order stay in these forms.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import resample

TAPS = (1, 3, 3, 1)  # StyleGAN2's.


def upsample(x, taps=TAPS, up=2, gain=1.0):
    """`up` times the size.

    Args:
      x: [batch, height, width, channel].
      taps: weights of the filter in one direction; only their ratios matter.
      up: how many times, at least 1.
      gain: what the result is multiplied with.

    Returns:
      [batch, up height, up width, channel], of x's dtype. Zeros lie outside of `x`; a constant keeps its value, times
      `gain`, but near the edges.
    """
    count = len(taps)
    return upfirdn(x, taps, up=up, padding=((count + up - 1) // 2, (count - up) // 2), gain=gain * up**2)


def downsample(x, taps=TAPS, down=2, gain=1.0):
    """A `down`-th of the size, [batch, height // down, width // down, channel]; otherwise as `upsample`."""
    count = len(taps)
    return upfirdn(x, taps, down=down, padding=((count - down + 1) // 2, (count - down) // 2), gain=gain)


def filter(x, taps=TAPS, gain=1.0):
    """Smoothed, at the same size; otherwise as `upsample`."""
    return upfirdn(x, taps, padding=(len(taps) // 2, (len(taps) - 1) // 2), gain=gain)


def upfirdn(x, taps, *, up=1, down=1, padding=(0, 0), flip=False, gain=1.0):
    """`up - 1` zeros behind each pixel, padding, the filter, and every `down`-th pixel, in both directions.

    Args:
      x: [batch, height, width, channel].
      taps: as of `upsample`.
      up, down: factors, at least 1.
      padding: zeros (before, after) in each direction, counted after the zeros between; negative ones cut off.
      flip: correlate with the taps instead of convolving; the same where they are symmetric.
      gain: what the result is multiplied with.

    Returns:
      [batch, (up height + padding - taps) // down + 1, likewise width, channel], of x's dtype.

    Raises:
      ValueError: the filter is larger than the padded map, or its taps sum to zero.
    """
    weights = np.asarray(taps, np.float64)
    if weights.ndim != 1 or not weights.sum():
        raise ValueError(f"upfirdn: taps must be numbers in a row whose sum is not 0, got {taps}")
    if min(up * n + sum(padding) for n in x.shape[1:3]) < len(weights):
        raise ValueError(f"upfirdn: {len(weights)} taps do not fit into the map {x.shape[1:3]}, padded by {padding}")
    weights = weights / weights.sum() * gain**0.5
    return _correlated(x, tuple(weights if flip else weights[::-1]), up, down, (padding, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _correlated(x, weights, up, down, padding):
    return lax.platform_dependent(
        x,
        tpu=lambda x: _by_convolution(x, weights, up, down, padding),
        default=lambda x: _by_phases(x, weights, up, down, padding),
    )


def _correlated_backward(weights, up, down, padding, size, dy):
    # Each pixel gets from where it was read: by the filter turned round, `up` and `down` exchanged.
    turned = []
    for n, m, (before, _) in zip(size, dy.shape[1:3], padding):
        first = len(weights) - 1 - before
        turned.append((first, up * (n - 1) + len(weights) - first - down * m))
    return (_correlated(dy, weights[::-1], down, up, tuple(turned)),)


_correlated.defvjp(lambda x, *static: (_correlated(x, *static), x.shape[1:3]), _correlated_backward)


def _by_convolution(x, weights, up, down, padding):
    padding = tuple((before, after + up - 1) for before, after in padding)
    taps = np.outer(weights, weights)
    return resample.filtered(x, taps, stride=(down, down), padding=padding, lhs_dilation=(up, up))


def _by_phases(x, weights, up, down, padding):
    for axis, (before, after) in zip((1, 2), padding):
        size = up * x.shape[axis] + before + after - len(weights) + 1
        step = down if up == 1 else 1
        count = -(-size // (up * step))
        phases = [_phase(x, axis, weights, up, step, before, phase, count) for phase in range(up)]
        if up > 1:
            shape = [n * up if i == axis else n for i, n in enumerate(phases[0].shape)]
            x = lax.slice_in_dim(jnp.stack(phases, axis + 1).reshape(shape), 0, size, down, axis)
        else:
            (x,) = phases
    return x


def _phase(x, axis, weights, up, down, before, phase, count):
    """`count` outputs along an axis, every `up`-th from `phase` on; one of `up` and `down` is 1."""
    # Output number a reads tap j at pixel down a + (phase + j - before) / up, where that is whole.
    reads = [((phase + j - before) // up, w) for j, w in enumerate(weights) if (phase + j - before) % up == 0]
    if not reads:
        return jnp.zeros([count if i == axis else n for i, n in enumerate(x.shape)], x.dtype)
    span = down * (count - 1) + 1
    low, high = reads[0][0], reads[-1][0] + span
    edges = [(-low, high - n, 0) if i == axis else (0, 0, 0) for i, n in enumerate(x.shape)]
    x = lax.pad(x, jnp.zeros((), x.dtype), edges)
    return sum(
        lax.slice_in_dim(x, place - low, place - low + span, down, axis) * jnp.asarray(w, x.dtype) for place, w in reads
    )
