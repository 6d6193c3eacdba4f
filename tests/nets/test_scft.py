"""SCFT's generator: sketches and references of any sizes."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import scft


@pytest.fixture(scope="module")
def generator():
    net = scft.SCFTGenerator(width=2, levels=3, residual_blocks=1, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(net)
    return jax.jit(lambda *images: nnx.merge(graphdef, state)(*images, intermediates=True))


def test_sketch_and_reference_may_differ_in_size(generator):
    sketch = jax.random.uniform(jax.random.key(0), (2, 32, 64, 1), minval=-1)
    # Of one colour, so that a small reference shows what a large one does.
    colours = jnp.asarray([[0.9, -0.3, 0.1], [-0.5, 0.2, 0.8]])[:, None, None]
    paint = lambda height, width: generator(sketch, jnp.broadcast_to(colours, (2, height, width, 3)))
    image, out = paint(32, 32)
    assert image.shape == (2, 32, 64, 3)
    assert out["query"].shape == (2, 8, 16, 28) and out["key"].shape == out["value"].shape == (2, 8, 8, 28)
    assert out["transferred"].shape == out["query"].shape
    large, _ = paint(128, 256)
    other, _ = generator(sketch, jnp.broadcast_to(-colours, (2, 32, 32, 3)))
    # The frame weighs less in a larger reference; another colour is another image.
    assert jnp.abs(large - image).max() < 0.3 * jnp.abs(other - image).max()


def test_what_moves_by_a_cell_is_painted_a_cell_further(generator):
    """Away from the frame, with a reference of another size that stays."""
    drawing = jax.random.uniform(jax.random.key(1), (1, 64, 160, 1), minval=-1)
    reference = jax.random.uniform(jax.random.key(2), (1, 16, 24, 3), minval=-1)
    place = lambda start: drawing[:, :, start : start + 128]
    (a, inside), (b, moved) = generator(place(0), reference), generator(place(4), reference)
    inner = (slice(None), slice(28, -28), slice(28, -32))
    np.testing.assert_allclose(b[inner], a[:, :, 4:][:, 28:-28, 28:-28], atol=1e-5)
    np.testing.assert_allclose(moved["query"][:, 4:-4, 4:-5], inside["query"][:, 4:-4, 5:-4], atol=1e-5)


def test_sides_that_do_not_halve_are_refused():
    net = nnx.eval_shape(lambda: scft.SCFTGenerator(width=2, levels=3, rngs=nnx.Rngs(0)))
    for sketch, reference, name in (((30, 32), (32, 32), "sketch"), ((32, 32), (32, 34), "reference")):
        with pytest.raises(ValueError, match=f"sides of {name} must be multiples of 4"):
            net(jnp.zeros((1, *sketch, 1)), jnp.zeros((1, *reference, 3)))
    with pytest.raises(ValueError, match="^norm must be one of .*'group'"):
        scft.SCFTGenerator(norm="group", rngs=nnx.Rngs(0))
