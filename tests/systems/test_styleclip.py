"""Latents are moved by the released code's rules: optimisation, the mapper's edits, and directions of style space."""

import json
import logging

from flax import nnx
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from tests.conftest import tiny
from vision_gen import values
from vision_gen.configs import styleclip, styleclip_ffhq
from vision_gen.data import tokens
from vision_gen.engine import use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.systems.styleclip import directions

SIZE = 16


def origin(system, attribute, config, **more):
    """What a run of it leaves in `config.origin`."""
    sections = dict(model=config.model.to_dict(), data=config.data.to_dict())
    return dict(run="x", attribute=attribute, system=system, **sections, **more)


def small(config, identity=False, **model):
    """A config of StyleCLIP with the networks of tiny runs, which are not there."""
    config = config.copy_and_resolve_references()
    gan = tiny("stylegan2_avatars", z_size=4, w_size=4, mapping_layers=1, channel_max=4, channel_base=64)
    gan.data.size = config.data.size = SIZE
    clip = tiny("clip_avatars", embedding=8, image_width=8, text_width=8, head=4, vocabulary=300, image_layers=1)
    clip.model.update(text_layers=1, unroll=1)
    clip.data.update(size=8, text_length=24)
    found = dict(
        generator=origin("stylegan2.StyleGAN2", "generator", gan),
        clip=origin("clip.CLIP", "network", clip, tokenizer=tokens.learn(["a person with red hair"] * 3, 300).json()),
    )
    if identity:
        judge = tiny("vit_digits", size=(8, 16, 1, 2), patch=4, classes=3)
        judge.data.size = SIZE
        found["identity"] = origin("classifier.Classifier", "network", judge)
    with config.unlocked():
        config.origin = ConfigDict(found)
    config.init.update({name: "x" for name in found})
    with config.ignore_type():  # A text, or its tokens.
        config.model.update(model)
    return config


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directions, "SAMPLES", 40)
        patch.setattr(directions, "TOGETHER", 20)
        # The mapper has the tools of what is not trained too.
        yield use.untrained(small(styleclip_ffhq.get_config(), identity=True, text="a person with red hair"))


def as_bytes(images):
    """The first of images in [-1, 1], in grey levels, not rounded."""
    return np.clip(np.asarray(images[0]) * 127.5 + 127.5, 0, 255)


def read(start):
    return jax.tree.map(jnp.asarray, values.Start((6, 4)).array(values.Start((6, 4)).read(start, "latent")))


def test_a_latent_is_given_or_drawn_or_the_mean(model):
    system = model.system()
    ws = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    system.generator.mapping.average[...] = jnp.arange(4.0)
    found = lambda start, psi: np.asarray(system._started(read(start), jnp.float32([psi])))
    np.testing.assert_array_equal(found(ws, 0.7)[0], ws)
    np.testing.assert_array_equal(found(ws[0], 0.7)[0], np.repeat(ws[:1], 6, 0))
    np.testing.assert_allclose(found("mean", 0.7)[0], np.tile(np.arange(4.0), (6, 1)))
    whole, near = found(3, 1.0), found("3", 0.25)
    np.testing.assert_allclose(near - np.arange(4.0), 0.25 * (whole - np.arange(4.0)), atol=1e-6)
    assert np.abs(whole - found(4, 1.0)).max() > 0.1


