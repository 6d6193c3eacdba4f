"""A run is evaluated with figures that say what they are of: of examples and of the set, of any split."""

import json

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from vision_gen.configs import pix2pix_openmoji
from tests.engine import toy
from vision_gen import data
from vision_gen.engine import comparison, evaluation, inference, loop, use
from vision_gen.errors import InputError
from vision_gen.metrics import groups


class Brightness(toy.Toy):
    """Evaluates what needs no training: how bright the pictures are, alone and as a set."""

    set_figures = ("darkest_half", "examples")

    def evaluate(self, batch, keys):
        brightness = batch["colour"].astype(jnp.float32).mean((1, 2, 3))
        return {
            **super().evaluate(batch, keys),
            "brightness": jnp.where(brightness > 200, jnp.nan, brightness),
            "pixels": batch["colour"][:, ::8, ::8],
            "half": (brightness > 150).astype(jnp.int32),
        }

    @classmethod
    def summarise(cls, values, classes):
        bright = values["pixels"].mean((1, 2, 3))
        return {
            "darkest_half": groups.worst_group(bright, values["half"])[1],
            "examples": float(len(bright)),
        }

    @classmethod
    def captions(cls, sample, classes):
        return {"output": [f"{level:.1f}" for level in sample["output"].mean((1, 2, 3))]}

    @classmethod
    def figures(cls, model, source, values):
        return {"halves": np.uint8(values["half"])[None, :, None].repeat(3, -1) * 255} if values else {}


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """A folder of grey pictures, its splits of 11 (no multiple of the devices), 3 and 2; another with one of 3."""
    root = tmp_path_factory.mktemp("grey")
    levels = {"a/test": range(20, 240, 20), "a/val": (50, 60, 70), "a/train": (1, 2), "b/train": (90, 100, 170)}
    for split, chosen in (*levels.items(), ("b/val", (1,)), ("b/test", (2,))):
        (root / split).mkdir(parents=True)
        for level in chosen:
            Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(root / split / f"{level:03d}.png")
    return root


@pytest.fixture(scope="module")
def run(grey, tmp_path_factory):
    config = toy.get_config()
    with config.unlocked():
        config.system = "tests.engine.test_evaluation.Brightness"
        config.evaluations = {
            "other": {"dir": str(grey / "b"), "split": "train"},
            "digits": {"name": "digits", "size": 8, "labels": True, "split": "val"},
        }
    config.data.dir = str(grey / "a")
    config.train.update(batch_size=8, steps=1, sample_every=0, checkpoint_every=1, best_metric="darkest_half")
    workdir = tmp_path_factory.mktemp("run")
    figures = loop.train(config, workdir)
    assert figures["darkest_half"] == pytest.approx(60) and figures["brightness"] == pytest.approx(60)
    return workdir


def test_figures_of_a_set_stand_beside_means_of_examples(run):
    found, paths = evaluation.evaluate_run(run)
    assert sorted(found) == ["brightness", "darkest_half", "examples", "psnr"]
    assert [path.name for path in paths] == ["metrics.json", "report.html", "test.png", "halves.png"]
    record = json.loads((run / "metrics.json").read_text())
    entries = record["metrics"]
    # 220 is left out as NaN; each of the eleven counts once, though batches of eight devices hold more.
    levels = np.arange(20, 220, 20)
    assert entries["brightness"] == pytest.approx(
        {"mean": levels.mean(), "images": 10, "standard_error": levels.std() / 10**0.5}
    )
    assert entries["darkest_half"] == pytest.approx({"mean": np.arange(20, 150, 20).mean(), "images": 11})
    assert entries["examples"]["mean"] == 11
    halves = np.asarray(Image.open(run / "halves.png"))[0, :, 0]
    np.testing.assert_array_equal(halves, 255 * (np.arange(20, 240, 20) > 150))
    page = (run / "report.html").read_text()
    assert "<td>darkest_half</td><td>80</td><td></td><td>11</td>" in page and 'alt="halves"' in page


def test_every_example_is_summarised_once_and_in_order(run):
    model = use.load(run)
    source = data.open(model.experiment.data, "test")
    _, values = model.evaluate(source)
    np.testing.assert_array_equal(values["pixels"][:, 0, 0, 0], np.arange(20, 240, 20))
    assert values["pixels"].shape == (11, 2, 2, 3) and model.figure_names(source) == (
        "brightness", "psnr", "darkest_half", "examples",
    )  # fmt: skip


