"""A run is evaluated with figures that say what they are of: of examples and of the set, of any split."""

import functools
import json
import shutil
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.engine import toy
from vision_gen import data
from vision_gen.engine import checkpoints, comparison, evaluation, loop, report, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.metrics import extract, groups
from vision_gen.ops import colour


class Brightness(toy.Toy):
    """Evaluates what needs no training: how bright the pictures are, alone and as a set."""

    set_figures = ("darkest_half", "examples")
    explained = {"brightness": "how bright it is", "darkest_half": "brightness of the darker half"}
    legends = {"halves": "which half a picture is of"}

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
        config.evaluations = {"other": {"dir": str(grey / "b"), "split": "train"}}
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
    record = json.loads((run / "metrics.json").read_text())["evaluations"][-1]
    entries = record["metrics"]
    # 220 is left out as NaN; each of the eleven counts once, though batches of eight devices hold more.
    levels = np.arange(20, 220, 20)
    assert entries["brightness"] == pytest.approx(
        {"mean": levels.mean(), "images": 10, "standard_error": levels.std() / 10**0.5, "what": "how bright it is"}
    )
    assert entries["darkest_half"]["mean"] == pytest.approx(np.arange(20, 150, 20).mean())
    assert entries["darkest_half"]["images"] == 11 and "standard_error" not in entries["darkest_half"]
    assert entries["examples"]["mean"] == 11
    halves = np.asarray(Image.open(run / "halves.png"))[0, :, 0]
    np.testing.assert_array_equal(halves, 255 * (np.arange(20, 240, 20) > 150))
    page = (run / "report.html").read_text()
    assert "<td>darkest_half</td><td>80</td><td></td><td>11</td><td>brightness of the darker half</td>" in page
    assert 'alt="halves"' in page and "<p>which half a picture is of</p>" in page
    assert "in dB" in page  # Of psnr, whose phrase is every system's.


def test_every_example_is_summarised_once_and_in_order(run):
    model = use.load(run)
    source = data.open(model.experiment.data, "test")
    _, values = model.evaluate(source)
    np.testing.assert_array_equal(values["pixels"][:, 0, 0, 0], np.arange(20, 240, 20))
    assert values["pixels"].shape == (11, 2, 2, 3) and model.figure_names(source) == (
        "brightness", "psnr", "darkest_half", "examples",
    )  # fmt: skip


def test_some_examples_are_spread_over_their_set(run):
    model = use.load(run)
    found = model.apply("evaluate", data.open(model.experiment.data, "test"), 5)
    np.testing.assert_array_equal(found["pixels"][:, 0, 0, 0], [20, 60, 120, 160, 220])


def test_the_newest_of_equal_figures_counts(tmp_path):
    entry = lambda value: {"mean": value, "images": 2}
    for step, metrics in ((3, {"psnr": 1.0, "ssim": 0.5}), (3, {"psnr": 2.0}), (4, {"psnr": 9.0})):
        report.add(tmp_path, {"step": step}, {name: entry(value) for name, value in metrics.items()})
    found = report.figures(report.read(tmp_path), {"step": 3})
    assert {name: entry["mean"] for name, entry in found.items()} == {"psnr": 2.0, "ssim": 0.5}


def test_figures_of_a_set_can_be_asked_for(run):
    found, _ = evaluation.evaluate_run(run, metrics=("darkest_half",))
    assert found == {"darkest_half": pytest.approx(80)}
    for name in ("pixels", "half", "darkest"):
        with pytest.raises(InputError, match=f"unknown '{name}'; .* has brightness, darkest_half, examples, psnr;"):
            evaluation.evaluate_run(run, metrics=(name,))


def test_evaluations_stand_beside_each_other(run):
    path = run / "metrics.json"
    path.unlink(missing_ok=True)
    for metrics in ((), ("psnr",), ("psnr",)):
        evaluation.evaluate_run(run, metrics=metrics)
    evaluation.evaluate_run(run, "last", "val", metrics=("psnr",))
    found = json.loads(path.read_text())["evaluations"]
    # The same figures of the same thing took the place of the first of them; another set of figures is another.
    assert [(e["of"]["split"], len(e["metrics"])) for e in found] == [("test", 4), ("test", 1), ("val", 1)]
    page = (run / "report-val.html").read_text()
    psnr = [f"{entry['metrics']['psnr']['mean']:.4g}" for entry in found]
    assert "<th>split test</th><th>split val</th>" in page
    assert f"<td>psnr</td><td>{psnr[0]}</td><td>{psnr[2]}</td>" in page
    # A page has all figures of its checkpoint, whenever they were made.
    assert "darkest_half" in (run / "report.html").read_text()


