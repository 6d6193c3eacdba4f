"""The images below a folder.

With subfolders `train`, `val` and `test` these are the splits; otherwise 5 percent of the files are `val` and 10 are
`test` (at least one each), chosen by a hash of their names. With `labels` the next folder down names an image's class.
"""

import hashlib

import numpy as np

from vision_gen.data import images, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "labels", "skip_unreadable")


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`, and `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return ImageFolder(settings, split)


class ImageFolder(source.Source):
    """Decoded when asked for; `paths` are the files of the split."""

    def __init__(self, settings, split):
        field = f"{settings.section}.dir"
        self._folder = settings.folder
        self.shapes = shapes(settings)
        paths, self.skipped = images.readable(images.find(self._folder, field), settings)
        self._divided = all((self._folder / name).is_dir() for name in source.SPLITS)
        if settings.labels:
            loose = [p for p in paths if len(p.relative_to(self._folder).parts) < 2 + self._divided]
            if loose:
                raise InputError(f"{loose[0]}: has no class; it must lie in a folder named as its class")
            self.classes = tuple(sorted({self._class_of(path) for path in paths}))
        if self._divided:
            self.paths = [p for p in paths if p.relative_to(self._folder).parts[0] == split]
            if not self.paths:
                raise InputError(f"{field}: no images below {str(self._folder / split)!r}")
        else:
            shares = {"test": 0.10, "val": 0.05}
            chosen = divide([self._name(path) for path in paths], shares, f"{field}: {str(self._folder)!r}")[split]
            self.paths = [path for path in paths if self._name(path) in chosen]
        self._size = settings.size

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        example = {"colour": images.fit(images.read(path), self._size)}
        if self.classes:
            example["label"] = self._label(path)
        return example

    def name(self, index):
        """File name of example `index`, from the folder on."""
        return self._name(self.paths[index])

    def column(self, name):
        if name == "label" and self.classes:
            return np.stack([self._label(path) for path in self.paths])
        return super().column(name)

    def _name(self, path):
        return path.relative_to(self._folder).as_posix()

    def _class_of(self, path):
        return path.relative_to(self._folder).parts[1 if self._divided else 0]

    def _label(self, path):
        return np.int32(self.classes.index(self._class_of(path)))


def divide(names, shares, where):
    """Divides names by a hash of them: {split: set of names}.

    Args:
      names: all of them.
      shares: {split: its share, at least one}; the rest is "train".
      where: of what, for messages.

    Raises:
      InputError: there are too few.
    """
    if len(names) <= len(shares):
        raise InputError(
            f"{where} has {len(names)} readable image(s); at least {len(shares) + 1} are needed to train, validate and "
            "test"
        )
    names = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    found, start = {}, 0
    for split, share in shares.items():
        stop = start + max(1, round(share * len(names)))
        found[split] = set(names[start:stop])
        start = stop
    return found | {"train": set(names[start:])}
