"""CoCosNet: correspondence, modulation and the contextual loss are torch's of the same weights."""

import types

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import tiny
from tests.systems.test_pix2pix_parity import close, torch_layout
from vision_gen.engine import evaluation, loop, use
from vision_gen.nets import cocosnet as nets
from vision_gen.nets import layers
from vision_gen.ops import colour, losses
from vision_gen.systems import cocosnet

first = lambda x: np.asarray(x).transpose(0, 3, 1, 2)


def drawn(seed, *shape):
    return np.float32(np.random.default_rng(seed).normal(size=shape))


def spread(module):
    """A module with numbers of some size in every parameter, and its (graphdef, params, rest)."""
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape) * 0.3, jnp.float32), params)
    return graph, params, rest


def named(tree):
    """{path: array} of parameters."""
    flat = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(tree))[0]
    return {"/".join(str(k.key) for k in path): x for path, x in flat}


def torch_of(torch, tree):
    """The same as torch tensors that have gradients."""
    return {name: torch.tensor(torch_layout(x)).requires_grad_() for name, x in named(tree).items()}


def same_gradients(found, theirs):
    flat = named(found)
    assert flat.keys() == theirs.keys()
    for name, value in flat.items():
        wanted = theirs[name].grad.numpy()
        kernel = theirs[name.replace("/bias", "/kernel")].grad.numpy()
        scale = max(np.abs(wanted).max(), np.abs(kernel).max())  # Biases before a normalisation move nothing.
        tolerance = 1e-3 if name.endswith("slope") else 1e-4  # A sum of many that cancel.
        np.testing.assert_allclose(torch_layout(value) / scale, wanted / scale, atol=tolerance, err_msg=name)


def test_modulation_is_that_of_torch_with_positional_norm():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    functional = torch.nn.functional
    graph, params, rest = spread(nets.Modulation(6, 4, 8, rngs=nnx.Rngs(0)))
    x, condition, goal = drawn(0, 2, 5, 7, 6), drawn(1, 2, 10, 14, 4), drawn(2, 2, 5, 7, 6)

    def loss(params):
        y = nnx.merge(graph, params, rest)(x, condition)
        return (y * goal).sum(), y

    found, y = jax.jit(jax.grad(loss, has_aux=True))(params)
    p = torch_of(torch, params)
    t = torch.tensor(first(x))
    mean, var = t.mean(1, keepdim=True), t.var(1, keepdim=True)
    reduced = functional.interpolate(torch.tensor(first(condition)), size=(5, 7), mode="nearest")
    pad = lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect")
    conv = lambda name, x: functional.conv2d(pad(x), p[f"{name}/kernel"], p[f"{name}/bias"])
    hidden = functional.relu(conv("shared", reduced))
    expected = (t - mean) / (var + 1e-5).sqrt() * (1 + conv("scale", hidden)) + conv("bias", hidden)
    (expected * torch.tensor(first(goal))).sum().backward()
    close(first(y), expected.detach().numpy())
    same_gradients(found, p)


def test_places_take_what_is_like_them_as_in_torch():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    functional = torch.nn.functional
    net = nets.Correspondence(1, width=2, temperature=0.05, chunk=10, rngs=nnx.Rngs(0))
    net = nnx.Dict(residual=net.residual, query=net.query, key=net.key)  # Adapters apart.
    graph, params, rest = spread(net)
    here, there, value, goal = drawn(0, 2, 4, 6, 8), drawn(1, 2, 5, 3, 8), drawn(2, 2, 15, 3), drawn(3, 2, 24, 3)
    lines, others = drawn(4, 2, 16, 24, 1), drawn(5, 2, 20, 12, 1)

    def loss(params):
        whole = nets.Correspondence(1, width=2, temperature=0.05, chunk=10, rngs=nnx.Rngs(0))
        parts = nnx.merge(graph, params, rest)
        whole.residual, whole.query, whole.key = parts["residual"], parts["query"], parts["key"]
        codes = whole.codes(here, lines, whole.query), whole.codes(there, others, whole.key)
        taken = whole.look(*(x.reshape(2, -1, x.shape[-1]) for x in codes), value)
        return (taken * goal).sum(), taken

    found, taken = jax.jit(jax.grad(loss, has_aux=True))(params)
    p = torch_of(torch, params)
    pad = lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect")

    def codes(x, lines, linear):
        lines = functional.interpolate(torch.tensor(first(lines)), x.shape[1:3], mode="nearest")
        x = torch.cat([torch.tensor(first(x)), lines], 1)
        for i in range(4):
            prelu = lambda x, i=i: functional.prelu(x, p[f"residual/{i}/slope"])
            conv = lambda j, x, i=i: functional.instance_norm(
                functional.conv2d(pad(x), p[f"residual/{i}/convs/{j}/kernel"], p[f"residual/{i}/convs/{j}/bias"])
            )
            x = prelu(conv(1, prelu(conv(0, x))) + x)
        x = functional.conv2d(x, p[f"{linear}/kernel"], p[f"{linear}/bias"])
        x = functional.unfold(x, 3, padding=1)
        x = x - x.mean(1, keepdim=True)
        return x / x.norm(dim=1, keepdim=True)

    query, key = codes(here, lines, "query"), codes(there, others, "key")
    expected = torch.softmax(query.transpose(1, 2) @ key / 0.05, -1) @ torch.tensor(value)
    (expected * torch.tensor(goal)).sum().backward()
    close(taken, expected.detach().numpy())
    same_gradients(found, p)


