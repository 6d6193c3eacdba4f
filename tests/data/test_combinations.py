"""Combinations of data sets: two side by side, matched by name, balanced, mixed."""

import collections

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import exemplars, pipeline
from vision_gen.errors import InputError

DIGITS = {"name": "digits", "labels": True}


def pictures(folder, names, value=0):
    """A folder of small images, the i-th of the shade value + i; a name may have a folder in front."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (value + number,) * 3).save(folder / name)
    return {"name": "image_folder", "dir": str(folder)}


def opened(name, parts, split="train", size=8, **fields):
    return data.open(data.Settings(name=name, parts=parts, size=size, **fields), split)


def names(source):
    return [source.name(i) for i in range(len(source))]


@pytest.fixture
def two(tmp_path):
    """14 images beside 8 others: 12 and 6 to train on."""
    return {
        "photo": pictures(tmp_path / "photo", [f"p{i:02d}.png" for i in range(14)], 10),
        "art": pictures(tmp_path / "art", [f"a{i}.png" for i in range(8)], 100),
    }


def test_unpaired_parts_have_shuffles_and_lengths_of_their_own(two):
    source = opened("unpaired", two)
    assert len(source) == 12 and list(source[0]) == ["photo_colour", "art_colour"]
    assert source.shapes == data.shapes(data.Settings(name="unpaired", parts=two, size=8))
    epochs = [[source[i] for i in source.order(epoch, 4)] for epoch in range(3)]
    shades = lambda part, epoch: [int(example[f"{part}_colour"][0, 0, 0]) for example in epochs[epoch]]
    for epoch in range(3):
        assert collections.Counter(shades("photo", epoch)).most_common(1)[0][1] == 1
        assert set(collections.Counter(shades("art", epoch)).values()) == {2}
    assert shades("photo", 0) != shades("photo", 1) and shades("art", 0) != shades("art", 1)
    # Who meets whom differs from epoch to epoch.
    assert set(zip(shades("photo", 0), shades("art", 0))) != set(zip(shades("photo", 1), shades("art", 1)))
    # Held out, each of the longer part once, in order.
    assert [name.split("+")[0] for name in names(source)] == sorted(name.split("+")[0] for name in names(source))


def test_a_set_beside_itself_is_not_compared_with_itself(two):
    source = opened("unpaired", {"a": two["photo"], "b": two["photo"]}, size=8)
    shades = lambda order: [[int(source[i][f"{part}_colour"][0, 0, 0]) for part in "ab"] for i in order]
    pairs = shades(range(len(source)))
    assert [b for _, b in pairs] == [a for a, _ in pairs[6:] + pairs[:6]] and len(set(map(tuple, pairs))) == 12
    trained = shades(source.order(0, 1))
    assert sorted(a for a, _ in trained) == sorted(b for _, b in trained) == sorted(a for a, _ in pairs)


def test_unpaired_parts_are_resumed_in_batches(two):
    source = opened("unpaired", two)
    batches = pipeline.training_batches(source, batch_size=5, seed=1)
    first = [next(batches)["art_colour"] for _ in range(4)]
    fresh = pipeline.training_batches(source, batch_size=5, seed=1, seen=5)
    np.testing.assert_array_equal([next(fresh)["art_colour"] for _ in range(3)], first[1:])
    seen = np.concatenate(first)[:18, 0, 0, 0].reshape(3, 6)
    assert all(len(set(epoch)) == 6 for epoch in seen)


def test_paired_examples_are_of_one_name(tmp_path):
    stems = [f"{kind}/{i}" for kind in ("cat", "dog") for i in range(6)]
    parts = {
        "photo": pictures(tmp_path / "a", [f"train/{s}.png" for s in stems] + ["val/x.png", "test/y.png"]),
        "map": pictures(tmp_path / "b", [f"train/{s}.webp" for s in reversed(stems)] + ["val/x.jpg", "test/y.png"], 50),
    }
    source = opened("paired", parts)
    assert names(source) == [f"train/{stem}" for stem in stems]
    assert list(source.shapes) == ["photo_colour", "map_colour"]
    for i in range(12):
        photo, other = (int(source[i][f"{part}_colour"][0, 0, 0]) for part in parts)
        assert photo == i and abs(other - (50 + 11 - i)) <= 1
    assert len(opened("paired", parts, "val")) == len(opened("paired", parts, "test")) == 1
    pictures(tmp_path / "a", ["train/only.png"])
    pictures(tmp_path / "b", [f"train/other{i}.png" for i in range(7)])
    message = (
        "config.data: 12 pairs, 1 of photo without a partner in map: train/only; 7 of map without a partner in photo: "
        "train/other0, .*train/other4, .... config.data.allow_unmatched=True leaves such out"
    )
    with pytest.raises(InputError, match=message):
        opened("paired", parts)
    assert names(opened("paired", parts, allow_unmatched=True)) == names(source)
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "train" / "cat" / "0.jpg")
    with pytest.raises(InputError, match="config.data.parts.photo: train/cat/0.jpg and train/cat/0.png have one name"):
        opened("paired", parts)


def test_parts_without_a_name_in_common_are_refused(two):
    with pytest.raises(InputError, match="config.data: 0 pairs, 12 of photo without a partner in art"):
        opened("paired", two, allow_unmatched=True)


def test_balanced_classes_come_equally_often(tmp_path):
    part = pictures(tmp_path, [f"cat/{i:02d}.png" for i in range(40)] + [f"dog/{i}.png" for i in range(6)])
    source = opened("balanced", {"pets": part | {"labels": True}})
    labels = source.column("label")
    counts = np.bincount(labels)
    assert counts[0] > 5 * counts[1] and len(source) == counts.sum() and source.classes == ("cat", "dog")
    orders = [source.order(epoch, 2) for epoch in range(4)]
    for order in orders:
        assert (labels[order].reshape(-1, 2).sum(1) == 1).all() and abs(len(order) - len(source)) <= 1
    # All of the large class are seen before one is seen again, and of the small one evenly.
    seen = np.concatenate(orders)
    for label, least in ((0, 1), (1, 12)):
        times = np.bincount(seen[labels[seen] == label], minlength=len(labels))[labels == label]
        assert times.min() >= least and times.max() - times.min() <= 1
    assert not np.array_equal(orders[0], orders[1])
    assert [source[i]["label"] for i in range(len(source))] == labels.tolist()


def test_what_cannot_be_balanced_is_named(tmp_path):
    part = pictures(tmp_path, [f"{i}.png" for i in range(4)])
    with pytest.raises(InputError, match="balance_by is 'label'; .*scalars none; config.data.parts.x.labels=True"):
        opened("balanced", {"x": part})
    with pytest.raises(InputError, match=r"balance_by is 'group'; examples of digits have the scalars \['label'\]"):
        data.shapes(data.Settings(name="balanced", parts={"x": DIGITS}, size=8, balance_by="group"))
    with pytest.raises(InputError, match="config.data.parts must be one data set by name for balanced, got .'x', 'y'"):
        opened("balanced", {"x": DIGITS, "y": DIGITS})


def test_references_are_two_of_one_class_and_meet_anew_each_epoch(tmp_path):
    part = pictures(tmp_path, [f"{kind}/{i:02d}.png" for kind, n in (("cat", 30), ("dog", 8), ("eel", 6)) for i in range(n)])
    source = opened("references", {"pets": part | {"labels": True}})
    number, labels = len(source), source.column("label")
    # A picture's shade tells which it is.
    of = {int(source[i]["colour"][0, 0, 0]): labels[i] for i in range(number)}
    shade = lambda example, name: int(example[name][0, 0, 0])
    assert source.classes == ("cat", "dog", "eel") and len(of) == number
    meetings = []
    for epoch in range(2):
        order = source.order(epoch, 4)
        examples = [source[i] for i in order]
        assert [source.name(i) for i in order[:3]] == [source.name(i % number) for i in order[:3]]
        for example in examples:
            first, second = shade(example, "reference"), shade(example, "other_reference")
            assert of[first] == of[second] == example["reference_label"]
            assert of[shade(example, "colour")] == example["label"]
        for name in ("label", "reference_label"):
            counts = np.bincount([example[name] for example in examples])
            assert counts.max() == counts.min()
        pairs = {(example["label"], example["reference_label"]) for example in examples}
        assert len(pairs) == 9
        meetings.append([tuple(shade(e, n) for n in ("colour", "reference", "other_reference")) for e in examples])
    assert not set(meetings[0]) & set(meetings[1]) and len(set(meetings[0])) == len(meetings[0])
    assert sum(a != b for _, a, b in meetings[0]) > 0.6 * len(meetings[0])
    # Held out, in order, with references of the other classes in turn.
    held = [source[i] for i in range(number)]
    assert [e["label"] for e in held] == labels.tolist() and all(e["label"] != e["reference_label"] for e in held)
    assert {e["reference_label"] for e in held if e["label"] == 0} == {1, 2}


def test_what_has_no_references_is_named(tmp_path):
    part = pictures(tmp_path, [f"cat/{i}.png" for i in range(4)])
    with pytest.raises(InputError, match="parts.x.name: references needs label, but .* colour; config.data.parts.x.labels=True"):
        opened("references", {"x": part})
    with pytest.raises(InputError, match="config.data.parts: .* two classes, those of 'train' are all 'cat'"):
        opened("references", {"x": part | {"labels": True}})


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Faces, 120 to train on and 6 and 12 held out, and what is known by features of those like each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISION_GEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("faces")))
        part = {"name": "avatars", "labels": True, "label": "background", "examples": 120}
        yield {split: opened("exemplars", {"x": part}, split, size=64, exemplar_random=0) for split in ("train", "test")}


def places(source):
    """A function of a source's pictures that says which number each has."""
    known = {source[i]["colour"].tobytes(): i for i in range(len(source))}
    assert len(known) == len(source)
    return lambda picture: known[picture.tobytes()]


