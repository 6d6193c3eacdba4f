"""The pages of tools, recordings, the library, and the server with two visitors."""

import importlib
import io
import json
import logging
import os
import pkgutil
import re
import threading
import urllib.request
import warnings

from bokeh.client import pull_session
import bokeh.models
import bokeh.util.warnings
import numpy as np
from PIL import Image
import pytest

from tests.engine import toy
from tests.studio.conftest import pixels, png
from vision_gen import configs
from vision_gen.engine import checkpoints, recordings, use
from vision_gen.engine.recordings import Call, File
from vision_gen.errors import InputError
from vision_gen.studio import library as library_lib
from vision_gen.studio import page, server
from vision_gen.studio.debias import rounds
from vision_gen.studio.library import Library
from vision_gen.studio.page import ToolPage
from vision_gen.studio.visit import Newest, Threads, Visit

RED, BLUE = png("red.png", "#ff0000"), png("blue.png", "#0000ff")


@pytest.fixture
def blend(visit):
    """The page of a tool, used."""
    found = ToolPage(visit, visit.model.tools["blend"])
    found.entries["first"].give(RED)
    assert found.said.message == "Still to be given: second" and not found.results
    found.entries["second"].give(BLUE)
    return found


def test_a_tool_runs_when_all_is_given_and_at_every_change(blend):
    assert blend.results["mixed"].shape == (16, 24, 3) and blend.results["mixed"][0, 0].tolist() == [128, 0, 128]
    assert "24 × 16 pixels" in blend._shown["mixed"].object and not blend.said.message
    blend.entries["amount"]._widget.value = 1.0
    assert np.array_equal(blend.results["mixed"], pixels(BLUE))
    blend.live.value = False
    blend.entries["amount"]._widget.value = 0.0
    assert np.array_equal(blend.results["mixed"], pixels(BLUE))
    blend.run.clicks += 1
    assert np.array_equal(blend.results["mixed"], pixels(RED))


def test_what_is_wrong_is_told_and_the_page_lives(blend):
    blend.entries["amount"]._widget.param.update(value=float("nan"))
    assert blend.said.message == "amount must be a number from 0 to 1, got nan"
    blend.entries["amount"]._widget.value = 0.5
    assert not blend.said.message
    blend.entries["second"].give(png("other.png", "#000000", (8, 8)))
    assert "they must be of one size" in blend.said.message
    broken = blend.visit.model.run
    blend.visit.model.run = lambda *_: 1 / 0
    blend.entries["second"].give(BLUE)
    blend.visit.model.run = broken
    assert blend.said.message == "This did not work: ZeroDivisionError: division by zero"


def test_a_tool_that_takes_turns_is_stopped(visit):
    found = ToolPage(visit, visit.model.tools["approach"])
    assert not found.live.value
    found.entries["target"].give(RED)
    assert not found.results
    found.ask()
    assert found.results["error"] < 1 and len(visit.recording.calls) == 1 and not found.stop.visible
    visit.call(found.given()[0], lambda *_: None, pytest.fail, stopped=lambda: True)
    assert len(visit.recording.calls) == 1, "what was stopped could not be made again"


def test_what_is_warned_of_is_said_to_the_visitor_who_gave_it(blend, visit, monkeypatch):
    run, log = visit.model.run, logging.getLogger("vision_gen")

    def warns(*arguments):
        log.warning("the first is %s", "red")
        log.info("it is read")
        other = threading.Thread(target=log.warning, args=("another visitor's is blue",))
        other.start()
        other.join()
        return run(*arguments)

    monkeypatch.setattr(visit.model, "run", warns)
    blend.ask()
    assert blend.said.message == "the first is red" and blend.results
    monkeypatch.setattr(visit.model, "run", run)
    blend.ask()
    assert not blend.said.message


def test_a_saved_picture_says_what_made_it(blend, visit):
    name, data = visit.file(blend.tool.outputs["mixed"], blend.results["mixed"], "mixed", blend.call)
    image = Image.open(io.BytesIO(data))
    said = json.loads(image.text["vision_gen"])
    assert name == "mixed.png" and np.array_equal(np.asarray(image), blend.results["mixed"])
    assert (said["run"], said["tool"], said["given"]) == (
        "runs/toy",
        "blend",
        {"amount": 0.5, "tile": 64} | said["given"],
    )
    assert said["files"] == {"first": [RED.digest], "second": [BLUE.digest]}


