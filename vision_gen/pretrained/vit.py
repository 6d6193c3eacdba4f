"""Published ViT weights for `nets.vit.ViT`: the original release, big_vision, torchvision, timm, transformers."""

import functools
import json
import math
import pathlib

import jax.numpy as jnp
import ml_dtypes
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import vit
from vision_gen.pretrained import named, torch_file

# Where each release keeps what a ViT has. `block` has the number of the block put in; `qkv` is one
# joint projection or three. A name stands for NAME.weight and NAME.bias, a pair for itself. `pools` it can compute.
TRANSFORMERS = dict(
    pools=("token",),
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
        pools=("token", "gap"),
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
        pools=("token",),
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
ORIGINAL = dict(
    pools=("token", "gap"),
    positions="Transformer/posembed_input/pos_embedding",
    attention="MultiHeadDotProductAttention_1",
    norm2="LayerNorm_2",
    mlp="MlpBlock_3",
)
# The same code, whose layers were numbered by kind from some release of Flax on.
BIG_VISION = ORIGINAL | dict(attention="MultiHeadDotProductAttention_0", norm2="LayerNorm_1", mlp="MlpBlock_0")


def read(path, network):
    """A file of any release that is known, for a `nets.vit.ViT`: the `.npz` of the original or of big_vision, or a
    state dict of timm, torchvision or transformers (which, its names tell).

    Args:
      path: the file.
      network: the `ViT`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read, or is of none of these.
    """
    if pathlib.Path(path).suffix == ".npz":
        state, names = _read_npz(path)
        layout, positions = _original(names, network), names["positions"]
    else:
        state = _read_torch(path)
        known = [names for names in TORCH.values() if f"{names['block'].format(0)}{names['norm1']}.weight" in state]
        if not known:
            raise InputError(
                f"{path}: not a ViT of {', '.join(TORCH)}; its first weight is {next(iter(state), None)!r}"
            )
        layout, positions = _torch(known[0], network), known[0]["positions"]
    if network.positions is not None:
        return named.read(path, state, layout).result()
    del layout["positions"]
    file, fixed = named.read(path, state, layout), _fixed_positions(network)
    there = state.get(positions, fixed)
    if there.shape == fixed.shape and np.allclose(there, fixed, atol=1e-5):
        file.ignore(positions, "the network's are fixed, and the same")
    return file.result()


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


def _read_torch(path):
    state = torch_file.read(path)
    for entry in ("model", "state_dict"):  # As training scripts wrap it.
        if isinstance(state, dict) and isinstance(state.get(entry), dict):
            return torch_file.read_state_dict(path, entry)
    return torch_file.read_state_dict(path)


def _read_npz(path):
    """({name: array}, which names they are: `ORIGINAL` or `BIG_VISION`)."""
    try:
        with np.load(pathlib.Path(path), allow_pickle=False) as archive:
            state = dict(archive)
    except Exception as error:  # As a damaged archive has it.
        raise InputError(f"{path}: not a readable .npz file ({error})") from error
    if state and all(name.startswith("params/") for name in state):
        state = {name.removeprefix("params/"): value for name, value in state.items()}
    if "embedding/kernel" not in state:
        raise InputError(f"{path}: not a ViT of the original release; its first weight is {next(iter(state), None)!r}")
    # numpy writes bfloat16 as two bytes of no type.
    state = {name: x.view(ml_dtypes.bfloat16) if x.dtype == "V2" else x for name, x in state.items()}
    names = BIG_VISION if f"Transformer/encoderblock_0/{BIG_VISION['norm2']}/scale" in state else ORIGINAL
    return state, names | ({"positions": "pos_embedding"} if "pos_embedding" in state else {})


def _fixed_positions(network):
    """The positions of a network that does not learn them, as every release has them: [1, tokens, width]."""
    return np.asarray(network.position_table(network.grid, network.grid))[None]


def _torch(names, network):
    """The layout of a state dict; see `named`.

    Args:
      names: of `TORCH`.
      network: the `ViT`.
    """
    found = {
        "token": (names["token"], named.FIRST),
        "positions": (names["positions"], named.FIRST),
        "embed/kernel": (f"{names['embed']}.weight", rows(network.patch)),
        "embed/bias": (f"{names['embed']}.bias", named.SAME),
    }
    for ours, turn in {"head": named.LINEAR, "norm": named.SAME}.items():
        found |= torch_layer(ours, names[ours], turn)
    return found | torch_blocks(names, network.size.depth)


def rows(patch):
    """The `Turn` of a convolution with the patch as its stride, (width, channel, row, column), to (patch, width)."""
    return named.Turn(
        lambda w: w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]),
        lambda k: [k.reshape(patch, patch, -1, k.shape[-1]).transpose(3, 2, 0, 1)],
    )


def torch_layer(ours, theirs, turn):
    """The layout of one layer of torch's; `theirs` is the name of its weight and bias, or a pair of names."""
    weight, bias = theirs if isinstance(theirs, tuple) else (f"{theirs}.weight", f"{theirs}.bias")
    return {f"{ours}/{'scale' if turn is named.SAME else 'kernel'}": (weight, turn), f"{ours}/bias": (bias, named.SAME)}


