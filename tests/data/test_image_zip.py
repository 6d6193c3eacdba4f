"""Zips of images as StyleGAN2-ADA's dataset_tool makes them."""

import io
import json
import pickle
import zipfile

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.errors import InputError


def written(path, *, count=40, side=8, labels=None, compression=zipfile.ZIP_STORED, change=None):
    """A zip of flat images, the i-th of grey i; `change` {number: bytes or (width, height)}."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for i in range(count):
            found = (change or {}).get(i, (side, side))
            if isinstance(found, tuple):
                memory = io.BytesIO()
                Image.new("RGB", found, (i, i, i)).save(memory, "PNG")
                found = memory.getvalue()
            file.writestr(f"00000/img{i:08d}.png", found)
        if labels is not None:
            file.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


def opened(path, split="train", size=8, **fields):
    return data.open(data.Settings(name="image_zip", dir=str(path), size=size, **fields), split)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_images_and_labels_are_those_of_the_zip(tmp_path, compression):
    labels = [[f"00000/img{i:08d}.png", i % 3] for i in range(40)]
    path = written(tmp_path / "set.zip", labels=labels, compression=compression)
    splits = [opened(path, split, labels=True) for split in data.SPLITS]
    assert sorted(name for source in splits for name in map(source.name, range(len(source)))) == [n for n, _ in labels]
    for source in splits:
        assert source.classes == ("0", "1", "2")
        for i in range(len(source)):
            number = int(source.name(i)[9:17])
            np.testing.assert_array_equal(source[i]["colour"], np.full((8, 8, 3), number, np.uint8))
            assert source[i]["label"] == source.column("label")[i] == number % 3
    sent = pickle.loads(pickle.dumps(splits[0]))  # To a process that decodes.
    np.testing.assert_array_equal(sent[3]["colour"], splits[0][3]["colour"])


def test_what_is_no_such_zip_is_refused_by_name(tmp_path):
    path = tmp_path / "set.zip"
    with pytest.raises(InputError, match="config.data.dir: .*set.zip' is no file"):
        opened(path)
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="cannot be read as a zip"):
        opened(path)
    with pytest.raises(InputError, match="no images"):
        opened(written(path, count=0))
    with pytest.raises(InputError, match="img00000000.png is 12 px wide; images must be a power of two"):
        opened(written(path, side=12))
    with pytest.raises(InputError, match="img00000000.png is 8 x 4 px; images must be squares"):
        opened(written(path, change={0: (8, 4)}))
    train = opened(written(path))
    number = int(train.name(5)[9:17])
    with pytest.raises(InputError, match=f"img0*{number}.png is 16 px wide, the first image 8"):
        opened(written(path, change={number: (16, 16)}))[5]
    with pytest.raises(InputError, match=f"set.zip:00000/img0*{number}.png: not a readable image"):
        opened(written(path, change={number: b"no image"}))[5]


def test_labels_that_are_none_are_refused(tmp_path):
    path, names = tmp_path / "set.zip", [f"00000/img{i:08d}.png" for i in range(40)]
    for labels in (None, [], {}):
        with pytest.raises(InputError, match="config.data.labels is True, but .*set.zip has no labels in dataset.json"):
            opened(written(path, labels=labels), labels=True)
    with pytest.raises(InputError, match="the label of 00000/img00000039.png must be an integer from 0 on, got None"):
        opened(written(path, labels=[[name, 0] for name in names[:-1]]), labels=True)
    with pytest.raises(InputError, match=r"must be an integer from 0 on, got \[1.0, 0.0\]"):
        opened(written(path, labels=[[name, [1.0, 0.0]] for name in names]), labels=True)
    with pytest.raises(InputError, match="dataset.json: not as"):
        opened(written(path, labels=7), labels=True)
