"""Weights of the released code of VITON-HD (`seg_final.pth`, `gmm_final.pth`, `alias_final.pth`)."""

import numpy as np

from vision_gen.nets.tryon import SpectralConv
from vision_gen.pretrained import named, torch_layers


def _segmenter(network):
    found = {"out": f"conv{2 * len(network.down) - 1}.6"}
    for i, stage in enumerate([*network.down, *network.merge]):
        ours = f"down/{i}" if i < len(network.down) else f"merge/{i - len(network.down)}"
        found |= {f"{ours}/convs/{j}": f"conv{i + 1}.{3 * j}" for j in range(len(stage.convs))}
    return found | {f"up/{i}": f"up{len(network.down) + 1 + i}.1" for i in range(len(network.up))}


def _matcher(network):
    found = {}
    for ours, theirs in (("person", "extractionA"), ("cloth", "extractionB")):
        extractor = getattr(network, ours)
        found |= {f"{ours}/convs/{i}": f"{theirs}.model.{3 * i}" for i in range(len(extractor.convs))}
        found |= {f"{ours}/norms/{i}": f"{theirs}.model.{3 * i + 2}" for i in range(len(extractor.norms))}
    for i in range(len(network.convs)):
        found |= {f"convs/{i}": f"regression.conv.{3 * i}", f"norms/{i}": f"regression.conv.{3 * i + 1}"}
    # Theirs takes a map of features channel by channel, ours place by place.
    flat = named.Turn(
        lambda x: x.reshape(len(x), -1, *network.rest).transpose(2, 3, 1, 0).reshape(-1, len(x)),
        lambda x: [x.reshape(*network.rest, -1, x.shape[-1]).transpose(3, 2, 0, 1).reshape(x.shape[-1], -1)],
    )
    return found | {"out": "regression.linear", "out/kernel": ("regression.linear.weight", flat)}


def _spectral(ours, theirs, conv):
    """The names of a `SpectralConv`."""
    height, width, channel, _ = conv.kernel.shape
    vector = named.Turn(
        lambda x: x.reshape(channel, height, width).transpose(1, 2, 0).ravel(),
        lambda x: [np.asarray(x).reshape(height, width, channel).transpose(2, 0, 1).ravel()],
    )
    return {
        ours: theirs,
        f"{ours}/kernel": f"{theirs}.weight_orig",
        f"{ours}/right": f"{theirs}.weight_u",
        f"{ours}/left": (f"{theirs}.weight_v", vector),
    }


def _norm(ours, theirs):
    parts = {"shared": "conv_shared.0", "scale": "conv_gamma", "bias": "conv_beta"}
    return {f"{ours}/{part}": f"{theirs}.{name}" for part, name in parts.items()} | {
        f"{ours}/noise": f"{theirs}.noise_scale"
    }


def block(ours, theirs, network):
    """The names of an `AliasBlock`."""
    found = {}
    for i in range(2):
        found |= _norm(f"{ours}norms/{i}", f"{theirs}norm_{i}")
        found |= _spectral(f"{ours}convs/{i}", f"{theirs}conv_{i}", network.convs[i])
    if isinstance(network.skip, SpectralConv):
        found |= _norm(f"{ours}skip_norm", f"{theirs}norm_s")
        found |= _spectral(f"{ours}skip", f"{theirs}conv_s", network.skip)
    return found


def _generator(network):
    found = {"out": "conv_img"} | {f"inputs/{i}": f"conv_{i}" for i in range(len(network.inputs))}
    first = ("head_0", "G_middle_0", "G_middle_1")
    for i, part in enumerate(network.blocks):
        found |= block(f"blocks/{i}/", f"{first[i] if i < 3 else f'up_{i - 3}'}.", part)
    return found


NAMES = {"segmentation": _segmenter, "warp": _matcher, "synthesis": _generator}
FILES = {"segmentation": "seg_final.pth", "warp": "gmm_final.pth", "synthesis": "alias_final.pth"}
READERS = {name: torch_layers.reader(names) for name, names in NAMES.items()}
WRITERS = {name: torch_layers.writers(names, FILES[name]) for name, names in NAMES.items()}