@pytest.mark.parametrize("space", [pytest.param("w+", marks=pytest.mark.slow), "s"])
def test_optimisation_is_adams_on_the_published_loss(model, space):
    steps, weights = 4, dict(l2_weight=0.05, identity_weight=0.25)
    out = model.optimise(7, "a person with red hair", steps=steps, space=space, learning_rate=0.2, **weights)
    system, text = model.system(), model.tools["optimise"].inputs["text"].array("a person with red hair")
    synthesis = system.generator.synthesis
    paint = lambda place: (
        synthesis(place, "const") if place.ndim == 3 else synthesis.paint(jnp.split(place, 8, 1), "const")
    )
    cosine = lambda a, b: jnp.sum(a * b) / jnp.linalg.norm(a) / jnp.linalg.norm(b)

    @jax.jit
    def begun():
        ws = system.drawn(jnp.uint32([7]), 0.7)
        return ws if space == "w+" else jnp.concatenate(synthesis.styles(ws), 1)

    @jax.jit
    def looked(place, start):
        def loss(place):
            image = paint(place)
            # Not normalised; of 16 pixels to 8, a mean of four.
            seen = system.clip.image(image.reshape(1, 8, 2, 8, 2, 3).mean((2, 4)))
            faces = [system.identity(x, intermediates=True)[1]["pooled"] for x in (image, paint(start))]
            far = jnp.sum((place - start) ** 2)
            unlike = 1 - cosine(seen, system.clip.encode_text(text))
            return unlike + weights["l2_weight"] * far + weights["identity_weight"] * (1 - cosine(*faces)), image

        return jax.grad(loss, has_aux=True)(place)

    start = begun()
    place, mean, square = np.asarray(start), 0.0, 0.0
    colours = np.zeros(place.shape, bool)
    if space == "s":  # Of 4, 8 and 16 pixels the second, fifth and eighth layer make colours: all of 4 channels.
        colours[:, [*range(4, 8), *range(16, 20), *range(28, 32)]] = True
    for step in range(steps):
        grad = np.where(colours, 0, looked(place, start)[0])
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad**2
        t = step / steps
        ramp = (0.5 - 0.5 * np.cos(min(1, (1 - t) / 0.25) * np.pi)) * min(1, t / 0.05)
        move = mean / (1 - 0.9 ** (step + 1)) / (np.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
        place = np.float32(place - 0.2 * ramp * move)
    assert np.abs(place - start).max() > 0.1
    np.testing.assert_allclose(out["image"], as_bytes(looked(place, start)[1]), atol=1.6)
    np.testing.assert_allclose(out["before"], as_bytes(looked(np.asarray(start), start)[1]), atol=1.01)
    assert ("latent" in out) == (space == "w+")
    if space == "w+":
        np.testing.assert_allclose(out["latent"], place[0], atol=2e-3)


def test_free_generation_need_not_stay(model):
    text, given = "a person with red hair", dict(steps=3, space="s")
    free = model.optimise("mean", text, free_generation="yes", l2_weight=1e5, identity_weight=1e5, **given)
    plain = model.optimise("mean", text, l2_weight=0.0, identity_weight=0.0, **given)
    np.testing.assert_array_equal(free["image"], plain["image"])
    held = model.optimise("mean", text, l2_weight=1e5, **given)
    assert (free["image"] != held["image"]).any() and (free["before"] == held["before"]).all()


def test_directions_are_the_released_codes_and_are_measured_once(model, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path))
    asked, call = [], model._runner._call
    monkeypatch.setattr(model._runner, "_call", lambda method, *given: asked.append(method) or call(method, *given))
    caplog.set_level(logging.INFO, "vision_gen")
    given = dict(strength=3.0, pictures=3, templates=["{}", "a picture of {}"])
    out = model.steer(5, "a person", "a red person", threshold=0.0, **given)
    assert asked.count("statistics") == 2 and asked.count("differences") and asked[-1] == "steer"
    system = model.system()
    found = jax.jit(lambda seed, cutoff: system.styles(system.drawn(seed, 0.7, cutoff)), static_argnums=1)
    styles, mine = np.asarray(found(np.arange(40, dtype=np.uint32), 8)), np.asarray(found(np.uint32([5]), None))
    mean, deviation = styles.mean(0), styles.std(0)
    movable = [i for i in range(32) if i not in (*range(4, 8), *range(16, 20), *range(28, 32))]
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)

    paint = jax.jit(lambda styles: system.generator.synthesis.paint(jnp.split(styles, 8, 1), "const"))

    @jax.jit
    def look(styles):
        images = jnp.clip(paint(styles), -1, 1)
        return system.clip.encode_image(jax.image.resize(images, (len(images), 8, 8, 3), "cubic"))

    relevance = np.zeros((32, 8))
    for channel in movable:
        moved = np.array([styles[:3]] * 2)
        moved[:, :, channel] = mean[channel] + np.float32([[-5], [5]]) * deviation[channel]
        low, high = unit(np.asarray(look(moved.reshape(6, 32)))).reshape(2, 3, 8)
        relevance[channel] = unit(unit(high - low).mean(0))
    encode, read_texts = model.tools["steer"].inputs["target"].array, jax.jit(system.clip.encode_text)

    def feature(name):
        both = np.concatenate([encode(name), encode(f"a picture of {name}")])
        return unit(unit(np.asarray(read_texts(both))).mean(0))

    along = relevance @ unit(feature("a red person") - feature("a person"))
    assert np.abs(along).max() > 0.3

    def expected(threshold):
        move = np.where(np.abs(along) < threshold, 0, along) / np.abs(along).max()
        return as_bytes(paint(np.float32(mine + 3 * move * deviation)))

    np.testing.assert_allclose(out["image"], expected(0.0), atol=1.6)
    asked.clear()
    middle = float(np.median(np.abs(along[movable])))
    out = model.steer(5, "a person", "a red person", threshold=middle, **given)
    np.testing.assert_allclose(out["image"], expected(middle), atol=1.6)
    assert asked == ["fingerprint", "steer"]
    moved = np.sum(np.abs(along[movable]) >= middle)
    assert f"{moved} of 20 channels are moved" in caplog.text
    with pytest.raises(InputError, match="threshold: no channel is so relevant .* the most relevant has 0"):
        model.steer(5, "a person", "a red person", threshold=1.0, **given)
    with pytest.raises(InputError, match="neutral and target are the same text"):
        model.steer(5, "a person", "a person")


