"""A run becomes an entry of the zoo, which is used wherever a run is."""

import json

from flax import nnx
import numpy as np
from PIL import Image
import pytest
import safetensors.numpy

import vision_gen
from tests.engine import toy
from vision_gen import data
from vision_gen.engine import apply, checkpoints as ckpt, commands, evaluation, loop, packed, use, weights, zoo
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import layers


class Taught(toy.Toy):
    """Also has what only training reads, and a list of more than ten parts that a tool reads."""

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        self.judge = layers.Conv(3, 1, 1, rngs=rngs)
        self.shades = nnx.List([nnx.Param(np.full(1, i / 2048, np.float32)) for i in range(12)])
        self.count = nnx.BatchStat(np.int32(70001))

    def painter_loss(self, out, batch, now):
        return {**super().painter_loss(out, batch, now), "judged": 1e-3 * self.judge(out["fake"]).mean() ** 2}

    def shade(self):
        return sum(i * shade[...][0] for i, shade in enumerate(self.shades)) + (self.count[...] - 70001)

    def translate(self, *, sketch):
        return super().translate(sketch=sketch) + self.shade()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, workdir = tmp_path_factory.mktemp("drawings"), tmp_path_factory.mktemp("runs") / "taught"
    rng = np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{index}.png")
    config = toy.get_config()
    with config.unlocked():
        config.system = f"{__name__}.Taught"
    config.data.dir = str(folder)
    config.players.painter.update(learning_rate=0.1, ema_half_life=1000.0, ema_ramp=0.0)
    config.train.update(steps=4, checkpoint_every=4, sample_every=0)
    loop.train(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def entry(run, tmp_path_factory):
    """-> its name; the zoo is an empty folder but for it, and so is the current one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ckpt, "ZOO", tmp_path_factory.mktemp("package") / "zoo")
        patch.chdir(tmp_path_factory.mktemp("here"))
        zoo.add(run, "taught", trained="vision-gen train --config=taught")
        yield "zoo/taught"


def drawing():
    return np.random.default_rng(1).integers(0, 256, (11, 30), np.uint8)


def test_an_entry_holds_rounded_averages_of_what_is_used(run, entry):
    assert sorted(path.name for path in ckpt.ZOO.iterdir()) == ["taught"]
    held = safetensors.numpy.load_file(ckpt.folder(entry) / "weights.safetensors")
    shades = [f"params/shades/{i}" for i in range(12)]
    # Neither the judge nor the ballast, which only training reads.
    assert sorted(held) == sorted(["step", "rest/count", "params/painter/bias", "params/painter/kernel", *shades])
    assert held["rest/count"] == 70001 and held["step"] == 4
    state = use.load(run).state
    assert np.abs(state["ema"]["painter"]["kernel"] - state["params"]["painter"]["kernel"]).max() > 1e-3
    kernel = held["params/painter/kernel"]
    assert kernel.dtype.name == "bfloat16"
    modes = {path.stat().st_mode for path in ckpt.folder(entry).iterdir()}
    assert len(modes) == 1  # Whoever may read the others may read the weights.
    np.testing.assert_array_equal(kernel, np.asarray(state["ema"]["painter"]["kernel"]).astype(kernel.dtype))


def test_an_entry_is_loaded_with_every_tensor_in_its_place(run, entry):
    model, trained = vision_gen.load(entry), vision_gen.load(run)
    assert model.step == 4 and not "judge" in model.state["params"]
    found, expected = (m.translate(drawing(), lines="given").astype(int) for m in (model, trained))
    np.testing.assert_allclose(found, expected, atol=2)
    assert 0 < expected.std() and 0 < expected.mean() < 255
    for m in (model, trained):
        assert [float(m.state["params"]["shades"][i][0]) for i in range(12)] == [i / 2048 for i in range(12)]
    assert vision_gen.load(entry, "last").step == 4
    with pytest.raises(InputError, match="has one checkpoint, of step 4; got '3'"):
        vision_gen.load(entry, "3")


def test_an_entry_has_the_figures_of_its_weights_and_says_where_it_is_from(entry):
    record = vision_gen.zoo()["taught"]
    model = vision_gen.load(entry)
    source = data.open(model.experiment.data, "test")
    found, values = model.evaluate(source)
    assert record["figures"]["psnr"]["mean"] == pytest.approx(found["psnr"], abs=1e-4)
    assert record["figures"]["psnr"]["standard_error"] == pytest.approx(values["psnr"].std() / len(source) ** 0.5)
    assert record["first"] == {"psnr": pytest.approx(float(values["psnr"][:8].mean()))} == zoo.first_figures(model)
    page = (ckpt.folder(entry) / "README.md").read_text()
    assert "vision-gen train --config=taught" in page and "vision-gen eval --workdir=zoo/taught" in page
    assert Image.open(ckpt.folder(entry) / "sheet.png").size[0] > 16
    header, line = zoo.lines()
    assert line.split()[:5] == ["zoo/taught", record["system"], "image_folder", "psnr", f"{found['psnr']:.4g}"]


def test_an_entry_is_evaluated_beside_runs(entry):
    found, paths = evaluation.evaluate_run(entry)
    assert {str(path.parent) for path in paths} == {"runs/zoo/taught", "runs/zoo/taught/samples"}
    assert found["psnr"] == pytest.approx(vision_gen.zoo()["taught"]["figures"]["psnr"]["mean"], abs=1e-4)
    _, paths = evaluation.evaluate_run(entry, output="elsewhere")
    assert str(paths[0]) == "elsewhere/metrics.json"
    assert sorted(path.name for path in ckpt.folder(entry).iterdir()) == [
        "README.md", "config.json", "facts.json", "figures.json", "sheet.png", "weights.safetensors",
    ]  # fmt: skip


def test_an_entry_does_what_a_command_asks(entry):
    Image.fromarray(drawing()).save("in.png")
    arguments = ["translate", "sketch=in.png", "lines=given"]
    progress = lambda *_: lambda *_: None
    apply.lines(use.Named(entry), arguments, [], "out.png", listing=False, progress=progress)
    expected = vision_gen.load(entry).translate("in.png", lines="given")
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), expected)


def test_a_network_begins_with_the_weights_of_an_entry(run, entry):
    config = ckpt.load_config(run)
    config.init.painter = entry
    found, notes = weights.load(weights.with_origins(Experiment(config), ckpt.folder("nowhere")))
    state = vision_gen.load(entry).state
    np.testing.assert_array_equal(found["painter"]["kernel"], state["params"]["painter"]["kernel"])
    assert notes[0].startswith(f"painter: 2 tensors of painter of {entry} (checkpoint")
    config.init.painter = "zoo/tauht"
    with pytest.raises(InputError, match="the zoo has no 'tauht'; there are taught; did you mean 'taught'"):
        weights.load(Experiment(config))


def test_a_folder_here_comes_before_the_zoo(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ckpt.folder(entry) == ckpt.ZOO / "taught"
    (tmp_path / "zoo" / "taught").mkdir(parents=True)
    assert str(ckpt.folder(entry)) == "zoo/taught" and str(ckpt.results(entry)) == "zoo/taught"


def test_what_cannot_be_done_with_entries_is_refused(run, entry, monkeypatch):
    with pytest.raises(InputError, match="the zoo has no 'taugth'; there are taught; did you mean 'taught'"):
        vision_gen.load("zoo/taugth")
    config = ckpt.load_config(run)
    for name in ("zoo/taught", "zoo/new", ckpt.ZOO / "new"):
        with pytest.raises(InputError, match="is an entry of the zoo, which cannot be trained on"):
            loop.train(config, name)
    assert not (ckpt.ZOO / "new").exists()
    with pytest.raises(InputError, match='called by small letters, digits and "_", got \'A b\''):
        zoo.add(run, "A b")
    with pytest.raises(InputError, match="one is made of a run"):
        zoo.add(entry, "again")
    monkeypatch.setattr(zoo, "LARGEST", 50)
    with pytest.raises(InputError, match="an entry's weights may take 0.00 MB in the zoo, these 0.00 MB"):
        zoo.add(run, "large")
    assert [path.name for path in ckpt.ZOO.iterdir()] == ["taught"]


def test_a_new_version_must_be_clearly_better_or_asked_for(run, entry):
    path = ckpt.folder(entry) / "figures.json"
    before = path.read_text()
    with pytest.raises(InputError, match="is not clearly better .by .* two standard errors.* --replace takes it all the same"):
        zoo.add(run, "taught")
    assert path.read_text() == before
    worse = json.loads(before)
    worse["figures"]["psnr"]["mean"] -= 100
    path.write_text(json.dumps(worse))
    zoo.add(run, "taught")
    assert json.loads(path.read_text())["figures"] == json.loads(before)["figures"]
    zoo.add(run, "taught", replace=True)


def test_weights_of_another_network_are_named(entry):
    copy = ckpt.ZOO.parent / "copy"
    copy.mkdir()
    for path in ckpt.folder(entry).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    vision_gen.load(copy)  # A copy elsewhere is used like any run.
    held = safetensors.numpy.load_file(copy / "weights.safetensors")
    held["params/painter/bias"] = np.zeros(4, np.float32)
    safetensors.numpy.save_file(held, copy / "weights.safetensors")
    with pytest.raises(InputError, match=r"params/painter/bias is of shape \[4\] in it and of shape \[3\] here"):
        vision_gen.load(copy)


def test_what_methods_mention_is_followed():
    assert {"painter", "shades", "shade"} <= packed.mentioned(Taught, ["translate"])
    assert "judge" not in packed.mentioned(Taught, ["translate", "evaluate", "sample", "tools"])


def test_the_command_of_a_config_makes_that_config(monkeypatch):
    from vision_gen.configs import nerf_demo, vit_digits

    assert commands.training_command(nerf_demo.get_config()) == "vision-gen train --config=nerf_demo --workdir=runs/nerf_demo"
    config = vit_digits.get_config()
    config.train.steps, config.model.size = 200, (64, 128, 4, 2)
    assert commands.training_command(config) == (
        "vision-gen train --config=vit_digits --workdir=runs/vit_digits '--config.model.size=(64, 128, 4, 2)' "
        "--config.train.steps=200"
    )
    assert commands.training_command(toy.get_config()) == ""
