"""Any image dataset of tensorflow-datasets, "tfds:NAME", downloaded on first use.

`test` is its split of that name if that is labelled, otherwise its validation split; where no other split is left for
`val`, the last 5 percent of `train` are. A data set without `train` can be evaluated on. Captions are its feature
`caption`, `captions` or `text`, a text or several. Images have one channel, three or four, which are put over white, of
8 or 16 bits.
"""

import contextlib
import fcntl
import io
import os

import numpy as np
from PIL import Image

from vision_gen.data import described, images, source
from vision_gen.data import settings as reader
from vision_gen.errors import InputError

FIELDS = ("name", "dir", "size", "labels")
DESCRIBED = ("caption", "captions", "text")


def shapes(settings):
    """`colour` [height, width, 3], the middle of the image in the shape of `size`, and `label`."""
    return source.images(settings, colour=3)


def open(settings, split):
    """See `shapes`; `settings.name` is "tfds:" and TFDS's name, such as "tfds:cifar10" or "tfds:imagenet2012".

    Raises:
      InputError: there is no such dataset, it cannot be downloaded, has no such split, no `image` or `label`, or one of
        another kind, or needs tensorflow, which is not installed.
    """
    return TFDS(settings, split)


class TFDS(source.Source):
    """Decoded when asked for; `captions` where the data set has some."""

    captions = None

    def __init__(self, settings, split):
        import tensorflow_datasets as tfds  # Takes most of a second.

        name, field = settings.name.partition(":")[2], f"{settings.section}.name"
        if not name:
            raise InputError(f'{field} must be "tfds:NAME", such as "tfds:cifar10", got {settings.name!r}')
        where = folder(settings)
        with _explained(name, where, field), lock(settings, f"tfds-{name.replace('/', '-')}"):
            builder = tfds.builder(name, data_dir=str(where), file_format="array_record")
            features = builder.info.features
            _check(features, settings.labels, f"{field}: TFDS dataset {name!r}")
            builder.download_and_prepare()
        self.shapes = shapes(settings)
        self.classes = tuple(features["label"].names) if settings.labels else ()
        self._size, self._described = settings.size, next((n for n in DESCRIBED if n in features), None)
        if self._described:
            self.captions = self._captions
        with _explained(name, where, field):
            splits = _splits(builder, settings.labels)
            if split not in splits:
                found = sorted(builder.info.splits)
                raise InputError(f"{field}: TFDS dataset {name!r} has nothing for {split!r}, but the split(s) {found}")
            chosen = splits[split]
            # TFDS's own decoder reads no 16-bit images without OpenCV.
            self._source = builder.as_data_source(chosen, decoders={"image": tfds.decode.SkipDecoding()})
            self[0]  # What cannot be decoded is said now.

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        image = images.over_white(Image.open(io.BytesIO(example["image"])))
        found = {"colour": images.fit(image, self._size)}
        if self.classes:
            found["label"] = np.int32(example["label"])
        return found

    def _captions(self, index):
        found = self._source[index][self._described]
        found = found["text"] if isinstance(found, dict) else found  # As COCO's have numbers beside the texts.
        return tuple(described.text(one, f"caption of example {index}") for one in np.ravel(np.array(found, object)))

    def name(self, index):
        """The example's number."""
        return f"{index:07d}"

    def column(self, name):
        if name == "label" and self.classes:
            return np.stack([np.int32(example["label"]) for example in self._source])
        return super().column(name)


def folder(settings):
    """Where TFDS keeps its data: `settings.dir`, or $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    import tensorflow_datasets as tfds

    if not settings.dir and os.environ.get("TFDS_DATA_DIR"):
        return reader.local(os.environ["TFDS_DATA_DIR"], "$TFDS_DATA_DIR")
    return reader.local(settings.dir or str(tfds.core.constants.DATA_DIR), f"{settings.section}.dir")


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


def _check(features, labels, what):
    """Raises InputError where examples have no image, or no label, of the kind that is read."""
    from tensorflow_datasets import features as kinds

    needed = {"image": kinds.Image} | ({"label": kinds.ClassLabel} if labels else {})
    for name, kind in needed.items():
        if name not in features:
            raise InputError(f"{what} has no feature {name!r}, but {sorted(features)}")
        if not isinstance(features[name], kind):
            right = "one image" if name == "image" else "one class of each example; labels=False does without"
            raise InputError(f"{what}: feature {name!r} is a {type(features[name]).__name__}; it must be {right}")
    dtype, channels = np.dtype(features["image"].np_dtype), features["image"].shape[-1]
    if dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        raise InputError(
            f"{what}: its images are {dtype} of {channels} channel(s); they must be uint8 or uint16 of 1, 3 or 4"
        )


def _splits(builder, labels):
    """Our splits in TFDS's words; ImageNet's test images, whose label is -1, are none."""
    held_out = [name for name in ("validation", "test") if name in builder.info.splits]
    if labels:
        held_out = [n for n in held_out if builder.as_data_source(f"{n}[:1]")[0]["label"] >= 0]
    if "train" not in builder.info.splits:
        return {"val": held_out[0], "test": held_out[-1]} if held_out else {}
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
