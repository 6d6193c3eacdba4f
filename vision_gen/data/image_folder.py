"""The images below a folder.

With subfolders `train` and `val` or `test` these are the splits, by these names or their like (`NAMES`), in capitals or
not. Of a split that has none, 5 percent of the training files are `val` and 10 are `test` (at least one each), each by
a hash of its own name alone. With `labels` the next folder down names an image's class.
"""

import hashlib
import os

import numpy as np

from vision_gen.data import images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "labels", "skip_unreadable", "max_pixels")
NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
# Which hashes, as parts of 1, are held out; the rest is "train".
SHARES = {"test": (0.0, 0.10), "val": (0.10, 0.15)}


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`, and `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return ImageFolder(settings, split)


class ImageFolder(source.Source):
    """Decoded when asked for; `paths` are the files of the split. `beside`: as of `images.find`."""

    def __init__(self, settings, split, beside=()):
        field = f"{settings.section}.dir"
        self._folder, self._settings = settings.folder, settings
        self.shapes = shapes(settings)
        below, self.skipped = _files(_divided(self._folder, field) or {"": self._folder}, settings, field, beside)
        if settings.labels:
            loose = [path for files in below.values() for name, path in files.items() if "/" not in name]
            if loose:
                raise InputError(f"{loose[0]}: has no class; it must lie in a folder named as its class")
            self.classes = tuple(sorted({name.split("/")[0] for files in below.values() for name in files}))
        files = _of_split(below, split, self._folder, field)
        self.paths, self._names = list(files.values()), list(files)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        found = images.read(self.paths[index], self._settings.max_pixels)
        example = {"colour": images.fit(found, self._settings.size)}
        if self.classes:
            example["label"] = self._label(self._names[index])
        return example

    def name(self, index):
        """File name of example `index`, from the folder on."""
        return self.paths[index].relative_to(self._folder).as_posix()

    def column(self, name):
        if name == "label" and self.classes:
            return np.stack([self._label(name) for name in self._names])
        return super().column(name)

    def _label(self, name):
        return np.int32(self.classes.index(name.split("/")[0]))


def of_split(folders, split, settings, where):
    """The images of a split, held out of "train" where there is no folder of it: ({name: file}, files left out).

    Args:
      folders: {split: its folder}.
      split: "train", "val" or "test".
      settings: `data.Settings`.
      where: of what, for messages.

    Raises:
      InputError: there are too few.
    """
    below, skipped = _files(folders, settings, where)
    return _of_split(below, split, folders["train"], where), skipped


def _files(folders, settings, where, beside=()):
    """({split: {name below its folder: file}}, files left out)."""
    below, skipped = {}, []
    for name, folder in folders.items():
        found, broken = images.readable(images.find(folder, where, beside), settings)
        below[name] = {path.relative_to(folder).as_posix(): path for path in found}
        skipped += broken
    return below, skipped


def _of_split(below, split, folder, where):
    """{name: file} of a split, of those of each that has a folder; "" is all together."""
    if split in below and split != "train":
        return below[split]
    rest = below.get("train", below.get(""))
    if rest is None:
        raise InputError(f"{where}: no {split!r} in {str(folder)!r}, only {sorted(below)}")
    missing = [name for name in SHARES if name not in below]
    chosen = divide(rest, missing, f"{where}: {str(folder)!r}")[split]
    return {name: path for name, path in rest.items() if name in chosen}


def split_folders(folder, where, ending=""):
    """{split: its folder} of those in `folder` that are called as one and then `ending`.

    Raises:
      InputError: two are of one split; `where` says of what.
    """
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        split = NAMES.get(path.name.removesuffix(ending).lower()) if path.name.endswith(ending) else None
        if split and path.is_dir():
            if split in found:
                both = f"{found[split].name!r} and {path.name!r}"
                raise InputError(f"{where}: {both} in {str(folder)!r} are both {split!r}")
            found[split] = path
    return found


def _divided(folder, where):
    """{split: its folder}, or {} where there are no folders of splits."""
    found = split_folders(folder, where)
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    beside = [path.name for path in visible if path.is_dir() and path not in found.values()]
    names = ", ".join(path.name for path in found.values())
    if beside and not ("train" in found and len(found) > 1):  # A class may be called "train" or "test".
        if found:
            images.say_once(f"{folder}: {names} lie beside {', '.join(beside[:5])} and are taken for no splits")
        return {}
    loose = [path.name for path in visible if path.suffix.lower() in images.SUFFIXES]
    if found and beside + loose:
        images.say_once(
            f"{folder}: the splits are {names}; left out {len(beside)} folder(s) and {len(loose)} image(s) beside "
            f"them, the first: {(beside + loose)[0]}"
        )
    return found


def divide(names, missing, where):
    """Divides names by a hash of each: {split: set of names}.

    A name keeps its split whatever other names there are, unless one would have none: that takes the name nearest to
    it, and gives it to "train" again once it has its own. No name of "train" is held out later.

    Args:
      names: all of them.
      missing: the splits to hold out, of `SHARES`; the rest is "train".
      where: of what, for messages.

    Raises:
      InputError: there are too few.
    """
    if len(names) <= len(missing):
        raise InputError(
            f"{where} has {len(names)} readable image(s); at least {len(missing) + 1} are needed to train, validate "
            "and test"
        )
    place = lambda name: int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") / 2**64
    hashes = {name: place(name) for name in names}
    inside = lambda name, split: SHARES[split][0] <= hashes[name] < SHARES[split][1]
    found = {split: {name for name in names if inside(name, split)} for split in missing}
    found["train"] = set(names).difference(*found.values())
    for split, chosen in found.items():
        if not chosen:
            giver = found["train"] if len(found["train"]) > 1 else max(found.values(), key=len)
            low = SHARES.get(split, (1.0,))[0]
            chosen.add(min(giver, key=lambda name: (abs(hashes[name] - low), name)))
            giver -= chosen
    return found
