"""Every field of `config.data`."""

import dataclasses

from vision_gen.settings import Count, CountOrNone


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the data sets of this package read, each its own part of it."""

    name: str = "openmoji"  # The data set.
    dir: str = ""  # Folder of the files; for data that TFDS prepares, where it lies.
    size: int | tuple = 64  # Pixels: of a square, or (height, width).
    labels: bool = False  # Examples have a label: openmoji's group, image_folder's subfolder.
    workers: CountOrNone = 0  # Processes that decode; 0 decodes in threads of this one.
    skip_unreadable: bool = False  # image_folder: leave broken files out, and count them.
    downscale: Count = 1  # Views of scenes are reduced by this factor.
    rays: Count = 64  # Scenes: rays of an example to train on.
    film_frames: Count = 60  # Scenes: frames of the film around them.