def torch_blocks(names, depth):
    """The layout of the stacked tensors of all blocks in a state dict of torch's.

    Args:
      names: `block`, `norm1`, `qkv`, `out`, `norm2`, `expand` and `contract`; see `TORCH`.
      depth: blocks of the network.
    """
    parts = lambda x: np.split(x, len(names["qkv"]), -1)
    joined = named.Turn(lambda *p: np.concatenate([x.T for x in p], -1), lambda x: [part.T for part in parts(x)])
    pairs = [name if isinstance(name, tuple) else (f"{name}.weight", f"{name}.bias") for name in names["qkv"]]
    weights, biases = zip(*pairs)
    block = {"attention/qkv/kernel": (weights, joined), "attention/qkv/bias": (biases, joined)}
    turns = {"norm1": named.SAME, "norm2": named.SAME, "attention/out": named.LINEAR}
    for ours, turn in (turns | dict.fromkeys(("expand", "contract"), named.LINEAR)).items():
        layer = torch_layer(ours, names[ours.removeprefix("attention/")], turn)
        block |= {part: ([theirs], turn) for part, (theirs, turn) in layer.items()}
    return _blocks(depth, names["block"], block)


def _original(names, network):
    """The layout of an `.npz`; see `named`.

    Args:
      names: `ORIGINAL` or `BIG_VISION`.
      network: the `ViT`.
    """
    patch, size = network.patch, network.size
    # Heads are an axis of their own there.
    heads = named.Turn(
        lambda *p: np.concatenate([x.reshape(*x.shape[:-2], -1) for x in p], -1),
        lambda x: [part.reshape(*part.shape[:-1], size.heads, -1) for part in np.split(x, 3, -1)],
    )
    flat = lambda *axes: named.Turn(
        lambda x: x.reshape(-1, x.shape[-1]), lambda x: [x.reshape(*axes, -1, x.shape[-1])]
    )
    found = {
        "token": ("cls", named.FIRST),
        "positions": (names["positions"], named.FIRST),
        "embed/kernel": ("embedding/kernel", flat(patch, patch)),
        "embed/bias": ("embedding/bias", named.SAME),
    }
    attention, block = names["attention"], {}
    for part in ("kernel", "bias"):
        block[f"attention/qkv/{part}"] = [f"{attention}/{n}/{part}" for n in ("query", "key", "value")], heads
        turn = flat(size.heads) if part == "kernel" else named.SAME
        block[f"attention/out/{part}"] = [f"{attention}/out/{part}"], turn
        for ours, their in (("expand", "Dense_0"), ("contract", "Dense_1")):
            block[f"{ours}/{part}"] = [f"{names['mlp']}/{their}/{part}"], named.SAME
        found[f"head/{part}"] = f"head/{part}", named.SAME
    for part in ("scale", "bias"):
        for ours, their in (("norm1", "LayerNorm_0"), ("norm2", names["norm2"])):
            block[f"{ours}/{part}"] = [f"{their}/{part}"], named.SAME
        found[f"norm/{part}"] = f"Transformer/encoder_norm/{part}", named.SAME
    return found | _blocks(size.depth, "Transformer/encoderblock_{}/", block)


def _blocks(depth, prefix, block):
    """The layout of the stacked tensors of all blocks.

    Args:
      depth: blocks of the network.
      prefix: of a block's names in the file, with {} for its number.
      block: the layout of one block.
    """
    found = {}
    for ours, (names, turn) in block.items():
        count = len(names)
        stack = named.Turn(
            lambda *arrays, turn=turn, n=count: np.stack(
                [turn.read(*arrays[i : i + n]) for i in range(0, len(arrays), n)]
            ),
            lambda x, turn=turn: [array for one in x for array in turn.write(one)],
        )
        found[f"blocks/{ours}"] = [prefix.format(i) + name for i in range(depth) for name in names], stack
    return found


def _state(release, network):
    """{name: array} of a network as a release has it."""
    names = TORCH.get(release, ORIGINAL)
    if network.pool not in names["pools"]:
        pools = " or ".join(map(repr, names["pools"]))
        raise InputError(f"config.model.pool is {network.pool!r}; a ViT of {release} has {pools}")
    state = named.written(network, _torch(names, network) if release in TORCH else _original(names, network))
    if network.positions is None:
        state[names["positions"]] = _fixed_positions(network)
    return state


def _write_original(path, network, about):
    np.savez(path, **_state("original", network))


def _write_torch(release, path, network, about):
    torch_file.write(_state(release, network), path)


def _write_transformers(path, network, about):
    """Also what transformers' `from_pretrained` reads beside the weights: of the network, and how pictures are cut."""
    torch_file.write(_state("transformers", network), path)
    size, classes, side = network.size, network.head.kernel.shape[-1], network.grid * network.patch
    names = about["classes"] if len(about["classes"]) == classes else [f"LABEL_{i}" for i in range(classes)]
    config = dict(
        architectures=["ViTForImageClassification"],
        model_type="vit",
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_attention_heads=size.heads,
        num_hidden_layers=size.depth,
        image_size=side,
        patch_size=network.patch,
        num_channels=3,
        hidden_act="gelu",
        layer_norm_eps=vit.EPSILON,
        qkv_bias=True,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    # The middle of a picture, as `data.images.fit` has it; ViT's own processor squeezes pictures that are not square.
    processor = dict(
        image_processor_type="CLIPImageProcessor",
        do_convert_rgb=True,
        do_resize=True,
        size=dict(shortest_edge=side),
        resample=1,  # Lanczos.
        do_center_crop=True,
        crop_size=dict(height=side, width=side),
        do_rescale=True,
        rescale_factor=1 / 255,
        do_normalize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    for name, record in (("config", config), ("preprocessor_config", processor)):
        path.with_name(f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


_SUFFIXES = (".safetensors", ".pth", ".bin")
WRITERS = {
    "original": named.Writer("vit.npz", _write_original, (".npz",)),
    "timm": named.Writer("model.safetensors", functools.partial(_write_torch, "timm"), _SUFFIXES),
    "torchvision": named.Writer("vit.pth", functools.partial(_write_torch, "torchvision"), _SUFFIXES),
    "transformers": named.Writer("model.safetensors", _write_transformers),
}
