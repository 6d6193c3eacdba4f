"""Biased data: how often a bias goes with its label in each split, and what is seen is what is said."""

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import bias, biased_fruit
from vision_gen.errors import InputError


def opened(name, split="train", **fields):
    return data.open(data.Settings(name=name, **fields), split)


def groups(source):
    """Numbers of examples [labels, biases]."""
    found = np.zeros((len(source.classes), len(source.biases)), int)
    np.add.at(found, (source.column("label"), source.column("bias")), 1)
    return found


def test_a_share_of_each_label_has_other_biases():
    label = np.repeat([0, 1, 2], [100, 200, 50])
    found = bias.drawn(label, 0.1)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (label, found), 1)
    assert np.diag(counts).tolist() == [90, 180, 45]
    others = counts[~np.eye(3, dtype=bool)].reshape(3, 2)
    assert others.sum(1).tolist() == [10, 20, 5] and (np.ptp(others, 1) <= 1).all()
    assert (bias.drawn(label, 0.0) == label).all() and not (bias.drawn(label, 1.0) == label).any()


def test_digits_have_their_colours_in_training_and_every_colour_in_test():
    train, test = opened("coloured_digits", size=8), opened("coloured_digits", "test", size=8)
    counts = groups(train)
    share = 1 - np.diag(counts) / counts.sum(1)
    assert (0.005 < share).all() and (share < 0.015).all()
    assert (train.column("aligned") == (train.column("label") == train.column("bias"))).all()
    counts = groups(test)
    assert (counts == counts[:, :1]).all() and counts.min() >= 10
    assert len({test.name(i) for i in range(len(test))}) == len(test)
    # The scan's greys in the colour that is said: scan by scan the same, times ten colours.
    ten = np.stack([test[i]["colour"] for i in range(10)]).astype(float)
    grey = ten.max(-1) / ten.max((1, 2, 3))[:, None, None]
    np.testing.assert_allclose(grey, np.broadcast_to(grey[:1], grey.shape), atol=0.02)
    names = [test.biases[test[i]["bias"]] for i in range(10)]
    brightest = {name: picture.reshape(-1, 3)[picture.sum(-1).argmax()] for name, picture in zip(names, ten)}
    assert brightest["red"][0] > 2 * brightest["red"][1:].max() and brightest["white"].min() > 200
    assert brightest["blue"][2] > 2 * brightest["blue"][:2].max()


def test_fruit_has_the_colour_that_is_said():
    train, test = opened("biased_fruit", size=64, examples=500), opened("biased_fruit", "test", size=64)
    assert (groups(train) - np.diag(np.diag(groups(train)))).sum() == 5 and (groups(test) == 40).all()
    seen = {}
    for i in range(25):
        colours = test[i]["colour"].reshape(-1, 1, 3).astype(int)
        near = (np.abs(colours - list(map(_rgb, biased_fruit.COLOURS))).max(-1) < 30).sum(0)
        seen[test.name(i)] = test.biases[near.argmax()], test.biases[test[i]["bias"]]
    assert sum(found == said for found, said in seen.values()) >= 24, seen
    assert (test[0]["colour"] != test[25]["colour"]).any() and (test[0]["colour"] != train[0]["colour"]).any()
    again = opened("biased_fruit", "test", size=64)
    assert (test[7]["colour"] == again[7]["colour"]).all()


