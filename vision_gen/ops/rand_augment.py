"""RandAugment (Cubuk et al., NeurIPS 2020 workshops), mixup and CutMix, on the device.

Images [batch, height, width, channel] in [-1, 1]. Every example draws with its own key.
"""

import jax
import jax.numpy as jnp

from vision_gen.ops import random, resample

LARGEST = 10  # Magnitudes are tenths of each operation's range.
OPERATIONS = (
    "identity",
    "autocontrast",
    "equalize",
    "solarize",
    "posterize",
    "colour",
    "contrast",
    "brightness",
    "sharpness",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
GEOMETRIC = OPERATIONS.index("rotate")


def rand_augment(keys, images, *, operations=2, magnitude=9):
    """Applies operations drawn at random from the paper's fourteen, each at one magnitude.

    What geometry brings in from outside is grey, 0.

    Args:
      keys: [batch].
      images: [batch, height, width, 3] in [-1, 1].
      operations: how many, one after the other.
      magnitude: 0 to 10.
    """
    for i in range(operations):
        keys_i = random.fold(keys, i)
        which = random.integers(random.fold(keys_i, 0), 0, len(OPERATIONS))
        sign = jnp.where(random.bernoulli(random.fold(keys_i, 1), 0.5), 1.0, -1.0)
        images = jax.vmap(_apply, (0, 0, 0, None))(images, which, sign, magnitude / LARGEST)
    return images


def _apply(image, which, sign, strength):
    """One operation on [height, width, 3]."""
    unit = (image + 1) / 2
    factor = 1 + 0.9 * strength * sign
    grey = unit @ jnp.asarray([0.299, 0.587, 0.114])
    blend = lambda base: base + factor * (unit - base)
    low, high = unit.min((0, 1)), unit.max((0, 1))
    levels = 2.0 ** jnp.round(8 - 4 * strength)
    blurred = _smooth(unit)
    coloured = (
        unit,
        (unit - low) / jnp.maximum(high - low, 1e-6),
        jnp.stack([_equalize(unit[..., c]) for c in range(3)], -1),
        jnp.where(unit >= 1 - strength, 1 - unit, unit),
        jnp.floor(jnp.round(unit * 255) / (256 / levels)) * (256 / levels) / 255,
        blend(grey[..., None]),
        blend(grey.mean()),
        blend(0.0),
        blend(blurred),
    )
    photometric = jnp.stack(coloured)[jnp.minimum(which, GEOMETRIC - 1)]
    photometric = jnp.clip(photometric, 0, 1) * 2 - 1
    return jnp.where(which < GEOMETRIC, photometric, _geometry(image, which, sign * strength))


def _geometry(image, which, amount):
    """Rotation by up to 30 degrees, shear and translation by up to 0.3 and 0.45 of the side."""
    pick = lambda name: jnp.where(which == OPERATIONS.index(name), amount, 0.0)
    angle = pick("rotate") * jnp.pi / 6
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.array(
        [[cos, sin + 0.3 * pick("shear_x")], [-sin + 0.3 * pick("shear_y"), cos]]
    )
    offset = 0.9 * jnp.stack([pick("translate_x"), pick("translate_y")])
    grid = resample.identity_grid(*image.shape[:2]) @ matrix.T + offset
    return resample.grid_sample(image[None], grid[None])[0]


def _equalize(channel):
    """Flattens the histogram of [height, width] in [0, 1] as PIL does: by whole pixels a level of 256, and not at all
    where they are too few."""
    level = jnp.round(channel * 255).astype(jnp.int32)
    counts = jnp.bincount(level.ravel(), length=256)
    highest = counts[255 - jnp.argmax(counts[::-1] > 0)]
    step = (channel.size - highest) // 255
    below = counts.cumsum() - counts
    table = jnp.minimum((below + step // 2) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, table[level] / 255, channel)


def _smooth(unit):
    """PIL's SMOOTH filter, the edge left as it is."""
    height, width = unit.shape[:2]
    total = 4.0 * unit[1:-1, 1:-1]
    for i in range(3):
        for j in range(3):
            total += unit[i : height - 2 + i, j : width - 2 + j]
    return unit.at[1:-1, 1:-1].set(total / 13)


def mix(keys, images, targets, *, mixup=0.0, cutmix=0.0):
    """mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019).

    Examples are mixed with their neighbours: 0 with 1, 2 with 3, ... which is the same however the
    batch is spread over devices. With both switched on each example gets one of them.

    Args:
      keys: [batch], an even number.
      images: [batch, height, width, channel].
      targets: [batch, classes], probabilities.
      mixup, cutmix: the parameter alpha of the Beta distribution of the share kept; 0 is off.

    Returns:
      (images, targets).

    Raises:
      ValueError: an odd number of images is to be mixed.
    """
    if not mixup and not cutmix:
        return images, targets
    batch, height, width, _ = images.shape
    if batch % 2:
        raise ValueError(f"mix: images must be an even number, got {batch}")
    swap = lambda x: x.reshape(batch // 2, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)
    use_cut = random.bernoulli(random.fold(keys, 0), float(cutmix > 0) / ((mixup > 0) + (cutmix > 0)))
    beta = lambda alpha: jax.vmap(lambda k: jax.random.beta(k, alpha, alpha))(random.fold(keys, 1))
    share = jnp.where(use_cut, beta(cutmix or 1.0), beta(mixup or 1.0))
    # A box of the other image, its sides cut off where it sticks out.
    side = jnp.sqrt(1 - share)
    centre = random.uniform(random.fold(keys, 2), (2,))
    inside = True
    for axis, size in enumerate((height, width)):
        place = (jnp.arange(size) + 0.5) / size
        near = jnp.abs(place - centre[:, axis, None]) < side[:, None] / 2
        inside = inside & (near[:, :, None] if axis == 0 else near[:, None, :])
    kept = jnp.where(use_cut[:, None, None], 1.0 - inside, share[:, None, None])
    share = kept.mean((1, 2))[:, None]
    images = images * kept[..., None] + swap(images) * (1 - kept[..., None])
    return images, targets * share + swap(targets) * (1 - share)
