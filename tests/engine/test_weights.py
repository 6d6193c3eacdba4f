"""Weights from files, published names and other runs, for trained and frozen networks."""

import json
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

from tests.engine import toy
from vision_gen import data
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import defaults, facts, loop, packed, use, weights
from vision_gen.engine.experiment import Experiment
from vision_gen.engine.system import Player
from vision_gen.errors import InputError
from vision_gen.nets import layers
from vision_gen.pretrained import named
from vision_gen.pretrained import weights as published


def read(path, network):
    """A reader of safetensors files whose names are the network's own, with dots."""
    return named.Named(str(path), {k.replace(".", "/"): v for k, v in safetensors.numpy.load_file(path).items()})


class Pupil(toy.Toy):
    """Paints beside a painter of another run; keeps a normalisation's running statistics."""

    readers = {"painter": read, "norm": read}
    players = (Player("painter", modules=("painter", "ballast")),)

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        self.norm = layers.BatchNorm(3, rngs=rngs)
        self.teacher = experiment.network("teacher", rngs=rngs)

    def forward(self, batch, now):
        out = super().forward(batch, now)
        # Were it not frozen, the pass would move its running statistics.
        return {**out, "fake": self.norm(out["fake"], train=True), "taught": self.teacher(out["target"][..., :1])}


Pupil.readers = {**Pupil.readers, "teacher": read}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from PIL import Image

    found = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(found / f"{index}.png")
    return found


@pytest.fixture(scope="module")
def teacher(folder, tmp_path_factory):
    """A run of another system."""
    workdir = tmp_path_factory.mktemp("teacher") / "run"
    config = toy.get_config()
    config.data.dir = str(folder)
    loop.train(config, workdir)
    return workdir


def pupil(folder, **init):
    config = toy.get_config()
    return defaults.experiment(
        f"{__name__}.Pupil",
        data=config.data.to_dict() | dict(dir=str(folder)),
        players=config.players,
        init=init,
        **config.train.to_dict(),
    )


@pytest.fixture(scope="module")
def norm_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "norm.safetensors"
    values = {n: np.float32([i, 2, 3]) for i, n in enumerate(("bias", "mean", "scale", "var"), 1)}
    safetensors.numpy.save_file(values, path)
    return path


def test_a_frozen_network_of_another_run_is_kept_when_that_run_is_gone(folder, teacher, norm_file, tmp_path):
    used = use.load(teacher, "best").state["ema"]["painter"]
    gone = tmp_path / "teacher"
    shutil.copytree(teacher, gone)
    config = pupil(folder, teacher=f"{gone}:painter", norm=str(norm_file))
    config.train.steps = 3
    loop.train(config, tmp_path / "run")
    log = (tmp_path / "run" / "train.log").read_text()
    assert "teacher: 2 tensors of painter of" in log and "norm: 4 tensors of" in log and "SHA-256" in log
    shutil.rmtree(gone)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["origin"]["teacher"]["system"] == "tests.engine.toy.Toy"
    # Written once, and in no checkpoint.
    saved = safetensors.numpy.load_file(tmp_path / "run" / "frozen.safetensors")
    assert sorted(saved) == [
        "norm/params/bias", "norm/params/scale", "norm/rest/mean", "norm/rest/var",
        "teacher/params/bias", "teacher/params/kernel",
    ]  # fmt: skip
    listed = (tmp_path / "run" / ckpt.FROZEN_SUMS).read_text()
    assert listed == f"{ckpt._sum(tmp_path / 'run' / 'frozen.safetensors')}  frozen.safetensors\n"
    config.train.steps = 6
    loop.train(config, tmp_path / "run")
    state = use.load(tmp_path / "run", 6).state
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(state["params"]["teacher"][name], used[name])
    np.testing.assert_array_equal(state["rest"]["norm"]["mean"], [2, 2, 3])
    np.testing.assert_array_equal(state["params"]["norm"]["scale"], [3, 2, 3])
    manager = ckpt.Checkpoints(tmp_path / "run", Experiment(ckpt.load_config(tmp_path / "run")), read_only=True)
    inside = manager._shapes(6)
    assert not [name for name in inside if "teacher" in name or "norm" in name]


