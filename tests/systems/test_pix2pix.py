"""pix2pix on pairs: both sides are cut and turned alike, the translation is learned, and it is applied as it is."""

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
from vision_gen.systems import pix2pix


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A|B side by side, B the negative of A."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 4), ("test", 4)):
        (folder / split).mkdir()
        for i in range(count):
            blocks = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(np.concatenate([blocks, 255 - blocks], 1)).save(folder / split / f"{i}.png")
    return folder


def configured(folder):
    config = tiny("pix2pix_pairs")
    config.data.dir = str(folder)
    config.model.noise_at_test = False
    return config


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = configured(folder)
    config.model.update(width=16, jitter=1.0)
    config.train.update(steps=80, log_every=40, checkpoint_every=80)
    loop.train(config, workdir)
    return workdir


def test_source_and_target_are_cut_and_turned_alike(folder):
    config = configured(folder)
    experiment = Experiment(config)
    source = data.open(experiment.data, "train")
    batch = data.stack([source[i] for i in range(8)])
    graphdef, params, rest = systems.build(experiment)
    now = systems.Now(jax.random.split(jax.random.key(0), 8), jnp.int32(0), jnp.float32(0))
    forward = jax.jit(lambda params, batch: systems.run(graphdef, params, rest, "forward", batch, now)[0])
    out = forward(params, batch)
    assert out["source"].shape == out["target"].shape == (8, 32, 32, 3)
    np.testing.assert_allclose(out["source"], -out["target"], atol=1e-5)
    # They were cut and turned: none is as it was, nor any two by the same amount.
    plain = batch["source"] / np.float32(127.5) - 1
    assert (np.abs(np.asarray(out["source"]) - plain).mean((1, 2, 3)) > 0.01).all()


def test_pairs_of_lines_are_drawn_by_an_unsteady_hand_if_that_is_asked_for(folder):
    batch = {"source": np.full((4, 32, 32, 3), 255, np.uint8), "colour": np.zeros((4, 32, 32, 3), np.uint8)}
    batch["source"][:, 14:17, 4:28] = 0
    keys, shares = jax.random.split(jax.random.key(0), 4), dict(line_share=0.0, xdog_share=0.0)
    plain = pix2pix._source(batch, keys, **shares)
    np.testing.assert_array_equal(plain, batch["source"] / np.float32(127.5) - 1)
    drawn = pix2pix._source(batch, keys, unsteady=1.0, **shares)
    assert drawn.shape == (4, 32, 32, 1)
    assert 0.01 < np.abs(drawn - plain[..., :1]).mean() < 0.3


def test_the_translation_of_pairs_is_learned(run):
    means, paths = evaluation.evaluate_run(run, "last")
    assert all(path.exists() for path in paths)
    assert means["psnr"] > means["psnr_sketch"] + 3, means


def test_a_picture_is_translated_in_its_colours(run, folder):
    model = use.load(run, "last")
    source = data.open(model.experiment.data, "test")
    expected = model.apply("sample", source, len(source))["output"]
    for i in range(len(source)):
        found = model.translate(source[i]["source"])
        np.testing.assert_allclose(found, (expected[i] + 1) * 127.5, atol=1)


def test_with_noise_at_test_time_every_image_has_statistics_of_its_own(folder):
    config = configured(folder)
    config.model.noise_at_test = True
    experiment = Experiment(config)
    source = data.open(experiment.data, "test")
    batch = data.stack([source[i] for i in range(3)])
    keys = jax.random.split(jax.random.key(1), 3)
    state = systems.build(experiment)
    together = systems.run(*state, "sample", batch, keys)[0]["output"]
    for i in range(3):
        part = {name: value[i : i + 1] for name, value in batch.items()}
        alone, rest = systems.run(*state, "sample", part, keys[i : i + 1])
        np.testing.assert_allclose(alone["output"][0], together[i], atol=1e-5)
        jax.tree.map(np.testing.assert_array_equal, rest, state[2])
    other = systems.run(*state, "sample", batch, keys[::-1])[0]["output"]
    assert np.abs(other - together).mean() > 1e-3