def test_exemplars_are_more_alike_than_others_are_in_traits_that_nobody_asked_for(faces):
    train = faces["train"]
    place, traits = places(train), train.column("traits")
    alike = lambda a, b: (traits[a] == traits[b]).mean()
    for epoch in range(2):
        order = train.order(epoch, 3)
        examples = [train[i] for i in order]
        pairs = [(place(x["colour"]), place(x["exemplar"])) for x in examples]
        assert sorted(i for i, _ in pairs) == list(range(120)) and all(i != j for i, j in pairs)
        assert [train.name(i) for i in order] == [train.name(i) for i, _ in pairs]
        found, others = (np.mean([alike(i, j) for i, j in of]) for of in (pairs, [(i, i - 7) for i, _ in pairs]))
        assert found > others + 0.1
    assert not np.array_equal(train.order(0, 3), order) and np.array_equal(train.order(1, 3), order)


def test_held_out_pictures_have_exemplars_of_training_and_none_is_for_training(faces):
    train, held = faces["train"], faces["test"]
    place = places(train)
    pictures = {held[i]["colour"].tobytes() for i in range(len(held))}
    assert len(held) == len(pictures) == 12 and not pictures & {train[i]["colour"].tobytes() for i in range(120)}
    for i in range(12):
        assert place(held[i]["exemplar"]) == held._like[i][0]
    assert held.shapes == train.shapes and held.shapes["exemplar"] == held.shapes["colour"]
    assert {train[i]["exemplar"].tobytes() for i in train.order(0, 0)}.isdisjoint(pictures)


