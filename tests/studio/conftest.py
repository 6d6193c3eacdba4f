"""A system that needs no training: tests.engine.toy_tools' tools, one that draws by a seed, and one that paints."""

import asyncio
import io
import pathlib
import threading
import types

import numpy as np
from PIL import Image
import pytest

from tests.engine import toy_tools
from vision_gen import values
from vision_gen.engine.recordings import File
from vision_gen.engine.tools import Tool

pytest.importorskip("panel", reason="the studio needs Panel: pip install '.[studio]'")


def png(name, colour, size=(24, 16), mode="RGB"):
    """A file of one colour; size is (width, height)."""
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG", compress_level=1)
    return File(name, out.getvalue())


@pytest.fixture(scope="package")
def toolbox():
    """What stands for a `use.Model`."""
    tools, runner = toy_tools.toolbox()
    kinds = {"image": values.Image(), "strokes": values.Scribble(least=0)}
    paint = Tool("paint", "Paints strokes.", kinds, {"image": values.Image()})
    noise = Tool("noise", "Draws noise.", {}, {"image": values.Image()}, {"seed": values.Seed()})

    def run(tool, inputs, options, progress=None):
        if tool is noise:
            return {"image": np.random.default_rng(options["seed"]).integers(0, 256, (4, 4, 3), np.uint8)}
        if tool is paint:
            strokes = kinds["strokes"].draw(inputs["strokes"], inputs["image"].shape[:2])
            return {"image": np.where(strokes[..., 3:] > 0, strokes[..., :3], inputs["image"])}
        return runner(tool, inputs, options, progress)

    experiment = types.SimpleNamespace(data=types.SimpleNamespace(name="nothing"))
    config = types.SimpleNamespace(system="toy_tools.Toolbox")
    return types.SimpleNamespace(
        tools={"noise": noise, "paint": paint, **tools}, run=run, step=0, config=config, experiment=experiment
    )


@pytest.fixture
def visit(toolbox):
    from vision_gen.studio.visit import Threads, Visit

    found = Visit("runs/toy", toolbox, Threads())
    yield found
    found.leave()


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file.data)).convert("RGB"))


@pytest.fixture
def address(toolbox, serving):
    """Of a server on which a run is the toolbox, and another broken."""
    return serving({"zoo/acgan_digits": lambda: toolbox, "zoo/vit_digits": lambda: 1 / 0})


@pytest.fixture
def served(serving):
    """The address of a server on which "zoo/stand_in" is a model, as `served(model)`."""

    def make(model):
        nothing = types.SimpleNamespace(name="nothing")
        model.experiment = getattr(model, "experiment", types.SimpleNamespace(data=nothing))
        return serving({"zoo/stand_in": lambda: model})

    return make


@pytest.fixture
def serving(monkeypatch, tmp_path):
    """Starts a server whose runs are loaded by functions, {name: function}; gives its address."""
    from vision_gen.studio import server
    from vision_gen.studio.library import Library

    library, found, ready, load = Library(tmp_path / "none"), {}, threading.Event(), {}
    monkeypatch.setattr(library, "load", lambda name: load[name]() if name in load else Library.load(library, name))

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        found["server"], found["address"] = server.make(library)
        found["server"].start()
        ready.set()
        found["server"].io_loop.start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60)
    yield lambda runs: load.update(runs) or found["address"]
    found["server"].io_loop.add_callback(found["server"].io_loop.stop)
    thread.join(10)


@pytest.fixture
def play(monkeypatch):
    """Lets every round of debiasing be a played one."""
    from tests.studio.debias import played
    from vision_gen.studio.debias import rounds
    from vision_gen.studio.visit import Visit

    config = types.SimpleNamespace(
        model=types.SimpleNamespace(clusters=2),
        train=types.SimpleNamespace(steps=50),
        copy_and_resolve_references=lambda: config,
    )
    monkeypatch.setattr(rounds, "Round", played.Round)
    monkeypatch.setattr(rounds, "translators", lambda experiment: {"xploregan_scans": config})
    monkeypatch.setattr(Visit, "new_folder", lambda self: pathlib.Path("nowhere"))
