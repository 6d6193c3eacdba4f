"""Augmentations that do not leak into what a generator learns: StyleGAN2-ADA's pipeline (Karras et al. 2020b, appendix B).

Images are [batch, height, width, 3], about [-1, 1]. `draw` draws what happens to each image, `apply` does it; an operation
whose draw is absent is not compiled. Everything is linear in the images, or nearly, and has gradients of any order.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import colour, fir, random

# The groups of each published pipeline.
PIPELINES = {
    "blit": ("blit",),
    "geom": ("geom",),
    "color": ("color",),
    "filter": ("filter",),
    "noise": ("noise",),
    "cutout": ("cutout",),
    "bg": ("blit", "geom"),
    "bgc": ("blit", "geom", "color"),
    "bgcf": ("blit", "geom", "color", "filter"),
    "bgcfn": ("blit", "geom", "color", "filter", "noise"),
    "bgcfnc": ("blit", "geom", "color", "filter", "noise", "cutout"),
}
SHIFT = 0.125  # Of the side, by whole pixels, at most; and the deviation of the offset by parts of one.
SCALE = 0.2  # Deviation of the logarithm to base 2, also of the stretch.
BRIGHTNESS, CONTRAST, SATURATION, BAND = 0.2, 0.5, 1.0, 1.0  # Deviations; but for brightness of logarithms to base 2.
NOISE = 0.1  # Deviation of the noise's own deviation.
CUT = 0.5  # Side of what is cut out, of the image's.

# Daubechies' least asymmetric wavelet of 12 taps, sum 1: up- and downsampling by it is the identity.
SYM6 = np.array(
    [
        0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
        0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
        -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
    ]
) / np.sqrt(2)  # fmt: skip
_SYM2 = np.array([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025])
_EDGE = len(SYM6) // 4  # Pixels beyond each edge that the last filter reads.
_POWER = np.array([10, 1, 1, 1], np.float32) / 13  # Of natural images in the bands.


def draw(keys, probability, pipeline, shape):
    """What happens to each image.

    Args:
      keys: [batch].
      probability: that an operation acts, in [0, 1]; may be traced.
      pipeline: a name in `PIPELINES`.
      shape: (height, width, channel) of an image.

    Returns:
      {operation: [batch, ...]} of the pipeline's groups. "blit": flip (0 or 1), turns (quarters, 0 to 3), shift [batch, 2]
      (x and y, shares of the side). "geom": scale, turn_before and turn_after (radians), stretch (of x; y by its inverse),
      offset [batch, 2] (as shift). "color": brightness (added), contrast (factor), luma_flip (0 or 1), hue (radians),
      saturation (factor). "filter": bands [batch, 4] (amplification, of low frequencies first). "noise": noise [batch,
      *shape]. "cutout": cut (its side, a share), centre [batch, 2].
    """
    uniform = iter(random.uniform(random.fold(keys, 0), (40,)).T)
    normal = iter(random.normal(random.fold(keys, 1), (16,)).T)
    groups = PIPELINES[pipeline]
    drawn = {}

    def put(name, value, rest, share=probability):
        acts = next(uniform) < share
        drawn[name] = jnp.where(acts.reshape(-1, *(1,) * (value.ndim - 1)), value, rest)

    pair = lambda source: jnp.stack([next(source), next(source)], -1)
    around = lambda: (2 * next(uniform) - 1) * jnp.pi
    factor = lambda deviation: jnp.exp2(next(normal) * deviation)
    if "blit" in groups:
        put("flip", jnp.floor(next(uniform) * 2), 0.0)
        put("turns", jnp.floor(next(uniform) * 4), 0.0)
        put("shift", (2 * pair(uniform) - 1) * SHIFT, 0.0)
    if "geom" in groups:
        either = 1 - jnp.sqrt(1 - probability)  # Before or after, or both: with `probability`.
        put("scale", factor(SCALE), 1.0)
        put("turn_before", around(), 0.0, either)
        put("stretch", factor(SCALE), 1.0)
        put("turn_after", around(), 0.0, either)
        put("offset", pair(normal) * SHIFT, 0.0)
    if "color" in groups:
        put("brightness", next(normal) * BRIGHTNESS, 0.0)
        put("contrast", factor(CONTRAST), 1.0)
        put("luma_flip", jnp.floor(next(uniform) * 2), 0.0)
        put("hue", around(), 0.0)
        put("saturation", factor(SATURATION), 1.0)
    if "filter" in groups:
        for band in range(4):
            put(f"band{band}", factor(BAND), 1.0)
        drawn["bands"] = jnp.stack([drawn.pop(f"band{band}") for band in range(4)], -1)
    if "noise" in groups:
        deviation = jnp.abs(next(normal)) * NOISE
        put("noise", random.normal(random.fold(keys, 2), shape) * deviation[:, None, None, None], 0.0)
    if "cutout" in groups:
        put("cut", jnp.full(len(keys), CUT), 0.0)
        drawn["centre"] = pair(uniform)
    return drawn


def apply(images, drawn):
    """Images [batch, height, width, 3] as `drawn` (see `draw`) says, of their dtype."""
    dtype, images = images.dtype, images.astype(jnp.float32)
    if drawn.keys() & {"flip", "turns", "shift", "scale", "turn_before", "stretch", "turn_after", "offset"}:
        images = _moved(images, drawn)
    if drawn.keys() & {"brightness", "contrast", "luma_flip", "hue", "saturation"}:
        images = _coloured(images, drawn)
    if "bands" in drawn:
        images = _filtered(images, drawn["bands"])
    if "noise" in drawn:
        images = images + drawn["noise"]
    if "cut" in drawn:
        images = _cut(images, drawn["cut"], drawn["centre"])
    return images.astype(dtype)


def _moved(images, drawn):
    """Blitting and geometry: by whole pixels where that is all, otherwise by one resampling."""
    batch, height, width, _ = images.shape
    size = jnp.array([width, height], jnp.float32)
    zeros, ones = jnp.zeros(batch), jnp.ones(batch)
    get = lambda name, rest: drawn.get(name, rest)
    back = lambda share: _matrix(ones, zeros, zeros, ones, *(-share * size).T)

    # Each takes places of what is made, from the middle on, to those of what it is made of; y points down.
    turns = get("turns", zeros).astype(jnp.int32)
    quarter = lambda values: jnp.array(values, jnp.float32)[turns]
    cosine, sine = quarter([1, 0, -1, 0]), quarter([0, 1, 0, -1])
    whole = _matrix(1 - 2 * get("flip", zeros), zeros, zeros, ones)
    whole = _product(whole, _matrix(cosine, -sine, sine, cosine))
    if "shift" in drawn:
        whole = _product(whole, back(jnp.round(drawn["shift"] * size) / size))
    copied = _copied(images, whole)
    if not drawn.keys() & {"scale", "turn_before", "stretch", "turn_after", "offset"}:
        return copied
    scale, stretch = get("scale", ones), get("stretch", ones)
    matrix = _matrix(1 / scale, zeros, zeros, 1 / scale)
    matrix = _product(matrix, _turned(get("turn_before", zeros)))
    matrix = _product(matrix, _matrix(1 / stretch, zeros, zeros, stretch))
    matrix = _product(matrix, _turned(get("turn_after", zeros)))
    if "offset" in drawn:
        matrix = _product(matrix, back(drawn["offset"]))
    # The reference resamples all; as its filter is not quite symmetric, flips and turns would not invert.
    stays = jnp.all(matrix == _matrix(ones, zeros, zeros, ones), (1, 2))[:, None, None, None]
    return jnp.where(stays, copied, _resampled(images, _product(whole, matrix)))


def _matrix(xx, xy, yx, yy, x=0.0, y=0.0):
    """Affine maps [batch, 2, 3] of (x, y)."""
    xx, xy, yx, yy, x, y = jnp.broadcast_arrays(xx, xy, yx, yy, x, y)
    return jnp.stack([xx, xy, x, yx, yy, y], -1).reshape(-1, 2, 3)


def _turned(angle):
    return _matrix(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))


def _product(a, b):
    """The affine map that does `b`, then `a`."""
    linear = jnp.einsum("bij,bjk->bik", a[..., :2], b, precision="highest")
    return linear.at[..., 2].add(a[..., 2])


def _copied(images, matrix):
    """Every pixel as it is at the whole place that a map [batch, 2, 3] takes it to; beyond the edges, mirrored."""
    _, height, width, _ = images.shape
    x, y = jnp.meshgrid(jnp.arange(width) - (width - 1) / 2, jnp.arange(height) - (height - 1) / 2)
    x, y = _places(matrix, x, y)
    inside = lambda place, count: jnp.abs((place + count - 1) % (2 * count - 2) - (count - 1))
    x = inside(jnp.round(x + (width - 1) / 2).astype(jnp.int32), width)
    y = inside(jnp.round(y + (height - 1) / 2).astype(jnp.int32), height)
    return _looked_up(images, x, y)


def _places(matrix, x, y):
    """Where maps [batch, 2, 3] take places: x and y [batch, height, width]."""
    (a, b, c), (d, e, f) = jnp.moveaxis(matrix[..., None, None], 0, 2)
    return a * x + b * y + c, d * x + e * y + f


def _looked_up(images, x, y):
    batch, height, width, channel = images.shape
    index = (y * width + x).reshape(batch, -1, 1)
    flat = images.reshape(batch, height * width, channel)
    return jnp.take_along_axis(flat, index, 1, mode="promise_in_bounds").reshape(*x.shape, channel)


def _resampled(images, matrix):
    """Images through maps [batch, 2, 3], bilinear between twice as many pixels before and after.

    Beyond the edges an image is mirrored once, and black, that is 0, beyond that.
    """
    _, height, width, _ = images.shape
    # One period of the mirrored image, and what the filter reads around it, at twice the resolution.
    around = [(_EDGE, n - 2 + _EDGE) for n in (height, width)]
    fine = jnp.pad(images, [(0, 0), *around, (0, 0)], "reflect")
    fine = fir.upfirdn(fine, SYM6, up=2, padding=(0, -1), gain=4)
    sides = [jnp.arange(2 * (n + 2 * _EDGE), dtype=jnp.float32) - (n + 2 * _EDGE - 1) for n in (width, height)]
    twice = matrix * jnp.array([1, 1, 2], jnp.float32)
    x, y = _places(twice, *jnp.meshgrid(*sides))
    x, y = x + (width - 1), y + (height - 1)
    left, top = jnp.floor(x), jnp.floor(y)
    right_share, lower_share = x - left, y - top
    out = 0.0
    for down, weight_y in ((0, 1 - lower_share), (1, lower_share)):
        for across, weight_x in ((0, 1 - right_share), (1, right_share)):
            column, row = (left + across).astype(jnp.int32), (top + down).astype(jnp.int32)
            there = _within(column, width) & _within(row, height)
            found = _looked_up(fine, column % (4 * width - 4), row % (4 * height - 4))
            out += found * (weight_x * weight_y * there)[..., None]
    return fir.upfirdn(out, SYM6, down=2, padding=(-1, -1), flip=True)


def _within(place, count):
    """Whether places among the doubled pixels lie on the image of `count` or its mirror images."""
    return (place >= -2 * (count - 1)) & (place < 2 * count + 2 * (count - 1))


def _coloured(images, drawn):
    """Brightness, contrast, and what flips, turns and stretches colours about the grey axis."""
    get = lambda name, rest: drawn.get(name, jnp.full(len(images), rest))
    matrix = colour.about_grey(get("hue", 0.0), along=1 - 2 * get("luma_flip", 0.0), across=get("saturation", 1.0))
    matrix = matrix * get("contrast", 1.0)[:, None, None]
    images = images + get("brightness", 0.0)[:, None, None, None]
    return jnp.einsum("bhwc,bdc->bhwd", images, matrix, precision="highest")


@functools.cache
def _bands():
    """[4, taps]: symmetric filters of the lowest octaves to the highest; their sum is the identity."""
    low, high = (np.convolve(f, f[::-1]) / 2 for f in (_SYM2, _SYM2 * (-1) ** np.arange(4)))
    bands = np.eye(4, 1)
    for i in range(1, 4):
        apart = np.zeros((4, 2 * bands.shape[1] - 1))
        apart[:, ::2] = bands
        bands = np.stack([np.convolve(band, low) for band in apart])
        middle = bands.shape[1] // 2
        bands[i, middle - len(high) // 2 : middle + len(high) // 2 + 1] += high
    return bands.astype(np.float32)


def _filtered(images, amplification):
    """Images with their frequencies amplified by band [batch, 4], at the power that natural images would keep."""
    norm = jnp.sqrt(jnp.prod(1 + _POWER * (amplification**2 - 1), -1, keepdims=True))
    taps = jnp.einsum("bk,kt->tb", amplification / norm, _bands(), precision="highest")[..., None, None, None]
    for axis in (1, 2):
        count, reach = images.shape[axis], len(taps) // 2
        wide = jnp.pad(images, [(reach, reach) if i == axis else (0, 0) for i in range(4)], "reflect")
        images = sum(tap * jax.lax.slice_in_dim(wide, k, k + count, axis=axis) for k, tap in enumerate(taps))
    return images


def _cut(images, side, centre):
    """Images black, that is 0, in a rectangle."""
    _, height, width, _ = images.shape
    off = lambda n, middle: jnp.abs((jnp.arange(n) + 0.5) / n - middle[:, None]) >= side[:, None] / 2
    kept = off(height, centre[:, 1])[:, :, None] | off(width, centre[:, 0])[:, None]
    return images * kept[..., None]
