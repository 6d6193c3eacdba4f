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


def test_attention_carries_pixels_to_where_it_looks():
    """With queries of nothing each cell looks everywhere: it gets the mean of all patches."""
    net = scft.SCFTGenerator(width=2, levels=3, residual_blocks=0, carry=True, rngs=nnx.Rngs(0))
    net.query.kernel[...] = jnp.zeros_like(net.query.kernel[...])
    sketch, reference = (jax.random.uniform(jax.random.key(i), (2, 16, 24, c), minval=-1) for i, c in ((0, 1), (1, 3)))
    _, out = nnx.jit(lambda net: net(sketch, reference, intermediates=True))(net)
    mean = reference.reshape(2, 4, 4, 6, 4, 3).mean((1, 3))
    np.testing.assert_allclose(out["carried"], jnp.tile(mean, (1, 4, 6, 1)), atol=1e-5)
    np.testing.assert_array_equal(scft.unpatched(scft.patches(reference, 4), 4), reference)
    # A cell of the patches is a cell of the maps.
    np.testing.assert_array_equal(scft.patches(reference, 4)[1, 2, 3], reference[1, 8:12, 12:16].reshape(-1))
    # And the decoder reads them: its maps are wider by three channels.
    plain = scft.SCFTGenerator(width=2, levels=3, residual_blocks=0, rngs=nnx.Rngs(0))
    for carrying, without in zip((net.bottom, *net.merge), (plain.bottom, *plain.merge), strict=True):
        assert carrying.conv.kernel.shape[2] == without.conv.kernel.shape[2] + 3


def test_lines_lie_over_a_layer_of_colour():
    net = scft.SCFTGenerator(width=2, levels=2, residual_blocks=0, layer=True, rngs=nnx.Rngs(0))
    sketch = jnp.asarray([1.0, -1.0, 0.0, 1.0])[None, :, None, None] * jnp.ones((1, 4, 4, 1))
    image, out = net(sketch, jax.random.uniform(jax.random.key(1), (1, 4, 4, 3)), intermediates=True)
    layer = np.asarray(out["layer"])
    np.testing.assert_allclose(image[:, [0, 3]], layer[:, [0, 3]], atol=1e-6)  # Paper.
    np.testing.assert_allclose(image[:, 1], -1, atol=1e-6)  # Ink.
    np.testing.assert_allclose(image[:, 2], (layer[:, 2] + 1) / 2 - 1, atol=1e-6)  # Half.