def test_visitors_share_the_model_alone(blend, toolbox):
    other = Visit("runs/toy", toolbox, Threads())
    second = ToolPage(other, toolbox.tools["blend"])
    assert not second.results and not second.entries["first"].given() and not other.recording.calls
    assert other.folder != blend.visit.folder
    folder = blend.visit.folder
    assert os.listdir(folder) and not os.listdir(other.folder)
    other.leave()
    blend.visit.leave()
    assert not os.path.exists(folder) and not os.path.exists(other.folder)


def test_a_folder_for_runs_is_new_and_stays_with_what_is_in_it(toolbox, tmp_path):
    visits = [Visit("zoo/a b", toolbox, Threads(), tmp_path) for _ in range(2)]
    folders = [visit.new_folder() for visit in visits]
    assert folders == [tmp_path / "studio" / "a_b_1", tmp_path / "studio" / "a_b_2"]
    (folders[0] / "run").mkdir()
    for visit in visits:
        visit.leave()
    assert [folder.is_dir() for folder in folders] == [True, False]


def test_a_recording_is_made_again(blend, visit, tmp_path, monkeypatch):
    blend.entries["amount"]._widget.value = 0.25
    path = tmp_path / "recording.json"
    path.write_text(visit.recording.text())
    opened = []
    monkeypatch.setattr(use, "load", lambda *run: opened.append(run) or visit.model)
    lines = recordings.replay(path, tmp_path / "out")
    assert opened == [("runs/toy", "0")]
    assert [line for line in lines if "blend" in line and "wrote" not in line] == [
        "1 blend: the same",
        "2 blend: the same",
    ]
    made = np.asarray(Image.open(tmp_path / "out" / "002_blend_mixed.png"))
    assert np.array_equal(made, blend.results["mixed"])
    record = json.loads(path.read_text())
    assert len(record["files"]) == 2, "each file once"
    record["calls"][0]["given"]["amount"] = 0.75
    path.write_text(json.dumps(record))
    assert recordings.replay(path)[0] == "1 blend: differs in mixed"
    record["calls"][0] |= {"given": {"first": str(tmp_path / "secret.png")}, "files": {}}
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="call 1: first: .* names a file, which is not opened"):
        recordings.replay(path)


def test_a_recording_keeps_the_names_of_files_that_are_alike(tmp_path):
    recording, (left, right) = recordings.Recording("runs/toy", 0), (File(f"{name}.png", RED.data) for name in "ab")
    recording.add(Call("blend", {"amount": 0.5}, {"first": (left, right), "second": (right,)}), {})
    (tmp_path / "r.json").write_text(recording.text())
    ((call, outputs),) = recordings.Recording.read(tmp_path / "r.json").calls
    assert call == recording.calls[0][0] and outputs == {}
    assert len(json.loads(recording.text())["files"]) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recording": 9}', '{"recording": 1, "files": {"a": 3}}'])
def test_what_is_no_recording_is_refused(text, tmp_path):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match="r.json: is no recording that can be read"):
        recordings.replay(tmp_path / "r.json")


def test_each_kind_of_recording_names_the_command_of_the_other(tmp_path):
    (tmp_path / "round.json").write_text('{"round": 1}')
    with pytest.raises(InputError, match="vision_gen.studio.debias --replay"):
        recordings.replay(tmp_path / "round.json")
    (tmp_path / "calls.json").write_text('{"recording": 1}')
    with pytest.raises(InputError, match="eval.py --replay"):
        rounds.replay(tmp_path / "calls.json", tmp_path / "again")


def test_the_newest_comes_after_what_runs():
    asked, waiting = [], []
    newest = Newest(lambda what, done: (asked.append(what), waiting.append(done)))
    for number in range(4):
        newest.ask(number)
    assert asked == [0]
    waiting.pop()()
    assert asked == [0, 3]
    waiting.pop()()
    newest.ask(4)
    assert asked == [0, 3, 4]


