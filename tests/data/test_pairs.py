"""People's own pairs, in every layout, and what is wrong with some."""

import numpy as np
from PIL import Image
import pytest

from tests.conftest import ROOT
from vision_gen import data
from vision_gen.data import settings as reader
from vision_gen.errors import InputError

SPLITS = {"train": 6, "val": 2, "test": 3}
SAMPLE = ROOT.parent / "shared" / "data" / "edges2handbags_sample"


def save(path, *shades, size=(12, 10)):
    """An image file of one or more squares of a shade side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    row = np.concatenate([np.full((height, width, 3), shade, np.uint8) for shade in shades], 1)
    Image.fromarray(row).save(path)


def side_by_side(folder):
    for split, count in SPLITS.items():
        for i in range(count):
            save(folder / split / f"{i}.png", 10 + i, 100 + i)


def named_folders(folder):
    for split, count in SPLITS.items():
        for i in range(count):
            save(folder / f"{split}A" / f"{i}.png", 10 + i)
            save(folder / f"{split}B" / f"{i}.jpg", 100 + i)


def to_be_combined(folder):
    for split, count in SPLITS.items():
        for i in range(count):
            save(folder / "A" / split / f"{i}.png", 10 + i)
            save(folder / "B" / split / f"{i}.png", 100 + i)


LAYOUTS = [side_by_side, named_folders, to_be_combined]


def opened(folder, split, size=8, **fields):
    return data.open(data.Settings(name="pairs", dir=str(folder), size=size, **fields), split)


def shades(source, name):
    return [int(np.median(source[i][name])) for i in range(len(source))]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_pairs(tmp_path, layout):
    layout(tmp_path)
    for split, count in SPLITS.items():
        source = opened(tmp_path, split)
        assert source.shapes == data.shapes(data.Settings(name="pairs", size=8))
        assert [source.name(i) for i in range(len(source))] == [str(i) for i in range(count)]
        assert shades(source, "source") == [10 + i for i in range(count)]
        assert shades(source, "colour") == [100 + i for i in range(count)]
        assert (source[0]["source"] < 50).all() and (source[0]["colour"] > 50).all()  # Cut in the middle.
        turned = opened(tmp_path, split, direction="BtoA")
        assert shades(turned, "source") == shades(source, "colour")
        assert shades(turned, "colour") == shades(source, "source")
    assert opened(tmp_path, "val", size=(6, 9))[0]["source"].shape == (6, 9, 3)


@pytest.mark.parametrize("sides", [("",), ("A", "B")])
def test_a_folder_without_splits_is_divided(tmp_path, sides):
    for i in range(20):
        for side in sides:
            save(tmp_path / side / f"{i:02d}.png", *([i, 100 + i] if side == "" else [i if side == "A" else 100 + i]))
    found = {split: opened(tmp_path, split) for split in data.SPLITS}
    names = [source.name(i) for source in found.values() for i in range(len(source))]
    assert sorted(names) == [f"{i:02d}" for i in range(20)]
    for source in found.values():
        assert [b - a for a, b in zip(shades(source, "source"), shades(source, "colour"))] == [100] * len(source)


@pytest.mark.parametrize("other", ["val", "test"])
def test_without_a_third_split_validation_is_a_part_of_train(tmp_path, other):
    for i in range(20):
        save(tmp_path / "train" / f"{i:02d}.png", i, 100)
    save(tmp_path / other / "held.png", 50, 100)
    assert opened(tmp_path, "test").name(0) == "held" and len(opened(tmp_path, "test")) == 1
    train, val = opened(tmp_path, "train"), opened(tmp_path, "val")
    assert len(train) + len(val) == 20 and len(val) < 4
    assert not {train.name(i) for i in range(len(train))} & {val.name(i) for i in range(len(val))}


@pytest.mark.parametrize("form", ["{}", "{}A", "A/{}"])
def test_folders_of_splits_may_be_called_otherwise(tmp_path, form):
    for name, shade in (("Train", 10), ("valid", 20), ("TEST", 30)):
        folder = tmp_path / form.format(name)
        save(folder / "0.png", *(shade, 200) if form == "{}" else (shade,))
        if form != "{}":
            save(tmp_path / form.replace("A", "B").format(name) / "0.png", 200)
    for split, shade in (("train", 10), ("val", 20), ("test", 30)):
        source = opened(tmp_path, split)
        assert shades(source, "source") == [shade] and shades(source, "colour") == [200]


def test_pairs_that_do_not_fit_are_named(tmp_path):
    named_folders(tmp_path)
    save(tmp_path / "trainA" / "alone.png", 1)
    with pytest.raises(InputError, match="config.data.dir: 6 pairs, 1 of .*trainA without .* in .*trainB: alone$"):
        opened(tmp_path, "train")
    (tmp_path / "trainA" / "alone.png").unlink()
    save(tmp_path / "trainB" / "3.jpg", 5, size=(12, 11))
    with pytest.raises(InputError, match="trainB/3.jpg: 12 x 11 pixels, but .*trainA/3.png has 12 x 10; the images"):
        opened(tmp_path, "train")
    save(tmp_path / "trainB" / "3.png", 5)
    with pytest.raises(InputError, match="trainB: 3.jpg and 3.png have one name"):
        opened(tmp_path, "train")
    for path in (tmp_path / "valB").iterdir():
        path.unlink()
    (tmp_path / "valB").rmdir()
    with pytest.raises(InputError, match="config.data.dir: '.*valB' is not a folder"):
        opened(tmp_path, "val")


def test_an_odd_width_is_no_two_images(tmp_path):
    side_by_side(tmp_path)
    save(tmp_path / "train" / "odd.png", 1, size=(25, 10))
    with pytest.raises(InputError, match="train/odd.png: 25 pixels wide, so no two images"):
        opened(tmp_path, "train")


def test_a_missing_split_or_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="config.data.dir: '' is not a folder; pairs needs one"):
        opened("", "train")
    save(tmp_path / "testA" / "0.png", 1)
    save(tmp_path / "testB" / "0.png", 2)
    assert len(opened(tmp_path, "test")) == 1
    with pytest.raises(InputError, match=r"config.data.dir: no 'train' in '.*', only \['test'\]"):
        opened(tmp_path, "train")
    with pytest.raises(InputError, match="config.data.direction must be one of 'AtoB', 'BtoA', got 'AB'"):
        reader.read({"direction": "AB"}, "config.data")


def test_a_broken_file_is_named_or_its_pair_left_out(tmp_path):
    named_folders(tmp_path)
    victim = tmp_path / "trainB" / "2.jpg"
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(InputError, match="trainB/2.jpg: truncated .*config.data.skip_unreadable=True leaves"):
        opened(tmp_path, "train")
    source = opened(tmp_path, "train", skip_unreadable=True)
    assert source.skipped == [victim] and [source.name(i) for i in range(len(source))] == ["0", "1", "3", "4", "5"]


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"needs {SAMPLE.name}")
def test_edges_and_their_handbags():
    source = opened(SAMPLE, "test", size=256)
    assert len(source) == 5
    for i in range(5):
        # Edges are thin and dark on white; the photograph is not.
        assert (source[i]["source"] > 200).mean() > 0.8 > (source[i]["colour"] > 250).mean()
    # Its training images are no pairs: even numbers on one side, odd on the other.
    with pytest.raises(InputError, match="0 pairs, 8 of .*trainA without a partner"):
        opened(SAMPLE, "train")
