"""Weights of the reference implementation of pix2pix (`latest_net_G.pth`, `latest_net_D.pth`)."""

import jax.numpy as jnp

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file


def read_generator(path, params, rest):
    """Puts a saved U-Net (`unet_128`, `unet_256`) into a `nets.unet.UNet`.

    Args:
      path: `latest_net_G.pth` or the like.
      params, rest: the network's parameters and running statistics as nested dicts; not changed.

    Returns:
      (params, rest) with the file's values.

    Raises:
      InputError: the file cannot be read or its shapes are not the network's; names the weight.
    """
    stages = len(params["down"])
    names = {}
    for i in range(stages):
        # Each stage is nested in the one before; the outermost has no activation in front.
        prefix = "model." + "model.1." * min(i, 1) + "model.3." * max(i - 1, 0) + "model."
        outermost, innermost = i == 0, i == stages - 1
        names[("down", i)] = f"{prefix}{0 if outermost else 1}"
        names[("up", i)] = f"{prefix}{3 if outermost or innermost else 5}"
        if not outermost and not innermost:
            names[("down_norm", i)] = f"{prefix}2"
        if not outermost:
            names[("up_norm", i)] = f"{prefix}{4 if innermost else 6}"
    return _read(path, names, params, rest)


def read_discriminator(path, params, rest):
    """Puts a saved PatchGAN (`basic`, `n_layers`) into a `nets.patchgan.PatchDiscriminator`.

    Arguments, result and errors as `read_generator`.
    """
    names, index = {}, 0
    for i in range(len(params["convs"])):
        names[("convs", i)] = f"model.{index}"
        index += 1
        if i in rest.get("norms", {}):
            names[("norms", i)] = f"model.{index}"
            index += 1
        index += 1  # The activation.
    return _read(path, names, params, rest)


def _read(path, names, params, rest):
    state = torch_file.read_state_dict(path)
    # Counters of batches have no use here.
    unused = {name for name in state if not name.endswith("num_batches_tracked")}

    def take(name, like):
        if name not in state:
            raise InputError(f"{path}: no weight {name!r}; is it of another architecture or size?")
        unused.discard(name)
        value = state[name]
        if value.ndim == 4:
            # Convolution (out, in, h, w) -> (h, w, in, out); transposed (in, out, h, w) ->
            # (h, w, out, in): the same permutation.
            value = value.transpose(2, 3, 1, 0)
        if value.shape != like.shape:
            raise InputError(
                f"{path}: {name} has shape {list(value.shape)}, the network {list(like.shape)}"
            )
        return jnp.asarray(value, jnp.float32)

    fields = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    statistics = {"mean": "running_mean", "var": "running_var"}
    params = {group: dict(items) for group, items in params.items()}
    rest = {group: dict(items) for group, items in rest.items()}
    for (group, i), name in names.items():
        params[group][i] = {
            field: take(f"{name}.{fields[field]}", like) for field, like in params[group][i].items()
        }
        if group in rest and i in rest[group]:
            rest[group][i] = {
                field: take(f"{name}.{statistics[field]}", like)
                for field, like in rest[group][i].items()
            }
    if unused:
        raise InputError(f"{path}: has weights that the network has not, such as {sorted(unused)[0]!r}")
    return params, rest
