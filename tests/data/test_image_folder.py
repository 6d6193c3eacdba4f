"""A folder of images: its splits, classes, and files that cannot be read."""

import hashlib
import logging
import os

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import images
from vision_gen.errors import InputError


def opened(folder, split, size=32, **fields):
    return data.open(data.Settings(name="image_folder", dir=str(folder), size=size, **fields), split)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_truncated_files_are_found_named_and_left_out_if_asked(image_folder, suffix):
    victim = sorted(image_folder.glob(f"*.{suffix}"))[0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{victim.name}: (truncated|not a readable image).*skip_unreadable=True"):
        opened(image_folder, "train")
    sources = [opened(image_folder, split, skip_unreadable=True) for split in data.SPLITS]
    assert sources[0].skipped == [victim]
    rest = [path for source in sources for path in source.paths]
    assert len(rest) == len(set(rest)) == 11 and victim not in rest


def test_a_file_damaged_in_the_middle_is_left_out_if_asked(image_folder):
    victim = image_folder / "picture00.png"
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF  # Header and end marker stay.
    victim.write_bytes(damaged)
    splits = [opened(image_folder, split, skip_unreadable=True) for split in data.SPLITS]
    assert splits[0].skipped == [victim]
    assert sum(len(s) for s in splits) == 11
    for source in splits:
        for index in range(len(source)):
            assert source[index]["colour"].shape == (32, 32, 3)


def test_folders_that_cannot_be_used_are_named(tmp_path, image_folder):
    with pytest.raises(InputError, match="is not a folder"):
        opened(tmp_path / "nowhere", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images .* below"):
        opened(tmp_path / "empty", "train")
    with pytest.raises(InputError, match="config.data.dir: '' is not a folder; image_folder needs one"):
        opened("", "train")
    for path in sorted(image_folder.iterdir())[2:]:
        path.unlink()
    with pytest.raises(InputError, match="at least 3 are needed"):
        opened(image_folder, "train")


def test_split_folders_are_used_as_they_are(image_folder):
    for index, path in enumerate(sorted(image_folder.iterdir())):
        folder = image_folder / data.SPLITS[index % 3]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    source = opened(image_folder, "val")
    assert len(source) == 4 and all(p.parent.name == "val" for p in source.paths)
    assert source[0]["colour"].shape == (32, 32, 3)
    assert source.name(0).startswith("val/picture") and len({source.name(i) for i in range(4)}) == 4


def test_splits_are_disjoint_and_whole_and_of_any_shape(image_folder):
    sources = {split: opened(image_folder, split, size=(24, 16)) for split in data.SPLITS}
    assert {split: len(source) for split, source in sources.items()} == {"train": 10, "val": 1, "test": 1}
    assert len({source.name(i) for source in sources.values() for i in range(len(source))}) == 12
    for source in sources.values():
        assert source[0]["colour"].shape == source.shapes["colour"].shape == (24, 16, 3)


def part(name):
    """Of a name's hash, from 0 to 1: below 0.10 is test, below 0.15 val."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64


def save(*paths, shade=0):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade,) * 3).save(path)


def names(folder, **fields):
    sources = {split: opened(folder, split, **fields) for split in data.SPLITS}
    return {split: {source.name(i) for i in range(len(source))} for split, source in sources.items()}


def test_a_file_keeps_its_split_whatever_other_files_there_are(tmp_path):
    save(*(tmp_path / f"{i}.png" for i in range(60)))
    before = names(tmp_path)
    for split, low, high in (("test", 0, 0.10), ("val", 0.10, 0.15), ("train", 0.15, 1)):
        assert before[split] == {f"{i}.png" for i in range(60) if low <= part(f"{i}.png") < high} != set()
    save(*(tmp_path / f"{i}.png" for i in range(60, 100)))
    (tmp_path / "3.png").unlink()
    after = names(tmp_path)
    for split in data.SPLITS:
        assert before[split] - {"3.png"} <= after[split]


def test_files_added_to_a_few_are_held_out_but_none_of_train_is(tmp_path):
    save(*(tmp_path / f"{i}.png" for i in range(3)))
    seen = names(tmp_path)["train"]
    assert len(seen) == 1
    for i in range(3, 30):
        save(tmp_path / f"{i}.png")
        found = names(tmp_path)
        assert all(found.values()) and not seen & (found["val"] | found["test"])
        seen |= found["train"]


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(
    "folders", [{"train": "Train", "val": "valid"}, {"train": "training", "test": "TEST"}, {"train": "train"}]
)
def test_splits_that_are_there_are_used_and_the_others_taken_from_train(tmp_path, folders, labels):
    for split, count in {"train": 40, "val": 3, "test": 4}.items():
        if split in folders:
            save(*(tmp_path / folders[split] / "ab"[i % 2] / f"{i}.png" for i in range(count)))
    found = names(tmp_path, labels=labels)
    training = {f"{folders['train']}/{'ab'[i % 2]}/{i}.png" for i in range(40)}
    for split, (low, high) in {"test": (0, 0.10), "val": (0.10, 0.15)}.items():
        if split in folders:
            assert len(found[split]) == {"val": 3, "test": 4}[split] and not found[split] & training
        else:
            inner = {name.partition("/")[2]: name for name in training}
            assert found[split] == {inner[name] for name in inner if low <= part(name) < high} != set()
    assert found["train"] == training - found["val"] - found["test"]
    assert opened(tmp_path, "train", labels=labels).classes == (("a", "b") if labels else ())


def test_folders_of_splits_that_are_none_or_two_are_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vision_gen")
    save(*(tmp_path / "vehicles" / kind / f"{i}.png" for kind in ("bus", "train") for i in range(6)))
    assert opened(tmp_path / "vehicles", "train", labels=True).classes == ("bus", "train")
    assert caplog.messages[-1].endswith("vehicles: train lie beside bus and are taken for no splits")
    save(*(tmp_path / "more" / name / f"{i}.png" for name in ("train", "val", "unlabelled") for i in range(6)))
    save(tmp_path / "more" / "loose.png")
    assert len(opened(tmp_path / "more", "val")) == 6
    assert caplog.messages[-1].endswith(
        "the splits are train, val; left out 1 folder(s) and 1 image(s) beside them, the first: unlabelled"
    )
    save(tmp_path / "more" / "Valid" / "0.png")
    with pytest.raises(InputError, match="config.data.dir: 'Valid' and 'val' in .* are both 'val'"):
        opened(tmp_path / "more", "train")
    save(tmp_path / "held" / "test" / "0.png")
    assert len(opened(tmp_path / "held", "test")) == 1
    with pytest.raises(InputError, match=r"config.data.dir: no 'train' in .*, only \['test'\]"):
        opened(tmp_path / "held", "train")


def test_hidden_files_and_folders_are_no_classes_and_no_images(tmp_path):
    save(*(tmp_path / kind / f"{i}.png" for kind in ("cat", "dog") for i in range(5)))
    save(*(tmp_path / name for name in (".ipynb_checkpoints/0-checkpoint.png", "cat/._0.png", ".git/a/0.png")))
    assert opened(tmp_path, "train", labels=True).classes == ("cat", "dog")
    assert set.union(*names(tmp_path).values()) == {f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(5)}


def test_links_to_folders_are_followed_once(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vision_gen")
    save(*(tmp_path / "pool" / f"{i}.png" for i in range(5)))
    save(*(tmp_path / "data" / "cat" / f"{i}.png" for i in range(5)))
    os.symlink(tmp_path / "pool", tmp_path / "data" / "dog")
    os.symlink(tmp_path / "data", tmp_path / "data" / "cat" / "loop")
    os.symlink(tmp_path / "data" / "cat", tmp_path / "data" / "again")
    found = set.union(*names(tmp_path / "data").values())
    assert found == {f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(5)}
    assert opened(tmp_path / "data", "train", labels=True).classes == ("cat", "dog")
    again = [line for line in caplog.messages if "another name of a folder that is read already" in line]
    assert len(again) == 2 and again[0].startswith(f"{tmp_path}/data/again: left out")


def test_tif_and_bmp_are_read_and_what_is_not_is_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO, "vision_gen")
    save(*(tmp_path / f"{i}{suffix}" for i in range(3) for suffix in (".png", ".TIF", ".bmp", ".jfif", ".tiff")))
    for name in ("a.avif", "b.avif", "c.heic", "captions"):
        (tmp_path / name).write_bytes(b"?")
    assert sum(map(len, names(tmp_path).values())) == 15
    assert caplog.messages == [f"{tmp_path}: left out 4 file(s) of other kinds: 2 .avif, 1 .heic, 1 captions"]
    for path in tmp_path.glob("*.*"):
        if path.suffix not in (".avif", ".heic"):
            path.unlink()
    with pytest.raises(InputError, match="no images .* below .*, only 2 .avif, 1 .heic, 1 captions"):
        opened(tmp_path, "train")


def test_a_thin_picture_is_fitted(tmp_path):
    for i in range(3):
        Image.new("RGB", (20_000, 1), (7, 8, 9)).save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(opened(tmp_path, "train")[0]["colour"], np.full((32, 32, 3), (7, 8, 9)))


def test_bytes_after_the_end_are_no_fault(image_folder):
    """Motion photos have a film there, some cameras zeros."""
    for path in image_folder.iterdir():
        path.write_bytes(path.read_bytes() + bytes(range(200)) * 100)
    assert sum(len(opened(image_folder, split)) for split in data.SPLITS) == 12
    victim = sorted(image_folder.glob("*.jpg"))[0]
    victim.write_bytes(victim.read_bytes()[:500] + bytes(20_000))  # Half a picture, then zeros.
    with pytest.raises(InputError, match=f"{victim.name}: truncated"):
        opened(image_folder, "train")


@pytest.mark.filterwarnings("ignore:Image size")
def test_a_picture_of_more_pixels_than_allowed_is_refused(image_folder):
    victim = image_folder / "picture00.png"
    Image.new("1", (15_000, 12_000)).save(victim)
    match = "picture00.png: more than 178,956,970 pixels, which config.data.max_pixels allows"
    with pytest.raises(InputError, match=match):
        opened(image_folder, "train")
    assert images.problem(victim, decode=False, max_pixels=180_000_000) is None
    with pytest.raises(InputError, match=r"more than 1,000 pixels, .* \(and 11 more\)"):
        opened(image_folder, "train", max_pixels=1000)


def test_the_limit_of_pil_is_no_limit_of_ours(image_folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # PIL refuses 40 x 36 pixels.
    assert opened(image_folder, "train")[0]["colour"].shape == (32, 32, 3)


def test_labels_are_folders_and_known_without_decoding(image_folder):
    for index, path in enumerate(sorted(image_folder.iterdir())):
        (image_folder / ("cats" if index % 3 else "dogs")).mkdir(exist_ok=True)
        path.rename(image_folder / ("cats" if index % 3 else "dogs") / path.name)
    source = opened(image_folder, "train", labels=True)
    assert source.classes == ("cats", "dogs")
    labels = [source.classes.index(source.paths[i].parent.name) for i in range(len(source))]
    assert [source[i]["label"] for i in range(len(source))] == labels
    np.testing.assert_array_equal(source.column("label"), labels)
    (image_folder / "cats" / "x.png").write_bytes((image_folder / "cats" / source.paths[0].name).read_bytes())
    (image_folder / "cats" / "x.png").rename(image_folder / "x.png")
    with pytest.raises(InputError, match="x.png: has no class"):
        opened(image_folder, "train", labels=True)
