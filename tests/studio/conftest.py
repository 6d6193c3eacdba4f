"""A system that needs no training, as the studio has it: tests.engine.toy_tools' tools, and one that draws by a seed."""

import io
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
    noise = Tool("noise", "Draws noise.", {}, {"image": values.Image()}, {"seed": values.Seed()})

    def run(tool, inputs, options, progress=None):
        if tool is noise:
            return {"image": np.random.default_rng(options["seed"]).integers(0, 256, (4, 4, 3), np.uint8)}
        return runner(tool, inputs, options, progress)

    experiment = types.SimpleNamespace(data=types.SimpleNamespace(name="nothing"))
    config = types.SimpleNamespace(system="toy_tools.Toolbox")
    return types.SimpleNamespace(tools={"noise": noise, **tools}, run=run, step=0, config=config, experiment=experiment)


@pytest.fixture
def visit(toolbox):
    from vision_gen.studio.visit import Threads, Visit

    found = Visit("runs/toy", toolbox, Threads())
    yield found
    found.leave()


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file.data)).convert("RGB"))