def _rgb(colour):
    return [int(biased_fruit.COLOURS[colour][0][i : i + 2], 16) for i in (1, 3, 5)]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """CelebA's layout: 40 blond women, 20 blond men, 30 other women and 60 other men to train on, and fewer others."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "img_align_celeba").mkdir()
    counts = {0: {"1 -1": 40, "1 1": 20, "-1 -1": 30, "-1 1": 60}, 1: {"1 -1": 3, "1 1": 2, "-1 -1": 5, "-1 1": 4}}
    counts[2] = counts[1] | {"1 1": 0}
    lines = [(values, part) for part, of in counts.items() for values, count in of.items() for _ in range(count)]
    for number, (values, _) in enumerate(lines):
        shades = [250 if value == "1" else 20 for value in values.split()]
        Image.new("RGB", (16, 16), (*shades, number % 250)).save(folder / "img_align_celeba" / f"{number:03d}.png")
    rows = [f"{n:03d}.png {values}" for n, (values, _) in enumerate(lines)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(lines)), "Blond_Hair Male", *rows, ""]))
    parts = [f"{n:03d}.png {part}" for n, (_, part) in enumerate(lines)]
    (folder / "list_eval_partition.txt").write_text("\n".join([*parts, ""]))
    return dict(name="celeba", dir=str(folder), size=16)


def chosen(part, split="train", **fields):
    fields = dict(label_by="Blond_Hair", bias_by="Male", goes_with=dict(yes="no", no="yes"), conflicting=0.1) | fields
    return opened("biased", split, parts=dict(faces=part), size=16, **fields)


def test_faces_are_chosen_so_that_two_attributes_go_together(people):
    train = chosen(people)
    assert train.classes == train.biases == ("no", "yes")
    assert groups(train).tolist() == [[5, 60], [40, 6]]  # Blond women, other men, and a tenth of others.
    assert train.column("aligned").sum() == 100
    for i in range(len(train)):
        example = train[i]
        assert (example["colour"][0, 0, :2] > 128).tolist() == [example["label"] == 1, example["bias"] == 1]
        assert example["aligned"] == (example["label"] != example["bias"])
    assert groups(chosen(people, conflicting=0.5)).tolist() == [[30, 25], [25, 20]]  # As many as there are of both.
    assert groups(chosen(people, conflicting=0.0)).tolist() == [[0, 60], [40, 0]]
    assert groups(chosen(people, "val")).tolist() == [[2, 2], [2, 2]]
    with pytest.raises(InputError, match="celeba has no example of 'yes' with 'yes' in 'test'"):
        chosen(people, "test")


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(label_by="Blond"), "config.data.label_by: celeba has no 'Blond'; did you mean 'Blond_Hair'"),
        (dict(bias_by="Blond_Hair"), "must be two traits, got 'Blond_Hair' for both"),
        (dict(goes_with=dict(maybe="no", no="yes")), "config.data.goes_with: Blond_Hair has no value 'maybe'"),
        (dict(goes_with=dict(yes="yes", no="yes")), "must name labels that different biases go with"),
    ],
)
def test_what_does_not_fit_is_named(people, fields, message):
    with pytest.raises(InputError, match=message):
        chosen(people, **fields)


def test_a_part_has_neither_labels_nor_is_it_without_traits(people):
    with pytest.raises(InputError, match="config.data.parts.faces.labels must be False"):
        chosen(people | dict(labels=True))
    with pytest.raises(InputError, match="must be a data set of faces .* got 'digits'"):
        chosen(dict(name="digits", size=8))


def written(folder, names):
    """Small images of the shades of their numbers, as `<id>_<class>_<bias>.png` below a folder."""
    for name in names:
        number = int((folder / name).stem.split("_")[0])
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12), (number, 0, 0)).save(folder / name)


SHARE = ["align/0/1_0_0.png", "align/1/2_1_1.png", "align/2/3_2_1.png", "conlict/0/4_0_1.png"]


def test_folders_of_published_sets_are_read(tmp_path):
    """With class folders and without, held-out ones in the share's folder or beside it; two classes with one bias."""
    written(tmp_path / "1pct", [*SHARE, "valid/5_1_0.png"])
    written(tmp_path, ["test/1/6_2_1.png", "test/0/7_0_1.png"])
    found = {split: opened("bias_folder", split, dir=str(tmp_path / "1pct"), size=8) for split in data.SPLITS}
    train = found["train"]
    assert train.classes == ("0", "1", "2") and train.biases == ("0", "1")
    assert [train.name(i) for i in range(4)] == [f"1pct/{name}" for name in SHARE]
    assert [[int(train[i][name]) for name in ("label", "bias", "aligned")] for i in range(4)] == [
        [0, 0, 1], [1, 1, 1], [2, 1, 1], [0, 1, 0],
    ]  # fmt: skip
    assert [train[i]["colour"][0, 0].tolist() for i in (0, 3)] == [[1, 0, 0], [4, 0, 0]]
    assert found["val"].column("aligned").tolist() == [0] and found["val"].name(0) == "1pct/valid/5_1_0.png"
    assert [found["test"].name(i) for i in range(2)] == ["test/0/7_0_1.png", "test/1/6_2_1.png"]
    assert found["test"].column("aligned").tolist() == [0, 1]


