"""Biased images in the folders of Lee et al. (NeurIPS 2021): cmnist, cifar10c and bffhq, or any in their layout.

`dir` is the folder of one share, such as `cmnist/1pct`. It has `align/` and `conflict/` (in some releases `conlict/`),
the images to train on; `valid/` and `test/` lie in it or beside it. Images are called `<id>_<class>_<bias>.png`, with
numbers, in whatever folders. A bias goes with a class if an image in `align/` has both.
"""

import re

import numpy as np

from vision_gen.data import bias, images
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "skip_unreadable", "max_pixels")
_ALIGN, _CONFLICT = ("align",), ("conflict", "conlict")
_HELD_OUT = {"val": ("valid", "val"), "test": ("test",)}
shapes = bias.shapes


def open(settings, split):
    """Examples as of `bias.shapes`; classes and biases are called by their numbers.

    Raises:
      InputError: a folder is missing, an image has another name or numbers that training has not, or one in `conflict/`
        has a bias that goes with its class.
    """
    folder, field = settings.folder.absolute(), f"{settings.section}.dir"
    align, conflict = (_images([folder], names, field) for names in (_ALIGN, _CONFLICT))
    train, pairs = align | conflict, set(align.values())
    found = train if split == "train" else _images([folder, folder.parent], _HELD_OUT[split], field)
    known = [sorted({pair[i] for pair in train.values()}) for i in range(2)]
    for path, pair in found.items():
        if path in conflict and pair in pairs:
            raise InputError(f"{path}: conflicts, but others in align/ have the class {pair[0]} and bias {pair[1]}")
        if pair[0] not in known[0] or pair[1] not in known[1]:
            raise InputError(
                f"{path}: has the class {pair[0]} and bias {pair[1]}; images to train on have the classes {known[0]} "
                f"and biases {known[1]}"
            )
    places = [np.searchsorted(known[i], [pair[i] for pair in found.values()]) for i in range(2)]
    names = [path.relative_to(folder.parent).as_posix() for path in found]
    aligned = [pair in pairs for pair in found.values()]
    classes, biases = ([str(number) for number in numbers] for numbers in known)
    return bias.Files(settings, classes, biases, *places, aligned, list(found), names)


def _images(places, names, field):
    """{file: (class, bias)} of the first folder that is called as one of `names` in one of some places."""
    there = [place / name for place in places for name in names if (place / name).is_dir()]
    if not there:
        raise InputError(f"{field}: no {' or '.join(f'{name}/' for name in names)} in {' or '.join(map(str, places))}")
    found = {}
    for path in images.find(there[0], field):
        match = re.fullmatch(r".+_(\d+)_(\d+)", path.stem)
        if not match:
            raise InputError(f"{path}: must be called <id>_<class>_<bias>, with numbers, such as 17_3_5{path.suffix}")
        found[path] = int(match[1]), int(match[2])
    return found
