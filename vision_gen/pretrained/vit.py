"""Published ViT weights for `nets.vit.ViT`: the original release, torchvision, timm, transformers."""

import math
import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import vit
from vision_gen.pretrained import named, torch_file

# Where each release keeps what a ViT has. `block` has the number of the block put in; `qkv` is one
# joint projection or three. A name stands for NAME.weight and NAME.bias, a pair for itself.
TRANSFORMERS = dict(
    token="vit.embeddings.cls_token",
    positions="vit.embeddings.position_embeddings",
    embed="vit.embeddings.patch_embeddings.projection",
    norm1="layernorm_before",
    norm2="layernorm_after",
    norm="vit.layernorm",
    head="classifier",
)
TORCH = {
    "timm": dict(
        token="cls_token",
        positions="pos_embed",
        embed="patch_embed.proj",
        block="blocks.{}.",
        norm1="norm1",
        qkv=["attn.qkv"],
        out="attn.proj",
        norm2="norm2",
        expand="mlp.fc1",
        contract="mlp.fc2",
        norm="norm",
        head="head",
    ),
    "torchvision": dict(
        token="class_token",
        positions="encoder.pos_embedding",
        embed="conv_proj",
        block="encoder.layers.encoder_layer_{}.",
        norm1="ln_1",
        qkv=[("self_attention.in_proj_weight", "self_attention.in_proj_bias")],
        out="self_attention.out_proj",
        norm2="ln_2",
        expand="mlp.0",
        contract="mlp.3",
        norm="encoder.ln",
        head="heads.head",
    ),
    # Files on its hub have the names of its releases before 5.
    "transformers": TRANSFORMERS
    | dict(
        block="vit.encoder.layer.{}.",
        qkv=[f"attention.attention.{name}" for name in ("query", "key", "value")],
        out="attention.output.dense",
        expand="intermediate.dense",
        contract="output.dense",
    ),
    "transformers 5": TRANSFORMERS
    | dict(
        block="vit.layers.{}.",
        qkv=[f"attention.{name}_proj" for name in "qkv"],
        out="attention.o_proj",
        expand="mlp.fc1",
        contract="mlp.fc2",
    ),
}


def read(path, network):
    """A file of any release that is known, for a `nets.vit.ViT`: the original `.npz`, or a state dict of timm, torchvision or
    transformers (which, its names tell).

    Args:
      path: the file.
      network: the `ViT`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read, or is of none of these.
    """
    if pathlib.Path(path).suffix == ".npz":
        return _read_npz(path, network.size.depth)
    return _read_torch(path, network.size.depth)


def adapt(name, value, like):
    """`System.adapt` of a ViT: positions of another resolution are interpolated, a head of other classes keeps its start."""
    if name == "positions" and value.shape[1] == like.shape[1]:
        there, here = _grid(value.shape[0]), _grid(like.shape[0])
        if there and here and value.shape[0] - there**2 == like.shape[0] - here**2:
            found = vit.interpolate_positions(jnp.asarray(value), there, (here, here))
            return found, f"interpolated from {there} x {there} to {here} x {here} patches"
    if name.startswith("head/") and value.shape[:-1] == like.shape[:-1]:
        return None, f"kept its start: {value.shape[-1]} classes there, {like.shape[-1]} here"
    return None


def _grid(tokens):
    """Patches along a side of a table of positions, with or without a class token; None where it is no square."""
    for count in (tokens, tokens - 1):
        if math.isqrt(count) ** 2 == count:
            return math.isqrt(count)
    return None


def _blocks(file, depth, block):
    """Puts the stacked tensors of all blocks.

    Args:
      file: a `named.Translation`.
      depth: blocks of the network.
      block: function of a block's number that gives {our name: ([the file's], function of them)}.
    """
    blocks = [block(i) for i in range(depth)]
    for ours, (first, make) in blocks[0].items():
        count = len(first)
        stack = lambda *arrays, make=make, n=count: np.stack([make(*arrays[i : i + n]) for i in range(0, len(arrays), n)])
        file.put(f"blocks/{ours}", [name for b in blocks for name in b[ours][0]], stack)


_same = lambda x: x
_transposed = lambda x: x.T
_beside = lambda *parts: np.concatenate(parts, -1)


