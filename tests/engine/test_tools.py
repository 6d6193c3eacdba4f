"""Tools: calls are checked, turns are taken, seen on the way, and can be ended early."""

import inspect
import os
import signal

import numpy as np
import pytest

from tests.engine.toy_tools import toolbox
from vision_gen import values
from vision_gen.engine import tools as tools_lib
from vision_gen.errors import InputError


@pytest.fixture(scope="module")
def box():
    return toolbox()


@pytest.fixture
def target():
    return np.random.default_rng(0).integers(0, 256, (20, 13, 3), np.uint8)


def call(box, name, *arguments, progress=None, **named):
    tools, runner = box
    return runner(tools[name], *tools[name].read(arguments, named), progress)


def test_a_tool_that_takes_turns_ends_where_its_sum_says(box, target):
    found = call(box, "approach", target, rate=0.2, turns=7)
    rest = 0.8**7
    expected = (target / 127.5 - 1) * (1 - rest)
    np.testing.assert_allclose(found["image"], (expected + 1) * 127.5, atol=0.51)
    assert found["error"] == pytest.approx(np.mean((rest * (target / 127.5 - 1)) ** 2), rel=0.2)


def test_turns_are_the_same_however_they_are_grouped(box, target, monkeypatch):
    monkeypatch.setattr(tools_lib, "BETWEEN_REPORTS", 0.0)  # One turn at a time.
    seen = []
    one = call(box, "approach", target, turns=12, progress=lambda *a: seen.append(a[:2]))
    assert seen == [(n, 12) for n in range(1, 13)]
    monkeypatch.setattr(tools_lib, "BETWEEN_REPORTS", 100.0)
    seen.clear()
    many = call(box, "approach", target, turns=12, progress=lambda *a: seen.append(a[:2]))
    assert len(seen) < 12 and seen[-1] == (12, 12)
    np.testing.assert_array_equal(one["image"], many["image"])


def test_previews_show_what_there_is_on_the_way(box, target, monkeypatch):
    monkeypatch.setattr(tools_lib, "BETWEEN_REPORTS", 0.0)
    errors = []

    def progress(done, total, preview):
        picture = preview()["image"]
        assert picture.shape == target.shape
        errors.append(np.abs(picture.astype(float) - target).mean())

    call(box, "approach", target, turns=5, rate=0.3, progress=progress)
    assert len(errors) == 5 and all(b < 0.75 * a for a, b in zip(errors, errors[1:]))


@pytest.mark.parametrize("how", ["control-c", "callback"])
def test_ending_early_gives_what_there_is_and_says_so(box, target, monkeypatch, caplog, how):
    monkeypatch.setattr(tools_lib, "BETWEEN_REPORTS", 0.0)

    def progress(done, total, preview):
        if done == 3 and how == "control-c":
            os.kill(os.getpid(), signal.SIGINT)
        return done == 3 and how == "callback"

    with caplog.at_level("WARNING", logger="vision_gen"):
        monkeypatch.setattr(tools_lib.log, "propagate", True)
        found = call(box, "approach", target, turns=1000, rate=0.5, progress=progress)
    whole = call(box, "approach", target, turns=3, rate=0.5)
    np.testing.assert_array_equal(found["image"], whole["image"])
    assert "approach: stopped after 3 of 1000 turns" in caplog.text
    # Afterwards Ctrl-C is what it was.
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 1)


def test_a_number_compiles_nothing_anew(box, target):
    tools, runner = box
    first = call(box, "blend", target, 255 - target, amount=0.25)["mixed"]
    programs = len(runner._programs)
    jitted = runner._programs["blend", ()]
    compiled = jitted._cache_size()
    second = call(box, "blend", target, 255 - target, amount=1)["mixed"]
    assert len(runner._programs) == programs and jitted._cache_size() == compiled
    np.testing.assert_array_equal(second, 255 - target)
    np.testing.assert_allclose(first, 0.75 * target + 0.25 * (255.0 - target), atol=0.51)


def test_what_a_call_gets_wrong_is_named(box, target):
    tools, _ = box
    copy, blend = tools["copy"], tools["blend"]
    for arguments, named, message in (
        ((), {}, "image is missing: copy takes image; options are size, tile"),
        ((target,), {"imag": 1}, "unknown 'imag': copy takes image"),
        ((target,), {"image": target}, "image is given twice"),
        ((target, target), {}, "copy takes image.*got 2 inputs"),
        ((target,), {"size": 1.5}, "size must be an integer from 0 to 16384, got 1.5"),
        ((np.zeros((4, 4, 3)),), {}, r"image must be a path or an image, or a uint8 array .* got float64 \[4, 4, 3\]"),
        (("nothing.png",), {}, "image: nothing.png: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            copy.read(arguments, named)
    with pytest.raises(InputError, match="second has 5 x 4 pixels, but first 13 x 20"):
        call(box, "blend", target, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match="amount must be a number from 0 to 1, got 2"):
        blend.read((target, target), {"amount": 2})


def test_a_tool_reads_as_a_python_function(box):
    tools, _ = box
    signature = tools["blend"].signature
    assert str(signature) == "(first, second, *, amount=0.5, size=0, tile=64, progress=None)"
    assert signature.parameters["amount"].kind is inspect.Parameter.KEYWORD_ONLY
    text = tools["blend"].help()
    assert text.startswith("Mixes two pictures.") and "amount: a number from 0 to 1: of the second." in text
    assert "Returns:\n  an image (png, jpg, webp)." in text
    assert "Returns: a dict of\n  image: an image" in tools["approach"].help()


def test_declarations_that_cannot_work_are_refused():
    image = values.Image()
    with pytest.raises(ValueError, match="option amount needs a default"):
        tools_lib.Tool("x", "X.", {"image": image}, {"image": image}, {"amount": values.Number(0, 1)})
    with pytest.raises(ValueError, match="turns is 'steps', no input and no option"):
        tools_lib.Tool("x", "X.", {"image": image}, {"image": image}, turns="steps")
    with pytest.raises(ValueError, match="different names"):
        tools_lib.named([tools_lib.Tool("x", "X.", {}, {}), tools_lib.Tool("x", "X.", {}, {})])
