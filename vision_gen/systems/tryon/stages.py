"""What the networks are handed, and what is made of what they give, as the released `test.py` has it.

Pictures [batch, height, width, channel] in [-1, 1], masks of 0 and 1.
"""

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.data import tryon_folder
from vision_gen.errors import InputError
from vision_gen.metrics.segmentation import intersection_over_union
from vision_gen.nets.tryon import CLASSES, REGIONS
from vision_gen.ops import colour, random, resample

NEEDS = {
    "image": (None, None, 3), "cloth": (None, None, 3), "cloth_mask": (None, None, 1), "parse": (None, None, 1),
    "pose": (None, None, 3), "agnostic": (None, None, 3), "parse_agnostic": (None, None, 1),
}  # fmt: skip
# The class of each of LIP's labels: 0 background and neck, 1 hair, 2 face, 3 upper clothes, 4 trousers and skirts, 5
# and 6 left and right arm, 7 and 8 legs, 9 and 10 shoes, 11 socks, 12 the rest;
CLASS_OF = (0, 1, 1, 12, 2, 3, 3, 3, 11, 4, 0, 12, 4, 2, 5, 6, 7, 8, 9, 10)
# the label that stands for each class where it is drawn;
LABEL_OF = (0, 2, 13, 5, 9, 14, 15, 16, 17, 18, 19, 8, 11)
# and the region of each class: 0 background, 1 what is kept, 2 upper clothes, 3 hair, 4 and 5 arms, 6 the rest.
REGION_OF = (0, 3, 1, 2, 1, 4, 5, 1, 1, 1, 1, 1, 6)
UPPER_CLASS, UPPER, OVER = 3, 2, (3, 4, 5)  # Hair and arms may lie over a garment.
# The published share of ones in the channel of noise: normal numbers of deviation 255 that reach 255 in eight bits.
NOISE = 0.159


def read(batch):
    """A batch in the form of this module: pictures in [-1, 1], `mask` 0 and 1, `parse`, `parse_agnostic` of classes.

    `truth` and `truth_classes` are the person in the garment, which is the picture itself unless the example says
    otherwise.
    """
    found = {name: colour.from_uint8(batch[name]) for name in ("image", "cloth", "pose", "agnostic")}
    found["mask"] = (batch["cloth_mask"] >= 128).astype(jnp.float32)
    found["kept"] = _one_hot(classes(batch["parse_agnostic"]), CLASSES)
    found["truth"] = colour.from_uint8(batch["truth"]) if "truth" in batch else found["image"]
    found["truth_classes"] = classes(batch["truth_parse" if "truth_parse" in batch else "parse"])
    return found


def check_known(batch):
    """Refuses examples of people in garments in which nobody has seen them: there is nothing to compare with."""
    if "unpaired" in batch:
        raise InputError('of unpaired examples there is no truth here; evaluate on those with pairs="paired"')


def classes(parse):
    """Classes [batch, height, width] int32 of LIP's labels [batch, height, width, 1]."""
    return jnp.asarray(CLASS_OF, jnp.int32)[jnp.minimum(parse[..., 0], len(CLASS_OF) - 1).astype(jnp.int32)]


def regions(labels):
    """Maps [batch, height, width, 7] of classes [batch, height, width]."""
    return _one_hot(jnp.asarray(REGION_OF, jnp.int32)[labels], REGIONS)


def _one_hot(labels, count):
    return jax.nn.one_hot(labels, count, dtype=jnp.float32)


def segmentation_input(given, size, keys):
    """What `Segmenter` is handed at `size`: [batch, *size, 21].

    Args:
      given: mask, cloth, kept and pose, of `read`.
      keys: [batch] of the channel of noise.
    """
    down = lambda x: resample.resize(x, size, antialias=False)
    noise = random.bernoulli16(keys, NOISE, (*size, 1)).astype(jnp.float32)
    parts = (given["mask"], given["cloth"] * given["mask"], given["kept"], given["pose"])
    return jnp.concatenate([*map(down, parts), noise], -1)


def labels(shares, size):
    """The classes [batch, *size] of shares [batch, *, *, 13] of classes.

    They are enlarged and blurred before the largest is taken: by 3 pixels where that is fourfold, as published.
    """
    times = size[1] / shares.shape[2]
    reach = round(1.75 * times)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (0.75 * times) ** 2))
    x = resample.resize(shares.astype(jnp.float32), size, antialias=False)
    for axis in (1, 2):
        padded = jnp.pad(x, [(reach * (i == axis),) * 2 for i in range(4)])
        at = lambda i: jax.lax.slice_in_dim(padded, i, i + size[axis - 1], axis=axis)
        x = sum(float(tap) * at(i) for i, tap in enumerate(taps / taps.sum()))
    return jnp.argmax(x, -1)


def segmented(network, given, keys):
    """The classes [batch, height, width] of a person in a garment."""
    shares = jax.nn.sigmoid(network(segmentation_input(given, network.size, keys)).astype(jnp.float32))
    return labels(shares, given["mask"].shape[1:3])


def bent(network, upper, given, train=False):
    """A garment as it is worn.

    Args:
      network: a `Matcher`.
      upper: [batch, height, width, 1], where it shall be.
      given: pose, agnostic, cloth and mask, of `read`.
      train: batch statistics.

    Returns:
      (cloth [batch, height, width, 3], its mask [..., 1], how far control points have moved [batch, points, 2]).
    """
    small = lambda *maps: resample.nearest(jnp.concatenate(maps, -1), network.size)
    moved = network(small(upper, given["pose"], given["agnostic"]), small(given["cloth"]), train=train)
    grid = network.grid(moved, given["mask"].shape[1:3])
    warped = resample.grid_sample(jnp.concatenate([given["cloth"], given["mask"]], -1), grid, padding="border")
    return warped[..., :3], warped[..., 3:], moved


def synthesis_input(found, warped, warped_mask, given):
    """What `AliasGenerator` is handed before its keys: (x, regions, divided, where the garment does not reach).

    Args:
      found: regions [batch, height, width, 7].
      warped, warped_mask: of `bent`.
      given: agnostic and pose, of `read`.
    """
    missed = jnp.maximum(found[..., UPPER : UPPER + 1] - warped_mask, 0)
    divided = jnp.concatenate([found.at[..., UPPER : UPPER + 1].add(-missed), missed], -1)
    return jnp.concatenate([given["agnostic"], given["pose"], warped], -1), found, divided, missed


def iou(found, truth):
    """Intersection over union [batch] of regions [batch, height, width, 1], of which more than a half is inside."""
    return intersection_over_union(found[..., 0] > 0.5, truth[..., 0] > 0.5)


def drawn(labels):
    """Classes [batch, height, width] as pictures [..., 3] in [-1, 1], in the colours of VITON-HD's files of regions."""
    palette = np.float32(tryon_folder.PALETTE[list(LABEL_OF)]) / np.float32(127.5) - 1
    return jnp.asarray(palette)[labels]


def check_small(experiment, stride):
    """Refuses a `config.model.small` that is no multiple of `stride`, or data whose size is no multiple of it."""
    small, full = tuple(experiment.model.small), experiment.data.resolution
    if any(n % stride for n in small):
        raise InputError(f"config.model.small must be of multiples of {stride} pixels, got {small}")
    if any(n % m for n, m in zip(full, small)):
        raise InputError(f"config.data.size must be a multiple of config.model.small, {small}, got {full}")
