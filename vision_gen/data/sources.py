"""Where examples come from: random access to dicts of uint8 arrays.

A source has `len()` and `source[i]`. Every example has `colour` [size, size, 3]; drawings that
come with their artist's lines have `line` [size, size, 1] as well, and labelled ones `label`, int32.
A labelled source has `classes`, their names.
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
      config: reads `data.name`, `data.dir`, `data.size`, `data.skip_unreadable`, `data.labels`.
      split: "train", "val" or "test".

    Raises:
      InputError: a field is wrong, or the data cannot be read.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}, got {split!r}")
    if config.data.name in scenes.NAMES:
        return scenes.open_scene(config, split)
    if config.data.name == "openmoji":
        source = OpenMoji(config.data.size, split, config.data.dir, labels=config.data.labels)
    elif config.data.name == "image_folder":
        source = ImageFolder(
            config.data.dir,
            split,
            config.data.size,
            skip_unreadable=config.data.skip_unreadable,
            labels=config.data.labels,
        )
    elif config.data.name == "digits":
        source = Digits(split, config.data.size, labels=config.data.labels)
    elif config.data.name.startswith("tfds:"):
        name = config.data.name.removeprefix("tfds:")
        source = TFDS(name, split, config.data.size, config.data.dir, labels=config.data.labels)
    else:
        raise InputError(
            'config.data.name must be "openmoji", "image_folder", "digits", "tfds:NAME" or one of '
            f"{scenes.NAMES}, got {config.data.name!r}"
        )
    if config.data.labels and len(source.classes) != config.model.classes:
        raise InputError(
            f"config.model.classes is {config.model.classes}, but the data has {len(source.classes)}: "
            f"{', '.join(source.classes[:12])}"
        )
    return source


def example(config, rng=None):
    """An example with the shapes and types that `config.data` gives, without reading it.

    Args:
      config: the experiment.
      rng: a `numpy.random.Generator` to draw it from: noise, random labels, a camera at a random place that
        looks at the origin. By default all zeros.
    """
    data = config.data
    if data.name in scenes.NAMES:
        return scenes.example(data.rays, rng)
    noise = lambda *shape: np.zeros(shape, np.uint8) if rng is None else rng.integers(0, 256, shape, np.uint8)
    found = {"colour": noise(data.size, data.size, 3)}
    if data.name == "openmoji":
        found["line"] = noise(data.size, data.size, 1)
    if data.labels:
        found["label"] = np.int32(0 if rng is None else rng.integers(config.model.classes))
    return found


class OpenMoji:
    """OpenMoji drawings, prepared on first use (about a minute for 64 px) and cached.

    Args:
      size: 64, 128, 256 or 512 pixels.
      split: by base glyph, so that no variant of a training drawing is held out.
      data_dir: of TFDS; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
      labels: examples have the drawing's group.
    """

    def __init__(self, size, split, data_dir="", *, labels=False):
        # Not at the top: tensorflow_datasets takes most of a second.
        import tensorflow_datasets as tfds

        from vision_gen.data.openmoji import openmoji_dataset_builder as openmoji

        if size not in openmoji.SIZES:
            raise InputError(
                f"config.data.size must be one of {openmoji.SIZES} for openmoji, got {size}"
            )
        folder = _tfds_folder(data_dir)
        with _lock(folder, f"openmoji-{size}"):
            builder = openmoji.Builder(
                config=str(size), data_dir=str(folder), file_format="array_record"
            )
            builder.download_and_prepare()
        self._source = builder.as_data_source(split)
        self.classes = openmoji.GROUPS if labels else ()

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        found = {"colour": example["colour"], "line": example["line"]}
        if self.classes:
            found["label"] = np.int32(self.classes.index(example["group"].decode()))
        return found

    def name(self, index):
        """What example `index` shows."""
        return self._source[index]["name"].decode()


class TFDS:
    """Any image dataset of tensorflow-datasets, downloaded on first use; central squares.

    `test` is its split of that name if that is labelled, otherwise its validation split; where no
    other split is left for `val`, the last 5 percent of `train` are.

    Args:
      name: as TFDS has it, such as "cifar10" or "imagenet2012".
      split: "train", "val" or "test".
      size: pixels.
      data_dir: of TFDS; by default $TFDS_DATA_DIR or ~/tensorflow_datasets.
      labels: examples have the feature `label`.

    Raises:
      InputError: there is no such dataset, it cannot be downloaded, has no `image` or `label`, or needs tensorflow,
        which is not installed.
    """

    def __init__(self, name, split, size, data_dir="", *, labels=False):
        import tensorflow_datasets as tfds

        folder = _tfds_folder(data_dir)
        with _explained(name, folder), _lock(folder, f"tfds-{name.replace('/', '-')}"):
            builder = tfds.builder(name, data_dir=str(folder), file_format="array_record")
            builder.download_and_prepare()
        features = builder.info.features
        needed = ("image", "label") if labels else ("image",)
        missing = [feature for feature in needed if feature not in features]
        if missing:
            raise InputError(
                f"config.data.name: TFDS dataset {name!r} has no feature {missing[0]!r}, but {sorted(features)}"
            )
        self.classes = tuple(features["label"].names) if labels else ()
        self._size = size
        with _explained(name, folder):
            self._source = builder.as_data_source(_tfds_splits(builder, labels)[split])
            self[0]  # What cannot be decoded is said now.

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        image = example["image"]
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, -1)
        found = {"colour": images.square(image, self._size)}
        if self.classes:
            found["label"] = np.int32(example["label"])
        return found

    def name(self, index):
        """What example `index` is called: its number."""
        return str(index)


@contextlib.contextmanager
def _explained(name, folder):
    """Turns whatever TFDS raises, which its readers, writers and servers raise, into one clear error."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        cause = error
        while cause is not None:
            if isinstance(cause, ImportError) and (cause.name or "").split(".")[0] == "tensorflow":
                reason = "it needs tensorflow; pip install -e '.[tfds]'"
            cause = cause.__cause__
        raise InputError(f"config.data.name: TFDS cannot prepare or read {name!r} in {str(folder)!r}: {reason}") from error


