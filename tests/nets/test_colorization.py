"""The colorization networks give what the released code gives, outputs and gradients; its files are read and written.

`tests/golden/colorization_reference.npz` was made by `tests/golden/make_colorization.py`, which runs that code itself
with a sixteenth of the channels; `benchmarks/peers/colorization.py`, in plain torch, has the same parameter names.
"""

import functools
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import blank
from tests.golden import colorization_by_name as golden
from vision_gen.errors import InputError
from vision_gen.nets import colorization
from vision_gen.ops import gamut
from vision_gen.pretrained import colorization as pretrained
from vision_gen.pretrained import named

GOLDEN = np.load(pathlib.Path(__file__).parent.parent / "golden" / "colorization_reference.npz")
NETWORKS = {"eccv16": colorization.ECCV16, "siggraph17": colorization.SIGGRAPH17}


def last(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def first(x):
    return np.asarray(x).transpose(0, 3, 1, 2)


def ours(name):
    """A network with weights by the names that the released file has for them."""
    network = blank(lambda: NETWORKS[name](width=golden.WIDTH, rngs=nnx.Rngs(0)))
    layout, state = pretrained.layout(network), {}
    for ours, value in named.flat(network).items():
        theirs, turn = layout[ours]
        (like,) = turn.write(np.asarray(value))
        state[theirs] = golden.weight(theirs, like.shape)
    file = named.read("weights", state, layout).result()
    return named.put(network, named.fit(file, network)[0])


@functools.cache
def results(name):
    """{what: array in torch's layout}: outputs with running statistics, and gradients with those of the batch."""
    graphdef, params, rest = nnx.split(ours(name), nnx.Param, ...)
    inputs = {key: last(x) for key, x in golden.inputs().items()}
    targets = {key: last(x) for key, x in golden.targets(313 if name == "eccv16" else 529).items()}

    def call(params, train, **more):
        network = nnx.merge(graphdef, params, rest, copy=True)
        if name == "eccv16":
            logits = network(inputs["lightness"], train=train)
            return network.colours(logits), logits
        return network(inputs["lightness"], inputs["hints"], inputs["mask"], train=train, **more)

    def loss(params, **more):
        return sum(jnp.sum(x * targets[key]) for x, key in zip(call(params, True, **more), ("colours", "logits")))

    @jax.jit
    def all_of(params):
        ways = {"": {}} if name == "eccv16" else {"_class": {"by_class": 1.0}, "_colour": {"by_class": 0.0}}
        return call(params, False), {way: jax.grad(loss)(params, **more) for way, more in ways.items()}

    (colours, logits), gradients = all_of(params)
    found = {"colours": first(colours), "logits": first(logits)}
    layout = pretrained.layout(ours(name))
    for way, state in gradients.items():
        for path, value in nnx.to_flat_state(state):
            theirs, turn = layout["/".join(map(str, path))]
            found[f"gradient{way}/{theirs}"] = turn.write(np.asarray(value[...]))[0]
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_equal_the_released_code(name):
    found = results(name)
    expected = {key.partition("/")[2]: value for key, value in GOLDEN.items() if key.startswith(f"{name}/")}
    assert len(expected) > 40
    for key, value in expected.items():
        got = golden.digest(found[key])
        np.testing.assert_allclose(got, value, atol=2e-4 * max(np.abs(value).max(), 1e-3), err_msg=key)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_equal_plain_torch(name):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import colorization as peers

    if name == "eccv16":
        peer = peers.ECCV16(golden.WIDTH)
        call = lambda lightness, hints, mask, by_class: peer(lightness)[::-1]
    else:
        peer = call = peers.SIGGRAPH17(golden.WIDTH)
    found = results(name)
    for key, value in golden.of_torch(torch, name, peer, call).items():
        np.testing.assert_allclose(found[key], value, atol=2e-4 * max(np.abs(value).max(), 1e-3), err_msg=key)


@pytest.mark.parametrize("name", NETWORKS)
def test_files_are_written_and_read_back_to_the_last_bit(name, tmp_path):
    network = ours(name)
    writer = {"eccv16": pretrained.ECCV16_WRITERS, "siggraph17": pretrained.SIGGRAPH17_WRITERS}[name]["pytorch"]
    writer.write(tmp_path / writer.file, network, {})
    found, _ = named.fit(pretrained.read(tmp_path / writer.file, network), network)
    expected = named.flat(network)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)
    other = NETWORKS[name](width=2 * golden.WIDTH, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"has shape|another architecture"):
        named.fit(pretrained.read(tmp_path / writer.file, other), other)


def test_the_colours_that_are_decoded_are_the_bins():
    network = colorization.ECCV16(width=2, rngs=nnx.Rngs(0))
    logits = 60 * jax.nn.one_hot(jnp.int32([[[3, 3], [200, 200]]]), 313)
    colours = np.asarray(network.colours(logits))
    assert colours.shape == (1, 8, 8, 2)
    np.testing.assert_allclose(colours[0, 0, 0] * 110, gamut.in_gamut()[3], atol=1e-3)
    np.testing.assert_allclose(colours[0, 7, 7] * 110, gamut.in_gamut()[200], atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_takes_the_place_of_a_map_goes_on(name):
    network = NETWORKS[name](width=4, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 16, 16, 1))
    inputs = [x] if name == "eccv16" else [x, jnp.zeros((1, 16, 16, 2)), x]

    @jax.jit
    def both():
        call = functools.partial(network, *inputs, train=False, intermediates=True)
        found, maps = call()
        return found, maps, *call(edits={"block3": maps["block3"] + 1})

    found, maps, other, changed = both()
    np.testing.assert_array_equal(changed["block3"], maps["block3"] + 1)
    np.testing.assert_array_equal(changed["block2"], maps["block2"])
    assert all((a != b).any() for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(other)))


@pytest.mark.parametrize("name", NETWORKS)
def test_sides_that_do_not_divide_are_refused(name):
    network = NETWORKS[name](width=2, rngs=nnx.Rngs(0))
    x = jnp.zeros((1, 16, 20, 1))
    with pytest.raises(ValueError, match=r"multiples of 8, got \(16, 20\)"):
        network(*([x] if name == "eccv16" else [x, jnp.zeros((1, 16, 20, 2)), x]), train=False)
