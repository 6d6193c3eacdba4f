"""A trained run in a user's hands: in Python, and by eval.py."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys

import jax
import numpy as np
from PIL import Image
import pytest

import vision_gen
import vision_gen.configs
from vision_gen.configs import vit_digits
from tests.conftest import ROOT
from tests.engine import toy
from vision_gen import data
from vision_gen.engine import checkpoints, evaluation, facts, inference, loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A toy that has been trained for two steps on drawings with classes."""
    folder, workdir = tmp_path_factory.mktemp("drawings"), tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    for index in range(12):
        path = folder / ("cat", "dog")[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    config = toy.get_config()
    config.data.update(dir=str(folder), labels=True)
    config.train.update(steps=2, checkpoint_every=2, sample_every=0)
    loop.train(config, workdir)
    return workdir


def evaluate(*arguments):
    command = [sys.executable, "eval.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_models_tools_are_its_functions(run):
    model = vision_gen.load(run)
    drawing = np.random.default_rng(0).integers(0, 256, (11, 300), np.uint8)
    found = model.translate(drawing, lines="given")
    assert found.shape == (11, 300, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(model(sketch=drawing, lines="given"), found)
    # A 1 x 1 convolution of the lines.
    kernel, bias = (np.asarray(model.state["ema"]["painter"][k]) for k in ("kernel", "bias"))
    expected = (drawing[..., None] / 127.5 - 1) * kernel[0, 0] + bias
    np.testing.assert_allclose(found, np.clip((expected + 1) * 127.5, 0, 255), atol=0.51)
    assert model.translate.__name__ == "translate" and model.translate.__doc__.startswith("Paints a drawing.")
    assert repr(model) == (
        "tests.engine.toy.Toy, trained for 2 steps; its tools:\n"
        "  .translate(sketch, *, lines='auto', size=0, flat=0, tile=256, progress=None)"
    )
    with pytest.raises(AttributeError, match="no tool 'translat'; there are translate; did you mean 'translate'?"):
        model.translat
    assert not hasattr(model, "_repr_html_")


def test_averaged_weights_are_used_for_figures_samples_and_tools(run):
    drawing = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)

    def made(without=None):
        """What a model makes of examples, with zeros for the painter's weights in a part of its state."""
        model = vision_gen.load(run)
        if without:
            zeros = jax.tree.map(np.zeros_like, model.state[without]["painter"])
            model.state = {**model.state, without: {**model.state[without], "painter": zeros}}
        source = data.open(model.experiment.data, "train")
        figures, samples = model.evaluate(source)[0], model.samples(source, 2)[0]
        return figures["psnr"], samples["output"], model.translate(drawing, lines="given")

    for used, without_raw, without_averages in zip(made(), made("params"), made("ema"), strict=True):
        np.testing.assert_array_equal(used, without_raw)
        assert np.abs(np.float32(used) - np.float32(without_averages)).max() > 0.05


@pytest.mark.parametrize("mode, best", [("max", 2), ("min", 3)])
def test_the_best_checkpoint_is_that_of_the_best_figure(mode, best, run, tmp_path, monkeypatch):
    figures = {1: 2.0, 2: 3.0, 3: 1.0, 4: 2.5}
    evaluate = lambda self, state, source, **_: ({"psnr": figures[int(state["step"])]}, {})
    monkeypatch.setattr(inference.Inference, "evaluate", evaluate)
    config = checkpoints.load_config(run)
    config.train.update(steps=4, checkpoint_every=1, eval_every=1, keep=1, best_metric="psnr", best_mode=mode)
    loop.train(config, tmp_path)
    for checkpoint, step in (("best", best), ("last", 4)):
        model = use.load(tmp_path, checkpoint)
        assert model.step == int(model.state["step"]) == step
        assert evaluation.evaluate_run(tmp_path, checkpoint)[0] == {"psnr": figures[step]}
    assert use.load(tmp_path).step == best and evaluation.evaluate_run(tmp_path)[0] == {"psnr": figures[best]}


def test_names_of_classes_are_kept_with_the_run(run, tmp_path):
    config = toy.get_config()
    config.data.labels = True
    assert facts.load(run, Experiment(config))["classes"] == ("cat", "dog")
    # Runs from before have those of their data, where it is there.
    digits = vit_digits.get_config()
    assert facts.load(tmp_path, Experiment(digits))["classes"] == tuple("0123456789")
    config.data.dir = str(tmp_path / "gone")
    assert facts.load(tmp_path, Experiment(config)) == {"classes": (), "cameras": None}
    (tmp_path / "facts.json").write_text("{}")
    with pytest.raises(InputError, match="facts.json: not readable as a run's facts"):
        facts.load(tmp_path, Experiment(config))


def test_a_system_without_a_run_has_the_weights_of_its_config(run):
    config = toy.get_config()
    config.data.dir = "/nowhere"
    with pytest.raises(InputError, match="without a run, tests.engine.toy.Toy needs weights: set config.init"):
        use.from_config(config)
    config.init.painter = str(run)
    drawing = np.random.default_rng(0).integers(0, 256, (11, 30), np.uint8)
    found, expected = (m.translate(drawing, lines="given") for m in (use.from_config(config), use.load(run)))
    np.testing.assert_array_equal(found, expected)


def test_those_that_need_no_run_are_all_that_learn_nothing_and_name_their_weights(monkeypatch):
    modules = pkgutil.iter_modules(vision_gen.configs.__path__, "vision_gen.configs.")
    of = {name: importlib.import_module(name).get_config() for _, name, _ in modules}
    found = [name.replace("vision_gen.configs.", "configs/") for name, config in of.items()
             if not config.players and Experiment(config).init]  # fmt: skip
    assert sorted(found) == list(use.READY)
    monkeypatch.setattr(use, "from_config", lambda config: config.system)
    assert use.load("configs/styleclip") == "styleclip.editing.StyleCLIP"


def test_eval_lists_and_runs_tools(run, tmp_path):
    done = evaluate(f"--workdir={run}", "--tools")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "translate: Paints a drawing."
    picture = np.random.default_rng(1).integers(0, 256, (9, 21, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "in.png")
    output = f"--output={tmp_path / 'o.png'}"
    done = evaluate(f"--workdir={run}", "translate", f"sketch={tmp_path / 'in.png'}", "lines=given", output)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"wrote {tmp_path / 'o.png'}"), done.stderr
    expected = vision_gen.load(run).translate(picture, lines="given")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), expected)
    output = f"--output={tmp_path / 'short.png'}"
    done = evaluate(f"--workdir={run}", f"--input={tmp_path / 'in.png'}", "lines=given", output)
    assert (tmp_path / "short.png").read_bytes() == (tmp_path / "o.png").read_bytes(), done.stderr