def _tfds_folder(data_dir):
    import tensorflow_datasets as tfds

    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(folder).expanduser()


def _tfds_splits(builder, labels):
    """Our splits in TFDS's words; ImageNet's test images, whose label is -1, are none."""
    held_out = [name for name in ("validation", "test") if name in builder.info.splits]
    if labels:
        held_out = [n for n in held_out if builder.as_data_source(f"{n}[:1]")[0]["label"] >= 0]
    if len(held_out) == 2:
        return {"train": "train", "val": "validation", "test": "test"}
    if held_out:
        return {"train": "train[:95%]", "val": "train[95%:]", "test": held_out[0]}
    return {"train": "train[:85%]", "val": "train[85%:90%]", "test": "train[90%:]"}


class ImageFolder:
    """The images below a folder, as central squares of `size` pixels.

    With subfolders `train`, `val` and `test` these are the splits; otherwise 5 percent of the
    files are `val` and 10 are `test` (at least one each), chosen by a hash of their names.
    With `labels` the next folder down names an image's class.
    """

    def __init__(self, folder, split, size, *, skip_unreadable=False, labels=False):
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
        divided = all((folder / name).is_dir() for name in SPLITS)
        self._class_of = lambda path: path.relative_to(folder).parts[1 if divided else 0]
        self.classes = ()
        if labels:
            loose = [p for p in paths if len(p.relative_to(folder).parts) < 2 + divided]
            if loose:
                raise InputError(f"{loose[0]}: has no class; it must lie in a folder named as its class")
            self.classes = tuple(sorted({self._class_of(path) for path in paths}))
        if divided:
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
        path = self.paths[index]
        example = {"colour": images.square(images.read(path), self._size)}
        if self.classes:
            example["label"] = np.int32(self.classes.index(self._class_of(path)))
        return example

    def name(self, index):
        """File name of example `index`."""
        return self.paths[index].name


class Digits:
    """Scikit-learn's bundled scans of hand-written digits, 8 x 8: 1,797 in all.

    Split 85, 5 and 10 percent, at random but always alike.

    Args:
      split: "train", "val" or "test".
      size: 8.
      labels: examples have their digit.
    """

    def __init__(self, split, size, *, labels=False):
        from sklearn.datasets import load_digits  # Takes most of a second to import.

        if size != 8:
            raise InputError(f"config.data.size must be 8 for digits, got {size}")
        scans, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(scans))
        bounds = [0, round(0.85 * len(scans)), round(0.90 * len(scans)), len(scans)]
        which = SPLITS.index(split)
        chosen = order[bounds[which] : bounds[which + 1]]
        grey = np.uint8(scans[chosen].reshape(-1, 8, 8, 1) * 255 / 16 + 0.5)
        self._arrays = {"colour": np.repeat(grey, 3, -1)}
        if labels:
            self._arrays["label"] = digits[chosen].astype(np.int32)
        self.classes = tuple("0123456789") if labels else ()

    def __len__(self):
        return len(self._arrays["colour"])

    def __getitem__(self, index):
        return {name: array[index] for name, array in self._arrays.items()}


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


def fingerprint(source, progress=None):
    """SHA-256, in hexadecimal, of every example's arrays: what figures of a source are figures of.

    `progress` is called with (done, total).
    """
    digest = hashlib.sha256()
    for i in range(len(source)):
        for name, value in sorted(source[i].items()):
            value = np.ascontiguousarray(value)
            digest.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
        if progress:
            progress(i + 1, len(source))
    return digest.hexdigest()


def stack(examples):
    """A list of examples as one dict of arrays with a leading batch axis."""
    return {name: np.stack([e[name] for e in examples]) for name in examples[0]}
