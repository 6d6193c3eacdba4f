"""Cartoon faces with every trait known, drawn by python-avatars on first use and cached by TFDS; see `avatar_faces`.

`examples` are the faces to train on; there are a twentieth as many in "val", and a tenth in "test". Every second face
of "test" has one of `avatar_faces.COMBINATIONS`, which no face of the others has; with `only_new` held-out faces are
those alone.
"""

import logging

import numpy as np

from vision_gen.data import avatar_captions, avatar_faces, faces, tfds
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
FIELDS = ("dir", "size", "labels", "label", "attributes", "examples", "only_new")
LICENCE = "Drawings: avataaars by Pablo Stanley, in python-avatars, MIT"
SIZES = (64, 128, 256)
LABEL = "hair_colour"  # Unless another one is asked for.
ASKED = avatar_captions.ASKED
# How many times as many faces there are to train on.
SHARE = {"train": 1, "val": 20, "test": 10}


def shapes(settings):
    """As of `faces.shapes`, of the traits and attributes in `avatar_faces`.

    Raises:
      InputError: faces are not drawn in `settings.size`.
    """
    if settings.size not in SIZES:
        raise InputError(f"{settings.section}.size must be one of {SIZES} for {settings.name}, got {settings.size}")
    return faces.shapes(settings, *kinds(settings))


def kinds(settings):
    """(traits, attributes); see `faces.Faces`."""
    return avatar_faces.TRAITS, avatar_faces.ATTRIBUTES


def classes(settings):
    """Names of what `label` counts."""
    return faces.classes(settings, *kinds(settings), LABEL)


def open(settings, split):
    """See `shapes`; `label` is the colour of hair unless `settings.label` names another trait or attribute."""
    return Avatars(settings, split)


class Avatars(faces.Faces):
    """Example i is face i of the split, of any size and in a set of any length; with `only_new`, the i-th of those."""

    def __init__(self, settings, split):
        shapes(settings)
        self._split = split
        super().__init__(settings, *kinds(settings), LABEL)
        # Not at the top: tensorflow_datasets takes most of a second.
        from tensorflow_datasets import decode

        from vision_gen.data import avatar_builder

        config = avatar_builder.Config.of(split, -(-settings.examples // SHARE[split]), settings.size)
        with tfds.lock(settings, f"avatars-{config.name}"):
            where = str(tfds.folder(settings))
            builder = avatar_builder.Avatars(config=config, data_dir=where, file_format="array_record")
            if not builder.is_prepared():
                log.info("drawing %d faces, once, into %s", config.count, builder.data_dir)
            builder.download_and_prepare()
        self._images = builder.as_data_source(split)
        self._values = builder.as_data_source(split, decoders={"colour": decode.SkipDecoding()})
        self._numbers = range(len(self._images))
        if settings.only_new and split != "train":
            self._numbers = [number for number in self._numbers if self.combinations(number)]

    def __len__(self):
        return len(self._numbers)

    def image(self, index):
        return self._images[self._numbers[index]]["colour"]

    def values(self, index):
        found = self._values[self._numbers[index]]
        return np.array([found[name] for name in self.traits], np.int32)

    def name(self, index):
        """The face's number in its split."""
        return f"{self._numbers[index]:06d}"

    def combinations(self, index):
        """Names of the `avatar_faces.COMBINATIONS` that a face has."""
        return avatar_faces.combinations(self.describe(index))

    def captions(self, index):
        """What is seen, in several sentences; see `avatar_captions`."""
        return tuple(text for text, _ in self._told(index))

    def named(self, index):
        """Of which traits each of `captions` says the value, [captions, traits] bool."""
        return np.array([[trait in said for trait in self.traits] for _, said in self._told(index)])

    def _told(self, index):
        number = self._numbers[index]
        traits, _ = avatar_faces.face(self._split, number)  # Faster than to read them.
        return avatar_captions.told(self._split, number, traits)

    def answers(self, index):
        """Which of the values of each of `ASKED` a face has: {name: its number, or -1}."""
        return avatar_captions.answers(self.describe(index))