def test_features_of_exemplars_are_computed_once(faces, monkeypatch):
    from vision_gen.metrics import extract

    seen = []
    stream = extract.Extractor.stream
    monkeypatch.setattr(extract.Extractor, "stream", lambda self, images: stream(self, seen.extend(x := list(images)) or x))
    part = {"name": "avatars", "labels": True, "label": "background", "examples": 120}
    again = opened("exemplars", {"x": part}, size=64, exemplar_nearest=3)
    assert not seen and np.array_equal(again._like, faces["train"]._like[:, :3])


def test_nearest_are_those_of_the_largest_cosine():
    rng = np.random.default_rng(0)
    some, others = rng.normal(size=(5, 4)), rng.normal(size=(30, 4)) * rng.uniform(1, 9, (30, 1))
    cosine = (some @ others.T) / np.linalg.norm(others, axis=1)
    np.testing.assert_array_equal(exemplars.nearest(some, others, 3), np.argsort(-cosine)[:, :3])
    own = exemplars.nearest(others, others, 99, own=True)
    assert own.shape == (30, 29) and (own != np.arange(30)[:, None]).all()


def test_exemplars_of_a_label_and_at_random(tmp_path):
    part = pictures(tmp_path, [f"{kind}/{i:02d}.png" for kind, n in (("cat", 30), ("dog", 14)) for i in range(n)])
    part["labels"] = True
    asked = dict(exemplar_by="label", exemplar_random=0.0)
    for split in data.SPLITS:
        source = opened("exemplars", {"x": part}, split, **asked)
        of = lambda picture: int(picture[0, 0, 0]) >= 30
        order = source.order(0, 1) if split == "train" else range(len(source))
        for x in (source[i] for i in order):
            assert of(x["colour"]) == of(x["exemplar"]) == x["label"]
            assert x["colour"][0, 0, 0] != x["exemplar"][0, 0, 0]
    source = opened("exemplars", {"x": part}, exemplar_by="label", exemplar_random=0.5)
    examples = [source[i] for epoch in range(20) for i in source.order(epoch, 1)]
    # A half are any other picture, of the same class by chance.
    share = np.array([int(x["exemplar"][0, 0, 0]) >= 30 for x in examples]) == [x["label"] for x in examples]
    assert 0.65 < share.mean() < 0.85 and all(x["colour"][0, 0, 0] != x["exemplar"][0, 0, 0] for x in examples)
    with pytest.raises(InputError, match="parts.x.name: exemplars needs label, but .* colour; config.data.parts.x.labels=True"):
        opened("exemplars", {"x": part | {"labels": False}}, **asked)
    alone = pictures(tmp_path / "alone", ["train/cat/0.png", "train/dog/1.png", "train/dog/2.png", "test/cat/3.png", "val/cat/3.png"])
    with pytest.raises(InputError, match="config.data.parts.x: 'cat' has only one picture in 'train'"):
        opened("exemplars", {"x": alone | {"labels": True}}, **asked)
    with pytest.raises(InputError, match="x.name: references changes from epoch to epoch"):
        opened("exemplars", {"x": {"name": "references", "parts": {"y": part}}})


