"""StyleGAN2-ADA: its phases, the heuristic that moves p, presets, and settings that cannot work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen import data
from vision_gen.configs import stylegan2_folder
from vision_gen.engine import loop
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine import system as systems
from vision_gen.engine import use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.metrics import patches
from vision_gen.systems.stylegan2 import Augmentation, StyleGAN2


def tiny(**model):
    """The smallest, on 8 px digits with their labels."""
    config = stylegan2_folder.get_config("auto,8")
    config.data.update(name="digits", labels=True)
    small = dict(classes=10, z_size=8, w_size=8, mapping_layers=1, label_layers=1, group=2)
    small |= dict(channel_base=64, channel_max=8)
    config.model.update(**small | dict(half_resolutions=0, perceptual="none", pipeline="color") | model)
    config.players.r1.every = config.players.path_length.every = 2
    config.train.update(batch_size=8, steps=8, log_every=2, sample_every=0, eval_every=0, checkpoint_every=4)
    return config


@pytest.fixture(scope="module")
def stepped():
    """(states before and after each of 5 steps with p from 0.5 on, metrics of each)."""
    config = tiny(adaptive_images=400)  # p moves by 0.08.
    experiment = Experiment(config)
    source = data.open(experiment.data, "train")
    graphdef, state = states.init_state(experiment)
    state["rest"]["augmentation"]["probability"] = jnp.float32(0.5)
    step = jax.jit(step_lib.make_step(experiment, graphdef))
    found, metrics = [state], []
    for i in range(5):
        state, scalars = step(state, data.stack([source[j] for j in range(8 * i, 8 * i + 8)]))
        found.append(state)
        metrics.append(scalars.scalars())
    return found, metrics


def changes(before, after):
    return any(np.any(a != b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after)))


def test_every_phase_acts_at_its_cadence(stepped):
    found, metrics = stepped
    for number, values in enumerate(metrics):
        assert values["r1/acted"] == values["path_length/acted"] == (number % 2 == 0)
        assert all(np.isfinite(list(values.values())))
        for network in ("generator", "discriminator"):
            assert changes(found[number]["params"][network], found[number + 1]["params"][network])
    # Rates are corrected by interval / (interval + 1), once for both phases.
    assert metrics[0]["generator/learning_rate"] == pytest.approx(0.0025 * 2 / 3)
    assert metrics[0]["r1/learning_rate"] == pytest.approx(0.0025 * 2 / 3)
    assert metrics[4]["state/path_length"] > metrics[1]["state/path_length"] == metrics[0]["state/path_length"] > 0
    average = [state["rest"]["generator"]["mapping"]["average"] for state in found]
    assert all(changes(a, b) for a, b in zip(average, average[1:]))
    assert changes(found[-1]["ema"], {"generator": found[-1]["params"]["generator"]})


def test_p_moves_every_fourth_step_by_the_sign_of_what_the_discriminator_says_of_real_images(stepped):
    found, metrics = stepped
    probability = [values["state/augmentation_probability"] for values in metrics]
    assert probability[:4] == [0.5] * 4
    # r_t of the four steps before, of real images in the discriminator's phase and in the penalty's.
    signs = found[4]["rest"]["augmentation"]["signs"]
    assert signs[1] == 8 * (4 + 2)
    assert metrics[4]["state/overfitting"] == pytest.approx(signs[0] / signs[1])
    direction = np.sign(signs[0] / signs[1] - 0.6)
    assert probability[4] == pytest.approx(0.5 + direction * 8 * 4 / 400)
    assert found[5]["rest"]["augmentation"]["signs"][1] == 8 * 2  # Begun anew.


def test_p_rises_where_overfitting_is_above_the_target_and_stays_in_its_bounds():
    def after(probability, logits, step=4):
        state = Augmentation(probability)
        state.see(jnp.array(logits))
        state.adjust(jnp.int32(step), 0.6, 0.3)
        return float(state.probability[...]), float(state.signs[...][1])

    assert after(0.5, [1.0, 1.0, 1.0, 1.0]) == (pytest.approx(0.8), 0)
    assert after(0.5, [1.0, 1.0, -1.0, 1.0]) == (pytest.approx(0.2), 0)  # r_t is 0.5.
    assert after(0.9, [1.0]) == (1, 0)
    assert after(0.1, [-1.0]) == (0, 0)
    assert after(0.5, [1.0], step=5) == (0.5, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    size = dict(channel_base=512, channel_max=32, z_size=16, w_size=16, group=4)
    config = tiny(augmentation="none", r1_weight=1.0, path_length_weight=0.0, **size)
    config.train.update(batch_size=16, steps=500, log_every=100, checkpoint_every=500)
    config.players.r1.every, config.players.path_length.every = 8, 0
    config.players.generator.ema_half_life = config.players.path_length.ema_half_life = 500.0
    loop.train(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def model(run):
    return use.load(run, "last")


def test_generated_digits_come_near_held_out_ones(model):
    source = data.open(model.experiment.data, "val")
    figures, values = model.evaluate(source)
    assert values["output"].shape == values["truth"].shape == (len(source), 1, patches.NUMBER, patches.DIRECTIONS)
    truth = np.stack([source[i]["colour"] for i in range(len(source))]) / np.float32(127.5) - 1
    same = np.broadcast_to(truth.mean(0), truth.shape)  # As good as images can be that are all alike.
    keys = jax.random.split(jax.random.key(0), len(source))
    alike = patches.distance(*(patches.descriptors(images, keys) for images in (truth, same)))
    assert figures["patch_distance"] < 0.7 * alike, (figures, alike)


def test_images_are_a_function_of_seed_label_and_truncation(model):
    first = model.generate("3", seed=5)
    assert first["image"].shape == (8, 8, 3) and first["latent"].shape == (16,)
    np.testing.assert_array_equal(model.generate(3, seed=5)["image"], first["image"])
    for other in (model.generate(3, seed=6), model.generate(4, seed=5), model.generate(3, seed=5, truncation=1.0)):
        assert np.any(other["latent"] != first["latent"])
    # Latents move on a line towards the mean of all.
    latents = [model.generate(3, seed=5, truncation=psi)["latent"] for psi in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(latents[1], (latents[0] + latents[2]) / 2, atol=1e-5)
    np.testing.assert_array_equal(model.generate(7, seed=9, truncation=0.0)["latent"], latents[0])
    np.testing.assert_array_equal(model.paint(first["latent"]), first["image"])


def test_mixtures_have_the_layers_asked_for(model):
    grid = model.mix(2, first=1, last=0)  # No layer is the others'.
    assert grid.shape == (5 * 8, 7 * 8, 3)
    tile = lambda grid, row, column: grid[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    for row in range(1, 5):
        for column in range(1, 7):
            np.testing.assert_allclose(tile(grid, row, column), tile(grid, row, 0), atol=1)
    every = model.mix(2, first=0, last=3)
    np.testing.assert_allclose(tile(every, 3, 5), tile(every, 0, 5), atol=1)
    some = model.mix(2, first=0, last=1)
    assert np.any(np.abs(tile(some, 3, 5).astype(int) - tile(some, 3, 0)) > 1)
    assert np.any(np.abs(tile(some, 3, 5).astype(int) - tile(some, 0, 5)) > 1)


def test_two_are_mixed_and_moved(model):
    of = lambda **more: model.mix_two(2, seed=5, other=9, **more)
    close = lambda a, b: np.testing.assert_allclose(a.astype(int), b.astype(int), atol=1)
    far = lambda a, b: np.abs(a.astype(int) - b).max() > 1
    one, other = (model.generate(2, seed=seed)["image"] for seed in (5, 9))
    some, none, every = of(first=0, last=1), of(first=3, last=0), of(first=0, last=3)
    close(some["of_seed"], one), close(some["of_other"], other)
    close(none["image"], one), close(every["image"], other)
    assert far(some["image"], one) and far(some["image"], other)
    # That is the mixture of the same layers, and the end of the film of the same direction.
    close(some["image"], model.mix(2, seed=5, others=9, first=0, last=1)[8:16, 8:16])
    film = model.direction(2, seed=5, frames=3, reach=4, number=1, first=1, last=2)
    moved = of(first=3, last=0, number=1, reach=4.0, moved_first=1, moved_last=2)["image"]
    close(moved, film[2])
    assert far(moved, one)


def test_films_pass_through_their_latents(model):
    film = model.interpolate(1, frames=6, stops=3, seed=7)
    assert film.shape == (6, 8, 8, 3)
    for i in range(3):
        np.testing.assert_allclose(film[2 * i], model.generate(1, seed=7 + i)["image"], atol=1)


def test_directions_move_a_latent_either_way_in_the_layers_asked_for(model):
    middle = model.generate(1, seed=7)["image"]
    film = model.direction(1, seed=7, frames=3, reach=4)
    np.testing.assert_allclose(film[1], middle, atol=1)
    assert np.abs(film[0].astype(float) - film[2]).mean() > np.abs(film[0].astype(float) - film[1]).mean() > 1
    np.testing.assert_allclose(model.direction(1, seed=7, frames=3, reach=0)[2], middle, atol=1)
    with pytest.raises(InputError, match="first is 2, the last layer 1"):
        model.direction(1, seed=7, first=2, last=1)


def test_a_picture_is_found(model):
    wanted = model.generate(3, seed=11, truncation=1.0)["image"]
    found = model.project(wanted, 3, steps=150)
    assert found["latent"].shape == (16,) and found["film"].shape == (50, 8, 8, 3)
    away = lambda image: np.abs(image.astype(float) - wanted).mean()
    assert away(found["image"]) < 0.5 * away(found["film"][0])  # That of the mean latent.
    few = model.project(wanted, 3, steps=3)["film"]
    np.testing.assert_array_equal(few[0], few[15])  # A turn's frame stays until the next.


@pytest.mark.parametrize("value", [float("nan"), "psi", 3])
def test_a_truncation_that_is_none_is_refused(model, value):
    with pytest.raises(InputError, match="truncation must be a number from -2 to 2"):
        model.generate(3, truncation=value)


PUBLISHED = {  # training options of the reference: batch, group, base, rate, gamma, half-life, ramp, mapping layers, steps.
    "stylegan2": (32, 4, 32768, 0.002, 10, 10_000, 0, 8, 781_250),
    "paper256": (64, 8, 16384, 0.0025, 1, 20_000, 0, 8, 390_625),
    "paper512": (64, 8, 32768, 0.0025, 0.5, 20_000, 0, 8, 390_625),
    "paper1024": (32, 4, 32768, 0.002, 2, 10_000, 0, 8, 781_250),
    "cifar": (64, 32, 32768, 0.0025, 0.01, 500_000, 0.05, 2, 1_562_500),
    "auto,256": (16, 4, 16384, 0.0025, 0.8192, 5000, 0.05, 2, 1_562_500),
    "auto,512,8": (64, 4, 32768, 0.0025, 0.8192, 20_000, 0.05, 2, 390_625),
    "auto,1024,2": (8, 4, 32768, 0.002, 26.2144, 2500, 0.05, 2, 3_125_000),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_the_references(name):
    config = stylegan2_folder.get_config(name)
    model, player, train = config.model, config.players.generator, config.train
    found = train.batch_size, model.group, model.channel_base, config.players.discriminator.learning_rate, model.r1_weight
    found += player.ema_half_life, player.ema_ramp, model.mapping_layers, train.steps
    assert found == pytest.approx(PUBLISHED[name])
    assert (config.players.r1.every, config.players.path_length.every) == (16, 0 if name == "cifar" else 4)
    assert config.players.path_length.shrink == 2 and config.players.generator.b1 == 0


@pytest.mark.parametrize("name", ["paper", "auto,", "auto,64,8,1", "auto,-64", "paper256,x"])
def test_presets_that_there_are_not_are_refused(name):
    with pytest.raises(InputError, match="presets are auto, stylegan2, paper256"):
        stylegan2_folder.get_config(name)


def test_settings_that_cannot_work_are_named():
    def refused(match, **fields):
        config = tiny()
        for name, value in fields.items():
            config.update_from_flattened_dict({name.replace("__", "."): value})
        with pytest.raises(InputError, match=match):
            experiment = Experiment(config)
            StyleGAN2.check(experiment, data.open(experiment.data, "train"))
            systems.build(experiment)

    refused("config.model.probability must be at least 0 and at most 1, got 1.5", model__probability=1.5)
    refused('config.model.probability is of augmentation="fixed"', model__probability=0.5)
    refused("config.model.pipeline must be one of 'blit', .*got 'bcg'", model__pipeline="bcg")
    refused("config.model.group is 3; it must divide the 8 images", model__group=3)
    refused("config.model.r1_weight is 0; set config.players.r1.every=0", model__r1_weight=0.0)
    refused("config.model.classes is 7, but the data has 10", model__classes=7)


@pytest.mark.parametrize("size", [48, 4, (8, 16)])
def test_a_size_that_is_no_power_of_two_is_named(size):
    config = tiny()
    config.data.update(name="image_folder", size=size)
    with pytest.raises(InputError, match="config.data.size must be a power of two from 8 on, got"):
        systems.build(Experiment(config))
