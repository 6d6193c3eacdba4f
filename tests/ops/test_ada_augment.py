"""StyleGAN2-ADA's augmentations: the reference's on the same draws, none at p = 0, blitting without loss."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import ada_augment_by_seed as golden
from vision_gen.ops import ada_augment

REFERENCE = np.load(pathlib.Path(golden.__file__).with_name("ada_augment_reference.npz"))


def of_reference(name):
    """What the reference drew, as our draws; at probability 1 the numbers that decide do not matter."""
    numbers = iter(REFERENCE[key] for key in sorted(REFERENCE) if key.startswith(f"{name}/draw"))
    value = lambda: (next(numbers).reshape(4, -1).squeeze(-1), next(numbers))[0]
    pair = lambda: (next(numbers), next(numbers))[0]
    chosen = [group for group in golden.OPERATIONS if name in (group, "bgcfnc") and group != "bgcfnc"]
    drawn = {}
    if "blit" in chosen:
        drawn |= dict(flip=np.floor(value() * 2), turns=np.floor(value() * 4), shift=(pair() * 2 - 1) * 0.125)
    if "geom" in chosen:
        drawn |= dict(scale=np.exp2(value() * 0.2), turn_before=(value() * 2 - 1) * np.pi)
        drawn |= dict(stretch=np.exp2(value() * 0.2), turn_after=(value() * 2 - 1) * np.pi, offset=pair() * 0.125)
    if "color" in chosen:
        drawn |= dict(brightness=value() * 0.2, contrast=np.exp2(value() * 0.5), luma_flip=np.floor(value() * 2))
        drawn |= dict(hue=(value() * 2 - 1) * np.pi, saturation=np.exp2(value()))
    if "filter" in chosen:
        drawn["bands"] = np.exp2(np.stack([value() for _ in range(4)], -1))
    if "noise" in chosen:
        deviation = np.abs(pair()) * 0.1
        drawn["noise"] = (next(numbers) * deviation).transpose(0, 2, 3, 1)
    if "cutout" in chosen:
        next(numbers)
        drawn |= dict(cut=np.full(4, 0.5, np.float32), centre=next(numbers).reshape(4, 2))
    assert not list(numbers)
    return {name: jnp.asarray(value) for name, value in drawn.items()}


@pytest.mark.parametrize("name", golden.OPERATIONS)
def test_each_is_the_references_on_the_same_draw(name):
    drawn = of_reference(name)
    found = jax.jit(ada_augment.apply)(golden.pictures(), drawn)
    # Flips and turns are copied, where the reference sends them through a filter that is not quite symmetric.
    np.testing.assert_allclose(found, REFERENCE[f"{name}/out"], atol=0.05 if name == "blit" else 5e-6)
    ours = jax.eval_shape(lambda: ada_augment.draw(jax.random.split(jax.random.key(0), 4), 1.0, name, (24, 24, 3)))
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in drawn.items()}


@pytest.fixture(scope="module")
def augmented():
    """A function (images, probability) that draws and applies everything."""

    @jax.jit
    def function(images, probability):
        keys = jax.random.split(jax.random.key(0), len(images))
        drawn = ada_augment.draw(keys, probability, "bgcfnc", images.shape[1:])
        return ada_augment.apply(images, drawn), drawn

    return function


def test_at_probability_zero_nothing_happens(augmented):
    images = jax.random.uniform(jax.random.key(1), (64, 16, 16, 3), minval=-1)
    np.testing.assert_allclose(augmented(images, 0.0)[0], images, atol=1e-6)


def test_operations_act_with_their_probability_and_as_wide_as_published(augmented):
    images = jnp.zeros((2048, 4, 4, 3))
    rest = dict(scale=1, stretch=1, contrast=1, saturation=1, bands=1)
    for probability in (0.3, 1.0):
        drawn = augmented(images, probability)[1]
        for name, value in drawn.items():
            if name in ("flip", "turns", "luma_flip"):  # As often it is drawn that they do not.
                acts = value > 0
                expected = probability * (3 / 4 if name == "turns" else 1 / 2)
            elif name in ("turn_before", "turn_after"):
                acts, expected = value != 0, 1 - (1 - probability) ** 0.5
            elif name != "centre":
                acts, expected = value != rest.get(name, 0), probability
            np.testing.assert_allclose(acts.mean(), expected, atol=0.04, err_msg=name)
    # At 1: deviations of normal draws, those of uniform ones being their range over the square root of 3.
    deviation = lambda value: float(jnp.std(value))
    found = {
        "shift": deviation(drawn["shift"]) * 3**0.5,
        "scale": deviation(jnp.log2(drawn["scale"])),
        "turn_before": deviation(drawn["turn_before"]) * 3**0.5,
        "stretch": deviation(jnp.log2(drawn["stretch"])),
        "offset": deviation(drawn["offset"]),
        "brightness": deviation(drawn["brightness"]),
        "contrast": deviation(jnp.log2(drawn["contrast"])),
        "hue": deviation(drawn["hue"]) * 3**0.5,
        "saturation": deviation(jnp.log2(drawn["saturation"])),
        "bands": deviation(jnp.log2(drawn["bands"])),
        "noise": deviation(drawn["noise"]),
        "centre": deviation(drawn["centre"]) * 12**0.5,
    }
    published = dict(shift=1 / 8, scale=0.2, turn_before=np.pi, stretch=0.2, offset=1 / 8, brightness=0.2, contrast=0.5)
    published |= dict(hue=np.pi, saturation=1.0, bands=1.0, noise=0.1, centre=1.0)
    for name, value in published.items():
        np.testing.assert_allclose(found[name], value, rtol=0.06, err_msg=name)


def test_flips_turns_and_shifts_copy_every_pixel():
    images = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3), minval=-1)
    function = jax.jit(ada_augment.apply)
    # As if geometry were drawn as well, and did nothing.
    still = dict(scale=jnp.ones(4), turn_before=jnp.zeros(4))
    flipped = function(images, dict(flip=jnp.ones(4), **still))
    np.testing.assert_array_equal(flipped, images[:, :, ::-1])
    turns = jnp.arange(4.0)
    turned = function(images, dict(turns=turns, **still))
    for i in range(4):
        np.testing.assert_array_equal(turned[i], np.rot90(images[i], i))
    np.testing.assert_array_equal(function(turned, dict(turns=(4 - turns) % 4, **still)), images)
    shifted = function(images, dict(shift=jnp.tile(jnp.array([0.125, -0.0625]), (4, 1)), **still))
    np.testing.assert_array_equal(shifted[:, :-1, 2:], images[:, 1:, :-2])
    np.testing.assert_array_equal(shifted[:, :-1, :2], images[:, 1:, 2:0:-1])  # Mirrored.


def test_gradients_reach_the_images_twice():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    drawn = of_reference("geom")

    @jax.jit
    def norm(images):
        slope = jax.grad(lambda x: jnp.sum(ada_augment.apply(x, drawn) ** 3))(images)
        return jnp.sum(slope**2)

    gradient, direction = jax.jit(jax.grad(norm))(images), np.random.default_rng(1).normal(size=images.shape)
    step = 1e-2
    change = (norm(images + step * direction) - norm(images - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.vdot(gradient, direction), change, rtol=1e-2)
