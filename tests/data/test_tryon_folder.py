"""Folders in VITON-HD's layouts, and what is wrong with some."""

import json

import numpy as np
from PIL import Image
import pytest

from tests.conftest import ROOT
from vision_gen import data
from vision_gen.data import labels, openpose, tryon_folder
from vision_gen.errors import InputError

SAMPLE = ROOT.parent / "shared" / "data" / "viton_hd_sample"
NAMES = [f"{n:05d}_00" for n in range(30)]


def save(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array, np.uint8))
    if palette is not None:
        image.putpalette(palette.tobytes())
    image.save(path)


def points():
    found = np.zeros((25, 3))
    for joint, place in {
        1: (24, 15),
        2: (16, 16),
        3: (12, 28),
        4: (10, 38),
        5: (32, 16),
        9: (18, 40),
        12: (30, 40),
    }.items():
        found[joint] = (*place, 0.9)
    return found


def make(folder, split="test", count=3, late=False):
    """People of 48 x 64 px; person n is grey n, garment n is grey 100 + n. `late`: as later releases have it."""
    parse, json_, img = (
        ("image-parse-v3", "openpose_json", "openpose_img")
        if late
        else ("image-parse", "openpose-json", "openpose-img")
    )
    for n, name in enumerate(NAMES[:count]):
        place = folder / split
        save(place / "image" / f"{name}.jpg", np.full((64, 48, 3), 3 * n))
        save(place / "cloth" / f"{name}.jpg", np.full((64, 48, 3), 100 + 3 * n))
        mask = np.zeros((64, 48))
        mask[16:48, 12:36] = 255
        save(place / "cloth-mask" / f"{name}.jpg", mask)
        labels = np.zeros((64, 48))
        labels[20:40, 16:32] = 5
        labels[:, 40:] = 19
        save(place / parse / f"{name}.png", labels, tryon_folder.PALETTE)
        save(place / img / f"{name}_rendered.png", np.full((64, 48, 3), 200))
        path = place / json_ / f"{name}_keypoints.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(openpose.text(points()))
    lines = [f"{name}.jpg {name}.jpg" for name in NAMES[:count]]
    if split == "test":
        lines = [f"{name}.jpg {other}.jpg" for name, other in zip(NAMES[:count], NAMES[1:count] + NAMES[:1])]
    (folder / f"{split}_pairs.txt").write_text("\n".join(lines))


def opened(folder, split="test", size=(32, 24), **fields):
    return data.open(data.Settings(name="tryon_folder", dir=str(folder), size=size, **fields), split)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("pairs", ["paired", "unpaired"])
def test_both_layouts_are_read(tmp_path, late, pairs):
    make(tmp_path, late=late)
    source = opened(tmp_path, pairs=pairs)
    assert source.shapes == data.shapes(
        data.Settings(name="tryon_folder", dir=str(tmp_path), size=(32, 24), pairs=pairs)
    )
    assert [source.name(i) for i in range(3)] == NAMES[:3]
    others = [0, 1, 2] if pairs == "paired" else [1, 2, 0]
    for index, other in enumerate(others):
        example = source[index]
        assert source.garment(index) == NAMES[other]
        assert (example["image"] == 3 * index).all() and (example["cloth"] == 100 + 3 * other).all()
        assert set(np.unique(example["cloth_mask"])) == {0, 255} and (example["cloth_mask"] == 255).mean() == 0.25
        assert example["cloth_mask"][16, 12] == 255 and (example["pose"] == 200).all()
        assert set(np.unique(example["parse"])) == {0, 5, 19} and example["parse"][15, 12] == 5
        np.testing.assert_allclose(example["keypoints"][5], (16, 8, 0.9))


def test_where_both_are_there_the_later_labels_are_read(tmp_path):
    make(tmp_path)
    make(tmp_path, late=True)
    save(tmp_path / "test" / "image-parse-v3" / f"{NAMES[0]}.png", np.full((64, 48), 7), tryon_folder.PALETTE)
    assert (opened(tmp_path)[0]["parse"] == 7).all()


def test_without_pictures_of_poses_they_are_rendered(tmp_path):
    make(tmp_path)
    for path in (tmp_path / "test" / "openpose-img").iterdir():
        path.unlink()
    (tmp_path / "test" / "openpose-img").rmdir()
    example = opened(tmp_path)[0]
    np.testing.assert_array_equal(example["pose"], openpose.picture(example["keypoints"], (32, 24)))
    assert example["pose"].max() > 100