@pytest.mark.parametrize(
    "more, split, message",
    [
        (["align/8.png"], "train", "align/8.png: must be called <id>_<class>_<bias>, with numbers, such as 17_3_5.png"),
        (["conlict/8_1_1.png"], "train", "8_1_1.png: conflicts, but others in align/ have the class 1 and bias 1"),
        (["valid/8_5_0.png"], "val", r"8_5_0.png: has the class 5 and bias 0; .* \[0, 1, 2\] and biases \[0, 1\]"),
        ([], "test", "config.data.dir: no test/ in .*1pct or "),
    ],
)
def test_folders_that_do_not_agree_are_refused(tmp_path, more, split, message):
    written(tmp_path / "1pct", [*SHARE, *more])
    with pytest.raises(InputError, match=message):
        opened("bias_folder", split, dir=str(tmp_path / "1pct"), size=8)


HEADER = "img_id,img_filename,y,split,place,place_filename\n"
BIRDS = HEADER + "1,birds/1.png,0,0,0,a\n2,birds/2.png,1,0,1,b\n3,birds/3.png,0,1,1,c\n4,birds/4.png,1,2,0,d\n"


def birds(folder, table=BIRDS, split="train", **fields):
    written(folder, [f"birds/{number}.png" for number in range(1, 5)])
    (folder / "metadata.csv").write_text(table)
    return opened("waterbirds", split, dir=str(folder), size=8, **fields)


def test_waterbirds_are_read(tmp_path):
    train = birds(tmp_path)
    assert train.classes == ("landbird", "waterbird") and train.biases == ("land", "water")
    assert train.column("label").tolist() == train.column("bias").tolist() == [0, 1] and train[1]["aligned"] == 1
    assert train[1]["colour"][0, 0, 0] == 2 and train.name(1) == "birds/2.png"
    val, test = birds(tmp_path, split="val"), birds(tmp_path, split="test")
    assert [int(val[0][name]) for name in ("label", "bias", "aligned")] == [0, 1, 0]
    assert [int(test[0][name]) for name in ("label", "bias", "aligned")] == [1, 0, 0]
    (tmp_path / "birds" / "2.png").write_bytes(b"nothing")
    (tmp_path / "birds" / "1.png").rename(tmp_path / "birds" / "1b.png")
    with pytest.raises(InputError, match="metadata.csv: line 2 names 'birds/1.png', which is not there"):
        opened("waterbirds", dir=str(tmp_path), size=8)
    (tmp_path / "birds" / "1b.png").rename(tmp_path / "birds" / "1.png")
    left = opened("waterbirds", dir=str(tmp_path), size=8, skip_unreadable=True)
    assert [left.name(i) for i in range(len(left))] == ["birds/1.png"] and len(left.skipped) == 1


@pytest.mark.parametrize(
    "table, message",
    [
        ("img_filename,y,split\n", "metadata.csv: has no column 'place'; it must have img_filename, y, place, split"),
        (HEADER + "1,birds/1.png,1,0,0,a\n" * 2, "metadata.csv: line 3 names 'birds/1.png' again"),
        (HEADER + "1,birds/1.png,2,0,0,a\n", "metadata.csv: line 2 has y '2'; it must be 0 or 1"),
        (HEADER + "1,birds/1.png,1,0\n", "metadata.csv: line 2 has place None; it must be 0 or 1"),
    ],
)
def test_a_wrong_table_of_birds_is_refused(tmp_path, table, message):
    with pytest.raises(InputError, match=message):
        birds(tmp_path, table)
