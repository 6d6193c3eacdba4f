"""Colour spaces, random colour changes, colours of depths. Images are [..., 3] RGB."""

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import random, resample

# sRGB primaries and the D65 white point (IEC 61966-2-1), as scikit-image uses them.
_RGB_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
# Nine of the colours of matplotlib's viridis, light to dark, in [0, 1].
_VIRIDIS = np.array(
    [
        [253, 231, 37], [173, 220, 48], [94, 201, 98], [40, 174, 128], [33, 145, 140],
        [44, 114, 142], [59, 82, 139], [71, 45, 123], [68, 1, 84],
    ],
    np.float32,
) / 255  # fmt: skip
_EMPTY = 0.87  # Grey of what has no depth.
_FADED = -0.2  # Grey of what is not to be looked at, in [-1, 1].
_COUNTED = 2**16  # Depths that the range is found of, at most.


def from_uint8(image, dtype=jnp.float32):
    """uint8 in [0, 255] to [-1, 1]."""
    return image.astype(dtype) / 127.5 - 1


def to_uint8(image):
    """[-1, 1] to uint8, rounded and clipped."""
    return jnp.clip(jnp.round((image.astype(jnp.float32) + 1) * 127.5), 0, 255).astype(jnp.uint8)


def luma(image):
    """Rec. 601 luma of RGB [..., 3], [..., 1] in the range of the input."""
    weights = jnp.asarray([0.299, 0.587, 0.114], image.dtype)
    return jnp.sum(image * weights, -1, keepdims=True)


def multiply(layer, lines):
    """A layer of colour with lines multiplied over it; all in [-1, 1], of which -1 is black and 1 leaves the other as it is."""
    return (layer + 1) * (lines + 1) / 2 - 1


def lit(image, share):
    """Images [batch, height, width, 3] in [-1, 1], as they are where `share` [batch, rows, columns] is 1, of 0 to 1.

    Towards 0 they fade to a dark grey, which tells places of black pictures apart as well as those of white ones.
    """
    share = 0.15 + 0.85 * resample.resize(share[..., None], image.shape[1:3])
    return _FADED + (image - _FADED) * share


def rgb_to_lab(image):
    """sRGB in [0, 1] to CIE Lab (D65): L in [0, 100], a and b about [-110, 110]."""
    linear = jnp.where(
        image > 0.04045, ((jnp.maximum(image, 0.04045) + 0.055) / 1.055) ** 2.4, image / 12.92
    )
    xyz = linear @ (_RGB_TO_XYZ.T / _WHITE).astype(np.float32)
    f = jnp.where(xyz > 0.008856, jnp.cbrt(jnp.maximum(xyz, 0.008856)), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_rgb(lab):
    """CIE Lab (D65) to sRGB in [0, 1]; colours outside the gamut are clipped."""
    y = (lab[..., 0] + 16) / 116
    f = jnp.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    linear = xyz @ (np.linalg.inv(_RGB_TO_XYZ).T * _WHITE[:, None]).astype(np.float32)
    linear = jnp.clip(linear, 0, 1)
    rgb = jnp.where(
        linear > 0.0031308, 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055, linear * 12.92
    )
    return jnp.clip(rgb, 0, 1)


def about_grey(angle, along=1.0, across=1.0):
    """Maps of colours about the grey axis, through (1, 1, 1), by Rodrigues' formula: [batch, 3, 3] float32.

    Args:
      angle: [batch], by which they turn, in radians.
      along, across: [batch] or numbers, factors of what lies along the axis and at right angles to it.
    """
    cosine, sine, along, across = (
        x[:, None, None] for x in jnp.broadcast_arrays(jnp.cos(angle), jnp.sin(angle), along, across)
    )
    grey = np.full((3, 3), 1 / 3, np.float32)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32) / np.sqrt(3).astype(np.float32)
    return along * grey + across * (cosine * (np.eye(3, dtype=np.float32) - grey) + sine * cross)


def lightness_and_ab(image):
    """What colorization networks take and give of images [..., 3] in [-1, 1].

    Returns:
      ((L - 50) / 100 [..., 1], ab [..., 2]), of CIE Lab.
    """
    lab = rgb_to_lab((image.astype(jnp.float32) + 1) / 2)
    return (lab[..., :1] - 50) / 100, lab[..., 1:]


def with_lightness_of(image, ab):
    """Colours ab [..., 2] with the lightness of images [..., 3] in [-1, 1]: images."""
    lightness, _ = lightness_and_ab(image)
    return lab_to_rgb(jnp.concatenate([lightness * 100 + 50, ab.astype(jnp.float32)], -1)) * 2 - 1