def _read_torch(path, depth):
    state = torch_file.read(path)
    for entry in ("model", "state_dict"):  # As training scripts wrap it.
        if isinstance(state, dict) and isinstance(state.get(entry), dict):
            state = torch_file.read_state_dict(path, entry)
            break
    else:
        state = torch_file.read_state_dict(path)
    known = [
        layout
        for layout in TORCH.values()
        if f"{layout['block'].format(0)}{layout['norm1']}.weight" in state
    ]
    if not known:
        raise InputError(
            f"{path}: not a ViT of {', '.join(TORCH)}; its first weight is {next(iter(state), None)!r}"
        )
    layout, file = known[0], named.Translation(path, state)

    def pair(name):
        return name if isinstance(name, tuple) else (f"{name}.weight", f"{name}.bias")

    def block(index):
        prefix = layout["block"].format(index)
        at = lambda name: tuple(prefix + n for n in pair(name))
        found = {}
        for ours, names in (("norm1", layout["norm1"]), ("norm2", layout["norm2"])):
            scale, bias = at(names)
            found |= {f"{ours}/scale": ([scale], _same), f"{ours}/bias": ([bias], _same)}
        for ours in ("out", "expand", "contract"):
            weight, bias = at(layout[ours])
            name = "attention/out" if ours == "out" else ours
            found |= {f"{name}/kernel": ([weight], _transposed), f"{name}/bias": ([bias], _same)}
        weights, biases = zip(*(at(name) for name in layout["qkv"]))
        found["attention/qkv/kernel"] = weights, lambda *parts: _beside(*(p.T for p in parts))
        found["attention/qkv/bias"] = biases, _beside
        return found

    first = lambda x: x[0]
    file.put("token", layout["token"], first)
    file.put("positions", layout["positions"], first)
    weight, bias = pair(layout["embed"])
    # (width, channel, row, column) to rows in the order row, column, channel.
    file.put("embed/kernel", weight, lambda w: w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]))
    file.put("embed/bias", bias)
    _blocks(file, depth, block)
    for ours, name, make in (("norm/scale", "norm", None), ("head/kernel", "head", _transposed)):
        weight, bias = pair(layout[name])
        file.put(ours, weight, make)
        file.put(f"{name}/bias", bias)
    return file.result()


def _read_npz(path, depth):
    try:
        with np.load(pathlib.Path(path), allow_pickle=False) as archive:
            state = dict(archive)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable .npz file ({error})") from error
    if "embedding/kernel" not in state:
        raise InputError(f"{path}: not a ViT of the original release; its first weight is {next(iter(state), None)!r}")
    file = named.Translation(path, state)
    rows = lambda axes: lambda x: x.reshape(int(np.prod(x.shape[:axes])), -1)

    def block(index):
        prefix = f"Transformer/encoderblock_{index}"
        attention = f"{prefix}/MultiHeadDotProductAttention_1"
        heads = [f"{attention}/{n}" for n in ("query", "key", "value")]
        found = {
            "attention/qkv/kernel": ([f"{n}/kernel" for n in heads], lambda *p: _beside(*map(rows(1), p))),
            "attention/qkv/bias": ([f"{n}/bias" for n in heads], lambda *p: _beside(*(x.ravel() for x in p))),
            "attention/out/kernel": ([f"{attention}/out/kernel"], rows(2)),
            "attention/out/bias": ([f"{attention}/out/bias"], _same),
        }
        for ours, name in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            found |= {f"{ours}/{part}": ([f"{prefix}/{name}/{part}"], _same) for part in ("scale", "bias")}
        for ours, name in (("expand", "Dense_0"), ("contract", "Dense_1")):
            found |= {f"{ours}/{part}": ([f"{prefix}/MlpBlock_3/{name}/{part}"], _same) for part in ("kernel", "bias")}
        return found

    first = lambda x: x[0]
    file.put("token", "cls", first)
    file.put("positions", "Transformer/posembed_input/pos_embedding", first)
    file.put("embed/kernel", "embedding/kernel", rows(3))
    file.put("embed/bias", "embedding/bias")
    _blocks(file, depth, block)
    for ours, name in (("norm", "Transformer/encoder_norm"), ("head", "head")):
        for part in ("scale", "bias") if ours == "norm" else ("kernel", "bias"):
            file.put(f"{ours}/{part}", f"{name}/{part}")
    return file.result()
