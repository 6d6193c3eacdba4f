"""Every field of `config.data`."""

import dataclasses
import os
import pathlib
import re
from typing import Literal

from vision_gen import settings
from vision_gen.data import images
from vision_gen.errors import InputError
from vision_gen.settings import Count, CountOrNone, Share


@dataclasses.dataclass(frozen=True)
class Settings:
    """What data sets read, each its own part of it: the `FIELDS` of its module.

    `section` is where these fields stand, for messages.
    """

    section = "config.data"  # No annotation: it is no field.

    name: str = "openmoji"  # The data set; docs/data.md lists them. What it reads is listed here with it.
    dir: str = ""  # Folder of your files; of data that TFDS prepares, where that lies.
    size: int | tuple[int, int] = 64  # Pixels: of a square, or (height, width).
    labels: bool = False  # Examples have a label, such as an emoji's group, or the subfolder of an image.
    label: str = ""  # Faces: the trait or attribute that is the label; "": the colour of hair, of celeba "Smiling".
    attributes: tuple[str, ...] = ()  # Faces: the attributes of an example, in this order; (): all there are.
    examples: Count = 20_000  # Avatars, mannequins, latents: how many to train on.
    only_new: bool = False  # Avatars: of held-out faces those with a combination of traits that training never has.
    workers: CountOrNone = 0  # Processes that read files; 0: threads of this one do.
    skip_unreadable: bool = False  # Files: leave broken ones out and say how many, instead of an error.
    max_pixels: Count = images.MAX_PIXELS  # Files: an image of more is refused.
    downscale: Count = 1  # Scenes: views are made smaller by this factor.
    rays: Count = 64  # Scenes: rays in an example to train on.
    views: tuple[int, ...] = ()  # Scenes: those to train on, by the numbers at the end of their names; (): all.
    frames: Count = 4  # Clips: frames of an example to train on.
    frame_step: Count = 1  # Clips: from one frame of an example to train on to the next.
    held_out_frames: Count = 16  # Clips: frames of a held-out example, from its clip's first.
    film_frames: Count = 60  # Scenes: frames of the film that evaluation makes.
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # Pairs: which side is the source, and which the target.
    pairs: Literal["paired", "unpaired"] = "paired"  # Try-on: people with the garment that they wear, or with another.
    tokenizer: str = "clip"  # Captioned: "clip", "learned:N" with N tokens, or a tokenizer.json.
    text_length: Count = 77  # Captioned: tokens of a text, start and end included.
    cut_texts: bool = False  # Captioned: cut longer ones and say how many, instead of an error.
    text_dropout: Share = 0.0  # Captioned: in training, chance that a merge of byte pairs is left out.
    parts: dict = dataclasses.field(default_factory=dict)  # Combinations: {name: fields of a data set}.
    weights: dict = dataclasses.field(default_factory=dict)  # Mixed: {part: its share}; all alike by default.
    balance_by: str = "label"  # Balanced: the scalar of an example whose values come equally often.
    allow_unmatched: bool = False  # Paired: leave out what only one part has.
    exemplar_by: Literal["features", "label"] = "features"  # Exemplars: what makes pictures alike.
    exemplar_nearest: Count = 8  # Exemplars by features: one of the so many pictures that are most alike.
    exemplar_random: Share = 0.3  # Exemplars: in training, share of those that are any other picture instead.
    conflicting: Share = 0.01  # Biased data: of examples to train on, those whose bias goes with another label.
    label_by: str = ""  # Biased: the trait or attribute of a face that is the label.
    bias_by: str = ""  # Biased: the one that goes with it in training.
    goes_with: dict = dataclasses.field(default_factory=dict)  # Biased: {value of the label: of the bias}; others are left out.

    def __post_init__(self):
        if min(self.resolution) < 1:
            raise InputError(f"size must be at least 1, got {self.size!r}")

    @property
    def resolution(self):
        """(height, width) in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def folder(self):
        """`dir` as a path.

        Raises:
          InputError: it is no folder.
        """
        folder = local(self.dir, f"{self.section}.dir")
        if not self.dir or not folder.is_dir():
            raise InputError(f"{self.section}.dir: {self.dir!r} is not a folder; {self.name} needs one")
        return folder


def local(path, where=""):
    """A path of this machine; `~` is somebody's home.

    Raises:
      InputError: it is an address, such as gs://bucket; `where` says of what.
    """
    if re.match(r"[a-z][a-z0-9+.-]+:/", path, re.IGNORECASE):
        right = "only folders of this machine are read; copy it, or mount it"
        raise InputError(f"{where and f'{where}: '}{path!r} is an address, but {right}")
    return pathlib.Path(os.path.expanduser(path))


def read(values, section):
    """Settings from a mapping of fields that stands at `section`, such as "config.data.parts.photos".

    Raises:
      InputError: a field is unknown or of a wrong value; names it with its section.
    """
    made = settings.read(Settings, values, section)
    object.__setattr__(made, "section", section)  # Frozen, but for this.
    return made