def test_regions_may_have_lost_their_palette(tmp_path):
    parse = np.random.default_rng(0).integers(0, 20, (64, 48), np.uint8)
    save(tmp_path / "painted.png", tryon_folder.PALETTE[parse])
    np.testing.assert_array_equal(tryon_folder.read_labels(tmp_path / "painted.png"), parse)
    Image.fromarray(parse.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.stack([parse, 255 - parse], -1)).save(tmp_path / "alpha.png")
    for name in ("deep", "alpha"):
        np.testing.assert_array_equal(tryon_folder.read_labels(tmp_path / f"{name}.png"), parse)


def test_a_palette_that_was_sorted_anew_keeps_its_regions(tmp_path):
    parse = np.random.default_rng(0).integers(0, 20, (64, 48), np.uint8)
    order = np.random.default_rng(1).permutation(20)
    save(tmp_path / "sorted.png", np.argsort(order)[parse], tryon_folder.PALETTE[order])
    np.testing.assert_array_equal(tryon_folder.read_labels(tmp_path / "sorted.png"), parse)
    save(tmp_path / "other.png", parse, labels.PALETTE[:20])  # Of other colours its numbers count.
    np.testing.assert_array_equal(tryon_folder.read_labels(tmp_path / "other.png"), parse)


def test_some_of_train_are_held_out(tmp_path):
    make(tmp_path, "train", 30)
    make(tmp_path, "test", 2)
    found = {split: opened(tmp_path, split) for split in data.SPLITS}
    names = {split: {source.name(i) for i in range(len(source))} for split, source in found.items()}
    assert not names["train"] & names["val"] and len(names["train"]) + len(names["val"]) == 30
    assert 1 <= len(names["val"]) < 6 and len(names["test"]) == 2
    # Its pairs file has what they wear, so unpaired garments are those of the next line.
    unpaired = opened(tmp_path, "train", pairs="unpaired")
    for index in range(len(unpaired)):
        assert unpaired.garment(index) == NAMES[(NAMES.index(unpaired.name(index)) + 1) % 30]


def spoil(folder, what, split="test"):
    """Makes one thing wrong with the second person, or with the list."""
    test, name, list_ = folder / split, NAMES[1], folder / f"{split}_pairs.txt"
    points_file = test / "openpose-json" / f"{name}_keypoints.json"
    if what == "no picture":
        (test / "image" / f"{name}.jpg").unlink()
    elif what == "no mask":
        (test / "cloth-mask" / f"{name}.jpg").unlink()
    elif what == "labels":
        save(test / "image-parse" / f"{name}.png", np.full((64, 48), 23))
    elif what == "colours":
        save(test / "image-parse" / f"{name}.png", np.full((64, 48, 3), 200))
    elif what == "smaller labels":
        save(test / "image-parse" / f"{name}.png", np.zeros((32, 24)))
    elif what == "smaller mask":
        save(test / "cloth-mask" / f"{name}.jpg", np.zeros((32, 24)))
    elif what == "black labels":
        save(test / "image-parse" / f"{name}.png", np.zeros((64, 48)))
    elif what == "black mask":
        save(test / "cloth-mask" / f"{name}.jpg", np.zeros((64, 48)))
    elif what == "wide":
        save(test / "image" / f"{name}.jpg", np.zeros((64, 64, 3)))
    elif what == "cut":
        path = test / "cloth" / f"{name}.jpg"
        path.write_bytes(path.read_bytes()[:-20])
    elif what == "nobody":
        points_file.write_text('{"people": []}')
    elif what == "no shoulders":
        lost = points()
        lost[[2, 5]] = 0
        points_file.write_text(openpose.text(lost))
    elif what == "three names":
        list_.write_text(f"{name}.jpg {name}.jpg\n{name}.jpg {name}.jpg 1\n")
    elif what == "folders":
        list_.write_text(f"{name}.jpg {split}/cloth/{name}.jpg\n")
    elif what == "twice":
        list_.write_text(f"{name}.jpg {name}.jpg\n{name}.jpg {name}.jpg\n")
    elif what == "nothing":
        list_.write_text("\n")
    elif what == "no list":
        list_.unlink()


