"""A picture that the generator can make is found again by projection; rates are the reference's."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.engine.system import Now
from vision_gen.metrics import perceptual
from vision_gen.nets import stylegan2
from vision_gen.systems import path_length, projection

SETTINGS = stylegan2.GeneratorSettings(
    size=8, z_size=4, w_size=4, channel_max=8, mapping_layers=1, half_resolutions=0
)
TURNS = 60


@pytest.fixture(scope="module")
def generator():
    return stylegan2.Generator(SETTINGS, nnx.Rngs(0))


def look(image):
    """Means of parts of a picture, as maps."""
    return {"small": image[:, ::2, ::2] + 2, "large": image.reshape(len(image), 4, 2, 4, 2, -1).mean((2, 4)) + 2}


def turns(state, advance, count):
    """`count` turns, as `engine.tools` runs them."""

    def turn(number, state):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), number), 1)
        return advance(state, Now(keys, number, number / count))

    return jax.jit(lambda state: jax.lax.fori_loop(0, count, turn, state))(state)


def test_a_picture_of_the_generators_is_found_again(generator, monkeypatch):
    monkeypatch.setattr(projection, "SAMPLES", 100)
    ws = generator.mapping(jnp.array([[1.5, -1.0, 0.5, 2.0]]))
    wanted = generator.synthesis(ws, "const")
    begun = projection.begin(generator, look, wanted, jax.random.key(1))
    found = turns(begun, lambda state, now: projection.advance(generator, look, state, now), TURNS)
    error = lambda state: np.abs(projection.picture(generator, state["latent"]) - wanted).mean()
    assert error(found) < 0.3 * error(begun)
    for noise in found["noises"]:
        assert abs(noise.mean()) < 1e-5 and abs((noise**2).mean() - 1) < 1e-4
    film, count = found["film"]["frames"][0], int(found["film"]["count"][0])
    assert count == projection.FRAMES and film.shape == (projection.FRAMES, 8, 8, 3)
    assert film[0].any() and film[-1].any()  # From the first turn to the last.


def test_rates_are_the_references():
    for progress, wanted in ((0, 0), (0.025, 0.05), (0.5, 0.1), (0.875, 0.05), (0.999, 0.0)):
        np.testing.assert_allclose(projection.rate(progress), wanted, atol=1e-5)


def test_noise_that_carries_a_signal_is_penalised():
    """As the reference's: products with the neighbours at every size, squared means."""
    rng = np.random.default_rng(0)
    noise = np.float32(rng.normal(size=(32, 32)))
    wanted, part = 0.0, noise
    while True:
        wanted += np.mean(part * np.roll(part, 1, 1)) ** 2 + np.mean(part * np.roll(part, 1, 0)) ** 2
        if len(part) == 8:
            break
        part = part.reshape(len(part) // 2, 2, -1, 2).mean((1, 3))
    np.testing.assert_allclose(projection._correlation(jnp.asarray(noise)), wanted, rtol=1e-4)


def test_path_lengths_are_trimmed_means_of_the_steps(generator):
    count = 3
    advance = lambda state, now: path_length.advance(generator, look, state, now)
    state = turns(path_length.begin(count), advance, count - 1)
    lengths = np.asarray(state["lengths"])
    assert np.isfinite(lengths[:32]).all() and np.isnan(lengths[32:]).all()  # It was interrupted.
    assert (lengths[:32] > 0).all() and len(set(lengths[:32])) == 32
    inner = np.sort(lengths[:32])
    np.testing.assert_allclose(path_length.finish(state)[0], inner.mean(), rtol=1e-5)  # 32 are too few to trim.
    many = np.arange(1000.0)
    np.testing.assert_allclose(perceptual.path_length_mean(many), many[9:991].mean())