def test_mixed_parts_have_their_weights(two):
    source = opened("mixed", two, weights={"photo": 1, "art": 2})
    assert len(source) == 18 and source.counts == {"photo": 6, "art": 12}
    part = lambda order: np.array([source.name(i).split("/")[0] for i in order])
    orders = [source.order(epoch, 0) for epoch in range(2)]
    for order in orders:
        assert (part(order) == "photo").sum() == 6 and (part(order) == "art").sum() == 12
        assert part(order).tolist() != sorted(part(order))
    times = np.bincount(np.concatenate(orders), minlength=18)
    # Two epochs go once through photo, four times through art.
    assert (times[:12] == 1).all() and (times[12:] == 4).all()
    assert opened("mixed", two).counts == {"photo": 9, "art": 9}
    assert [name.split("/")[0] for name in names(source)] == ["photo"] * 12 + ["art"] * 6
    assert [int(source[i]["colour"][0, 0, 0]) >= 100 for i in range(18)] == [False] * 12 + [True] * 6


def test_mixed_parts_must_agree(two, tmp_path):
    labelled = pictures(tmp_path / "c", [f"cat/{i}.png" for i in range(5)]) | {"labels": True}
    with pytest.raises(InputError, match=r"the same arrays: photo has colour \[8, 8, 3\] uint8, but c has .*label"):
        opened("mixed", two | {"c": labelled})
    with pytest.raises(InputError, match=r"the same arrays: photo has colour \[8, 8, 3\] uint8, but art has .*\[4"):
        opened("mixed", {"photo": two["photo"], "art": two["art"] | {"size": 4}})
    with pytest.raises(InputError, match=r"must have the same classes: c has \['cat'\], but d has \['0', '1'"):
        opened("mixed", {"c": labelled, "d": DIGITS})
    for weights, message in (
        ({"photo": 1}, r"config.data.weights must name the parts \['art', 'photo'\], got \['photo'\]"),
        ({"photo": 1, "art": -1}, "config.data.weights.art must be a number above 0, got -1"),
        ({"photo": 1, "art": "2"}, "config.data.weights.art must be a number above 0, got '2'"),
        ({"photo": 1, "art": 1e-3}, "config.data.weights.art is 0.001 of 1.001, none of an epoch of 18 examples"),
    ):
        with pytest.raises(InputError, match=message):
            opened("mixed", two, weights=weights)


