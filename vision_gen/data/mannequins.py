"""Drawn people in drawn garments for virtual try-on, in VITON-HD's conventions, drawn on first use and cached by TFDS.

`examples` are the people to train on; there are a twentieth as many in "val", and three twentieths in "test". Each
wears a garment of their own, which is also given laid flat. `pairs` "unpaired" gives them another's, and the truth: the
person in it. No person, garment or print of a held-out split occurs in training.
"""

import logging

import numpy as np

from vision_gen.data import mannequin_pictures, source, tfds
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
FIELDS = ("dir", "size", "examples", "pairs")
LICENCE = "Prints: OpenMoji (https://openmoji.org), CC BY-SA 4.0"
SIZES = ((128, 96), (256, 192), (512, 384), (1024, 768))
# How many times as many people there are to train on.
SHARE = {"train": 1, "val": 20, "test": 20 / 3}


def shapes(settings):
    """`image`, `cloth` and `pose` [height, width, 3], `cloth_mask` 0 or 255 and `parse` 0 to 19 [height, width, 1],
    uint8, and `keypoints` [25, 3] float32: x, y in pixels, and confidence. Unpaired also `truth` and `truth_parse`.

    Raises:
      InputError: people are not drawn in `settings.size`.
    """
    if settings.resolution not in SIZES:
        raise InputError(
            f"{settings.section}.size must be one of {SIZES}, (height, width), for {settings.name}, got {settings.size}"
        )
    return arrays(settings.resolution, truth=settings.pairs == "unpaired")


def arrays(size, truth):
    """Shapes of an example of try-on of a size (height, width), {name: ShapeDtype}."""
    channels = {"image": 3, "cloth": 3, "cloth_mask": 1, "parse": 1, "pose": 3}
    channels |= {"truth": 3, "truth_parse": 1} if truth else {}
    found = {name: source.ShapeDtype((*size, n), np.dtype(np.uint8)) for name, n in channels.items()}
    return found | {"keypoints": source.ShapeDtype((25, 3), np.dtype(np.float32))}


def open(settings, split):
    """See `shapes`."""
    return Mannequins(settings, split)


class Mannequins(source.Source):
    """Example i is person i of the split, of any size and in a set of any length."""

    def __init__(self, settings, split):
        self.shapes = shapes(settings)
        count = -(-settings.examples // SHARE[split])
        self._count = int(count + count % 2)  # Neighbours change garments.
        self._people = self._opened(settings, split, unpaired=False)
        self._truths = self._opened(settings, split, unpaired=True) if settings.pairs == "unpaired" else None

    def _opened(self, settings, split, unpaired):
        # Not at the top: tensorflow_datasets takes most of a second.
        from vision_gen.data import mannequin_builder

        config = mannequin_builder.Config.of(split, self._count, settings.resolution, unpaired)
        with tfds.lock(settings, f"mannequins-{config.name}"):
            where = str(tfds.folder(settings))
            builder = mannequin_builder.Mannequins(config=config, data_dir=where, file_format="array_record")
            if not builder.is_prepared():
                log.info("drawing %d people, once, into %s", config.count, builder.data_dir)
            builder.download_and_prepare()
        return builder.as_data_source(split)

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        example = self._people[index]
        if self._truths is not None:
            other = self._people[mannequin_pictures.partner(index)]
            example = {**example, "cloth": other["cloth"], "cloth_mask": other["cloth_mask"], **self._truths[index]}
        return {name: example[name] for name in self.shapes}

    def name(self, index):
        """The person's number in the split."""
        return f"{index:06d}"

    def garment(self, index):
        """The name of the person whose garment is given."""
        return self.name(index if self._truths is None else mannequin_pictures.partner(index))
