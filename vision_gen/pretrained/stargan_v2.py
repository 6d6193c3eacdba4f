"""Weights of the released code of StarGAN v2 (`100000_nets_ema.ckpt`, `100000_nets.ckpt`), for `nets.stargan_v2`.

A file holds all networks, each an entry of its name; the first has their averages, and no discriminator. That of faces
also has a network of landmarks, `fan`, for `nets.landmarks`; the released code's `wing.ckpt` is that alone.
"""

import numpy as np

from vision_gen.nets import landmarks
from vision_gen.nets import stargan_v2 as nets
from vision_gen.pretrained import torch_file, torch_layers

# Of generators with `high_pass`.
UNUSED = {
    "hpf.filter": "config.model.high_pass says what it is",
    "decode.*.conv1x1.weight": "the way back has no shortcuts",
}


def _block(ours, theirs):
    found = {f"{ours}/{name}": f"{theirs}.{name}" for name in ("conv1", "conv2", "norm1", "norm2", "conv1x1")}
    return found | {f"{ours}/{name}/fc": f"{theirs}.{name}.fc" for name in ("norm1", "norm2")}


def _generator(network):
    found = {"from_rgb": "from_rgb", "norm": "to_rgb.0", "to_rgb": "to_rgb.2"}
    for part in ("encode", "decode"):
        for i in range(len(getattr(network, part))):
            found |= _block(f"{part}/{i}", f"{part}.{i}")
    return found


def _mapping_network(network):
    found = {f"shared/{i}": f"shared.{2 * i}" for i in range(len(network.shared))}
    for domain, head in enumerate(network.unshared):
        found |= {f"unshared/{domain}/{i}": f"unshared.{domain}.{2 * i}" for i in range(len(head))}
    return found


def _trunk(trunk, theirs):
    blocks = len(trunk.blocks)
    found = {"trunk/start": f"{theirs}.0", "trunk/last": f"{theirs}.{blocks + 2}"}
    for i in range(blocks):
        found |= _block(f"trunk/blocks/{i}", f"{theirs}.{i + 1}")
    return found


def _style_encoder(network):
    heads = {f"unshared/{domain}": f"unshared.{domain}" for domain in range(len(network.unshared))}
    return _trunk(network.trunk, "shared") | heads


def _discriminator(network):
    return _trunk(network.trunk, "main") | {"heads": f"main.{len(network.trunk.blocks) + 4}"}


def _landmarks(network):
    found = {"start/conv": "conv1.conv", "start_norm": "bn1", "place/conv": "m0.coordconv.conv"}
    found |= {"last": "conv_last0", "last_norm": "bn_end0", "heat": "l0"}
    blocks = {f"blocks/{i}": f"conv{i + 2}" for i in range(3)} | {"top": "top_m_0"}
    ours = "hourglass"
    for depth in range(landmarks.DEPTH, 0, -1):
        blocks |= {f"{ours}/{name}": f"m0.b{i}_{depth}" for i, name in enumerate(("above", "before", "after"), 1)}
        ours = f"{ours}/inner"
    blocks[ours] = "m0.b2_plus_1"
    for ours, theirs in blocks.items():
        for i in range(3):
            found |= {f"{ours}/norms/{i}": f"{theirs}.bn{i + 1}", f"{ours}/convs/{i}": f"{theirs}.conv{i + 1}"}
        found |= {f"{ours}/short_norm": f"{theirs}.downsample.0", f"{ours}/short": f"{theirs}.downsample.2"}
    return found


def read_landmarks(path, network):
    """A reader of `fan` in a file of all networks, or of `wing.ckpt`; see `torch_layers.reader`."""
    value = torch_file.read(path)
    entry = "state_dict" if isinstance(value, dict) and "state_dict" in value else "fan"
    return torch_layers.reader(_landmarks, entry=entry)(path, network)


def _unused(network):
    """What the released code has in its place, {name: array}, and does not use; see `UNUSED`."""
    if not network.high_pass:
        return {}
    found = {"hpf.filter": nets.DETAILS / np.float32(network.high_pass)}
    for i, block in enumerate(network.decode):
        *_, channel, features = block.conv1.kernel.shape
        if channel != features:
            found[f"decode.{i}.conv1x1.weight"] = np.zeros((features, channel, 1, 1), np.float32)
    return found


def _reader(name, names):
    def read(path, network):
        unused = UNUSED if getattr(network, "high_pass", 0) else {}
        return torch_layers.reader(names, unused=unused, entry=name)(path, network)

    return read


_NAMES = {
    "generator": _generator,
    "mapping_network": _mapping_network,
    "style_encoder": _style_encoder,
    "discriminator": _discriminator,
}
READERS = {name: _reader(name, names) for name, names in _NAMES.items()} | {"landmarks": read_landmarks}
# Written are the networks as they are used, without the discriminator.
WRITERS = {
    name: torch_layers.writers(
        names, "{step:06d}_nets_ema.ckpt", entry=name, also=_unused if name == "generator" else lambda network: {}
    )
    for name, names in list(_NAMES.items())[:3]
}