def test_what_is_no_list_of_evaluations_is_refused_before_work(run, monkeypatch):
    before = (run / "metrics.json").read_text()
    monkeypatch.setattr(use, "load", None)
    entry = '{"evaluations": [{"of": {}, "metrics": {"psnr": %s}}]}'
    damaged = ("", "{", "[]", '{"metrics": {}}', '{"evaluations": 5}', '{"evaluations": ["x"]}', "\x00")
    for text in (*damaged, entry % "5", entry % '{"mean": "high", "images": 3}', '{"evaluations": [{"of": {}}]}'):
        (run / "metrics.json").write_text(text)
        with pytest.raises(InputError, match="metrics.json has no evaluations as .* writes them .*; move it away"):
            evaluation.evaluate_run(run)
    (run / "metrics.json").write_text(before)


def test_outputs_that_are_not_finite_are_an_error(run):
    broken = SimpleNamespace(step=7, each=lambda *_: [{"output": np.full((2, 4, 4, 3), np.nan, np.float32)}])
    with pytest.raises(InputError, match="outputs at step 7 are not finite"):
        evaluation._outputs(broken, range(2), {}, None, None, None)


def test_truths_of_other_settings_are_kept_apart(run):
    """Of one set of examples, truths may be made otherwise."""
    extractor, config = SimpleNamespace(key={"features": "x"}), checkpoints.load_config(run)
    place = lambda fingerprint: evaluation._kept(SimpleNamespace(config=config), extractor, fingerprint)[0]
    before = place("a"), place("b")
    config.model.ballast = 9
    assert len({*before, place("a")}) == 3
    config.model.ballast = 8
    assert place("a") == before[0]


def test_what_cannot_be_written_or_is_unknown_is_refused_before_work(run, monkeypatch, tmp_path):
    monkeypatch.setattr(use, "load", None)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output: .*file' is a file, not a folder"):
        evaluation.evaluate_run(run, output=tmp_path / "file" / "out")
    with pytest.raises(InputError, match="--features must be one of .*'vgg'"):
        evaluation.evaluate_run(run, features="vgg")
    with pytest.raises(InputError, match="--features must be one of .*'vgg'"):
        evaluation.save_statistics(run, tmp_path / "a.npz", features="vgg")


def test_names_of_files_hold_the_split_or_the_set(run, grey, tmp_path):
    evaluation.evaluate_run(run, metrics=("psnr",))
    for split, data, levels in (("val", "a", (50, 60, 70)), ("other", "b", (90, 100, 170))):
        found, paths = evaluation.evaluate_run(run, split=split)
        assert [path.name for path in paths] == [
            "metrics.json", f"report-{split}.html", f"{split}.png", f"halves-{split}.png",
        ]  # fmt: skip
        assert found["brightness"] == pytest.approx(np.mean(levels)) and all(path.exists() for path in paths)
        record = json.loads(paths[0].read_text())["evaluations"][-1]["of"]
        assert record["split"] == split and record["images"] == len(levels)
    (tmp_path / "again").symlink_to(run)
    table = comparison.compare_runs([run, tmp_path / "again"], run / "compared", "other")
    assert table[str(run)]["brightness"] == pytest.approx(120)


def test_sets_that_are_none_are_named(run, tmp_path):
    with pytest.raises(InputError, match="--split must be one of .*'test', 'other'.*, got 'othr'"):
        evaluation.evaluate_run(run, split="othr")
    config = checkpoints.load_config(run)
    with config.unlocked():
        config.evaluations.digits = {"name": "digits", "size": 8, "labels": True, "split": "val"}
    other = shutil.copytree(run, tmp_path / "run")
    refused = r"config.evaluations.digits has the classes \['0', .* but the run .* \[\]"
    with pytest.raises(InputError, match=refused):
        loop.train(config, other)
    checkpoints.claim(other, Experiment(config))  # As former versions left it.
    with pytest.raises(InputError, match=refused):
        evaluation.evaluate_run(other, split="digits")
    with pytest.raises(InputError, match="metrics.json has nothing of the split 'train'; run .* --split=train first"):
        comparison.compare_runs([run, other], run / "compared", "train")


def test_what_is_summarised_must_be_declared(run, monkeypatch):
    source = data.open(use.load(run).experiment.data, "val")
    for names in (("darkest_half",), ("darkest_half", "examples", "more")):
        monkeypatch.setattr(Brightness, "set_figures", names)
        model = use.load(run)
        with pytest.raises(ValueError, match="summarise returns .*'darkest_half', 'examples'.; it must be set_figures"):
            model.evaluate(source)


def test_sheets_have_captions_under_their_columns(run):
    model = use.load(run)
    source = data.open(model.experiment.data, "val")
    columns, captions = model.samples(source, 3)
    assert list(columns) == ["sketch", "output"]
    assert captions == {"output": [f"{x:.1f}" for x in columns["output"].mean((1, 2, 3))]}


