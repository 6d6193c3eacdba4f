"""The U-Net at the size it is made for and at larger ones."""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import layers
from vision_gen.nets.unet import UNet

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def composed(net, x):
    """The published stages (appendix 6.1.1) of lax's convolutions, with stored statistics."""

    def norm(layer, x):
        if layer is None:
            return x
        mean, var, scale, bias = (v[...] for v in (layer.mean, layer.var, layer.scale, layer.bias))
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias

    skips = []
    for i, (conv, layer) in enumerate(zip(net.down, net.down_norm)):
        x = x if i == 0 else jnp.where(x > 0, x, 0.2 * x)
        x = lax.conv_general_dilated(x, conv.kernel[...], (2, 2), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
        x = norm(layer, x)
        skips.append(x)
    for i in reversed(range(len(net.up))):
        x = x if i == len(net.up) - 1 else jnp.concatenate([skips[i], x], -1)
        # Transposed: zeros between the positions, and the kernel turned.
        kernel = net.up[i].kernel[...][::-1, ::-1].swapaxes(2, 3)
        x = lax.conv_general_dilated(
            jnp.maximum(x, 0), kernel, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=DIMENSIONS
        )
        x = norm(net.up_norm[i], x if net.up[i].bias is None else x + net.up[i].bias[...])
    return jnp.tanh(x)


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_any_multiple_of_its_size_goes_through_the_published_stages(size):
    net = UNet(size=32, channel=1, features=2, width=3, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    for layer in (*net.down_norm, *net.up_norm):
        if layer is not None:
            layer.mean[...] = 0.1 * rng.normal(size=layer.mean.shape).astype(np.float32)
            layer.var[...] = 0.01 * rng.uniform(0.5, 2, layer.var.shape).astype(np.float32)
    for conv in net.up:
        conv.kernel[...] = conv.kernel[...] * 3
    x = rng.uniform(-1, 1, (2, *size, 1)).astype(np.float32)
    graphdef, state = nnx.split(net)
    ours, expected = jax.jit(
        lambda state, x: [f(nnx.merge(graphdef, state), x) for f in (lambda net, x: net(x, train=False), composed)]
    )(state, x)
    assert ours.shape == (2, *size, 2)
    assert jnp.abs(expected).mean() > 0.01
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_training_drops_half_in_the_three_innermost_stages_on_the_way_up(monkeypatch):
    """CD512-CD512-CD512 begin the decoder."""
    dropped = []
    monkeypatch.setattr(layers, "dropout", lambda x, keys, rate=0.5: dropped.append((x.shape[1], rate)) or x)
    net, x = nnx.eval_shape(lambda: UNet(size=64, width=1, rngs=nnx.Rngs(0))), jnp.zeros((2, 64, 64, 3))
    nnx.eval_shape(lambda net, keys: net(x, keys, train=True), net, jax.random.split(jax.random.key(0), 2))
    assert dropped == [(2, 0.5), (4, 0.5), (8, 0.5)]
    nnx.eval_shape(lambda net: net(x, train=False), net)
    assert len(dropped) == 3


def test_other_sizes_are_refused():
    net = nnx.eval_shape(lambda: UNet(size=32, width=2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"sides of x must be multiples of size 32, got \(32, 48\)"):
        net(jnp.zeros((1, 32, 48, 3)), train=False)
