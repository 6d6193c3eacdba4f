"""Weights and images that the fixture of the feature networks was made with."""

import zlib

import numpy as np

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {"inception-2015": 299, "vgg16": 224, "vgg19": 224, "alexnet": 224}


def weight(name, shape):
    """Drawn by name; scaled so that activations neither vanish nor grow."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.standard_normal(shape, dtype=np.float32)
    if name.endswith("running_var"):
        return np.float32(1 + 0.3 * np.tanh(values))
    if len(shape) == 1:  # Scales of batch normalisation are near one, all else near zero.
        return np.float32(0.1 * values + (".bn" in name and name.endswith("weight")))
    return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))


def images(size):
    """[1, size, size, 3] in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)).astype(np.float32)


def some(value):
    """At most about 300 of an array's values, spread over it."""
    flat = np.asarray(value, np.float32).ravel()
    return flat[:: max(1, flat.size // 300) | 1]


def state_of(network):
    """The state dict that a network of `nets.features` reads, drawn by name."""
    from vision_gen.pretrained import features as reader

    state = {}
    for name, layer in network.convs.items():
        height, width, channel, count = layer.kernel.shape
        kernel, norm = reader.names(network, name)
        state[kernel] = weight(kernel, (count, channel, height, width))
        parts = ["weight", "bias", "running_mean", "running_var"] if norm else ["bias"]
        for part in parts:
            full = f"{norm or name}.{part}"
            state[full] = weight(full, (count,))
    linears = {"fc": network.fc} if hasattr(network, "fc") else network.linears
    for name, layer in linears.items():
        state[f"{name}.weight"] = weight(f"{name}.weight", layer.kernel.shape[::-1])
        state[f"{name}.bias"] = weight(f"{name}.bias", layer.bias.shape)
    return state


def lpips_scales(layers, maps):
    """LPIPS's linear weights, drawn by name: {layer: [channel]}."""
    shapes = {layer: (1, maps[layer].shape[-1], 1, 1) for layer in layers}
    return {
        layer: np.abs(weight(f"lin{i}.model.1.weight", shape)).ravel()
        for i, (layer, shape) in enumerate(shapes.items())
    }
