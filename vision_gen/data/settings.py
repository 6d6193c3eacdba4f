"""Every field of `config.data`."""

import dataclasses
import os
import pathlib
import re
from typing import Literal

from vision_gen import settings
from vision_gen.data import images
from vision_gen.errors import InputError
from vision_gen.settings import Count, CountOrNone


@dataclasses.dataclass(frozen=True)
class Settings:
    """What data sets read, each its own part of it: the `FIELDS` of its module.

    `section` is where these fields stand, for messages.
    """

    section = "config.data"  # No annotation: it is no field.

    name: str = "openmoji"  # A module in `vision_gen.data`, "tfds:NAME", or the full path of a module of your own.
    dir: str = ""  # Folder of the files; for data that TFDS prepares, where it lies.
    size: int | tuple[int, int] = 64  # Pixels: of a square, or (height, width).
    labels: bool = False  # Examples have a label: the emoji's group, image_folder's subfolder.
    label: str = ""  # Faces: the trait or attribute that is the label; "": the colour of hair, of celeba "Smiling".
    examples: Count = 20_000  # Avatars: faces to train on.
    workers: CountOrNone = 0  # Processes that decode; 0 decodes in threads of this one.
    skip_unreadable: bool = False  # Files: leave broken ones out, and count them.
    max_pixels: Count = images.MAX_PIXELS  # Files: an image of more is refused.
    downscale: Count = 1  # Views of scenes are reduced by this factor.
    rays: Count = 64  # Scenes: rays of an example to train on.
    film_frames: Count = 60  # Scenes: frames of the film around them.
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # Pairs: which side is the source, and which the target.
    parts: dict = dataclasses.field(default_factory=dict)  # Combinations: {name: fields of a data set}.
    weights: dict = dataclasses.field(default_factory=dict)  # Mixed: {part: its share}; all alike by default.
    balance_by: str = "label"  # Balanced: the scalar of an example whose values come equally often.
    allow_unmatched: bool = False  # Paired: leave out what only one part has.

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


def local(path, where):
    """A path of this machine; `~` is somebody's home.

    Raises:
      InputError: it is an address, such as gs://bucket; `where` says of what.
    """
    if re.match(r"[a-z][a-z0-9+.-]+:/", path, re.IGNORECASE):
        right = "only folders of this machine are read; copy it, or mount it"
        raise InputError(f"{where}: {path!r} is an address, but {right}")
    return pathlib.Path(os.path.expanduser(path))


def read(values, section):
    """Settings from a mapping of fields that stands at `section`, such as "config.data.parts.photos".

    Raises:
      InputError: a field is unknown or of a wrong value; names it with its section.
    """
    made = settings.read(Settings, values, section)
    object.__setattr__(made, "section", section)  # Frozen, but for this.
    return made
