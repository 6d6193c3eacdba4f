"""Tools on files and folders: names are kept, and what is wrong is found before any work."""

import json
import logging
import os
import types

import numpy as np
from PIL import Image
import pytest

from tests.engine.toy_tools import toolbox
from vision_gen import values
from vision_gen.engine import apply, tools
from vision_gen.engine.fitting import WholePicture
from vision_gen.errors import InputError


@pytest.fixture(scope="module")
def box():
    return toolbox()


@pytest.fixture
def folders(tmp_path):
    """Two folders of pictures of the same names and sizes."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "deep/b.png", "deep/c.png"):
        for folder, suffix in (("one", ".png"), ("two", ".webp")):
            path = (tmp_path / folder / name).with_suffix(suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = rng.integers(0, 256, (10, 14, 3), np.uint8)
            Image.fromarray(picture).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    return tmp_path


def run(box, name, output, **given):
    found, runner = box
    model = types.SimpleNamespace(run=runner)
    job = apply.Job(found[name], {k: str(v) for k, v in given.items()}, output)
    return job.run(model, lambda label, unit: lambda done, total: None)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_folder_keeps_its_names(box, folders):
    lines = run(box, "copy", folders / "out", image=folders / "one")
    assert lines == [f"wrote 3 results below {folders / 'out'}"]
    names = lambda folder: sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    assert names(folders / "out") == names(folders / "one") == ["a.png", "deep/b.png", "deep/c.png"]
    for path in (folders / "one").rglob("*.png"):
        np.testing.assert_array_equal(pixels(folders / "out" / path.relative_to(folders / "one")), pixels(path))


def test_what_is_said_of_a_file_in_a_folder_names_it(box, folders, caplog):
    lines = values.Image(channels=1, lines=True)
    drawn = tools.Tool("draw", "Draws.", {"image": lines}, {"copy": values.Image()}, fitting=WholePicture())

    def model(tool, inputs, options, called):
        tool.fitting.fit(tool.inputs, inputs, options, called)
        return {"copy": inputs["image"]}

    caplog.set_level(logging.INFO, "vision_gen")
    run(({"draw": drawn}, model), "draw", folders / "out", image=folders / "one")
    said = [record.getMessage().partition(": ")[0] for record in caplog.records]
    assert said == [f"image ({folders / 'one' / name})" for name in ("a.png", "deep/b.png", "deep/c.png")]
    Image.new("RGB", (9, 9)).save(folders / "two/deep/b.webp")
    message = r"second \(.*two/deep/b.webp\) has 9 x 9 pixels, but first \(.*one/deep/b.png\) 14 x 10"
    with pytest.raises(InputError, match=message):
        run(box, "blend", folders / "mixed", first=folders / "one", second=folders / "two")


def test_two_folders_are_matched_by_name_and_one_file_goes_with_each(box, folders):
    run(box, "blend", folders / "out", first=folders / "one", second=folders / "two", amount=1)
    np.testing.assert_array_equal(pixels(folders / "out/deep/b.png"), pixels(folders / "two/deep/b.webp"))
    run(box, "blend", folders / "each", first=folders / "one", second=folders / "two/a.webp", amount=1)
    for name in ("a", "deep/b", "deep/c"):
        np.testing.assert_array_equal(pixels(folders / f"each/{name}.png"), pixels(folders / "two/a.webp"))


def test_several_outputs_of_a_file_have_their_names(box, folders):
    lines = run(box, "approach", folders / "x.png", target=folders / "one/a.png", turns=2)
    assert lines == [f"wrote {folders / 'x.png'}", f"wrote {folders / 'x_error.json'}"]
    rest = 0.9**2 * (pixels(folders / "one/a.png") / 127.5 - 1)
    assert json.loads((folders / "x_error.json").read_text()) == pytest.approx(np.mean(rest**2), rel=0.2)
    assert pixels(folders / "x.png").shape == (10, 14, 3)


def test_a_preview_stands_in_the_place_of_the_output(box, folders, monkeypatch):
    monkeypatch.setattr(apply, "BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(tools, "BETWEEN_REPORTS", 0.0)
    written = []
    write = values.Image.write
    note = lambda self, value, path: written.append(path) or write(self, value, path)
    monkeypatch.setattr(values.Image, "write", note)
    run(box, "approach", folders / "x.png", target=folders / "one/a.png", turns=3)
    assert written == [folders / "x.png"] * 3  # Two previews and the end.


def test_short_results_are_printed_or_go_into_one_table(folders):
    scores = values.Scores(("cat", "dog"))
    tool = tools.Tool("classify", "Says what it is.", {"image": values.Image()}, {"scores": scores})
    found = {"scores": {"dog": 0.75, "cat": 0.25}}
    model = types.SimpleNamespace(run=lambda tool, inputs, options, progress=None, called=None: found)
    quiet = lambda label, unit: lambda done, total: None
    job = lambda output, image: apply.Job(tool, {"image": str(image)}, output).run(model, quiet)
    assert job(None, folders / "one/a.png") == ["dog  0.7500\ncat  0.2500"]
    assert job(None, folders / "one")[0] == "a\n  dog  0.7500\n  cat  0.2500"
    job(folders / "all.csv", folders / "one")
    assert (folders / "all.csv").read_text().splitlines() == [
        "file,best,cat,dog", "a,dog,0.25,0.75", "deep/b,dog,0.25,0.75", "deep/c,dog,0.25,0.75",
    ]
    job(folders / "all.json", folders / "one")
    assert json.loads((folders / "all.json").read_text())["deep/c"] == {"best": "dog", "cat": 0.25, "dog": 0.75}
    job(folders / "each", folders / "one")
    assert json.loads((folders / "each/deep/c.json").read_text()) == {"dog": 0.75, "cat": 0.25}


def test_what_is_wrong_is_found_before_the_work(box, folders):
    found, _ = box
    one, two = folders / "one", folders / "two"

    def refused(message, name, output, **given):
        with pytest.raises(InputError, match=message):
            apply.Job(found[name], {k: str(v) for k, v in given.items()}, output)
        assert not (folders / "out").exists()

    out = folders / "out"
    refused("copy gives copy: an image .*; say where with --output", "copy", None, image=one / "a.png")
    refused("--output: '.*x.gif' ends in '.gif'", "copy", "x.gif", image=one / "a.png")
    refused("--output: 'x.png' is a file; with a folder of inputs it must be a folder", "copy", "x.png", image=one)
    refused("--output is the folder of image", "copy", one, image=one)
    refused("--output: '.*a.png' is a file, not a folder", "copy", one / "a.png" / "x", image=one)
    refused("image: nowhere: no such file", "copy", out, image="nowhere")
    (folders / "empty").mkdir()
    refused("image: no files .* below '.*empty'", "copy", out, image=folders / "empty")
    refused("size must be", "copy", out, image=one, size="large")
    (two / "deep/c.webp").rename(two / "deep/d.webp")
    lacking = "1 of 3 files of first have none of their name in second, the first: .*c.png"
    refused(lacking, "blend", out, first=one, second=two)
    (one / "deep/b.png").write_bytes((one / "deep/b.png").read_bytes()[:60])
    (one / "deep/c.png").write_bytes(b"")
    refused(r"image: .*b.png: not a readable image .*\(and 1 more\)", "copy", out, image=one)
    Image.new("RGB", (3, 3)).save(one / "a.jpg")
    refused("image: .*a.jpg and .*a.png have one name", "copy", out, image=one)


def test_the_command_line_names_tools_and_values(box):
    found, _ = box
    assert apply.choose(found, ["blend", "first=x=1.png", "second=b"], [])[1] == {"first": "x=1.png", "second": "b"}
    home = apply.choose(found, ["blend", "first=~/a.png", "second=b~"], [])[1]
    assert home == {"first": os.path.expanduser("~") + "/a.png", "second": "b~"}
    tool, given = apply.choose(found, ["size=9"], ["p.png"])
    assert tool.name == "copy" and given == {"image": "p.png", "size": "9"}
    for arguments, pictures, message in (
        (["paint"], [], "there is no tool 'paint'; there are copy, blend, approach"),
        (["copy", "a.png"], [], "unexpected 'a.png'; inputs and options of copy are given as name=value"),
        (["copy", "image=a", "image=b"], [], "image is given twice"),
        ([], ["a", "b"], "copy takes no second image"),
    ):
        with pytest.raises(InputError, match=message):
            apply.choose(found, arguments, pictures)
    with pytest.raises(InputError, match="--input goes with a tool that takes an image; there are none"):
        apply.choose({}, [], ["a.png"])
