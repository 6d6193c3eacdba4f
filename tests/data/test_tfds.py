"""Datasets of TFDS are read by name, and what is missing is said."""

import io
import sys

import numpy as np
from PIL import Image
import pytest
import tensorflow_datasets as tfds

from vision_gen import data
from vision_gen.errors import InputError


class Stripes(tfds.core.GeneratorBasedBuilder):
    """Grey squares of rising brightness; the test images have no label."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 1)),
                    "label": tfds.features.ClassLabel(names=["dark", "light"]),
                }
            )
        )

    def _split_generators(self, dl_manager):
        sizes = {"train": (40, True), "validation": (8, True), "test": (6, False)}
        return {split: self._generate_examples(*size) for split, size in sizes.items()}

    def _generate_examples(self, count, labelled):
        for i in range(count):
            file = io.BytesIO()
            Image.fromarray(np.full((12, 20), 5 * i, np.uint8)).save(file, "PNG")
            file.seek(0)
            yield i, {"image": file, "label": int(i >= count // 2) if labelled else -1}


class Kind(Stripes):
    """Three examples of other features, in a split of its own."""

    split, image, label, picture = "train", {}, None, None

    def _info(self):
        label = self.label or tfds.features.ClassLabel(names=["dark", "light"])
        image = tfds.features.Image(**{"shape": (None, None, 3), **self.image})
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({"image": image, "label": label}))

    def _split_generators(self, dl_manager):
        return {self.split: self._generate_examples()}

    def _generate_examples(self):
        for i in range(40):
            file = io.BytesIO()
            Image.fromarray(self.picture).save(file, "PNG")
            file.seek(0)
            yield i, {"image": file, "label": i % 2}


CLEAR = np.zeros((6, 6, 4), np.uint8)
CLEAR[:, 3:] = 10, 20, 30, 255


class Clear(Kind):
    image, picture = dict(shape=(None, None, 4)), CLEAR


class Deep(Kind):
    image, picture = dict(shape=(None, None, 1), dtype=np.uint16), np.full((6, 6), 257 * 99, np.uint16)


class Floating(Kind):
    image = dict(shape=(None, None, 1), dtype=np.float32)


class Several(Kind):
    label = tfds.features.Sequence(tfds.features.ClassLabel(names=["a", "b"]))


class Held(Kind):
    split, picture = "validation", np.full((6, 6, 3), 7, np.uint8)


def open_split(tmp_path, split, name="tfds:stripes", labels=True, size=8):
    return data.open(data.Settings(name=name, dir=str(tmp_path), size=size, labels=labels), split)


def test_examples_are_square_labelled_and_split(tmp_path):
    found = {split: open_split(tmp_path, split) for split in data.SPLITS}
    # Without labels the test images count as nothing to test on.
    assert {split: len(source) for split, source in found.items()} == {"train": 38, "val": 2, "test": 8}
    for source in found.values():
        assert source.classes == ("dark", "light")
        example = source[len(source) - 1]
        assert example["colour"].shape == (8, 8, 3) and example["colour"].dtype == np.uint8
        np.testing.assert_array_equal(source.column("label"), [source[i]["label"] for i in range(len(source))])
        assert len({source.name(i) for i in range(len(source))}) == len(source)
    test = [found["test"][i] for i in range(8)]
    for example in test:
        assert example["label"] == (example["colour"].max() >= 20)
    assert len(open_split(tmp_path, "test", labels=False)) == 6
    assert open_split(tmp_path, "val", size=(6, 10))[0]["colour"].shape == (6, 10, 3)


class Alone(Stripes):
    """Nothing but training examples."""

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40, True)}


@pytest.mark.parametrize(
    "name,labels,counts", [("stripes", True, (38, 2, 8)), ("stripes", False, (40, 8, 6)), ("alone", True, (34, 2, 4))]
)
def test_splits_are_disjoint_whatever_a_set_has(tmp_path, name, labels, counts):
    """The brightness of a square is its number in TFDS's split, in steps of 5."""
    found = [open_split(tmp_path, split, f"tfds:{name}", labels) for split in data.SPLITS]
    assert tuple(map(len, found)) == counts
    levels = [{int(source[i]["colour"][0, 0, 0]) for i in range(len(source))} for source in found]
    of_train = levels if name == "alone" else levels[:2] if labels else levels[:1]
    assert sum(map(len, of_train)) == 40 and set.union(*of_train) == set(range(0, 200, 5))


def test_what_cannot_be_prepared_is_named(tmp_path):
    with pytest.raises(InputError, match="config.data.name: TFDS cannot prepare or read 'stripez' in .*not found"):
        open_split(tmp_path, "train", name="tfds:stripez")


def test_transparent_images_lie_over_white_and_deep_ones_are_scaled(tmp_path):
    clear = open_split(tmp_path, "train", "tfds:clear", size=6)[0]["colour"]
    np.testing.assert_array_equal(clear[:, :3], np.full((6, 3, 3), 255))
    np.testing.assert_array_equal(clear[:, 3:], np.tile(np.uint8([10, 20, 30]), (6, 3, 1)))
    deep = open_split(tmp_path, "train", "tfds:deep", size=6)[0]["colour"]
    np.testing.assert_array_equal(deep, np.full((6, 6, 3), 99))


def test_other_features_and_splits_are_refused_before_anything_is_prepared(tmp_path):
    with pytest.raises(InputError, match=r"'floating': its images are float32 of 1 channel\(s\); they must"):
        open_split(tmp_path, "train", "tfds:floating")
    with pytest.raises(InputError, match="'several': feature 'label' is a Sequence; it must be one class of each"):
        open_split(tmp_path, "train", "tfds:several")
    assert not (tmp_path / "several").exists() and not (tmp_path / "floating").exists()
    with pytest.raises(InputError, match=r"'held' has nothing for 'train', but the split\(s\) \['validation'\]"):
        open_split(tmp_path, "train", "tfds:held")
    assert (open_split(tmp_path, "test", "tfds:held", size=6)[0]["colour"] == 7).all()


def test_an_address_is_no_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="config.data.dir: 'gs://bucket/data' is an address, but only folders of this"):
        open_split("gs://bucket/data", "train")
    monkeypatch.setenv("TFDS_DATA_DIR", "s3://bucket")
    with pytest.raises(InputError, match=r"\$TFDS_DATA_DIR: 's3://bucket' is an address"):
        open_split("", "train")
    assert not list(tmp_path.iterdir())


class Drawn(Stripes):
    """The same as arrays, which TFDS encodes by tensorflow."""

    def _generate_examples(self, count, labelled):
        for i in range(count):
            yield i, {"image": np.full((12, 20, 1), 5 * i, np.uint8), "label": 0}


def test_what_needs_tensorflow_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"read 'drawn' in .*: it needs tensorflow; pip install -e '\.\[tfds\]'"):
        open_split(tmp_path, "train", name="tfds:drawn")