def test_what_a_package_carries_is_read_from_there_again(folder, teacher, norm_file, tmp_path, monkeypatch):
    monkeypatch.setitem(published.FILES, "norm", published.Published("norm.safetensors", "", "", "a_package/norm.safetensors"))
    monkeypatch.setattr(published, "find", lambda name: norm_file)
    config = pupil(folder, teacher=f"{teacher}:painter", norm="norm")
    config.train.steps = 3
    loop.train(config, tmp_path / "run")
    saved = safetensors.numpy.load_file(tmp_path / "run" / "frozen.safetensors")
    assert sorted(saved) == ["teacher/params/bias", "teacher/params/kernel"]
    state = use.load(tmp_path / "run", 3).state
    np.testing.assert_array_equal(state["rest"]["norm"]["mean"], [2, 2, 3])
    np.testing.assert_array_equal(state["params"]["norm"]["scale"], [3, 2, 3])
    tensors = weights._of_run(str(tmp_path / "run"), "norm").tensors
    np.testing.assert_array_equal(tensors["bias"], [1, 2, 3])
    # So it is where the run ships.
    monkeypatch.setattr(packed, "mentioned", lambda *_: {"painter", "norm", "teacher"})
    entry = tmp_path / "entry"
    entry.mkdir()
    packed.write(entry, use.load(tmp_path / "run", 3))
    assert not [name for name in safetensors.numpy.load_file(entry / ckpt.PACKED) if "norm" in name]
    for name in ("config.json", "facts.json"):
        shutil.copy(tmp_path / "run" / name, entry)
    shipped = use.load(entry).state
    np.testing.assert_array_equal(shipped["rest"]["norm"]["mean"], [2, 2, 3])
    np.testing.assert_array_equal(shipped["params"]["norm"]["scale"], [3, 2, 3])
    np.testing.assert_allclose(shipped["params"]["teacher"]["kernel"], state["params"]["teacher"]["kernel"], rtol=1e-2)
    # Former versions wrote them into the run, which is taken then.
    older = saved | {"norm/params/scale": np.float32([7, 7, 7])}
    safetensors.numpy.save_file(older, tmp_path / "run" / ckpt.FROZEN)
    (tmp_path / "run" / ckpt.FROZEN_SUMS).unlink()
    assert weights._of_run(str(tmp_path / "run"), "norm").tensors["scale"].tolist() == [7, 7, 7]


def test_the_tokens_of_a_run_are_kept_with_what_its_networks_are_built_of(folder, tmp_path):
    config = pupil(folder, teacher=f"{tmp_path}:network")
    ckpt.write_config(tmp_path, config)
    found = lambda: use.Named(None, config=config).experiment().origin["teacher"]
    assert found().system == config.system and found().attribute == "network" and "tokenizer" not in found()
    facts.write(tmp_path, {"classes": (), "cameras": None, "tokenizer": "its own"})
    assert found().tokenizer == "its own"


def test_a_trained_network_starts_from_another_run(folder, teacher, tmp_path):
    config = toy.get_config()
    config.data.dir = str(folder)
    config.init.painter = str(teacher)
    config.train.steps = 1
    config.players.painter.learning_rate = 0.0
    loop.train(config, tmp_path / "run")
    used = use.load(teacher, "best").state["ema"]
    found = use.load(tmp_path / "run", 1).state
    np.testing.assert_array_equal(found["params"]["painter"]["kernel"], used["painter"]["kernel"])
    np.testing.assert_array_equal(found["ema"]["painter"]["kernel"], used["painter"]["kernel"])
    # The ballast was not asked for.
    assert not np.array_equal(found["params"]["ballast"]["w"] * 0 + 1, used["ballast"]["w"])


