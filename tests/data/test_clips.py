"""Folders of clips and DAVIS's layout: windows of frames, splits, masks, and what is wrong by name."""

import numpy as np
from PIL import Image
import pytest

from vision_gen import data, values
from vision_gen.data import labels, settings
from vision_gen.errors import InputError


def opened(name, split, folder, **fields):
    fields = dict(name=name, dir=str(folder), size=16, frames=3, held_out_frames=5) | fields
    return data.open(settings.read(fields, "config.data"), split)


def frames(folder, count, size=(24, 20)):
    """Frame n is of the grey 10 n."""
    folder.mkdir(parents=True)
    for n in range(count):
        Image.new("RGB", size, (10 * n,) * 3).save(folder / f"{n:05d}.png")


def test_windows_of_a_clip(tmp_path):
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        for name in names:
            frames(tmp_path / split / name, 6)
    source = opened("clip_folder", "train", tmp_path, frame_step=2)
    greys = [tuple(example["frames"][:, 0, 0, 0] // 10) for example in source]
    assert greys == [(0, 2, 4), (1, 3, 5)] * 2
    assert [source.name(i) for i in range(4)] == ["a/00000", "a/00001", "b/00000", "b/00001"]
    held_out = opened("clip_folder", "test", tmp_path, frame_step=2)
    assert [tuple(e["frames"][:, 0, 0, 0] // 10) for e in held_out] == [(0, 1, 2, 3, 4)] and held_out.name(0) == "d/00000"


def test_clips_are_split_by_name_and_none_is_in_two_splits(tmp_path):
    for n in range(8):
        frames(tmp_path / f"clip{n}", 5)
    found = {split: {source.name(i).split("/")[0] for i in range(len(source))} for split in data.SPLITS for source in [opened("clip_folder", split, tmp_path)]}
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 8


def test_bad_clips_are_named(tmp_path):
    for n in range(4):
        frames(tmp_path / f"clip{n}", 5)
    Image.new("RGB", (9, 9)).save(tmp_path / "clip2" / "00003.png")
    errors = []
    for split in data.SPLITS:
        try:
            opened("clip_folder", split, tmp_path)
        except InputError as error:
            errors.append(str(error))
    assert errors == [f"{tmp_path}/clip2: has frames of 2 sizes (1 of 9 x 9); all must be of one"]
    with pytest.raises(InputError, match=r"ends after 5 frame\(s\); config.data.frames = 4 needs 7"):
        opened("clip_folder", "train", tmp_path, frames=4, frame_step=2)
    Image.new("RGB", (9, 9)).save(tmp_path / "loose.png")
    with pytest.raises(InputError, match="loose.png: lies in no clip's folder"):
        opened("clip_folder", "train", tmp_path)


@pytest.fixture
def davis(tmp_path):
    """Two clips of 24 x 20 px; in the held-out one object 2 is the right half, object 1 a row."""
    for name in ("moves", "held"):
        frames(tmp_path / "JPEGImages" / "480p" / name, 5)
    number = np.zeros((20, 24), np.uint8)
    number[:, 12:], number[0] = 2, 1
    for n in range(5):
        values.Labels().write(number, tmp_path / "Annotations" / "480p" / "held" / f"{n:05d}.png")
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "train.txt").write_text("moves\n")
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("held\n")
    return tmp_path


def test_masks_of_davis_lie_on_their_frames(davis):
    assert set(opened("davis", "train", davis)[0]) == {"frames"}
    source = opened("davis", "test", davis, size=20)
    example = source[0]
    assert example["points"].shape == (5, 2, 0, 3) and source.name(0) == "held/00000"
    # Of 24 x 20 pixels the middle 20 x 20: the right half begins two to the left.
    expected = np.zeros((20, 20), np.uint8)
    expected[:, 10:], expected[0] = 2, 1
    np.testing.assert_array_equal(example["labels"], [expected] * 5)


def test_what_is_wrong_with_davis_is_named(davis):
    mask = davis / "Annotations" / "480p" / "held" / "00000.png"
    whole = mask.read_bytes()
    Image.new("L", (24, 20)).save(mask)
    with pytest.raises(InputError, match="00000.png: marks nothing"):
        opened("davis", "val", davis)
    Image.new("L", (24, 10), 255).save(mask)
    with pytest.raises(InputError, match="00000.png: is 24 x 10 px, but its frame 24 x 20"):
        opened("davis", "val", davis)
    Image.fromarray(np.uint8(np.arange(480).reshape(20, 24) % 77)).save(mask)
    with pytest.raises(InputError, match=r"00000.png: has the label 21 \(77 different ones\); at most 20 are allowed"):
        opened("davis", "val", davis)
    mask.write_bytes(whole)
    (davis / "ImageSets" / "2017" / "val.txt").write_text("gone\n")
    with pytest.raises(InputError, match="JPEGImages/480p/gone', which its list of 'val' names"):
        opened("davis", "val", davis)
    (davis / "ImageSets" / "2017" / "val.txt").unlink()
    with pytest.raises(InputError, match="no ImageSets/\\*/val.txt in"):
        opened("davis", "val", davis)


def test_the_palette_is_pascal_vocs():
    assert labels.PALETTE[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert labels.PALETTE[[20, 255]].tolist() == [[0, 64, 128], [224, 224, 192]]