def test_what_was_measured_before_an_interruption_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path))
    monkeypatch.setattr(directions, "SAMPLES", 20)
    monkeypatch.setattr(directions, "TOGETHER", 20)
    seen = []

    def call(arrays, method):
        if method == "fingerprint":
            return {"styles": np.zeros(2), "seen": np.zeros((4, 3)), "moves": np.array([True, False, True, True])}
        if method == "statistics":
            return np.zeros(4), np.ones(4)
        seen.append(int(arrays["channel"][0]))
        if seen == [0, 2]:
            raise KeyboardInterrupt
        return np.full((1, 1, 3), 1 + arrays["channel"][0], float)

    with pytest.raises(KeyboardInterrupt):
        directions.measured(call, 1, 512)  # So large that one is painted at a time.
    mean, deviation, relevance = directions.measured(call, 1, 512)
    assert seen == [0, 2, 2, 3]
    np.testing.assert_allclose(relevance, np.float32([[1], [0], [1], [1]]) * np.full(3, 3**-0.5), rtol=1e-6)
    np.testing.assert_array_equal(deviation, np.ones(4))


def test_measuring_tells_how_far_it_is_and_is_stopped(monkeypatch, tmp_path):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path))
    monkeypatch.setattr(directions, "SAMPLES", 20)
    monkeypatch.setattr(directions, "TOGETHER", 20)
    told, many = [], {"statistics": (np.zeros(4), np.ones(4))}
    many["fingerprint"] = {"styles": np.zeros(2), "seen": np.zeros((4, 3)), "moves": np.ones(4, bool)}
    call = lambda arrays, method: many.get(method, np.ones((1, 1, 3)))
    stop = lambda done, total, preview: told.append((done, total, preview())) or done == 2
    with pytest.raises(InputError, match="stopped: the relevance of 2 of 4 channels is measured, and kept"):
        directions.measured(call, 1, 512, stop)
    directions.measured(call, 1, 512, stop)
    assert told == [(n, 4, None) for n in (1, 2, 3, 4)]


def check_edit(model, latent):
    system, ws = model.system(), np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    out = model.edit(ws, strength=0.5)

    @jax.jit
    def moved():
        if latent:
            place = jnp.asarray(ws)[None]
            return place, (after := place + 0.05 * system.mapper(place)), system.generator.synthesis(after, "const")
        styles = system.generator.synthesis.styles(jnp.asarray(ws)[None])
        after = [style + 0.05 * move for style, move in zip(styles, system.mapper(styles))]
        image = system.generator.synthesis.paint(after, "const")
        return jnp.concatenate(styles, 1), jnp.concatenate(after, 1), image

    place, after, image = moved()
    assert np.abs(after - place).max() > 0.01
    np.testing.assert_allclose(out["image"], as_bytes(image), atol=1.01)
    assert ("latent" in out) == latent
    if latent:
        np.testing.assert_allclose(out["latent"], after[0], atol=1e-5)


def test_the_mapper_edits_by_a_tenth_of_what_it_says(model):
    check_edit(model, True)


@pytest.mark.slow
def test_the_mapper_of_styles_edits_by_a_tenth_too():
    check_edit(use.untrained(small(styleclip_ffhq.get_config(), space="s", text="a person with red hair")), False)


def test_settings_that_cannot_work_are_named():
    def refused(match, make=styleclip.get_config, change=lambda config: None, **fields):
        with pytest.raises(InputError, match=match):
            config = small(make(), **fields)
            change(config)
            experiment = Experiment(config)
            nnx.eval_shape(lambda: experiment.system(experiment, rngs=nnx.Rngs(0)))

    def put(name, **values):
        flat = {f"{name}.{key}": value for key, value in values.items()}
        return lambda config: config.update_from_flattened_dict(flat)

    def judged_by_the_discriminator(config):
        with config.unlocked():
            config.origin.clip = dict(config.origin.generator, attribute="discriminator")

    refused("config.data.size is 32; the generator of config.init.generator has 16", change=put("data", size=32))
    refused("config.init.generator draws images of 5 classes", change=put("origin.generator.model", classes=5))
    refused(
        "config.init.clip must be the network of a clip.CLIP .* got x: discriminator of stylegan2.StyleGAN2",
        change=judged_by_the_discriminator,
    )
    mapper = styleclip_ffhq.get_config
    refused("config.model.text is empty", mapper, text=" ")
    refused("config.model.coarse, medium and fine are all False", mapper, coarse=False, medium=False, fine=False)


def test_without_a_network_of_faces_the_term_is_off_and_says_so():
    found = {}
    for identity in (False, True):
        experiment = Experiment(small(styleclip.get_config(), identity=identity))
        found[identity] = next(tool for tool in experiment.system.tools(experiment, {}) if tool.name == "optimise")
    assert "Without a term of identity" in found[False].doc and "identity_weight" not in found[False].options
    assert "Without" not in found[True].doc and found[True].options["identity_weight"].default == 0


def test_texts_are_numbered_as_the_clips_run_numbers_them():
    experiment = Experiment(small(styleclip.get_config()))
    steer = {tool.name: tool for tool in experiment.system.tools(experiment, {})}["steer"]
    ids = steer.inputs["target"].array("a person with red hair")
    learned = tokens.from_json(experiment.origin["clip"].tokenizer)
    np.testing.assert_array_equal(ids, learned.encode("a person with red hair", 24)[None])
    assert json.loads(experiment.origin["clip"].tokenizer) and steer.options["templates"].default == "{}"