def test_places_look_at_all_others_as_in_torch():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    graph, params, rest = spread(layers.SelfAttention(16, chunk=7, rngs=nnx.Rngs(0)))
    x, goal = drawn(0, 2, 4, 6, 16), drawn(1, 2, 4, 6, 16)

    def loss(params):
        y = nnx.merge(graph, params, rest)(x, train=False)
        return (y * goal).sum(), y

    found, y = jax.jit(jax.grad(loss, has_aux=True))(params)
    p, unit = torch_of(torch, params), lambda x: x / x.norm()
    t = torch.tensor(first(x))

    def conv(name, x):
        kernel = p[f"{name}/conv/kernel"]
        right = unit(torch.tensor(np.asarray(nnx.to_pure_dict(rest)[name]["norm"]["vector"])))
        left = unit(kernel.detach().flatten(1).T @ right)
        return torch.nn.functional.conv2d(x, kernel / (left @ kernel.flatten(1).T @ right))

    half = lambda x: torch.nn.functional.max_pool2d(x, 2).flatten(2)
    shares = torch.softmax(conv("query", t).flatten(2).transpose(1, 2) @ half(conv("key", t)), -1)
    taken = (half(conv("value", t)) @ shares.transpose(1, 2)).view(2, 8, 4, 6)
    expected = t + p["gain"] * conv("out", taken)
    (expected * torch.tensor(first(goal))).sum().backward()
    close(first(y), expected.detach().numpy())
    assert np.abs(first(y) - first(x)).max() > 0.01
    same_gradients(found, p)


def test_the_contextual_loss_is_torchs_and_0_of_what_is_there_at_other_places():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    maps, target = drawn(0, 2, 4, 4, 6), drawn(1, 2, 3, 5, 6)
    value, slope = jax.jit(jax.value_and_grad(losses.contextual))(maps, target)
    x, y = (torch.tensor(a.reshape(2, -1, 6)) for a in (maps, target))
    x.requires_grad_()
    mean = y.mean(1, keepdim=True)
    unit = lambda x: x / x.norm(dim=-1, keepdim=True)
    far = 1 - unit(x - mean) @ unit(y - mean).transpose(1, 2)
    weights = torch.exp((1 - far / (far.min(-1, keepdim=True)[0] + 1e-3)) / 0.1)
    expected = -torch.log((weights / weights.sum(-1, keepdim=True)).max(-1)[0].mean(1)).mean()
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-4) and value > 0.05
    close(slope.reshape(2, -1, 6), x.grad.numpy())
    moved = target[:, ::-1, [3, 0, 2, 4, 1]]
    assert float(losses.contextual(moved, target)) < 1e-3


def test_positional_norm_forgets_how_bright_a_place_is():
    x = drawn(0, 1, 3, 3, 8)
    close(nets.positional_norm(5 * x + 3), nets.positional_norm(x), 1e-3)
    assert np.abs(np.asarray(nets.positional_norm(x)).std(-1, ddof=1) - 1).max() < 1e-3


def test_exemplars_of_the_data_come_before_those_of_the_batch():
    image, exemplar = (np.random.default_rng(i).integers(0, 256, (16, 4, 4, 3), np.uint8) for i in range(2))
    keys = jax.random.split(jax.random.key(0), 16)
    others = lambda flip, batch: colour.to_uint8(
        cocosnet.CoCosNet._others(
            types.SimpleNamespace(model=cocosnet.Settings(flip=flip)), batch, colour.from_uint8(image), keys
        )
    )
    np.testing.assert_array_equal(others(True, {}), np.roll(image, 1, 0))
    np.testing.assert_array_equal(others(False, {"exemplar": exemplar}), exemplar)
    same, mirrored = (
        (others(True, {"exemplar": exemplar}) == wanted).all((1, 2, 3)) for wanted in (exemplar, exemplar[:, :, ::-1])
    )
    assert (same ^ mirrored).all() and 0 < same.sum() < 16


@pytest.mark.slow
def test_an_exemplar_may_have_another_shape():
    config = tiny("cocosnet_openmoji", width=2, discriminator_width=4, scales=1)
    model = use.untrained(config)
    rng = np.random.default_rng(0)
    sketch = np.repeat(rng.integers(0, 256, (40, 50, 1), np.uint8), 3, -1)
    one, other = (rng.integers(0, 256, (*size, 3), np.uint8) for size in ((64, 32), (30, 70)))
    tall, wide = (model.translate(sketch, exemplar, lines="given") for exemplar in (one, other))
    assert tall["image"].shape == tall["warped"].shape == wide["image"].shape == sketch.shape
    assert np.abs(tall["warped"].astype(int) - wide["warped"]).mean() > 1


@pytest.mark.slow
def test_a_run_is_evaluated(tmp_path, image_folder):
    config = tiny("cocosnet_openmoji", width=2, discriminator_width=4, scales=1)
    with config.data.unlocked():
        config.data.parts = dict(pictures=dict(name="image_folder", dir=str(image_folder)))
    loop.train(config, tmp_path / "run")
    figures, _ = evaluation.evaluate_run(tmp_path / "run", metrics=("psnr", "psnr_warped", "psnr_sketch"))
    assert len(figures) == 3 and all(np.isfinite(value) for value in figures.values())