def test_combinations_nest_and_their_errors_name_the_field(two):
    nested = {"styles": {"name": "mixed", "parts": two, "weights": {"photo": 2, "art": 1}}, "digits": DIGITS}
    source = opened("unpaired", nested)
    assert list(source.shapes) == ["styles_colour", "digits_colour", "digits_label"]
    mixed = lambda **art: {"name": "mixed", "parts": {"photo": two["photo"], "art": two["art"] | art}}
    for art, message in (
        ({"sizes": 3}, "config.data.parts.styles.parts.art.sizes is unknown; did you mean 'size'"),
        ({"rays": 3}, "config.data.parts.styles.parts.art.rays is 3, but image_folder does not read it"),
        ({"dir": "/nowhere"}, "config.data.parts.styles.parts.art.dir: '/nowhere' is not a folder"),
        ({"name": "arts"}, "config.data.parts.styles.parts.art.name must be one of"),
    ):
        with pytest.raises(InputError, match=message):
            opened("unpaired", {"styles": mixed(**art), "digits": DIGITS})
    with pytest.raises(InputError, match="config.data.parts.photo must be a section of .* got 3"):
        opened("unpaired", {"photo": 3, "art": two["art"]})
    for name in ("unpaired", "paired"):
        with pytest.raises(InputError, match=f"config.data.parts must be two data sets by name for {name}, got none"):
            opened(name, {})


@pytest.mark.parametrize("name,parts", [("unpaired", "ab"), ("balanced", "a"), ("references", "a"), ("mixed", "ab")])
def test_splits_stay_apart_and_shapes_are_as_declared(name, parts):
    settings = data.Settings(name=name, parts=dict.fromkeys(parts, DIGITS), size=8)
    found = {split: data.open(settings, split) for split in data.SPLITS}
    held = {split: set(names(source)) for split, source in found.items()}
    assert not held["train"] & held["val"] and not held["train"] & held["test"] and not held["val"] & held["test"]
    for source in found.values():
        assert source.shapes == data.shapes(settings)


