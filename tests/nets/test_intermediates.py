"""Every network gives its intermediates by name the same way, and they are what its output is made of."""

import functools
import math

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import blank
from vision_gen.nets import colorization, features, layers, nerf, patchgan, scft, unet, vit
from vision_gen.ops import attention

draw = lambda i, *shape: jax.random.uniform(jax.random.key(i), shape, minval=-1)
PHOTO = (2, 32, 32, 3)
# How each is made, the shapes of its inputs, and other arguments.
NETWORKS = {
    "unet": (lambda rngs: unet.UNet(size=32, width=2, rngs=rngs), [PHOTO], {"train": False}),
    "patchgan": (lambda rngs: patchgan.PatchDiscriminator(channel=3, width=2, rngs=rngs), [PHOTO], {"train": False}),
    "scft": (
        lambda rngs: scft.SCFTGenerator(width=2, levels=3, residual_blocks=1, rngs=rngs),
        [(2, 16, 24, 1), (2, 32, 8, 3)], {},
    ),
    "scft, stop-gradient": (
        lambda rngs: scft.SCFTGenerator(width=2, levels=2, residual_blocks=0, attention="stop_gradient", rngs=rngs),
        [(2, 8, 12, 1), (2, 16, 4, 3)], {"train": False},
    ),
    "eccv16": (lambda rngs: colorization.ECCV16(width=2, rngs=rngs), [(2, 16, 16, 1)], {"train": False}),
    "siggraph17": (
        lambda rngs: colorization.SIGGRAPH17(width=2, rngs=rngs),
        [(2, 16, 16, 1), (2, 16, 16, 2), (2, 16, 16, 1)], {"train": False},
    ),
    "vit": (lambda rngs: vit.ViT(size=(8, 16, 2, 2), patch=8, image=32, classes=5, rngs=rngs), [PHOTO], {}),
    "nerf": (lambda rngs: nerf.RadianceMLP(width=8, rngs=rngs), [(4, 6, 3), (4, 1, 3)], {}),
    "hash": (
        lambda rngs: nerf.HashField(bound=1.0, levels=2, entries=64, finest=32, width=8, rngs=rngs),
        [(4, 6, 3), (4, 1, 3)], {},
    ),
    "vgg16": (lambda rngs: features.VGG(16, classes=0, rngs=rngs), [PHOTO], {}),
    "alexnet": (lambda rngs: features.AlexNet(classes=0, rngs=rngs), [(2, 63, 63, 3)], {}),
    "efficientnet-lite0": (lambda rngs: features.EfficientNetLite0(rngs=rngs), [PHOTO], {}),
}
# How the output follows from the last intermediates.
OUTPUTS = {
    "unet": lambda net, out: jnp.tanh(out["up1"]),
    "patchgan": lambda net, out: net.convs[4](out["conv4"]),
    "scft": lambda net, out: jnp.tanh(net.out(out["decoder1"])),
    "scft, stop-gradient": lambda net, out: jnp.tanh(net.out(out["decoder1"])),
    "eccv16": lambda net, out: net.head(out["block8"]),
    "siggraph17": lambda net, out: (jnp.tanh(net.out(out["conv10"])), net.classes(out["block8"])),
    "vit": lambda net, out: net.head(out["pooled"]),
    "nerf": lambda net, out: (net.density(out["trunk8"])[..., 0], jax.nn.sigmoid(net.colour(out["view"]))),
    "hash": lambda net, out: (jnp.exp(out["geometry"][..., 0]), jax.nn.sigmoid(net.colour_out(out["colour_hidden2"]))),
    "vgg16": lambda net, out: out["pool5"],
    "alexnet": lambda net, out: out["relu5"],
    "efficientnet-lite0": lambda net, out: net.fc(out["features"]),
}
NAMES = {
    "unet": [f"down{i}" for i in range(1, 6)] + [f"up{i}" for i in range(5, 0, -1)],
    "patchgan": [f"conv{i}" for i in range(1, 5)],
    "scft": [f"{name}{i}" for name in ("sketch", "reference") for i in range(1, 7)]
    + ["query", "key", "value", "transferred", "residual1", "decoder3", "decoder2", "decoder1"],
    "scft, stop-gradient": [f"{name}{i}" for name in ("sketch", "reference") for i in range(1, 5)]
    + ["query", "key", "transferred", "decoder2", "decoder1"],
    "eccv16": [*(f"block{i}" for i in range(1, 9)), "up"],
    "siggraph17": [*(f"block{i}" for i in range(1, 10)), "conv10"],
    "vit": ["stem", "attention", "block", "pooled", "logits"],
    "nerf": ["encoding", *(f"trunk{i}" for i in range(1, 9)), "view"],
    "hash": ["encoding", "density_hidden", "geometry", "colour_hidden1", "colour_hidden2"],
    "vgg16": [f"relu{block}_{i}" for block in range(1, 6) for i in range(1, 3 + (block > 2))]
    + [f"pool{i}" for i in range(1, 6)],
    "alexnet": [f"relu{i}" for i in range(1, 6)],
    "efficientnet-lite0": ["stem", *(f"stage{i}" for i in range(1, 8)), *(f"expand{i}" for i in range(1, 16))]
    + ["features", "logits"],
}


