"""Published weights of the networks of `nets.features`."""

import functools

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import features
from vision_gen.pretrained import torch_file, weights

BATCH_NORM_EPSILON = 1e-3  # Of Inception and EfficientNet alike.
# On CPU, so many images at a time, whose maps stay in the cache.
PART = 8
NETWORKS = {
    "inception-2015": features.Inception,
    "vgg16": functools.partial(features.VGG, 16),
    "vgg19": functools.partial(features.VGG, 19),
    "alexnet": features.AlexNet,
    "efficientnet-lite0": features.EfficientNetLite0,
}


def load(name, path=None, **settings):
    """A network of `NETWORKS` with its published weights, or those of a file.

    Args:
      name: a key of `NETWORKS`.
      path: a torch state dict with the published names; without it `weights.find(name)`.
      **settings: of the network, such as `classes=0` for VGG without its classifier.

    Returns:
      (network, checksum): the SHA-256 of the file.

    Raises:
      InputError: there is no such network or file, or the file is another network's.
    """
    if name not in NETWORKS:
        raise InputError(f"the feature network must be one of {sorted(NETWORKS)}, got {name!r}")
    path = weights.find(name) if path is None else path
    network = nnx.eval_shape(lambda: NETWORKS[name](**settings, rngs=nnx.Rngs(0)))
    return read(path, network), weights.checksum(path)


def read(path, network):
    """`network` with the weights of a torch state dict; batch normalisations are folded in.

    Args:
      path: the file.
      network: a network of `nets.features`, which may be abstract (`nnx.eval_shape`).

    Raises:
      InputError: the file cannot be read, or lacks a weight or has it in another shape, by name.
    """
    state = torch_file.read_state_dict(path)
    fill(network, state, str(path))
    return network


def fill(network, state, origin="the state dict"):
    """Sets the parameters of `network` from {name: numpy array}; see `read`."""

    def take(name, shape):
        if name not in state:
            raise InputError(f"{origin}: no weight {name!r}; is it of another architecture?")
        if state[name].shape != tuple(shape):
            raise InputError(f"{origin}: {name!r} has shape {state[name].shape}, expected {tuple(shape)}")
        return np.asarray(state[name], np.float32)

    def put(layer, kernel, bias):
        layer.kernel.set_value(jnp.asarray(kernel))
        layer.bias.set_value(jnp.asarray(bias))

    for name, layer in network.convs.items():
        height, width, channel, count = layer.kernel.shape
        weight, norm = names(network, name)
        kernel = take(weight, (count, channel, height, width)).transpose(2, 3, 1, 0)
        if norm is None:
            put(layer, kernel, take(f"{name}.bias", (count,)))
            continue
        scale, shift, mean, var = (
            take(f"{norm}.{part}", (count,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(var + BATCH_NORM_EPSILON)
        put(layer, kernel * factor, shift - mean * factor)
    if hasattr(network, "fc"):
        linears = {"_fc" if isinstance(network, features.EfficientNetLite0) else "fc": network.fc}
    else:
        linears = dict(network.linears)
    for name, layer in linears.items():
        kernel = take(f"{name}.weight", layer.kernel.shape[::-1]).T
        put(layer, kernel, take(f"{name}.bias", layer.bias.shape))


def names(network, conv):
    """(published name of a convolution's weight, that of its batch normalisation or None)."""
    if isinstance(network, features.Inception):
        return f"{conv}.conv.weight", f"{conv}.bn"
    if isinstance(network, features.EfficientNetLite0):
        block, _, last = conv.rpartition(".")
        # A block's first convolution, where there is none to expand, is the second of the rest.
        number = {"_conv_stem": 0, "_conv_head": 1, "_expand_conv": 0, "_depthwise_conv": 1}.get(last, 2)
        return f"{conv}.weight", f"{block}{'.' if block else ''}_bn{number}"
    return f"{conv}.weight", None


def apply(network, activations=None):
    """A function (params, images) -> {name: intermediate} to be jitted, and the params.

    Args:
      network: of `nets.features`.
      activations: the names that are wanted; by default all.
    """
    graphdef, params = nnx.split(network)

    def whole(params, images):
        _, found = nnx.merge(graphdef, params)(images, intermediates=True)
        return {name: found[name] for name in activations or found}

    def in_parts(params, images):
        if len(images) <= PART or len(images) % PART:
            return whole(params, images)
        # Every part has images of all devices; `lax.map` over parts would copy them all first.
        parts = images.reshape(PART, -1, *images.shape[1:])
        part = lambda i: whole(params, lax.dynamic_index_in_dim(parts, i, 1, keepdims=False))
        found = lax.map(part, jnp.arange(parts.shape[1]))
        return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(len(images), *x.shape[2:]), found)

    function = lambda params, images: lax.platform_dependent(params, images, cpu=in_parts, default=whole)
    return function, jax.tree.map(jnp.asarray, params)
