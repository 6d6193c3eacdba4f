"""Folders of clips, DAVIS's and JHMDB's layouts: windows of frames, splits, masks, joints, and what is wrong by name."""

import numpy as np
from PIL import Image
import pytest
import scipy.io

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


@pytest.fixture
def jhmdb(tmp_path):
    """Two clips of 24 x 20 px; joint j of frame n of the held-out one is at pixel (j + n, 2 j) by Matlab's count."""
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "wave_test_split1.txt").write_text("moves.avi 1\nheld.avi 2 \nneither.avi 0\n")
    for name in ("moves", "held"):
        frames(tmp_path / "Rename_Images" / "wave" / name, 5)
        (tmp_path / "joint_positions" / "wave" / name).mkdir(parents=True)
    n, j = np.arange(5.0), np.arange(15.0)[:, None]
    places = np.stack([j + n, 2 * j + 0 * n])
    scipy.io.savemat(tmp_path / "joint_positions" / "wave" / "held" / "joint_positions.mat", {"pos_img": places})
    return tmp_path


def test_joints_of_jhmdb_lie_on_their_frames(jhmdb):
    assert set(opened("jhmdb", "train", jhmdb)[0]) == {"frames"}  # And no file of joints is needed.
    source = opened("jhmdb", "test", jhmdb, size=10)
    assert len(source) == 1 and source.name(0) == "wave/held/00000"
    joints = source[0]["joints"]
    # Of 24 x 20 pixels the middle 20 x 20, halved; the middle of pixel 1 is at 0.5.
    np.testing.assert_allclose(joints[3, 4, :2], [(4 + 3 - 0.5 - 2) / 2, (8 - 0.5) / 2])
    inside = (joints[..., :2] >= 0).all(-1) & (joints[..., :2] < 10).all(-1)
    np.testing.assert_array_equal(joints[..., 2], inside)
    assert 0 < inside.sum() < inside.size


def test_what_is_wrong_with_jhmdb_is_named(jhmdb):
    joints = jhmdb / "joint_positions" / "wave" / "held" / "joint_positions.mat"
    scipy.io.savemat(joints, {"pos_img": np.ones((2, 15, 4))})
    with pytest.raises(InputError, match=r"pos_img is \[2, 15, 4\]; it must be finite, of \[2, 15, 5 frames\]"):
        opened("jhmdb", "test", jhmdb)
    joints.write_bytes(b"no matrix")
    with pytest.raises(InputError, match="joint_positions.mat: not a file of joints with pos_img"):
        opened("jhmdb", "test", jhmdb)
    split = jhmdb / "splits" / "wave_test_split1.txt"
    split.write_text("held.avi 2\ngone.avi 2\n")
    with pytest.raises(InputError, match="Rename_Images/wave/gone', which wave_test_split1.txt names"):
        opened("jhmdb", "test", jhmdb)
    split.write_text("held.avi\n")
    with pytest.raises(InputError, match="line 1 is 'held.avi'; it must be a clip's name and 0, 1 or 2"):
        opened("jhmdb", "test", jhmdb)
    split.unlink()
    with pytest.raises(InputError, match="must have JHMDB's layout"):
        opened("jhmdb", "test", jhmdb)


def test_the_palette_is_pascal_vocs():
    assert labels.PALETTE[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert labels.PALETTE[[20, 255]].tolist() == [[0, 64, 128], [224, 224, 192]]