@pytest.mark.parametrize(
    "what,message",
    [
        ("no picture", "test/image/00001_00.jpg: no such file, which 00001_00.jpg with 00001_00.jpg needs"),
        (
            "no mask",
            "test/cloth-mask/00001_00.jpg: no such file, .*; every garment needs its mask, light where the garm",
        ),
        (
            "labels",
            r"test/image-parse/00001_00.png: has the label\(s\) \[23\], which LIP has not; they must be 0 to 19",
        ),
        ("colours", "test/image-parse/00001_00.png: has the colour .200, 200, 200., which VITON-HD has for no label"),
        ("smaller labels", "test/image-parse/00001_00.png: 24 x 32 pixels, but .*test/image/00001_00.jpg has 48 x 64"),
        ("smaller mask", "test/cloth-mask/00001_00.jpg: 24 x 32 pixels, but .*test/cloth/00001_00.jpg has 48 x 64"),
        ("black labels", "test/image-parse/00001_00.png: is 0 everywhere, so nobody is in it"),
        ("black mask", "test/cloth-mask/00001_00.jpg: black everywhere; a mask is light where the garment is"),
        ("wide", r"test/image/00001_00.jpg: 64 x 64 pixels, another shape than config.data.size, \(32, 24\) of height"),
        ("cut", "test/cloth/00001_00.jpg: truncated"),
        ("nobody", "test/openpose-json/00001_00_keypoints.json: nobody is in it"),
        ("no shoulders", "00001_00_keypoints.json: without RShoulder, LShoulder; shoulders must be found, elbows"),
    ],
)
def test_what_is_wrong_with_a_person_is_named_or_they_are_left_out(tmp_path, what, message):
    make(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(InputError, match=message + ".*config.data.skip_unreadable=True leaves such people out$"):
        opened(tmp_path)
    source = opened(tmp_path, skip_unreadable=True)
    assert [source.name(i) for i in range(len(source))] == [NAMES[0], NAMES[2]]
    assert [path.name for path in source.skipped] == ["00001_00.jpg"]


@pytest.mark.parametrize(
    "what,message",
    [
        (
            "three names",
            "test_pairs.txt: line 2 must be a person's file and a garment's, got '00001_00.jpg 00001_00.jpg 1'",
        ),
        ("folders", "test_pairs.txt: line 1 must have names of files without folders, got 'test/cloth/00001_00.jpg'"),
        ("twice", "test_pairs.txt: line 2 has 00001_00.jpg again"),
        ("nothing", "test_pairs.txt: no pairs; each line must be a person's file and a garment's"),
        ("no list", "config.data.dir: no '.*test_pairs.txt'; VITON-HD's layout has it"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(tmp_path, what, message):
    make(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(InputError, match=message):
        opened(tmp_path, skip_unreadable=True)


def test_points_that_may_be_missing_are_said(tmp_path, caplog):
    make(tmp_path)
    place = tmp_path / "test" / "openpose-json"
    moved = points()
    moved[4] = (10, 70, 0.5)  # Below the picture.
    (place / f"{NAMES[0]}_keypoints.json").write_text(openpose.text(moved))
    people = [{"pose_keypoints_2d": points().ravel().tolist()}] * 2
    (place / f"{NAMES[1]}_keypoints.json").write_text(json.dumps({"people": people}))
    with caplog.at_level("INFO", "vision_gen"):
        source = opened(tmp_path)
    said = "\n".join(caplog.messages)
    assert "key points not found: 6 times, the first: 00000_00.jpg LElbow" in said
    assert "key points out of the picture: 1 times, the first: 00000_00.jpg RWrist" in said
    assert "key points of more than one person, of whom the first is taken: 1 times, the first: 00001_00.jpg" in said
    np.testing.assert_allclose(source[0]["keypoints"][4], (5, 35, 0.5))  # It still says where the arm goes.


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"needs {SAMPLE.name}")
def test_viton_hds_own_files():
    source = opened(SAMPLE, size=(256, 192), pairs="unpaired")
    assert [(source.name(i), source.garment(i)) for i in range(3)] == [
        ("08909_00", "02783_00"), ("00891_00", "01430_00"), ("03615_00", "09933_00"),
    ]  # fmt: skip
    for index in range(3):
        example = source[index]
        x, y = example["keypoints"][[2, 5], :2].mean(0)
        assert example["parse"][int(y) + 30, int(x), 0] == 5  # Upper clothes, below the neck.
        assert {0, 2, 5, 13} <= set(np.unique(example["parse"]))
        middle = example["cloth_mask"][100:140, 80:110]
        assert (middle == 255).mean() > 0.95
    with pytest.raises(InputError, match='cloth/08909_00.jpg: no such file, .*config.data.pairs="unpaired" takes the'):
        opened(SAMPLE, size=(256, 192))