def with_colours_of(image, other):
    """Images whose colours have the mean and covariance of others', by a linear map that turns them least.

    The colour preservation of AdaIN's code and of Gatys et al. 2016, "Preserving Color in Neural Artistic Style
    Transfer".

    Args:
      image: [batch, height, width, 3] in [-1, 1].
      other: the same, of any size.

    Returns:
      What `image` becomes; not clipped.
    """

    def statistics(x):
        """(colours of mean 0 and deviation 1, mean, deviation, covariance of the first)."""
        x = x.reshape(len(x), -1, 3).astype(jnp.float32)
        mean, deviation = x.mean(1, keepdims=True), jnp.maximum(x.std(1, ddof=1, keepdims=True), 1e-5)
        unit = (x - mean) / deviation
        products = jnp.einsum("bnc,bnd->bcd", unit, unit, precision="highest")
        # One more, as in that code, so that there is an inverse.
        return unit, mean, deviation, (products + jnp.eye(3)) / x.shape[1]

    def power(matrix, exponent):
        found, axes = jnp.linalg.eigh(matrix)
        return jnp.einsum("bij,bj,bkj->bik", axes, found**exponent, axes, precision="highest")

    unit, _, _, own = statistics(image)
    _, mean, deviation, wanted = statistics(other)
    turn = jnp.einsum("bij,bjk->bik", power(wanted, 0.5), power(own, -0.5), precision="highest")
    return (jnp.einsum("bnj,bij->bni", unit, turn, precision="highest") * deviation + mean).reshape(image.shape)


def with_histograms_of(image, other):
    """Images whose channels have each the histogram of others' (of 256 levels).

    Args:
      image: [batch, height, width, channel] in [-1, 1].
      other: the same, of any size.
    """

    def distribution(levels):
        return jnp.cumsum(jnp.zeros(256).at[levels].add(1)) / len(levels)

    def match(levels, others):
        nearest = jnp.searchsorted(distribution(others), distribution(levels) - 1e-6)
        return jnp.minimum(nearest, 255)[levels]

    flat = lambda x: to_uint8(x).reshape(len(x), -1, x.shape[-1]).astype(jnp.int32)
    found = jax.vmap(jax.vmap(match, 1, 1))(flat(image), flat(other))
    return from_uint8(found.reshape(image.shape), image.dtype)


def jitter(image, keys, *, shift=0.0, hue=0.0):
    """A random colour change of the whole image: SCFT's appearance transform a(.).

    Args:
      image: [batch, height, width, 3] in [-1, 1].
      keys: [batch].
      shift: every channel is moved by its own draw from [-shift, shift] (the paper's per-channel
        noise; in the units of the image).
      hue: share of a full turn, up to which colours rotate about the grey axis in either
        direction. White, black and grey stay as they are.

    Returns:
      The changed image, clipped to [-1, 1].
    """
    batch = keys.shape[0]
    if hue:
        angle = random.uniform(random.fold(keys, 0), (), -hue, hue) * 2 * jnp.pi
        image = jnp.einsum("bhwc,bdc->bhwd", image, about_grey(angle).astype(image.dtype))
    if shift:
        noise = random.uniform(random.fold(keys, 1), (3,), -shift, shift)
        image = image + noise.reshape(batch, 1, 1, 3).astype(image.dtype)
    return jnp.clip(image, -1, 1)


def of_depth(values):
    """Colours of depths: near is yellow, far is violet, nothing is grey.

    They are spread over the range of the depths that there are, but for the nearest and the farthest percent.

    Args:
      values: [..., 1], NaN where there is nothing.

    Returns:
      [..., 3] in [-1, 1].
    """
    values = values[..., 0].astype(jnp.float32)
    some = values.ravel()[:: -(-values.size // _COUNTED) | 1]  # Odd, so that it takes no columns alone.
    near, far = jnp.nanpercentile(some, jnp.array([1.0, 99.0]))
    place = jnp.clip((values - near) / jnp.maximum(far - near, 1e-6), 0, 1) * 255
    at = np.linspace(0, len(_VIRIDIS) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(_VIRIDIS)), channel) for channel in _VIRIDIS.T], -1)
    colours = jnp.asarray(table, jnp.float32)[jnp.nan_to_num(place).astype(jnp.int32)]
    return jnp.where(jnp.isnan(values)[..., None], _EMPTY, colours) * 2 - 1
