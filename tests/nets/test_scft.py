"""SCFT's generator: sketches and references of any sizes."""

import functools
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import sga_by_seed as golden
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


@pytest.mark.parametrize("side", [4, 32])
def test_a_block_is_convolution_and_layer_norm_wherever_the_mean_is_taken_from(side):
    block = scft.Block(24, 16, norm="layer", rngs=nnx.Rngs(0))
    block.conv.bias[...] = jnp.arange(16.0)
    x = jax.random.normal(jax.random.key(0), (2, side, side, 24))
    smaller = block.conv.kernel.size <= 2 * side * side * 16
    assert smaller == (side == 32)
    maps = block.conv(x)
    expected = nnx.leaky_relu(block.norm(maps), 0.2)
    np.testing.assert_allclose(block(x), expected, atol=1e-4)


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


def released(name):
    """A `StopGradientAttention` with the fixture's weights, and {its parameter: that of the released code}."""
    block = scft.StopGradientAttention(golden.DEPTH, chunk=4, rngs=nnx.Rngs(0))
    names = {"source": "src_fc", "value": "msg_fc", "norm": "bn"}
    found = {}
    for ours, theirs in names.items():
        for field, tensor in (("kernel", "weight"), ("scale", "weight"), ("bias", "bias"), ("mean", "running_mean"),
                              ("var", "running_var")):
            variable = getattr(getattr(block, ours), field, None)
            if variable is not None:
                found[ours, field] = f"{name}.{theirs}.{tensor}"
                value = golden.weight(found[ours, field], variable.shape[::-1])  # Kernels are square.
                variable[...] = jnp.asarray(value.T)
    return block, found


def test_stop_gradient_attention_is_the_released_code():
    """`tests/golden/sga_reference.npz` was made by `make_sga.py`, which runs that code; here by chunks of 4 places."""
    expected = np.load(pathlib.Path(__file__).parent.parent / "golden" / "sga_reference.npz")
    (crossing, names), (own, own_names) = released("gcn3"), released("gcn4")
    sketch, reference, target = golden.inputs()
    graphdef, params, rest = nnx.split((crossing, own), nnx.Param, ...)

    def call(params, sketch, reference, train):
        crossing, own = blocks = nnx.merge(graphdef, params, rest, copy=True)
        x, _ = crossing(sketch, reference, train=train)
        x, _ = own(x, x, train=train)
        return x, nnx.state(blocks, nnx.BatchStat)

    def loss(params, sketch, reference):
        x, state = call(params, sketch, reference, True)
        return jnp.sum(x * target), (x, state)

    flat = lambda x: np.asarray(x).reshape(2, -1, golden.DEPTH)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    close(flat(call(params, sketch, reference, False)[0]), expected["output"])
    gradients, (x, state) = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(params, sketch, reference)
    close(flat(x), expected["trained_output"])
    for name, gradient in zip(("sketch", "reference"), gradients[1:]):
        close(gradient, expected[f"gradient/{name}"])
    for number, found in enumerate((names, own_names)):
        for (module, field), name in found.items():
            if field in ("mean", "var"):
                close(state[number][module][field][...], expected[f"trained/{name}"])
            else:
                close(gradients[0][number][module][field][...].T, expected[f"gradient/{name}"])


def test_carried_pixels_stay_colours_under_stop_gradient_attention():
    """A reference of one colour is carried as that colour, though keys are given away evenly."""
    options = dict(width=2, levels=2, residual_blocks=0, attention="stop_gradient", carry=True)
    net = scft.SCFTGenerator(**options, rngs=nnx.Rngs(0))
    sketch = jax.random.uniform(jax.random.key(0), (1, 8, 12, 1), minval=-1)
    reference = jnp.broadcast_to(jnp.asarray([0.5, -0.2, 0.1]), (1, 4, 6, 3))
    _, out = nnx.jit(lambda net: net(sketch, reference, intermediates=True))(net)
    np.testing.assert_allclose(out["carried"], jnp.broadcast_to(reference[:, :1, :1], (1, 8, 12, 3)), atol=1e-5)


def test_a_nudge_goes_into_its_branch_alone():
    net = scft.SCFTGenerator(width=2, levels=2, residual_blocks=0, rngs=nnx.Rngs(0))
    sketch, reference = (jax.random.uniform(jax.random.key(i), (1, 4, 8, c), minval=-1) for i, c in ((0, 1), (1, 3)))
    branches = ("source", "query", "key", "value")
    call = nnx.jit(lambda net, nudges: net(sketch, reference, nudges=nudges, intermediates=True))
    none = {name: jnp.zeros((1, 2, 4, 12)) for name in branches}
    _, plain = call(net, none)
    for name in branches:
        nudge = jax.random.normal(jax.random.key(2), (1, 2, 4, 12))
        _, out = call(net, none | {name: nudge})
        for other in ("query", "key", "value"):
            moved = nudge @ getattr(net, other).kernel[...] if other == name else 0
            np.testing.assert_allclose(out[other] - plain[other], jnp.broadcast_to(moved, (1, 2, 4, 12)), atol=1e-5)
        assert jnp.abs(out["decoder2"] - plain["decoder2"]).max() > 1e-3


def test_several_references_are_all_attended_to():
    net = scft.SCFTGenerator(width=2, levels=2, residual_blocks=0, carry=True, rngs=nnx.Rngs(0))
    shapes = (2, 8, 12, 1), (2, 2, 6, 4, 3)
    sketch, references = (jax.random.uniform(jax.random.key(i), shape, minval=-1) for i, shape in enumerate(shapes))
    call = nnx.jit(lambda net, reference, ties=None: net(sketch, reference, ties=ties, intermediates=True))
    image, out = call(net, references)
    assert out["key"].shape == (2, 6, 2, 12)
    for i in range(2):
        _, alone = call(net, references[:, i])
        np.testing.assert_allclose(out["key"][:, 3 * i : 3 * i + 3], alone["key"], atol=1e-5)
        np.testing.assert_allclose(out["value"][:, 3 * i : 3 * i + 3], alone["value"], atol=1e-5)
    # One twice is that one; in another order they are the same.
    np.testing.assert_allclose(call(net, references[:, ::-1])[0], image, atol=1e-5)
    one, _ = call(net, references[:, 0])
    np.testing.assert_allclose(call(net, references[:, [0, 0]])[0], one, atol=1e-5)
    assert jnp.abs(one - image).max() > 1e-4
    # With ties, the upper left cell gets the last cell of the second reference, cell (2, 3) the first of the first; others
    # look where they did.
    here, there = jnp.zeros((2, 4, 6, 2)).at[:, 0, 0, 0].set(1), jnp.zeros((2, 6, 2, 2)).at[:, 5, 1, 0].set(1)
    here, there = here.at[:, 2, 3, 1].set(1), there.at[:, 0, 0, 1].set(1)
    _, tied = call(net, references, (here, there))
    np.testing.assert_allclose(tied["carried"][:, :2, :2], references[:, 1, 4:, 2:], atol=1e-4)
    np.testing.assert_allclose(tied["carried"][:, 4:6, 6:8], references[:, 0, :2, :2], atol=1e-4)
    np.testing.assert_allclose(tied["carried"][:, :, 8:], out["carried"][:, :, 8:], atol=1e-5)
