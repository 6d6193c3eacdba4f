"""CelebA's layout: read as it is distributed, written so that it reads back, and wrong lists named."""

import random

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import celeba
from vision_gen.errors import InputError

ATTRIBUTES = "4\nSmiling Young\n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg  1  1\n000004.jpg -1 -1\n"
PARTITION = "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n000004.jpg 2\n"


@pytest.fixture
def folder(tmp_path):
    """Four images of CelebA's size, grey but for a red margin that the central square does not have."""
    (tmp_path / "img_align_celeba").mkdir()
    for number in range(1, 5):
        picture = np.full((218, 178, 3), (255, 0, 0), np.uint8)
        picture[20:198] = 50 * number
        Image.fromarray(picture).save(tmp_path / "img_align_celeba" / f"{number:06d}.jpg", quality=95)
    (tmp_path / "list_attr_celeba.txt").write_text(ATTRIBUTES)
    (tmp_path / "list_eval_partition.txt").write_text(PARTITION)
    return tmp_path


def opened(folder, split="train", **fields):
    return data.open(data.Settings(name="celeba", dir=str(folder), labels=True, **fields), split)


def test_the_middle_of_images_and_their_attributes_by_split(folder):
    found = {split: opened(folder, split) for split in data.SPLITS}
    assert {split: [s.name(i) for i in range(len(s))] for split, s in found.items()} == {
        "train": ["000001.jpg", "000002.jpg"], "val": ["000003.jpg"], "test": ["000004.jpg"],
    }  # fmt: skip
    train = found["train"]
    assert list(train.attributes) == ["Smiling", "Young"] and train.classes == ("no", "yes")
    first, second = train[0], train[1]
    assert first["attributes"].tolist() == [False, True] and second["attributes"].tolist() == [True, False]
    assert (first["label"], second["label"]) == (0, 1) and first["traits"].tolist() == [0, 1]
    assert train.describe(1) == {"Smiling": "yes", "Young": "no"}
    assert first["colour"].shape == (64, 64, 3) and np.abs(first["colour"][4:-4].astype(int) - 50).max() < 6
    assert opened(folder, label="Young").column("label").tolist() == [1, 0]
    assert list(data.open(data.Settings(name="celeba", dir=str(folder)), "val")[0]) == ["colour"]


def test_the_layout_of_stargans_code_is_divided_as_there(tmp_path):
    (tmp_path / "images").mkdir()
    names = [f"{number:06d}.png" for number in range(1, 31)]
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / "images" / name)
    lines = [f"{name} {1 - 2 * (number % 2)}" for number, name in enumerate(names)]
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["30", "Smiling", *lines]))
    found = {split: opened(tmp_path, split, size=8) for split in data.SPLITS}
    held_out = {split: [s.name(i) for i in range(len(s))] for split, s in found.items()}
    random.seed(1234)
    random.shuffle(lines)  # As there.
    assert held_out["test"] == [line.split()[0] for line in lines[:3]]
    assert sorted(sum(held_out.values(), [])) == names and 1 <= len(held_out["val"]) < 6
    for source in found.values():
        assert [bool(e["attributes"][0]) for e in source] == [e["colour"][0, 0, 0] % 2 == 0 for e in source]


def test_attributes_that_are_named_are_those_of_an_example_in_that_order(folder):
    source = opened(folder, attributes=("Young", "Smiling"), label="Young")
    assert list(source.attributes) == ["Young", "Smiling"] and source.column("label").tolist() == [1, 0]
    assert source[0]["attributes"].tolist() == [True, False] and source[1]["attributes"].tolist() == [False, True]
    source = opened(folder, attributes=("Young",))  # The label is none of them.
    assert source.column("attributes").tolist() == [[True], [False]] and source.column("label").tolist() == [0, 1]
    for names, message in ((("Yung",), "celeba has no 'Yung'; did you mean 'Young'?"), (("Young", "Young"), "twice")):
        with pytest.raises(InputError, match=f"config.data.attributes.*{message}"):
            opened(folder, attributes=names)
    with pytest.raises(InputError, match=r"attributes is \('Young',\), but config.data.labels=False asks for none"):
        data.open(data.Settings(name="celeba", dir=str(folder), attributes=("Young",)), "val")


@pytest.mark.parametrize(
    "file,text,message",
    [
        ("list_attr_celeba.txt", ATTRIBUTES.replace("4\n", "5\n", 1), "says 5 images in its first line, but has 4"),
        ("list_attr_celeba.txt", ATTRIBUTES.replace("  1\n", "\n", 1), "line 3 must be a file and 2 of -1 or 1, got"),
        ("list_attr_celeba.txt", ATTRIBUTES.replace("-1 -1", "-1 0"), "line 6 must be a file and 2 of -1 or 1, got"),
        ("list_attr_celeba.txt", ATTRIBUTES.split("\n", 1)[1], "txt: must begin with a line of the number of images"),
        ("list_attr_celeba.txt", ATTRIBUTES.replace("Young", "Smiling"), "txt: names an attribute twice"),
        ("list_attr_celeba.txt", ATTRIBUTES.replace("02.jpg", "01.jpg"), "txt: line 4 has 000001.jpg again"),
        ("list_eval_partition.txt", PARTITION.replace("jpg 2", "jpg 3"), "line 4 must be a file and 1 of 0 or 1 or"),
        (
            "list_eval_partition.txt", PARTITION.split("\n", 1)[1],
            "list_attr_celeba.txt: 1 of its images are not in .*list_eval_partition.txt, the first: 000001.jpg",
        ),
        (
            "list_eval_partition.txt", PARTITION + "000005.jpg 2\n",
            "list_eval_partition.txt: 1 of its images are not in .*list_attr_celeba.txt, the first: 000005.jpg",
        ),
    ],
)  # fmt: skip
def test_a_wrong_list_is_named(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=message):
        opened(folder)


@pytest.mark.parametrize(
    "file,message",
    [
        ("list_attr_celeba.txt", "list_attr_celeba.txt: cannot be read .*; CelebA's layout has img_align_celeba/, "),
        ("list_eval_partition.txt", "list_eval_partition.txt: cannot be read"),
        (
            "img_align_celeba/000003.jpg",
            "list_attr_celeba.txt: 1 of its images are not in .*img_align_celeba, the first: 000003.jpg",
        ),
    ],
)
def test_what_is_missing_is_named(folder, file, message):
    (folder / file).unlink()
    with pytest.raises(InputError, match=message):
        opened(folder)


def test_other_attributes_and_broken_images_are_named(folder):
    with pytest.raises(InputError, match="config.data.label: celeba has no 'Smilling'; did you mean 'Smiling'"):
        opened(folder, label="Smilling")
    path = folder / "img_align_celeba" / "000002.jpg"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="000002.jpg: .*config.data.skip_unreadable=True leaves such files out"):
        opened(folder)
    source = opened(folder, skip_unreadable=True)
    assert len(source) == 1 and source.skipped == [path] and source[0]["attributes"].tolist() == [False, True]


def test_faces_that_are_written_read_back(tmp_path):
    settings = data.Settings(name="avatars", labels=True, examples=3, dir=str(tmp_path / "tfds"))
    sources = {split: data.open(settings, split) for split in data.SPLITS}
    celeba.write(sources, tmp_path / "faces")
    for split, source in sources.items():
        read = opened(tmp_path / "faces", split)
        assert list(read.attributes) == list(source.attributes) and len(read) == len(source)
        for index in range(len(source)):
            for name in ("colour", "attributes"):
                np.testing.assert_array_equal(read[index][name], source[index][name])