def test_a_system_without_pictures_is_evaluated(run, monkeypatch):
    monkeypatch.setattr(Brightness, "columns", ())
    monkeypatch.setattr(Brightness, "figures", classmethod(lambda *_: {}))
    found, paths = evaluation.evaluate_run(run, split="val", metrics=("brightness",))
    assert found["brightness"] == pytest.approx(60) and len(paths) == 2


def test_a_run_has_distances_and_a_report(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(extract, "Extractor", functools.partial(extract.Extractor, batch_size=8))
    monkeypatch.setattr(Brightness, "columns", ("sketch", "output", "truth"))
    sample, truth = Brightness.sample, lambda batch: {"truth": colour.from_uint8(batch["colour"])}
    monkeypatch.setattr(Brightness, "sample", lambda self, batch, keys: sample(self, batch, keys) | truth(batch))
    run = shutil.copytree(run, tmp_path / "run")
    (run / "metrics.json").unlink(missing_ok=True)
    config = checkpoints.load_config(run)
    config.train.steps = 2  # A curve has two points at least.
    loop.train(config, run)
    found, paths = evaluation.evaluate_run(run, "last", metrics=("fd", "psnr", "precision"))
    assert sorted(found) == [
        "Frechet distance (efficientnet-lite0)", "precision (efficientnet-lite0)", "psnr",
    ]
    record = json.loads(paths[0].read_text())["evaluations"][-1]
    assert len(record["of"]["fingerprint"]) == 64 and record["of"]["step"] == 2
    assert sorted(record["metrics"]) == ["fd", "precision", "psnr"]
    assert record["metrics"]["fd"]["title"] == "Frechet distance (efficientnet-lite0)"
    page = paths[1].read_text()
    assert 'alt="val/psnr"' in page and 'alt="samples"' in page
    (tmp_path / "again").symlink_to("run")
    table = comparison.compare_runs([run, tmp_path / "again"], tmp_path / "compared")
    assert table[str(run)]["psnr"] == found["psnr"]
    with pytest.raises(InputError, match="workdir '.*' holds no run"):
        comparison.compare_runs([tmp_path, run], tmp_path / "compared")


def test_samples_of_runs_stand_beside_each_other(tmp_path, monkeypatch):
    """What is alike in all stands once, and the rest a column a run; never of other examples."""
    shown = []
    sheet = np.zeros((4, 4, 3), np.uint8)
    monkeypatch.setattr(comparison.sheets, "sheet", lambda columns: shown.append(columns) or sheet)
    entry = {"mean": 1.0, "images": 2, "what": "how good"}
    runs = [tmp_path / name for name in "ab"]
    for level, run in enumerate(runs):
        of = {"system": "x", "data": "y", "images": 2, "step": level, "split": "test", "fingerprint": "f"}
        report.add(run, of, {"psnr": entry})
        (run / "samples").mkdir()
        picture = np.full((2, 4, 4, 3), 100, np.uint8)
        np.savez(run / "samples" / "test.npz", sketch=picture, output=picture + level)
    comparison.compare_runs(runs, tmp_path / "out")
    assert list(shown[0]) == ["sketch", f"output, {runs[0]}", f"output, {runs[1]}"]
    assert (shown[0][f"output, {runs[1]}"] == 101).all() and (tmp_path / "out" / "samples.png").exists()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<td>step</td><td>0</td><td>1</td>" in page and "<td>psnr</td><td>1</td><td>1</td><td>how good</td>" in page
    report.add(runs[1], {**of, "fingerprint": "g"}, {"psnr": entry})
    comparison.compare_runs(runs, tmp_path / "out")
    assert len(shown) == 1


def test_what_stays_the_same_is_a_level_in_the_plot_of_its_figure(monkeypatch):
    logged = {
        "val/psnr": [10.0, 11.0], "val/psnr_sketch": [9.0, 9.0], "val/share": [0.1, 0.2], "val/share_all": [0.2, 0.3],
        "val/share_all_still": [0.5, 0.5], "val/psnrlike": [3.0, 3.0], "train/g/loss": [2.0, 1.0],
        "steps_per_sec": [1.0, 1.0],
    }  # fmt: skip
    points = {name: [(0.0, step, value) for step, value in zip((5, 9), values)] for name, values in logged.items()}
    monkeypatch.setattr(report.events, "scalars", lambda workdir: points)
    assert report.curves_of_run("runs/a") == {
        "train/g/loss": {"": ([5, 9], [2.0, 1.0])},
        "val/psnr": {"": ([5, 9], [10.0, 11.0]), "sketch": 9.0},
        "val/psnrlike": {"": ([5, 9], [3.0, 3.0])},
        "val/share": {"": ([5, 9], [0.1, 0.2]), "all": ([5, 9], [0.2, 0.3]), "all_still": 0.5},
    }
    curves = comparison._curves_of_runs(["runs/a", "runs/b"])
    assert list(curves["val/psnr"]) == ["runs/a", "sketch", "runs/b"] and curves["val/psnr"]["sketch"] == 9.0