@pytest.fixture
def runs(tmp_path):
    """A folder of runs: one whose checkpoint is broken, and what is none."""
    folder = tmp_path / "runs" / "group" / "broken"
    (folder / "checkpoints" / "3").mkdir(parents=True)
    (folder / "checkpoints" / "3" / "state").write_text("torn")
    checkpoints.write_config(folder, toy.get_config())
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "odd").mkdir()
    (tmp_path / "runs" / "odd" / "config.json").write_text("{")
    (tmp_path / "secret").mkdir()
    checkpoints.write_config(tmp_path / "secret", toy.get_config())
    return tmp_path / "runs"


def test_the_library_lists_runs_and_the_zoo_and_opens_nothing_else(runs):
    library = Library(runs)
    names = [entry.name for entry in library.entries()]
    assert names[0] == str(runs / "group" / "broken") and "zoo/vit_digits" in names
    assert not any("odd" in name or "notes" in name for name in names)
    for name in (str(runs.parent / "secret"), "zoo/../zoo/vit_digits", "/etc"):
        with pytest.raises(InputError, match="there is no run"):
            library.load(name)
    assert library.load("zoo/vit_digits") is library.load("zoo/vit_digits")
    assert Library(runs, runs.parent / "secret").entries()[0].name == str(runs.parent / "secret")
    with pytest.raises(InputError, match="is no run"):
        Library(runs, runs / "notes")


def test_systems_and_data_are_called_by_words(runs):
    named = {entry.name: entry for entry in Library(runs).entries()}
    tryon = named["zoo/tryon_mannequins"]
    assert (tryon.title, tryon.data) == ("Virtual try-on (VITON-HD)", "mannequins")
    assert tryon.says.startswith("structural similarity of output and truth, alike at 1: 0.")
    assert named["zoo/clip_avatars"].data == "avatars" and named["configs/gatys"].title.startswith("Style transfer")
    assert named[str(runs / "group" / "broken")].title == "Toy", "what has no title"
    shown = page.home(Library(runs))[1].object
    assert "<b>Virtual try-on (VITON-HD)</b>" in shown and "agnostic" not in shown
    for module in pkgutil.iter_modules(configs.__path__):
        system = importlib.import_module(f"{configs.__name__}.{module.name}").get_config().system
        assert library_lib.title(system) != system.rpartition(".")[2], system


def test_a_listing_runs_no_code_of_others(tmp_path, monkeypatch):
    (tmp_path / "harm.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    assert library_lib.title("harm.Harm") == "Harm" and library_lib.title("Bare") == "Bare"


def test_the_log_is_not_filled_by_what_a_browser_sends_whole(address):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        server.make(Library())[0].stop()
        for text in ("reference already known 'p1'", "something else"):
            bokeh.util.warnings.warn(text, bokeh.util.warnings.BokehUserWarning)
    assert [str(one.message) for one in told if "Bokeh" in one.category.__name__] == ["something else"]


def test_a_broken_checkpoint_is_told(runs):
    name = str(runs / "group" / "broken")
    _, place = page.run_page(Library(runs), name)
    assert f"{name} cannot be opened." in place[0].object and 'role="alert"' in place[0].object


def test_pages_come_from_the_server_alone(address):
    for asked in ("", "?list", "?run=zoo/acgan_digits", "?run=zoo/vit_digits", "?run=/etc/passwd"):
        with urllib.request.urlopen(address + asked) as response:
            page = response.read().decode()
        assert "vision_gen studio" in page and not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    session = pull_session(url=address, arguments={"run": "zoo/acgan_digits"})
    shown = [model.text for model in session.document.select({"type": bokeh.models.Model}) if hasattr(model, "text")]
    session.close()
    assert any("zoo/acgan_digits is being loaded" in text for text in shown)
    with pytest.raises(InputError, match="--address=127.0.0.1 --port=.* cannot be listened on .*--port=0 takes one"):
        server.make(Library(), port=int(address.rpartition(":")[2].strip("/")))
