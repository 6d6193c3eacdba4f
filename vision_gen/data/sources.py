"""Where examples come from: random access to dicts of uint8 arrays.

A source has `len()` and `source[i]`. Every example has `colour` [size, size, 3]; drawings that
come with their artist's lines have `line` [size, size, 1] as well.
"""

import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib

import numpy as np

from vision_gen.data import images, scenes
from vision_gen.errors import InputError

SPLITS = ("train", "val", "test")


def open_source(config, split):
    """The source that `config.data` describes.

    Args:
      config: reads `data.name`, `data.dir`, `data.size`, `data.skip_unreadable`.
      split: "train", "val" or "test".

    Raises:
      InputError: a field is wrong, or the data cannot be read.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}, got {split!r}")
    if config.data.name in ("nerf_synthetic", "llff", "transforms", "analytic_scene"):
        return scenes.open_scene(config, split)
    if config.data.name == "openmoji":
        return OpenMoji(config.data.size, split, config.data.dir)
    if config.data.name == "image_folder":
        return ImageFolder(
            config.data.dir, split, config.data.size, skip_unreadable=config.data.skip_unreadable
        )
    raise InputError(
        'config.data.name must be "openmoji", "image_folder", "nerf_synthetic", "llff", "transforms" '
        f'or "analytic_scene", got {config.data.name!r}'
    )


class OpenMoji:
    """OpenMoji drawings, prepared on first use (about a minute for 64 px) and cached.

    Args:
      size: 64, 128, 256 or 512 pixels.
      split: by base glyph, so that no variant of a training drawing is held out.
      data_dir: of TFDS; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
    """

    def __init__(self, size, split, data_dir=""):
        # Not at the top: tensorflow_datasets takes most of a second.
        import tensorflow_datasets as tfds

        from vision_gen.data.openmoji import openmoji_dataset_builder as openmoji

        if size not in openmoji.SIZES:
            raise InputError(
                f"config.data.size must be one of {openmoji.SIZES} for openmoji, got {size}"
            )
        folder = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
        folder = pathlib.Path(folder).expanduser()
        with _lock(folder, f"openmoji-{size}"):
            builder = openmoji.Builder(
                config=str(size), data_dir=str(folder), file_format="array_record"
            )
            builder.download_and_prepare()
        self._source = builder.as_data_source(split)

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        return {"colour": example["colour"], "line": example["line"]}

    def name(self, index):
        """What example `index` shows."""
        return self._source[index]["name"].decode()


class ImageFolder:
    """The images below a folder, as central squares of `size` pixels.

    With subfolders `train`, `val` and `test` these are the splits; otherwise 5 percent of the
    files are `val` and 10 are `test` (at least one each), chosen by a hash of their names.
    """

    def __init__(self, folder, split, size, *, skip_unreadable=False):
        if not folder:
            raise InputError("config.data.dir is empty; image_folder needs the folder's path")
        folder = pathlib.Path(folder)
        paths = images.find(folder)
        # Files to be left out must all be known now: each is decoded once.
        check = functools.partial(images.problem, decode=skip_unreadable)
        with concurrent.futures.ThreadPoolExecutor() as executor:
            broken = [(path, why) for path, why in zip(paths, executor.map(check, paths)) if why]
        if broken and not skip_unreadable:
            path, why = broken[0]
            more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
            raise InputError(
                f"{path}: {why}{more}; config.data.skip_unreadable=True leaves such files out"
            )
        self.skipped = [path for path, _ in broken]
        bad = set(self.skipped)
        paths = [path for path in paths if path not in bad]
        if all((folder / name).is_dir() for name in SPLITS):
            self.paths = [p for p in paths if p.relative_to(folder).parts[0] == split]
            if not self.paths:
                raise InputError(f"config.data.dir: no images below {str(folder / split)!r}")
        else:
            if len(paths) < 3:
                raise InputError(
                    f"config.data.dir: {len(paths)} readable image(s) below {str(folder)!r}; at "
                    "least 3 are needed to train, validate and test"
                )
            self.paths = sorted(_divide(paths, folder)[split])
        self._size = size

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return {"colour": images.square(images.read(self.paths[index]), self._size)}

    def name(self, index):
        """File name of example `index`."""
        return self.paths[index].name


def _divide(paths, folder):
    def digest(path):
        return hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest()

    paths = sorted(paths, key=digest)
    test, val = max(1, round(0.10 * len(paths))), max(1, round(0.05 * len(paths)))
    return {"test": paths[:test], "val": paths[test : test + val], "train": paths[test + val :]}


@contextlib.contextmanager
def _lock(folder, name):
    """Holds an inter-process lock: a second process waits until the first has prepared."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / f".{name}.lock", "w")
    except OSError as error:
        raise InputError(
            f"config.data.dir: cannot write to {str(folder)!r} ({error.strerror}); set it or "
            "$TFDS_DATA_DIR to a folder that can be written"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def stack(examples):
    """A list of examples as one dict of arrays with a leading batch axis."""
    return {name: np.stack([e[name] for e in examples]) for name in examples[0]}
