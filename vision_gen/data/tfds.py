"""Any image dataset of tensorflow-datasets, "tfds:NAME", downloaded on first use.

`test` is its split of that name if that is labelled, otherwise its validation split; where no other split is left for
`val`, the last 5 percent of `train` are.
"""

import contextlib
import fcntl
import os
import pathlib

import numpy as np

from vision_gen.data import images, source
from vision_gen.errors import InputError

FIELDS = ("name", "dir", "size", "labels")


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`, and `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`; `settings.name` is "tfds:" and TFDS's name, such as "tfds:cifar10" or "tfds:imagenet2012".

    Raises:
      InputError: there is no such dataset, it cannot be downloaded, has no `image` or `label`, or needs tensorflow,
        which is not installed.
    """
    return TFDS(settings, split)


class TFDS(source.Source):
    """Decoded when asked for."""

    def __init__(self, settings, split):
        import tensorflow_datasets as tfds  # Takes most of a second.

        name, field = settings.name.partition(":")[2], f"{settings.section}.name"
        where = folder(settings)
        with _explained(name, where, field), lock(settings, f"tfds-{name.replace('/', '-')}"):
            builder = tfds.builder(name, data_dir=str(where), file_format="array_record")
            builder.download_and_prepare()
        features = builder.info.features
        needed = ("image", "label") if settings.labels else ("image",)
        missing = [feature for feature in needed if feature not in features]
        if missing:
            raise InputError(
                f"{field}: TFDS dataset {name!r} has no feature {missing[0]!r}, but {sorted(features)}"
            )
        self.shapes = shapes(settings)
        self.classes = tuple(features["label"].names) if settings.labels else ()
        self._size = settings.size
        with _explained(name, where, field):
            chosen = _splits(builder, settings.labels)[split]
            self._source = builder.as_data_source(chosen)
            if self.classes:
                self._labels = builder.as_data_source(chosen, decoders={"image": tfds.decode.SkipDecoding()})
            self[0]  # What cannot be decoded is said now.

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        image = example["image"]
        if image.shape[-1] == 1:
            image = np.repeat(image, 3, -1)
        found = {"colour": images.fit(image, self._size)}
        if self.classes:
            found["label"] = np.int32(example["label"])
        return found

    def name(self, index):
        """The example's number."""
        return f"{index:07d}"

    def column(self, name):
        if name == "label" and self.classes:
            return np.stack([np.int32(example["label"]) for example in self._labels])
        return super().column(name)


def folder(settings):
    """Where TFDS keeps its data: `settings.dir`, or $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    import tensorflow_datasets as tfds

    where = settings.dir or os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR
    return pathlib.Path(where).expanduser()


@contextlib.contextmanager
def lock(settings, name):
    """Holds an inter-process lock in TFDS's folder: a second process waits until the first has prepared."""
    where = folder(settings)
    try:
        where.mkdir(parents=True, exist_ok=True)
        file = (where / f".{name}.lock").open("w")
    except OSError as error:
        raise InputError(
            f"{settings.section}.dir: cannot write to {str(where)!r} ({error.strerror}); set it or "
            "$TFDS_DATA_DIR to a folder that can be written"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _splits(builder, labels):
    """Our splits in TFDS's words; ImageNet's test images, whose label is -1, are none."""
    held_out = [name for name in ("validation", "test") if name in builder.info.splits]
    if labels:
        held_out = [n for n in held_out if builder.as_data_source(f"{n}[:1]")[0]["label"] >= 0]
    if len(held_out) == 2:
        return {"train": "train", "val": "validation", "test": "test"}
    if held_out:
        return {"train": "train[:95%]", "val": "train[95%:]", "test": held_out[0]}
    return {"train": "train[:85%]", "val": "train[85%:90%]", "test": "train[90%:]"}


@contextlib.contextmanager
def _explained(name, where, field):
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
        raise InputError(f"{field}: TFDS cannot prepare or read {name!r} in {str(where)!r}: {reason}") from error
