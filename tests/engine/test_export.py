"""Networks are written as they are used, in the formats that their system declares; the rest is refused."""

import subprocess
import sys

import numpy as np
import pytest

import vision_gen
from tests.conftest import ROOT
from tests.engine import toy
from vision_gen.engine import export, loop, use
from vision_gen.engine.system import Player
from vision_gen.errors import InputError
from vision_gen.nets import layers
from vision_gen.pretrained import named


def write(path, network, about):
    np.savez(path, step=about["step"], classes=about["classes"], **named.flat(network))


def refuse(path, network, about):
    path.write_text("half of it")
    raise InputError("config.model.ballast is 8; odd ones are called so")


class Exported(toy.Toy):
    """Paints and normalises; both networks are written as "both", one also by itself."""

    players = (Player("painter", modules=("painter", "ballast", "norm")),)
    writers = {
        "painter": {
            "both": named.Writer("painter.npz", write),
            "alone": named.Writer("{step:04d}.npz", write, (".npz",)),
            "odd": named.Writer("odd.npz", refuse),
        },
        "norm": {"both": named.Writer("norm.npz", write)},
    }

    def __init__(self, experiment, *, rngs):
        super().__init__(experiment, rngs=rngs)
        self.norm = layers.BatchNorm(3, rngs=rngs)

    def forward(self, batch, now):
        out = super().forward(batch, now)
        return {**out, "fake": self.norm(out["fake"], train=True)}


def configured(folder):
    config = toy.get_config()
    config.system = f"{__name__}.Exported"
    config.data.update(dir=str(folder), labels=False)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from PIL import Image

    folder, workdir = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    for index in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{index}.png")
    config = configured(folder)
    config.train.update(steps=3, sample_every=0)
    loop.train(config, workdir)
    return workdir


def test_what_is_written_is_what_is_used(run, tmp_path):
    model = vision_gen.load(run)
    folder = tmp_path / "out" / "both"
    paths = model.export("both", folder)
    assert paths == [folder / "norm.npz", folder / "painter.npz"] == sorted(folder.iterdir())
    painter, norm = np.load(paths[1]), np.load(paths[0])
    # Averages, which by now are others than what they are of.
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(painter[name], model.state["ema"]["painter"][name])
        assert not np.array_equal(painter[name], model.state["params"]["painter"][name])
    np.testing.assert_array_equal(norm["mean"], model.state["ema_rest"]["norm"]["mean"])
    assert not np.array_equal(norm["mean"], model.state["rest"]["norm"]["mean"])
    assert np.abs(norm["mean"]).min() > 0 and painter["step"] == 3 and not len(painter["classes"])


def command(*arguments):
    whole = [sys.executable, "eval.py", *map(str, arguments)]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True)


def test_the_command_writes_a_folder_or_a_file(run, tmp_path):
    written = tmp_path / "folder" / "0003.npz"
    done = command(f"--workdir={run}", "--export=alone", f"--output={written.parent}")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"wrote {written}"), done.stderr
    (path,) = vision_gen.load(run).export("alone", tmp_path / "file.npz")
    assert path == tmp_path / "file.npz"
    assert np.array_equal(np.load(path)["kernel"], np.load(written)["kernel"])
    done = command(f"--workdir={run}", "--export=alnoe", f"--output={tmp_path / 'x'}")
    assert done.returncode == 2, done.stderr
    assert "is written as alone, both, odd, not as 'alnoe'; did you mean 'alone'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "format, output, message",
    [
        ("", "x", "test_export.Exported is written as alone, both, odd, not as ''"),
        ("both", None, "--output must say into which folder both goes: painter.npz, norm.npz"),
        ("alone", None, "--output must say into which folder alone goes: STEP.npz"),
        ("both", "x.npz", "'x.npz' ends in '.npz'; both is written into a folder"),
        ("alone", "x.pth", "ends in '.pth'; alone is written into a folder or a file that ends in .npz"),
    ],
)
def test_a_wrong_format_or_output_is_refused_before_weights_are_read(run, format, output, message, monkeypatch):
    monkeypatch.setattr(use.Named, "model", lambda self: pytest.fail("the weights were read"))
    with pytest.raises(InputError, match=message):
        export.lines(use.Named(run), format, output)


def test_no_files_are_mixed_into_a_run(run):
    with pytest.raises(InputError, match="holds a run; choose another folder"):
        vision_gen.load(run).export("both", run)


def test_a_refusal_leaves_nothing_behind(run, tmp_path):
    with pytest.raises(InputError, match="config.model.ballast is 8"):
        vision_gen.load(run).export("odd", tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="tests.engine.toy.Toy has no published format to write"):
        export.lines(use.Named(None, config=toy.get_config()), "alone", str(tmp_path))