def test_figures_of_a_set_can_be_asked_for(run):
    found, _ = evaluation.evaluate_run(run, metrics=("darkest_half",))
    assert found == {"darkest_half": pytest.approx(80)}
    for name in ("pixels", "half", "darkest"):
        with pytest.raises(InputError, match=f"unknown '{name}'; .* has brightness, darkest_half, examples, psnr;"):
            evaluation.evaluate_run(run, metrics=(name,))


def test_names_of_files_hold_the_split_or_the_set(run, grey):
    evaluation.evaluate_run(run, metrics=("psnr",))
    before = (run / "metrics.json").read_text()
    for split, data, levels in (("val", "a", (50, 60, 70)), ("other", "b", (90, 100, 170))):
        found, paths = evaluation.evaluate_run(run, split=split)
        assert [path.name for path in paths] == [
            f"metrics-{split}.json", f"report-{split}.html", f"{split}.png", f"halves-{split}.png",
        ]  # fmt: skip
        assert found["brightness"] == pytest.approx(np.mean(levels)) and all(path.exists() for path in paths)
        record = json.loads(paths[0].read_text())
        assert record["split"] == split and record["images"] == len(levels)
    assert (run / "metrics.json").read_text() == before
    table = comparison.compare_runs([run, run], run / "compared", "other")
    assert table[str(run)]["brightness"] == pytest.approx(120)


def test_sets_that_are_none_are_named(run):
    with pytest.raises(InputError, match="--split must be one of .*'test', 'digits', 'other'.*, got 'othr'"):
        evaluation.evaluate_run(run, split="othr")
    with pytest.raises(InputError, match=r"config.evaluations.digits has the classes \['0', .* but the run .* \[\]"):
        evaluation.evaluate_run(run, split="digits")
    with pytest.raises(InputError, match="metrics-train.json is not there; run eval.py .* --split=train first"):
        comparison.compare_runs([run], run / "compared", "train")


def test_what_is_summarised_must_be_declared(run, monkeypatch):
    model = use.load(run)
    source = data.open(model.experiment.data, "val")
    for names in (("darkest_half",), ("darkest_half", "examples", "more")):
        monkeypatch.setattr(Brightness, "set_figures", names)
        with pytest.raises(ValueError, match="summarise returns .*'darkest_half', 'examples'.; it must be set_figures"):
            model.evaluate(source)


def test_sheets_have_captions_under_their_columns(run, monkeypatch):
    model = use.load(run)
    source = data.open(model.experiment.data, "val")
    given = []
    monkeypatch.setattr(inference.sheets, "sheet", lambda *arguments: given.extend(arguments))
    model.sheet(source, 3)
    columns, captions = given
    assert list(columns) == ["sketch", "output"]
    assert captions == {"output": [f"{x:.1f}" for x in columns["output"].mean((1, 2, 3))]}


def test_a_system_without_pictures_is_evaluated(run, monkeypatch):
    monkeypatch.setattr(Brightness, "columns", ())
    monkeypatch.setattr(Brightness, "figures", classmethod(lambda *_: {}))
    found, paths = evaluation.evaluate_run(run, split="val", metrics=("brightness",))
    assert found["brightness"] == pytest.approx(60) and len(paths) == 2


def test_a_run_has_distances_and_a_report(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path / "cache"))
    config = pix2pix_openmoji.get_config()
    config.data.update(name="image_folder", dir=str(image_folder), size=32)
    config.model.update(width=8, discriminator_width=8)
    config.train.update(
        batch_size=8, steps=4, log_every=1, eval_every=2, sample_every=0, checkpoint_every=2, sample_images=2
    )
    loop.train(config, tmp_path / "run")
    found, paths = evaluation.evaluate_run(
        tmp_path / "run", "last", "train", metrics=("fd", "psnr", "precision")
    )
    assert sorted(found) == [
        "Frechet distance (efficientnet-lite0)", "precision (efficientnet-lite0)", "psnr",
    ]
    record = json.loads(paths[0].read_text())
    assert len(record["fingerprint"]) == 64 and record["step"] == 4
    page = paths[1].read_text()
    assert 'alt="val/psnr"' in page and 'alt="samples"' in page
    with pytest.raises(InputError, match="unknown 'pnsr'; pix2pix.Pix2Pix has .*psnr"):
        evaluation.evaluate_run(tmp_path / "run", metrics=("pnsr",))
    table = comparison.compare_runs([tmp_path / "run", tmp_path / "run"], tmp_path / "compared", "train")
    assert table[str(tmp_path / "run")]["psnr"] == found["psnr"]
    with pytest.raises(InputError, match="metrics.json is not there; run eval.py --workdir"):
        comparison.compare_runs([tmp_path], tmp_path / "compared")
