import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import normalise


@pytest.mark.parametrize("shape", [(2, 5, 7, 16), (9, 384)])
def test_values_and_gradients_equal_flax(shape):
    rng = np.random.default_rng(0)
    array = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    x, scale, bias, dy = 3 * array(*shape) + 2, array(shape[-1]), array(shape[-1]), array(*shape)
    network = flax.linen.LayerNorm(epsilon=1e-5, use_fast_variance=False)
    theirs = lambda x, scale, bias: network.apply({"params": {"scale": scale, "bias": bias}}, x)
    y, pull = jax.vjp(lambda *a: normalise.layer_norm(*a, 1e-5), x, scale, bias)
    expected, expected_pull = jax.vjp(theirs, x, scale, bias)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for got, want in zip(pull(dy), expected_pull(dy)):
        np.testing.assert_allclose(got, want, atol=2e-5)


def test_centred_maps_have_the_values_and_gradients_of_all_others():
    rng = np.random.default_rng(0)
    array = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    x, scale, bias, dy = array(9, 16), array(16), array(16), array(9, 16)
    centre = lambda x: x - x.mean(-1, keepdims=True)
    values = []
    for centred in (False, True):
        f = lambda x, *rest: normalise.layer_norm(centre(x), *rest, 1e-5, centred)
        y, pull = jax.vjp(f, x, scale, bias)
        values.append((y, *pull(dy)))
    for got, want in zip(*values):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_sixteen_bits_are_normalised_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(100, 1, (4, 64)), jnp.bfloat16)
    scale, bias = jnp.ones(64, jnp.bfloat16), jnp.zeros(64, jnp.bfloat16)
    y = normalise.layer_norm(x, scale, bias, 1e-5)
    wide = np.asarray(x, np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / wide.std(-1, keepdims=True)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float64(y), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("offset, channel", [(0, 16), (1000, 16), (-30, 384)])
def test_moments_from_one_reading_are_those_from_two(offset, channel):
    x = jnp.asarray(np.random.default_rng(0).normal(offset, 1, (64, channel)), jnp.float32)
    exact = np.asarray(x, np.float64)
    for moments in (normalise._moments, normalise._moments_in_one):
        mean, variance = moments(x)
        np.testing.assert_allclose(mean[:, 0], exact.mean(-1), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(variance[:, 0], exact.var(-1), rtol=2e-3)