@functools.cache
def run(name):
    """(network, its output alone, and its output with the intermediates)."""
    make, shapes, settings = NETWORKS[name]
    net = blank(lambda: make(nnx.Rngs(0)))
    inputs = [draw(i, *shape) for i, shape in enumerate(shapes)]
    graphdef, state = nnx.split(net)
    around = {"scale": 1.0, "var": 1.0}
    size = lambda x: (6 / math.prod(x.shape[:-1])) ** 0.5 if x.ndim > 1 else 0.05  # That keeps the size of maps.
    drawn = lambda path, x: around.get(path[-2].key, 0.0) + size(x) * draw(9, *x.shape)
    state = jax.tree_util.tree_map_with_path(drawn, state)
    net = nnx.merge(graphdef, state)
    call = lambda state, inputs, **more: nnx.merge(graphdef, state)(*inputs, **settings, **more)
    both = lambda *args: (call(*args), call(*args, intermediates=True))
    return net, *jax.jit(both)(state, inputs)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_output_is_made_of_the_intermediates_and_does_not_depend_on_asking(name):
    net, plain, (output, out) = run(name)
    assert all(jnp.abs(x).mean() > 0.01 for x in jax.tree.leaves(plain))
    jax.tree.map(close, output, plain)
    jax.tree.map(close, output, OUTPUTS[name](net, out))
    assert sorted(out) == sorted(NAMES[name])


def test_scfts_intermediates_are_those_of_its_equations():
    net, _, (_, out) = run("scft")
    vectors = scft.gather([out[f"sketch{i}"] for i in range(1, 7)])
    references = scft.gather([out[f"reference{i}"] for i in range(1, 7)])
    assert out["query"].shape == (2, 4, 6, 28) and out["key"].shape == out["value"].shape == (2, 8, 2, 28)
    close(out["query"], net.query(vectors))
    close(out["key"], net.key(references))
    flat = lambda x: x.reshape(2, -1, 28)
    looks = attention.attention_map(flat(out["query"]), flat(out["key"]))
    close(flat(out["transferred"]), looks @ flat(out["value"]))
    close(out["residual1"], net.residual[0](vectors + out["transferred"]))
    close(out["decoder3"], net.bottom(out["residual1"], vectors))


def test_the_unets_intermediates_are_each_stages_maps():
    net, _, (_, out) = run("unet")
    assert [out[f"down{i}"].shape[1] for i in range(1, 6)] == [16, 8, 4, 2, 1]
    assert [out[f"up{i}"].shape[1] for i in range(1, 6)] == [32, 16, 8, 4, 2]
    close(out["down2"], net.down_norm[1](net.down[1](layers.leaky_relu(out["down1"])), train=False))
    joined = jnp.concatenate([out["down1"], out["up2"]], -1)
    close(out["up1"], net.up[0](jax.nn.relu(joined)))
