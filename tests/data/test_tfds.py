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


def test_what_cannot_be_prepared_is_named(tmp_path):
    with pytest.raises(InputError, match="config.data.name: TFDS cannot prepare or read 'stripez' in .*not found"):
        open_split(tmp_path, "train", name="tfds:stripez")


class Drawn(Stripes):
    """The same as arrays, which TFDS encodes by tensorflow."""

    def _generate_examples(self, count, labelled):
        for i in range(count):
            yield i, {"image": np.full((12, 20, 1), 5 * i, np.uint8), "label": 0}


def test_what_needs_tensorflow_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"read 'drawn' in .*: it needs tensorflow; pip install -e '\.\[tfds\]'"):
        open_split(tmp_path, "train", name="tfds:drawn")
