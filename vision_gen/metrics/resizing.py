"""How images become as large as a feature network wants them: the protocols in use.

Resizing is the largest source of disagreement between published figures (Parmar et al., CVPR 2022).
Each protocol is separable and linear, a matrix for the rows and one for the columns, applied to
grey levels 0 to 255 in float32. Images and matrices are extended by zeros, so that a few compiled programs serve every
size.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError


def resize(images, size, protocol):
    """Resizes uint8 images.

    Args:
      images: [batch, height, width, channel] uint8.
      size: side of the square that comes out.
      protocol: a key of `PROTOCOLS`: "clean" (antialiased bicubic, as clean-fid through PIL),
        "legacy_pytorch" (bilinear, half-pixel centres, no antialiasing, as pytorch-fid) or
        "legacy_tensorflow" (TensorFlow 1's bilinear, corners aligned at the top left).

    Returns:
      [batch, size, size, channel] float32 in [0, 255].

    Raises:
      InputError: there is no such protocol.
    """
    check(protocol)
    return _resized(extended(images), *(_extended_matrix(protocol, n, size) for n in images.shape[1:3]))


@jax.jit
def _resized(images, rows, columns):
    x = images.astype(jnp.float32)
    # Columns first, as PIL does. The largest error of float32 is a few hundred thousandths of a level.
    x = jnp.einsum("jq,bpqc->bpjc", columns, x, precision="highest")
    x = jnp.einsum("ip,bpjc->bijc", rows, x, precision="highest")
    return jnp.clip(x, 0, 255)


def extended(images, lengths=1):
    """Images [batch, height, width, channel], with zeros at the bottom and on the right up to `extended_size`."""
    more = [(0, longer - side) for side, longer in zip(images.shape[1:3], extended_size(images.shape[1:3], lengths))]
    return np.pad(np.asarray(images), [(0, 0), *more, (0, 0)])


def extended_size(size, lengths=1):
    """A size, each side brought up to one of so many lengths an octave, the power of two among them."""
    steps = (max(1, (1 << (side - 1).bit_length()) // 2 // lengths) for side in size)
    return tuple(-(-side // step) * step for side, step in zip(size, steps))


@functools.lru_cache(maxsize=64)
def _extended_matrix(protocol, size, out):
    return jnp.asarray(np.pad(matrix(protocol, size, out), [(0, 0), (0, extended_size((size,))[0] - size)]))


def check(protocol):
    """Raises `InputError` where there is no such protocol."""
    if protocol not in PROTOCOLS:
        raise InputError(f"--resize must be one of {sorted(PROTOCOLS)}, got {protocol!r}")


def matrix(protocol, size, out):
    """[out, size] float32: what each of `out` pixels takes of `size` pixels."""
    return PROTOCOLS[protocol](size, out).astype(np.float32)


def _clean(size, out):
    """PIL's antialiased bicubic: Keys' kernel with a = -0.5, widened where the image shrinks."""
    if size == out:
        return np.eye(size)
    scale = size / out
    width = max(scale, 1.0)
    centre = (np.arange(out) + 0.5) * scale
    weights = np.zeros((out, size))
    for i, c in enumerate(centre):
        low = max(int(c - 2 * width + 0.5), 0)
        high = min(int(c + 2 * width + 0.5), size)
        d = np.abs((np.arange(low, high) - c + 0.5) / width)
        near = (1.5 * d - 2.5) * d * d + 1
        far = ((d - 5) * d + 8) * d * -0.5 + 2
        weights[i, low:high] = np.where(d < 1, near, np.where(d < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


def _bilinear(size, out, centre):
    # In float32, like the references: at 512 px the rounding of a position is worth 0.01 levels.
    centre, scale = np.float32(centre), np.float32(size / out)
    position = (np.arange(out, dtype=np.float32) + centre) * scale - centre
    position = np.clip(position, 0, size - 1)
    low = np.minimum(position.astype(int), size - 1)
    share = position - low
    weights = np.zeros((out, size))
    np.add.at(weights, (np.arange(out), low), 1 - share)
    np.add.at(weights, (np.arange(out), np.minimum(low + 1, size - 1)), share)
    return weights


PROTOCOLS = {
    "clean": _clean,
    "legacy_pytorch": functools.partial(_bilinear, centre=0.5),
    "legacy_tensorflow": functools.partial(_bilinear, centre=0.0),
}