def test_eval_needs_no_run_where_a_config_names_weights(run, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 21, 3), np.uint8)).save(tmp_path / "in.png")
    tool = ("translate", f"sketch={tmp_path / 'in.png'}", "lines=given")
    named = ("--config=tests/engine/toy.py", "--config.data.dir=/nowhere", f"--config.init.painter={run}")
    done = evaluate(*named, *tool, f"--output={tmp_path / 'config.png'}")
    assert done.returncode == 0, done.stderr
    done = evaluate(f"--workdir={run}", *tool, f"--output={tmp_path / 'run.png'}")
    assert (tmp_path / "config.png").read_bytes() == (tmp_path / "run.png").read_bytes(), done.stderr


# Most calls import the same for seconds: one process has done so, and each call is a fork of it.
FORKS = """
import json, os, sys
import flax.nnx, grain, jax, matplotlib.figure, optax, orbax.checkpoint, PIL.Image, sklearn.metrics
from vision_gen.__main__ import run

folder = sys.argv[1]
for number, arguments in enumerate(json.load(sys.stdin)):
    if not os.fork():
        sys.argv[1:] = arguments
        with open(f"{folder}/said{number}", "w") as file:
            os.dup2(file.fileno(), 2)
        sys.exit(run("eval"))
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def test_eval_refuses_in_one_line(run, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "in.png")
    tool = ("translate", f"sketch={tmp_path / 'in.png'}", f"--output={tmp_path / 'out.png'}")
    calls = (
        ((f"--workdir={run}", "paint"), "error: there is no tool 'paint'; there are translate"),
        ((f"--workdir={run}", "translate", f"sketch={tmp_path / 'no.png'}", "--output=o.png"), "no.png: no such file"),
        ((f"--workdir={run}", f"--input={tmp_path / 'in.png'}", "--output=o.txt"), "error: --output: 'o.txt' ends in"),
        (("translate", "sketch=a"), "error: a tool goes with --workdir or --config, one of them"),
        ((f"--workdir={tmp_path}", "translate", "sketch=a"), "holds no run"),
        (("--config=tests/engine/toy.py", *tool), "needs weights: set config.init."),
        (("--compare",), "error: --compare takes two runs or more, as runs/a runs/b; got none"),
        (("--compare", run), f"error: --compare takes two runs or more, as runs/a runs/b; got {run}"),
        (("--compare", run, tmp_path / "no"), f"nothing of the split 'test'; run eval.py --workdir={run} first"),
        (("--compare", tmp_path / "no", run), f"error: workdir '{tmp_path}/no' holds no run"),
        ((f"--workdir={run}", f"--input={tmp_path / 'in.png'}", f"--output={tmp_path}"), "is a folder, but one file"),
    )
    done = subprocess.run(
        [sys.executable, "-c", FORKS, tmp_path],
        cwd=ROOT,
        env={**os.environ, "GLIBC_TUNABLES": ""},  # Without, each would begin anew.
        input=json.dumps([[str(word) for word in arguments] for arguments, _ in calls]),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["2"] * len(calls), (done.stdout, done.stderr)
    for number, (arguments, message) in enumerate(calls):
        said = (tmp_path / f"said{number}").read_text()
        assert message in said and len(said.strip().splitlines()) == 1, (arguments, said)