def test_made_pictures_join_the_training_examples_alone(tmp_path):
    pictures(tmp_path, [f"{digit}/{i}.png" for digit in (3, 8) for i in range(5)], 100)
    part = {"name": "coloured_digits"}
    source = opened("augmented", {"real": part}, dir=str(tmp_path), weights={"real": 3, "made": 1})
    real = opened("coloured_digits", {})
    count = len(real)
    assert len(source) == count + 10 and source.shapes == real.shapes and source.classes == real.classes
    assert source.counts == {"real": round(0.75 * (count + 10)), "made": round(0.25 * (count + 10))}
    assert source.name(count) == "made/3/0.png" and source.name(0) == f"real/{real.name(0)}"
    made = [source[count + i] for i in range(10)]
    assert [(int(x["label"]), int(x["bias"]), int(x["aligned"]), int(x["colour"][0, 0, 0])) for x in made] == [
        (digit, -1, -1, 100 + i) for digit, i in zip([3] * 5 + [8] * 5, range(10))
    ]
    assert source.column("label")[-10:].tolist() == [3] * 5 + [8] * 5
    held_out = opened("augmented", {"real": part}, "test", dir=str(tmp_path))
    assert names(held_out) == names(opened("coloured_digits", {}, "test")) and held_out.biases
    pictures(tmp_path, ["three/x.png"])
    with pytest.raises(InputError, match=r"three/x.png: must lie in a folder named as one of the classes, 0, 1, "):
        opened("augmented", {"real": part}, dir=str(tmp_path))
    with pytest.raises(InputError, match="must be one data set of colour, label and .*, but digits has colour"):
        opened("augmented", {"real": DIGITS | {"labels": False}}, dir=str(tmp_path))
    with pytest.raises(InputError, match=r"3/0.png: must be \[28, 28, 3\] uint8, as the real pictures, got \[8, 8, 3\]"):
        pictures(tmp_path / "other", ["3/0.png"])
        opened("augmented", {"real": part}, size=28, dir=str(tmp_path / "other"))[4250]


def test_attributes_of_one_set_stand_beside_classes_of_another(tmp_path):
    of_faces = pictures(tmp_path / "faces/img_align_celeba", [f"{i}.png" for i in range(5)], 10)["dir"]
    folder = tmp_path / "faces"
    lines = ["5", "Smiling Young", *(f"{i}.png {1 - 2 * (i % 2)} -1" for i in range(5))]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines))
    (folder / "list_eval_partition.txt").write_text("\n".join(f"{i}.png {max(0, i - 2)}" for i in range(5)))
    files = [f"train/{name}/{i}.png" for name in ("glad", "sad") for i in range(2)]
    of_classes = pictures(tmp_path / "classes", files, 100)
    for split in ("val", "test"):
        pictures(tmp_path / "classes", [f"{split}/sad/0.png"], 200)
    faces = {"name": "celeba", "dir": str(folder), "labels": True, "attributes": ("Smiling",)}
    parts = {"attributes": faces, "classes": of_classes | {"labels": True}}
    source = opened("joint", parts)
    assert of_faces and source.classes == ("glad", "sad") and len(source) == 4
    assert source.shapes == data.shapes(data.Settings(name="joint", parts=parts, size=8))
    for epoch in range(2):
        for example in (source[i] for i in source.order(epoch, 3)):
            shade, other = (int(example[name][0, 0, 0]) for name in ("colour", "other_colour"))
            assert example["attributes"].tolist() == [shade % 2 == 0] and example["label"] == (other - 100) // 2
    assert opened("joint", parts, "test")[0]["label"] == 1
    for changed, message in (
        ({"faces": faces, "classes": parts["classes"]}, r"parts must be attributes and classes for joint, got \['c"),
        (parts | {"attributes": of_classes}, r"attributes\.name: joint needs attributes of it, but image_folder gives"),
        (parts | {"classes": of_classes}, r"classes\.name: joint needs label of it, .*\.parts\.classes\.labels=True"),
        (parts | {"classes": parts["classes"] | {"size": 4}}, r"classes\.size must be config\.data\.size, 8, .* got 4"),
    ):
        with pytest.raises(InputError, match=message):
            opened("joint", changed)
