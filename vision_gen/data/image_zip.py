"""A zip of images as StyleGAN2-ADA's dataset_tool makes it: `00000/img00000000.png` and labels in `dataset.json`.

It is read without being unpacked, compressed or not. Images are squares of one size, a power of two. 5 percent of them are
`val` and 10 are `test`, each by a hash of its own name alone.
"""

import json
import os
import pathlib
import threading
import zipfile

import numpy as np

from vision_gen.data import image_folder, images, settings as settings_lib, source
from vision_gen.errors import InputError

FIELDS = ("dir", "size", "labels", "max_pixels")
LABELS = "dataset.json"


def shapes(settings):
    """`colour` [height, width, 3] and `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`."""
    return ImageZip(settings, split)


class ImageZip(source.Source):
    """Decoded when asked for."""

    def __init__(self, settings, split):
        field = f"{settings.section}.dir"
        self._path, self._settings, self._files = settings_lib.local(settings.dir, field), settings, threading.local()
        if not settings.dir or not self._path.is_file():
            raise InputError(f"{field}: {settings.dir!r} is no file; image_zip needs a zip, such as dataset_tool.py makes")
        self.shapes = shapes(settings)
        try:
            files = self._zip().namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{field}: {settings.dir!r} cannot be read as a zip ({error})") from error
        names = sorted(name for name in files if pathlib.PurePosixPath(name).suffix.lower() in images.SUFFIXES)
        if not names:
            raise InputError(f"{field}: no images ({', '.join(images.SUFFIXES)}) in {settings.dir!r}")
        self._labels = self._read_labels(names) if settings.labels else {}
        self.classes = tuple(map(str, range(max(self._labels.values()) + 1))) if self._labels else ()
        chosen = image_folder.divide(names, list(image_folder.SHARES), f"{field}: {settings.dir!r}")[split]
        self._names = [name for name in names if name in chosen]
        self._side = len(self._image(names[0]))
        if self._side & (self._side - 1):
            raise InputError(f"{self._where(names[0])} is {self._side} px wide; images must be a power of two")

    def _zip(self):
        """The file, opened once a thread and process."""
        if getattr(self._files, "process", None) != os.getpid():
            self._files.zip, self._files.process = zipfile.ZipFile(self._path), os.getpid()
        return self._files.zip

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_files"}

    def __setstate__(self, state):
        vars(self).update(state, _files=threading.local())

    def _read_labels(self, names):
        """{name: label} of `dataset.json`."""
        where = self._where(LABELS)
        try:
            found = dict(json.loads(self._zip().read(LABELS))["labels"] or ())
        except KeyError:
            found = {}
        except (ValueError, TypeError) as error:
            raise InputError(f'{where}: not as {{"labels": [[name, number], ...]}} ({error})') from error
        if not found:
            raise InputError(f"{self._settings.section}.labels is True, but {self._path} has no labels in {LABELS}")
        for name in names:
            if not isinstance(found.get(name), int) or found[name] < 0:
                raise InputError(f"{where}: the label of {name} must be an integer from 0 on, got {found.get(name)!r}")
        return {name: found[name] for name in names}

    def _where(self, name):
        return f"{self._path}:{name}"

    def _image(self, name):
        """One image, [side, side, 3] uint8.

        Raises:
          InputError: it cannot be read, or is no square.
        """
        try:
            data = self._zip().read(name)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{self._where(name)}: cannot be read ({error})") from error
        found = images.read(images.Named(data, self._where(name)), self._settings.max_pixels)
        if found.shape[0] != found.shape[1]:
            raise InputError(f"{self._where(name)} is {found.shape[1]} x {found.shape[0]} px; images must be squares")
        return found

    def __len__(self):
        return len(self._names)

    def __getitem__(self, index):
        name = self._names[index]
        image = self._image(name)
        if len(image) != self._side:
            raise InputError(f"{self._where(name)} is {len(image)} px wide, the first image {self._side}; all must be alike")
        example = {"colour": images.fit(image, self._settings.size)}
        if self.classes:
            example["label"] = np.int32(self._labels[name])
        return example

    def name(self, index):
        return self._names[index]

    def column(self, name):
        if name == "label" and self.classes:
            return np.array([self._labels[name] for name in self._names], np.int32)
        return super().column(name)
