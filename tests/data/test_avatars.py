"""Avatars: the same faces on any machine, labels that say what is seen, combinations that only the test split has."""

import collections
import io
import os

import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import avatar_captions, avatar_faces
from vision_gen.errors import InputError

SETTINGS = dict(name="avatars", labels=True, examples=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where 40 faces to train on, 2 to validate and 4 to test on are drawn, as far as they are asked for."""
    return str(tmp_path_factory.mktemp("avatars"))


@pytest.fixture(scope="module")
def pictures():
    """(traits, [128, 128, 3] ints) of faces of the test split, half of them with a held-out combination."""
    found = avatar_faces.rendered("test", 60, 128)
    return [(traits, np.asarray(Image.open(io.BytesIO(png))).astype(int)) for traits, png in found]


def opened(folder, split="test", **fields):
    return data.open(data.Settings(**SETTINGS | dict(dir=folder) | fields), split)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the number of cores cannot be set")
def test_faces_are_the_same_bytes_on_any_number_of_cores(monkeypatch):
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cores=cores: range(cores))
        found.append(list(avatar_faces.rendered("val", 5, 64)))
    assert found[0] == found[1] and len({png for _, png in found[0]}) == 5


def test_a_face_keeps_its_number_and_traits_in_longer_sets():
    faces = [avatar_faces.face("train", number) for number in range(3)]
    assert [traits["top"] for traits, _ in faces] == ["beanie", "wavy hair", "short hair"]
    assert faces == [avatar_faces.face("train", number) for number in range(3)]
    assert faces != [avatar_faces.face("val", number) for number in range(3)]


def test_a_drawing_that_cannot_be_made_is_no_shorter_set():
    with pytest.raises(RuntimeError, match="avatar_faces val 0 .* ended with 1 before 0"):
        list(avatar_faces.rendered("val", 1, 0))


def test_colours_of_the_picture_are_those_of_the_traits(pictures):
    """Each colour of a table is seen where its trait says so, and nowhere else."""
    tables = {
        "hair": avatar_faces._HAIR_COLOURS,
        "fabric": avatar_faces._FABRIC_COLOURS,
        "skin": avatar_faces._DRAWN["skin"],
    }
    for traits, picture in pictures:
        expected = {
            "hair": {traits["hair_colour"], traits["facial_hair_colour"]} - {"none"},
            "fabric": {traits["hat_colour"], traits["clothing_colour"]} - {"none"},
            "skin": {traits["skin"]},
        }
        for kind, table in tables.items():
            for name, (_, colour) in table.items():
                rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
                count = (np.abs(picture - rgb).max(-1) < 3).sum()
                assert count > 40 if name in expected[kind] else count < 40, (kind, name, count, traits)
        background = avatar_faces._DRAWN["background"][traits["background"]][1]
        assert "#%02X%02X%02X" % tuple(picture[127, 0]) == background


def test_what_is_hidden_is_not_drawn_and_what_is_drawn_is_not_hidden():
    seen = collections.defaultdict(set)
    for number in range(2000):
        traits, drawing = avatar_faces.face("train", number)
        bare = traits["top"] == "bald" or traits["top"] in avatar_faces._HATS
        assert (traits["hair_colour"] == "none") == bare
        assert (traits["hat_colour"] == "none") == (traits["top"] not in avatar_faces._HATS)
        assert (traits["facial_hair_colour"] == "none") == (traits["facial_hair"] == "none")
        assert "none" in (traits["hair_colour"], traits["facial_hair_colour"]) or (
            traits["hair_colour"] == traits["facial_hair_colour"]
        )
        dark = traits["glasses"] == "sunglasses"
        assert (traits["eyes"] == "hidden") == dark
        assert (traits["eyebrows"] == "hidden") == (dark or traits["top"] in ("beanie", "cat hat"))
        for name in ("eyes", "eyebrows"):
            seen[traits[name]].add(drawing[name])
    assert seen.pop("hidden") == {"NONE", "DEFAULT"} and all(len(found) == 1 for found in seen.values())


def test_held_out_combinations_are_in_the_test_split_alone():
    assert len(avatar_faces.COMBINATIONS) >= 20
    pairs = [item for pair in avatar_faces.COMBINATIONS.values() for item in pair.items()]
    assert all(value in avatar_faces.TRAITS[name] for name, value in pairs)
    for split in ("train", "val"):
        assert not any(avatar_faces.combinations(avatar_faces.face(split, n)[0]) for n in range(2000))
    found = [avatar_faces.combinations(avatar_faces.face("test", n)[0]) for n in range(200)]
    assert not any(found[::2])
    for number, names in enumerate(found[1::2]):
        assert list(avatar_faces.COMBINATIONS)[number % len(avatar_faces.COMBINATIONS)] in names


def test_every_value_is_common_enough_to_be_learned():
    faces = [avatar_faces.face("train", number)[0] for number in range(4000)]
    for name, values in avatar_faces.TRAITS.items():
        counts = collections.Counter(traits[name] for traits in faces)
        assert set(counts) == set(values) and min(counts.values()) > 60, (name, counts)
    shares = [
        np.mean([traits[name] in values for traits in faces]) for name, values in avatar_faces.ATTRIBUTES.values()
    ]
    assert 40 <= len(shares) < 50 and 0.02 < min(shares) and max(shares) < 0.75


def test_an_example_has_its_traits_and_attributes(folder):
    source = opened(folder)
    assert len(source) == 4 and [source.name(i) for i in range(4)] == ["000000", "000001", "000002", "000003"]
    for index in range(4):
        example, traits = source[index], source.describe(index)
        assert traits == avatar_faces.face("test", index)[0]
        assert example["colour"].shape == (64, 64, 3) and example["colour"].dtype == np.uint8
        assert source.classes[example["label"]] == traits["hair_colour"]
        assert {name: values[at] for (name, values), at in zip(source.traits.items(), example["traits"])} == traits
        for (name, (trait, values)), true in zip(source.attributes.items(), example["attributes"]):
            assert true == (traits[trait] in values), name
    assert [source.combinations(i)[:1] for i in (0, 1, 3)] == [[], ["green hoodie, red hair"], ["yellow overall"]]
    np.testing.assert_array_equal(source.column("attributes"), [source[i]["attributes"] for i in range(4)])
    np.testing.assert_array_equal(source.column("label"), [source[i]["label"] for i in range(4)])


def test_what_captions_name_is_known_of_held_out_examples(folder):
    part = SETTINGS | dict(dir=folder)
    settings = data.Settings(name="captioned", size=64, parts=dict(p=part), tokenizer="learned:300", text_length=140)
    source, faces = data.open(settings, "test"), opened(folder)
    assert source.shapes["named"].shape == (len(faces.traits),) == source.shapes["traits"].shape
    for index in range(len(faces)):
        told = avatar_captions.told("test", index, faces.describe(index))
        found = dict(zip(faces.traits, source[index]["named"], strict=True))
        assert source.caption(index) == told[0][0] and {name for name, said in found.items() if said} == told[0][1]


def test_any_trait_or_attribute_is_the_label(folder):
    top, smiling = (opened(folder, label=name) for name in ("top", "Smiling"))
    assert top.classes == avatar_faces.TRAITS["top"] and smiling.classes == ("no", "yes")
    for index in range(4):
        traits = top.describe(index)
        assert top.classes[top[index]["label"]] == traits["top"]
        assert smiling[index]["label"] == (traits["mouth"] in ("smiling", "laughing"))
    assert list(opened(folder, labels=False)[0]) == ["colour"]
    for fields in (dict(label="top"), dict(label="Smiling"), dict(), dict(labels=False)):
        assert data.classes(data.Settings(**SETTINGS | fields)) == opened(folder, **fields).classes


def test_faces_are_drawn_once_and_only_those_of_the_split(folder, monkeypatch):
    before = opened(folder, "val")[0]
    monkeypatch.setattr(avatar_faces, "rendered", lambda *arguments: 1 / 0)
    np.testing.assert_array_equal(opened(folder, "val", label="top")[0]["colour"], before["colour"])
    with pytest.raises(ZeroDivisionError):
        opened(folder, "val", examples=41)


@pytest.mark.parametrize(
    "fields,message",
    [
        (dict(size=65), r"config.data.size must be one of \(64, 128, 256\) for avatars, got 65"),
        (dict(label="hair_color"), "config.data.label: avatars has no 'hair_color'; did you mean 'hair_colour'"),
        (dict(labels=False, label="top"), "config.data.label is 'top', but config.data.labels=False asks for none"),
    ],
)
def test_wrong_fields_are_named_before_anything_is_drawn(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        opened(str(tmp_path), **fields)
    assert not list(tmp_path.iterdir())
