"""The models that ship: each opens, gives what it gave when it was made, and is small."""

import json

import pytest

import vision_gen
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import zoo

ENTRIES = sorted(path.parent.name for path in ckpt.ZOO.glob("*/config.json"))


def test_all_are_listed_and_small():
    listed = vision_gen.zoo()
    assert sorted(listed) == ENTRIES
    for name, entry in listed.items():
        assert entry["megabytes"] <= 6 and entry["licence"], name
        assert entry["main"] in entry["figures"] and entry["trained"] and entry["evaluated"], name
    assert sum(entry["megabytes"] for entry in listed.values()) <= 60


@pytest.mark.parametrize("name", ENTRIES)
def test_gives_the_figures_that_it_was_made_with(name):
    record = json.loads((ckpt.ZOO / name / "figures.json").read_text())
    found = zoo.first_figures(vision_gen.load(f"zoo/{name}"))
    assert sorted(found) == sorted(record["first"])
    title = record["main"] if record["main"] in found else sorted(found)[0]
    assert found[title] == pytest.approx(record["first"][title], rel=1e-2)
