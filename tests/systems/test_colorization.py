"""Automatic colorization learns colours that lightness tells; its tool keeps the picture's lightness at any size."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from vision_gen import data
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import colour, gamut


def lightness(picture):
    return np.asarray(colour.lightness_and_ab(picture / np.float32(127.5) - 1)[0])[..., 0] * 100 + 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Dark blocks are blue and light ones yellow, so that lightness tells colours."""
    folder = tmp_path_factory.mktemp("blocks")
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        (folder / split).mkdir()
        for i in range(count):
            light = rng.integers(0, 2, (2, 2)).repeat(16, 0).repeat(16, 1)[..., None]
            blocks = np.where(light, [230, 210, 60], [40, 50, 150]) + rng.integers(-15, 15, (32, 32, 1))
            Image.fromarray(blocks.astype(np.uint8)).save(folder / split / f"{i}.png")
    return folder


def configured(folder):
    config = tiny("colorization_photographs")
    config.data.dir = str(folder)
    config.model.update(crop=0)
    return config


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = configured(folder)
    config.players.network.learning_rate = 4e-3
    config.train.update(steps=150, log_every=50, checkpoint_every=150)
    loop.train(config, workdir)
    return workdir


def test_colours_that_lightness_tells_are_learned(run):
    means, paths = evaluation.evaluate_run(run, "last")
    assert all(path.exists() for path in paths)
    assert means["psnr"] > max(means["psnr_grey"], means["psnr_mean"]) + 3, means
    for name in ("auc", "auc_rebalanced"):
        assert 1 > means[name] > max(means[f"{name}_grey"], means[f"{name}_mean"]), means
    assert means["colourfulness"] == pytest.approx(means["colourfulness_truth"], rel=0.3)


def test_the_distribution_of_colours_is_that_of_the_data(run, folder):
    model = use.load(run, "last")
    source = data.open(model.experiment.data, "train")
    pictures = np.stack([source[i]["colour"] for i in range(len(source))])
    _, ab = colour.lightness_and_ab(colour.from_uint8(jnp.asarray(pictures)))
    expected = gamut.histogram(*gamut.encode(ab[:, ::4, ::4], gamut.in_gamut()), 313)
    found = np.asarray(model.system().prior.shares[...])
    assert found.sum() == pytest.approx(1, abs=1e-4)
    assert np.abs(found - np.asarray(expected)).sum() < 0.2


@pytest.mark.parametrize("size", [(32, 32), (75, 50)])
def test_a_picture_keeps_its_lightness_whatever_its_size(run, size):
    picture = np.random.default_rng(0).integers(170, 240, (*size, 1), np.uint8).repeat(3, -1)
    found = use.load(run, "last").colorize(picture)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    # Where the colour is in the gamut; others are clipped.
    inside = (found.min(-1) > 0) & (found.max(-1) < 255)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(lightness(found)[inside], lightness(picture)[inside], atol=0.6)
    assert np.abs(found.astype(int) - picture).max() > 20


def test_the_tool_gives_what_the_network_gives_and_looks_at_lightness_alone(run, folder):
    model = use.load(run, "last")
    source = data.open(model.experiment.data, "test")
    expected = colour.to_uint8(model.apply("sample", source, len(source))["output"])
    for i in range(len(source)):
        np.testing.assert_allclose(model.colorize(source[i]["colour"]).astype(int), expected[i], atol=1)
    grey = np.asarray(colour.to_uint8(model.apply("sample", source, 1)["grey"]))[0]
    np.testing.assert_allclose(model.colorize(grey).astype(int), expected[0], atol=8)
    np.testing.assert_array_equal(model.colorize(grey[..., 0]), model.colorize(grey))
    clear = np.concatenate([grey, np.full((32, 32, 1), 255, np.uint8)], -1)
    np.testing.assert_array_equal(model.colorize(clear), model.colorize(grey))


def test_grey_pictures_teach_nothing(folder):
    experiment = Experiment(configured(folder))
    graphdef, params, rest = systems.build(experiment)
    source = data.open(experiment.data, "train")
    batch = data.stack([source[i] for i in range(2)])
    batch["colour"] = batch["colour"].copy()
    batch["colour"][1] = batch["colour"][1, ..., :1]
    now = systems.Now(jax.random.split(jax.random.key(0), 2), jnp.int32(0), jnp.float32(0))

    @jax.jit
    def look(params):
        out, _ = systems.run(graphdef, params, rest, "forward", batch, now)
        loss = lambda out: systems.run(graphdef, params, rest, "network_loss", out, batch, now)[0]["cross_entropy"]
        return jax.grad(loss)(out)["logits"]

    slope = np.asarray(look(params))
    assert np.any(slope[0]) and not np.any(slope[1])


def test_windows_are_cut_for_training(folder):
    config = configured(folder)
    config.model.crop = 16
    experiment = Experiment(config)
    source = data.open(experiment.data, "train")
    batch = data.stack([source[i] for i in range(2)])
    now = systems.Now(jax.random.split(jax.random.key(0), 2), jnp.int32(0), jnp.float32(0))
    out = jax.eval_shape(lambda: systems.run(*systems.build(experiment), "forward", batch, now)[0])
    assert out["ab"].shape == (2, 4, 4, 2) and out["logits"].shape == (2, 4, 4, 313)
    assert use.untrained(config).tools["colorize"].all_options["size"].default == 16


@pytest.mark.parametrize("field, value, message", [
    ("data.size", 36, "config.data.size must be a multiple of 8, got 36"),
    ("model.crop", 40, "config.model.crop must be a multiple of 8, and at most config.data.size, got 40"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_refused_by_name(folder, tmp_path, field, value, message):
    config = configured(folder)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=message):
        loop.train(config, tmp_path)


def test_every_figure_has_a_phrase(folder):
    model = use.untrained(configured(folder))
    example = {key: np.zeros(x.shape, x.dtype) for key, x in data.shapes(model.experiment.data).items()}
    system = model.experiment.system
    assert set(model.figure_names([example])) <= set(PHRASES | system.explained) and "samples" in system.legends
