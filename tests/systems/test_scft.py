"""SCFT: the known warp gives the positives, and training finds them."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw
import pytest

from vision_gen.configs import scft_openmoji
from tests.conftest import tiny
from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import inference, weights
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import scft as net
from vision_gen.ops import random, resample, tps
from vision_gen.pretrained import features as pretrained
from vision_gen.systems import scft


def test_without_a_warp_the_positives_are_the_diagonal():
    grid = resample.identity_grid(6, 5)
    index = jnp.arange(30)[None]
    weights, valid = net.correspondence_weights(grid[None], index, grid)
    np.testing.assert_allclose(weights[0], np.eye(30), atol=1e-5)
    assert valid.all()


def test_a_shift_moves_the_positives_and_leaves_the_frame():
    """reference(x) = image(x + one cell right): what cell i shows lies one cell left."""
    grid = resample.identity_grid(4, 4)
    sampling = (grid + jnp.asarray([0.5, 0.0]))[None]
    weights, valid = net.correspondence_weights(sampling, jnp.arange(16)[None], grid)
    for i in range(16):
        if i % 4 == 0:
            assert not valid[0, i]
        else:
            assert valid[0, i] and int(weights[0, i].argmax()) == i - 1


def test_triplet_is_zero_for_the_true_correspondence_and_the_margin_for_none():
    grid = resample.identity_grid(4, 4)[None]
    keys = jax.random.split(jax.random.key(0), 1)
    code = 40 * jnp.eye(16).reshape(1, 4, 4, 16)
    assert float(scft.similarity_triplet(code, code, grid, keys)) == 0
    blank = jnp.zeros_like(code)
    assert float(scft.similarity_triplet(blank, code, grid, keys)) == pytest.approx(12)
    wrong = jnp.roll(code, 5, 3)
    assert float(scft.similarity_triplet(wrong, code, grid, keys)) > 12


def test_triplet_is_that_of_its_equation():
    """Equation 5 with a warp by one cell: what a cell shows lies left of it, and nowhere for the cells on the left."""
    query, key = np.random.default_rng(0).normal(size=(2, 2, 16, 8)).astype(np.float32) * 3
    sampling = jnp.broadcast_to(resample.identity_grid(4, 4) + jnp.asarray([0.5, 0.0]), (2, 4, 4, 2))
    keys = jax.random.split(jax.random.key(3), 2)
    drawn = np.asarray(random.integers(random.fold(keys, 0), 0, 16, (16,)))
    expected = []
    for q, k, negatives in zip(query, key, drawn):
        pairs = [(cell, n) for cell, n in enumerate(negatives) if cell % 4 and n != cell - 1]
        expected.append(np.mean([max(0, q[cell] @ (k[n] - k[cell - 1]) / 8**0.5 + 2) for cell, n in pairs]))
    maps = (x.reshape(2, 4, 4, 8) for x in (query, key))
    found = float(scft.similarity_triplet(*maps, sampling, keys, margin=2.0))
    assert found == pytest.approx(np.mean(expected), rel=1e-4)


def test_triplet_in_chunks_is_the_triplet():
    rng = np.random.default_rng(0)
    query, key = (jnp.asarray(rng.normal(size=(2, 6, 6, 8)), jnp.float32) for _ in range(2))
    keys = jax.random.split(jax.random.key(1), 2)
    sampling = tps.flow(*tps.random_spline(keys), 6, 6)

    def value(chunk):
        loss = lambda q, k: scft.similarity_triplet(q, k, sampling, keys, chunk=chunk)
        return jax.value_and_grad(loss, (0, 1))(query, key)

    whole, parts = value(36), value(10)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_correspondence_of_perfect_codes_is_found_everywhere():
    keys = jax.random.split(jax.random.key(2), 3)
    spline = tps.random_spline(keys, scale=0.3)
    size = 16
    sampling = tps.flow(*spline, size, size)
    # Random Fourier features of a position: alike only where positions are.
    frequency = jax.random.normal(jax.random.key(3), (2, 64)) * 6
    code = lambda p: 5 * jnp.concatenate([jnp.sin(p @ frequency), jnp.cos(p @ frequency)], -1)
    query = jnp.broadcast_to(code(resample.identity_grid(size, size)), (3, size, size, 128))
    found, identity, valid = scft.correspondence(query, code(sampling), sampling)
    share = lambda hit: float(jnp.sum(hit & valid) / jnp.sum(valid))
    assert share(found) > 0.98 > share(identity) + 0.1


def test_a_sketch_is_turned_with_its_image():
    config = tiny("scft_demo")
    config.model.update(line_share=1.0, jitter_shift=0.0, jitter_hue=0.0, perceptual_weight=0.0, style_weight=0.0)
    state = systems.build(Experiment(config))
    lines = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 1), np.uint8)
    batch = {"line": lines, "colour": lines.repeat(3, -1)}
    now = systems.Now(jax.random.split(jax.random.key(0), 16), jnp.int32(0), jnp.float32(0))
    look = lambda: [systems.run(*state, "forward", batch, now)[0][name] for name in ("sketch", "target")]
    sketch, target = jax.jit(look)()
    np.testing.assert_allclose(target, np.repeat(sketch, 3, -1), atol=1e-6)
    turned = np.abs(sketch - (lines / np.float32(127.5) - 1)).max((1, 2, 3)) > 0.1
    assert 2 < turned.sum() < 14


def test_perceptual_and_style_terms_are_of_the_published_network():
    config = tiny("scft_demo")
    config.model.update(perceptual_weight=0.5, style_weight=2.0, triplet_weight=0.0, gan_weight=0.0)
    experiment = Experiment(config)
    graphdef, state = states.init_state(experiment, weights.load(experiment)[0])
    published = pretrained.load("efficientnet-lite0")[0]
    rng = np.random.default_rng(0)
    fake, target = rng.uniform(-1, 1, (2, 2, 32, 32, 3)).astype(np.float32)
    # Zeros as sketches: only the terms of the pictures are looked at.
    out = {"fake": fake, "target": target, "sketch": np.zeros((2, 32, 32, 1), np.float32)}
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    def look(fake):
        """The terms, and whether the gradient of each flows into the picture."""
        given = lambda fake: (out | {"fake": fake}, None, systems.Now(keys, 0, 0.0))
        loss = lambda fake: systems.run(graphdef, state["params"], state["rest"], "generator_loss", *given(fake))[0]
        terms, pull = jax.vjp(loss, fake)
        only = lambda name: {other: jnp.float32(other == name) for other in terms}
        return terms, {name: (pull(only(name))[0] != 0).mean() for name in ("perceptual", "style")}

    terms, moved = look(fake)
    assert moved["perceptual"] > 0.9 and moved["style"] > 0.9
    inside = nnx.jit(lambda network, images: network(images, intermediates=True)[1])
    ours, theirs = (inside(published, images) for images in (fake, target))
    layers = ("stage1", "stage2", "stage3", "stage5", "stage7")
    expected = 0.5 * sum(np.abs(ours[n] - theirs[n]).mean() for n in layers)
    np.testing.assert_allclose(terms["perceptual"], expected, rtol=1e-4)
    flat = [np.asarray(x["stage7"]).reshape(2, -1, 320) for x in (ours, theirs)]
    grams = [np.einsum("bnc,bnd->bcd", f, f) / f[0].size for f in flat]
    np.testing.assert_allclose(terms["style"], 2 * np.abs(grams[0] - grams[1]).mean(), rtol=1e-4)
    config.model.perceptual = "vgg11"
    with pytest.raises(InputError, match="config.model.perceptual must be one of .*'vgg11'"):
        Experiment(config)


def test_no_gradient_passes_through_a_map_that_stops_it():
    """So all of it comes by the other way of the same vectors."""
    config = tiny("scft_demo")
    config.model.update(attention="stop_gradient", triplet_weight=0.0)
    state = systems.build(Experiment(config))
    rng = np.random.default_rng(0)
    batch = {name: rng.integers(0, 256, (2, 32, 32, c), np.uint8) for name, c in (("line", 1), ("colour", 3))}
    keys = jax.random.split(jax.random.key(0), 2)
    found = jax.jit(lambda: systems.run(*state, "gradient_cosines", batch, keys)[0])()
    assert found["key"].shape == (2,) and found["key_places"].shape == (2, 256)
    for name, value in found.items():
        expected = float(name.startswith(("source", "value")))
        np.testing.assert_allclose(value, np.full_like(value, expected), atol=1e-5)


def test_cosines_are_those_of_vectors():
    a, b = jnp.asarray([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), jnp.asarray([[4.0, 3.0], [-2.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(scft.cosine(a, b), [0.96, -1, 0], atol=1e-6)


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    """Outlined discs and boxes in two random colours on white, at random places."""
    folder = tmp_path_factory.mktemp("drawings")
    rng = np.random.default_rng(0)
    for index in range(160):
        image = Image.new("RGB", (64, 64), "white")
        draw = ImageDraw.Draw(image)
        for shape in (draw.ellipse, draw.rectangle):
            x, y = rng.integers(4, 30, 2)
            w, h = rng.integers(20, 32, 2)
            fill = tuple(int(c) for c in rng.integers(40, 256, 3))
            shape([x, y, x + w, y + h], fill=fill, outline="black", width=4)
        image.save(folder / f"{index}.png")
    return folder


def trained(config, steps):
    """-> held-out figures after `steps`."""
    experiment = Experiment(config)
    parallel = parallel_lib.Parallel(experiment, jax.devices()[:1])
    graphdef, state = states.place_state(experiment, parallel, weights.load(experiment)[0])
    batches = pipeline.training_batches(
        data.open(Experiment(config).data, "train"), batch_size=config.train.batch_size, seed=config.seed
    )
    batch = parallel.batch(next(batches))
    step = parallel.compile(lambda axis: step_lib.make_step(experiment, graphdef, axis), state, batch)
    for _ in range(steps):
        state, _ = step(state, parallel.batch(next(batches)))
    means, _ = inference.Inference(experiment, graphdef, parallel).evaluate(
        state, data.open(Experiment(config).data, "test")
    )
    return means


def test_training_beats_the_sketch_and_the_warped_reference(drawings):
    config = tiny("scft_demo")
    config.data.update(name="image_folder", dir=str(drawings))
    config.model.update(width=12, levels=2, discriminator_width=8)
    config.train.update(batch_size=8, steps=100)
    config.players.generator.update(learning_rate=3e-3, warmup=10)
    means = trained(config, 100)
    assert means["psnr"] > max(means["psnr_sketch"], means["psnr_reference"]) + 1.5, means


@pytest.mark.slow  # `test_pix2pix` trains it on pairs.
def test_pix2pix_learns_what_sketches_tell(tmp_path):
    """Discs are red and boxes blue: colours that only a learner of shapes can give."""
    rng = np.random.default_rng(1)
    for index in range(120):
        image = Image.new("RGB", (64, 64), "white")
        draw = ImageDraw.Draw(image)
        x, y = rng.integers(4, 24, 2)
        box = [x, y, x + int(rng.integers(24, 36)), y + int(rng.integers(24, 36))]
        if index % 2:
            draw.ellipse(box, fill=(220, 40, 40), outline="black", width=4)
        else:
            draw.rectangle(box, fill=(40, 60, 220), outline="black", width=4)
        image.save(tmp_path / f"{index}.png")
    config = tiny("pix2pix_openmoji")
    config.data.update(name="image_folder", dir=str(tmp_path))
    config.model.update(width=16, discriminator_width=8)
    config.train.update(batch_size=8, steps=150)
    for player in config.players.values():
        player.learning_rate = 1e-3
    means = trained(config, 150)
    assert means["psnr"] > means["psnr_sketch"] + 4, means


def test_defaults_are_the_papers():
    config = scft_openmoji.get_config()
    params = jax.eval_shape(lambda: systems.build(Experiment(config))[1])
    assert params["generator"]["query"]["kernel"].shape == (992, 992)
    model = config.model
    assert (model.gan_weight, model.reconstruction_weight) == (1, 30)
    assert (model.triplet_weight, model.triplet_margin) == (1, 12)
    rates = [config.players[name].learning_rate for name in ("generator", "discriminator")]
    assert rates == [1e-4, 2e-4]


def test_vgg19_is_the_perceptual_network_where_its_file_is(tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_WEIGHTS", str(tmp_path))
    from vision_gen.configs import scft_openmoji
    from vision_gen.pretrained import weights as published

    assert scft_openmoji.get_config().model.perceptual == "efficientnet-lite0"
    (tmp_path / published.FILES["vgg19"].file).touch()
    assert scft_openmoji.get_config().model.perceptual == "vgg19"
