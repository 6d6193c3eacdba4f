"""Published ViT weights for `nets.vit.ViT`: the original release, torchvision, timm, transformers."""

import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets import vit
from vision_gen.pretrained import torch_file

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


def read_torch(path, params):
    """A state dict of timm, torchvision or transformers; which, its names tell.

    Args:
      path: a torch file.
      params: of a `nets.vit.ViT`; not changed. Positions of another resolution are interpolated.
        A head of another number of classes than the file's is kept as it is.

    Returns:
      `params` with the file's values.

    Raises:
      InputError: the file cannot be read or does not fit; names the weight.
    """
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
    layout = known[0]

    def pair(name):
        weight, bias = name if isinstance(name, tuple) else (f"{name}.weight", f"{name}.bias")
        return _get(path, state, weight), _get(path, state, bias)

    def linear(name):
        weight, bias = pair(name)
        return {"kernel": weight.T, "bias": bias}

    def norm(name):
        scale, bias = pair(name)
        return {"scale": scale, "bias": bias}

    def block(index):
        prefix = layout["block"].format(index)
        at = lambda name: tuple(prefix + n for n in name) if isinstance(name, tuple) else prefix + name
        return {
            "norm1": norm(at(layout["norm1"])),
            "attention": {
                "qkv": _side_by_side([linear(at(name)) for name in layout["qkv"]]),
                "out": linear(at(layout["out"])),
            },
            "norm2": norm(at(layout["norm2"])),
            "expand": linear(at(layout["expand"])),
            "contract": linear(at(layout["contract"])),
        }

    weight, bias = pair(layout["embed"])
    # (width, channel, row, column) to rows in the order row, column, channel.
    embed = {"kernel": weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0]), "bias": bias}
    head = f"{layout['head']}.weight" in state
    found = {
        "token": _get(path, state, layout["token"])[0],
        "positions": state[layout["positions"]][0],
        "embed": embed,
        "norm": norm(layout["norm"]),
        "head": linear(layout["head"]) if head else None,
    }
    return _fill(path, params, found, block)


def read_npz(path, params):
    """A file of the original release, such as `B_16.npz` or those of augreg.

    Arguments, result and errors as `read_torch`.
    """
    try:
        with np.load(pathlib.Path(path), allow_pickle=False) as file:
            state = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable .npz file ({error})") from error
    get = lambda name: _get(path, state, name)

    def linear(name, inputs=1):
        kernel = get(f"{name}/kernel")
        inputs = int(np.prod(kernel.shape[:inputs]))
        return {"kernel": kernel.reshape(inputs, -1), "bias": get(f"{name}/bias").ravel()}

    def norm(name):
        return {"scale": get(f"{name}/scale"), "bias": get(f"{name}/bias")}

    def block(index):
        prefix = f"Transformer/encoderblock_{index}"
        attention = f"{prefix}/MultiHeadDotProductAttention_1"
        return {
            "norm1": norm(f"{prefix}/LayerNorm_0"),
            "attention": {
                "qkv": _side_by_side([linear(f"{attention}/{n}") for n in ("query", "key", "value")]),
                "out": linear(f"{attention}/out", 2),
            },
            "norm2": norm(f"{prefix}/LayerNorm_2"),
            "expand": linear(f"{prefix}/MlpBlock_3/Dense_0"),
            "contract": linear(f"{prefix}/MlpBlock_3/Dense_1"),
        }

    found = {
        "token": get("cls")[0],
        "positions": get("Transformer/posembed_input/pos_embedding")[0],
        "embed": linear("embedding", 3),
        "norm": norm("Transformer/encoder_norm"),
        "head": linear("head") if "head/kernel" in state else None,
    }
    return _fill(path, params, found, block)


def _get(path, state, name):
    if name not in state:
        raise InputError(f"{path}: no weight {name!r}; is it of another architecture?")
    return np.asarray(state[name], np.float32)


def _side_by_side(parts):
    return {
        field: np.concatenate([part[field] for part in parts], -1) for field in ("kernel", "bias")
    }


def _fill(path, params, found, block):
    depth = params["blocks"]["norm1"]["scale"].shape[0]
    blocks = [block(i) for i in range(depth)]
    try:
        block(depth)
    except InputError:
        pass
    else:
        raise InputError(f"{path}: has more than the network's {depth} blocks")
    found["blocks"] = _stack(blocks)
    grid = round((found["positions"].shape[0] - 1) ** 0.5)
    wanted = round((params["positions"].shape[0] - 1) ** 0.5)
    found["positions"] = vit.interpolate_positions(
        jnp.asarray(found["positions"]), grid, (wanted, wanted)
    )
    kept = params.get("head")
    if kept and (found["head"] is None or found["head"]["bias"].shape != kept["bias"].shape):
        found["head"] = kept
    return _checked(path, params, found, "")


def _stack(trees):
    if isinstance(trees[0], dict):
        return {name: _stack([tree[name] for tree in trees]) for name in trees[0]}
    return np.stack(trees)


def _checked(path, like, found, name):
    if isinstance(like, dict):
        missing = set(like) - set(found)
        if missing:
            raise InputError(f"{path}: has no {name}{sorted(missing)[0]}; the network has one")
        return {key: _checked(path, like[key], found[key], f"{name}{key}.") for key in like}
    if tuple(found.shape) != tuple(like.shape):
        raise InputError(
            f"{path}: {name[:-1]} has shape {list(found.shape)}, the network {list(like.shape)}"
        )
    return jnp.asarray(found, jnp.float32)
