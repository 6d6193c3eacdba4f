"""Published weights of the networks of `nets.features`."""

import functools

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import features
from vision_gen.pretrained import named, torch_file, weights

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
    return named.load(read, path, network), weights.checksum(path)


def read(path, network):
    """A torch state dict for a network of `nets.features`; batch normalisations are folded in.

    Args:
      path: the file.
      network: the network; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read.
    """
    return translate(torch_file.read_state_dict(path), network, str(path))


def fill(network, state, origin="the state dict"):
    """Sets the tensors of `network` from {name: numpy array}; see `read`."""
    return named.put(network, named.fit(translate(state, network, origin), network)[0])


def translate(state, network, origin):
    """{name: numpy array} for a network of `nets.features`; see `read`."""
    file = named.Translation(origin, state)
    file.ignore("*num_batches_tracked", "counters of batches")
    turned = lambda w: w.transpose(2, 3, 1, 0)
    for name in network.convs:
        weight, norm = names(network, name)
        if norm is None:
            file.put(f"convs/{name}/kernel", weight, turned)
            file.put(f"convs/{name}/bias", f"{name}.bias")
            continue
        scale, shift, mean, var = (f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))
        factor = lambda scale, var: scale / np.sqrt(var + BATCH_NORM_EPSILON)
        file.put(f"convs/{name}/kernel", [weight, scale, var], lambda w, s, v: turned(w) * factor(s, v))
        file.put(f"convs/{name}/bias", [shift, mean, scale, var], lambda b, m, s, v: b - m * factor(s, v))
    if hasattr(network, "fc"):
        linears = {"fc": "_fc" if isinstance(network, features.EfficientNetLite0) else "fc"}
    else:
        linears = {f"linears/{name}": name for name in network.linears}
    for ours, name in linears.items():
        file.put(f"{ours}/kernel", f"{name}.weight", np.transpose)
        file.put(f"{ours}/bias", f"{name}.bias")
    if not linears:
        file.ignore("classifier.*", "the classes are not asked for")
    if isinstance(network, features.NormalisedVGG):
        file.ignore("[345]?.*", "layers after relu4_1")
    return file.result()


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
    """A function (params, images, size=None) -> {name: intermediate} to be jitted, and the params.

    Args:
      network: of `nets.features`; those of VGG and AlexNet take a `size`, the others none.
      activations: the names that are wanted; by default all.
    """
    graphdef, params = nnx.split(network)

    def whole(params, images, size):
        extended = {} if size is None else {"size": size}
        _, found = nnx.merge(graphdef, params)(images, intermediates=True, **extended)
        return {name: found[name] for name in activations or found}

    def in_parts(params, images, size):
        if len(images) <= PART or len(images) % PART:
            return whole(params, images, size)
        # Every part has images of all devices; `lax.map` over parts would copy them all first.
        parts = images.reshape(PART, -1, *images.shape[1:])
        part = lambda i: whole(params, lax.dynamic_index_in_dim(parts, i, 1, keepdims=False), size)
        found = lax.map(part, jnp.arange(parts.shape[1]))
        return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(len(images), *x.shape[2:]), found)

    def function(params, images, size=None):
        return lax.platform_dependent(params, images, size, cpu=in_parts, default=whole)

    return function, jax.tree.map(jnp.asarray, params)
