"""Feature networks as functions."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import layers
from vision_gen.pretrained import features


class Two(nnx.Module):
    def __init__(self, rngs):
        self.conv = layers.Conv(3, 5, rngs=rngs)

    def __call__(self, x, *, intermediates=False):
        y = self.conv(x)
        features = y.mean((1, 2))
        out = {"map": y, "features": features, "unwanted": y**2}
        return (features, out) if intermediates else features


@pytest.mark.parametrize("count", [3, 8, 24])
def test_images_in_parts_give_what_all_of_them_give_in_their_order(monkeypatch, count):
    turns = []
    original = features.lax.map
    images_of = lambda f, x: len(jax.eval_shape(f, x[0])["features"])
    monkeypatch.setattr(features.lax, "map", lambda f, x: turns.append((len(x), images_of(f, x))) or original(f, x))
    network = Two(nnx.Rngs(0))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(count, 6, 7, 3)), jnp.float32)
    apply, params = features.apply(network, ("map", "features"))
    found = jax.jit(apply)(params, images)
    assert turns == ([(3, 8)] if count == 24 else [])
    _, whole = network(images, intermediates=True)
    assert sorted(found) == ["features", "map"]
    for name, value in found.items():
        np.testing.assert_allclose(value, whole[name], atol=1e-5)