def test_a_run_of_other_sizes_is_told_by_its_fields(folder, teacher):
    config = toy.get_config()
    config.data.dir = str(folder)
    config.init.ballast = str(teacher)
    config.model.ballast = 4
    with pytest.raises(InputError, match=r"w \[4\]; it was trained with config.model.ballast=8 \(here 4\)$"):
        tensors(config)


def tensors(config):
    return weights.load(weights.with_origins(Experiment(config), ckpt.folder("/nowhere")))


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda v: v.pop("var"), "config.init.norm: .*no weight 'var'.*config.init.allow"),
        (lambda v: v.update(gamma=v["var"]), "has weights that the network has not: 'gamma'"),
        (lambda v: v.update(var=np.zeros(4, np.float32)), r"var has shape \[4\], the network's var \[3\]"),
    ],
)
def test_every_tensor_is_accounted_for(folder, teacher, norm_file, tmp_path, change, message):
    values = safetensors.numpy.load_file(norm_file)
    change(values)
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file(values, path)
    config = pupil(folder, teacher=f"{teacher}:painter", norm=str(path))
    with pytest.raises(InputError, match=message):
        tensors(config)
    if "shape" not in message:
        config.init.allow = ("va*", "gam*")
        found, lines = tensors(config)
        assert ("var" in found["norm"]) == ("var" in values)
        assert [line for line in lines if "kept its start" in line or "left out, as allowed" in line]


@pytest.mark.parametrize(
    "init,message",
    [
        (dict(norm="/nowhere/x.pth"), "config.init.norm: .*x.pth"),
        (dict(norm="vgg91"), "neither a file nor a run, nor published weights; did you mean 'vgg19'"),
        (dict(ballast="x.pth"), "config.init.ballast: no published format of this network is read"),
        (dict(norm="{teacher}"), "config.init.norm: .*has no network 'norm'"),
        (dict(norm="{teacher}:pianter"), "has no network 'pianter'; did you mean 'painter'"),
        (dict(norm="{teacher}:painter"), "no weight 'mean'; is it of another architecture. .config.init.allow names"),
        (dict(norm="{folder}"), "is a folder without a run"),
    ],
)
def test_sources_that_cannot_be_read_are_named(folder, teacher, init, message):
    init = {k: v.format(teacher=teacher, folder=folder) for k, v in init.items()}
    with pytest.raises(InputError, match=message):
        tensors(pupil(folder, teacher=f"{teacher}:painter", **init))


def test_a_system_that_needs_a_run_says_so(folder, tmp_path):
    with pytest.raises(InputError, match="config.init.teacher must name a run whose network it is, got ''"):
        loop.train(pupil(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_of_version_0_1_is_used_and_goes_on_as_it_would_have(as_users, tmp_path):
    """Made by version 0.1: NeRF with a hash grid, three steps; the checkpoint of step 2, and small arrays after step 3."""
    from tests.conftest import ROOT

    shutil.copytree(ROOT / "tests" / "golden" / "run_0_1", tmp_path / "run")
    model = use.load(tmp_path / "run", "last")
    assert model.config.system == "nerf.HashNeRF" and model.step == 2
    means, _ = model._inference.evaluate(model.state, data.open(model.experiment.data, "val"), limit=4)
    assert means["psnr"] == pytest.approx(9.847, abs=6e-4) and means["ssim"] == pytest.approx(0.03822, abs=6e-6)
    loop.train(ckpt.load_config(tmp_path / "run"), tmp_path / "run")
    state = use.load(tmp_path / "run", 3).state
    expected = json.loads((tmp_path / "run" / "step_3.json").read_text())
    flat = jax.tree_util.tree_flatten_with_path({"params": state["params"], "rest": state["rest"]})[0]
    flat = {"/".join(str(k.key) for k in path): value for path, value in flat}
    assert len(expected) > 5
    for name, value in expected.items():
        np.testing.assert_allclose(flat[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
