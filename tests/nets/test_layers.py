import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import layers


@pytest.mark.parametrize(
    "ours, theirs, tolerance",
    [
        (layers.leaky_relu, lambda x: jax.nn.leaky_relu(x, 0.2), 0),
        (layers.gelu, lambda x: jax.nn.gelu(x, approximate=False), 1e-5),
    ],
)
def test_activations_gradients_of_every_order_are_jaxs(ours, theirs, tolerance):
    x = jnp.asarray([-20.0, -2.0, -1e-3, 0.0, 1e-3, 3.0, 20.0])
    penalty = lambda f: lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(f(x) ** 2))(x) ** 2)
    for function in (lambda f: f, lambda f: jax.grad(lambda x: f(x).sum()), lambda f: jax.grad(penalty(f))):
        np.testing.assert_allclose(function(ours)(x), function(theirs)(x), rtol=tolerance, atol=tolerance)
