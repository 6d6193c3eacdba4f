"""A folder of images: its splits, classes, and files that cannot be read."""

import numpy as np
import pytest

from vision_gen import data
from vision_gen.errors import InputError


def opened(folder, split, size=32, **fields):
    return data.open(data.Settings(name="image_folder", dir=str(folder), size=size, **fields), split)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_truncated_files_are_found_named_and_left_out_if_asked(image_folder, suffix):
    victim = sorted(image_folder.glob(f"*.{suffix}"))[0]
    victim.write_bytes(victim.read_bytes()[:-20])
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


def test_the_split_is_that_of_former_versions(image_folder):
    assert opened(image_folder, "test").name(0) == "picture01.jpg"
    assert opened(image_folder, "val").name(0) == "picture08.webp"


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
