import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers


def test_leaky_relus_gradients_of_every_order_are_jaxs():
    x = jnp.asarray([-2.0, -1e-3, 0.0, 1e-3, 3.0])
    theirs = lambda x: jax.nn.leaky_relu(x, 0.2)
    penalty = lambda f: lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(f(x) ** 2))(x) ** 2)
    for function in (lambda f: f, lambda f: jax.grad(lambda x: f(x).sum()), lambda f: jax.grad(penalty(f))):
        np.testing.assert_array_equal(function(layers.leaky_relu)(x), function(theirs)(x))
