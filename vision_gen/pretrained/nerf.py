"""Weights of the published NeRF implementations, for `nets.nerf.RadianceMLP`."""

import pathlib

from flax import serialization
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets.nerf import SKIP_AFTER
from vision_gen.pretrained import torch_file


def read_torch(path, params):
    """A checkpoint of the PyTorch implementation (`network_fn_state_dict`, `network_fine_state_dict`).

    Args:
      path: `200000.tar` or the like.
      params: of the system's `field`: {"coarse": ..., "fine": ...}; not changed.

    Returns:
      `params` with the file's values. Without a fine network in the file, both are the coarse one.

    Raises:
      InputError: the file cannot be read or does not fit; names the weight.
    """
    whole = torch_file.read(path)
    entries = {"coarse": "network_fn_state_dict", "fine": "network_fine_state_dict"}
    if not isinstance(whole, dict) or not whole.get(entries["fine"]):
        entries["fine"] = entries["coarse"]
    result = {}
    for network, entry in entries.items():
        state = torch_file.read_state_dict(path, entry)
        names = {
            **{("trunk", i): f"pts_linears.{i}" for i in range(len(params[network]["trunk"]))},
            ("density",): "alpha_linear",
            ("bottleneck",): "feature_linear",
            ("view",): "views_linears.0",
            ("colour",): "rgb_linear",
        }
        dense = {
            where: (f"{entry}.{name}", state.get(f"{name}.weight"), state.get(f"{name}.bias"))
            for where, name in names.items()
        }
        turned = {
            where: (name, weight if weight is None else weight.T, bias)
            for where, (name, weight, bias) in dense.items()
        }
        result[network] = _fill(path, params[network], turned)
    return result


def read_jaxnerf(path, params, *, legacy_posenc_order=False):
    """A flax checkpoint of jaxnerf.

    Args:
      path: `checkpoint_1000000` or the like.
      params: as for `read_torch`.
      legacy_posenc_order: the flag of that name with which it was trained: sine and cosine of one
        octave after the other, as in the reference. Otherwise all sines come before all cosines.

    Returns, raises: as `read_torch`.
    """
    try:
        tree = serialization.msgpack_restore(pathlib.Path(path).read_bytes())
        tree = tree["optimizer"]["target"]
        tree = tree.get("params", tree)
    except Exception as error:
        raise InputError(f"{path}: not a readable jaxnerf checkpoint ({error})") from error
    result = {}
    for network, name in (("coarse", "MLP_0"), ("fine", "MLP_1")):
        depth = len(params[network]["trunk"])
        width = params[network]["bottleneck"]["kernel"].shape[0]
        names = [("trunk", i) for i in range(depth)]
        names += [("density",), ("bottleneck",), ("view",), ("colour",)]
        dense = {}
        for index, where in enumerate(names):
            layer = tree.get(name, {}).get(f"Dense_{index}", {})
            kernel = layer.get("kernel")
            if kernel is not None:
                kernel = np.asarray(kernel)
                encoded = kernel.shape[0] - (where[0] == "view" or where[1:] == (SKIP_AFTER + 1,)) * width
                if where in (("trunk", 0), ("trunk", SKIP_AFTER + 1)):
                    # There the layer's input is [hidden, position], here [position, hidden].
                    hidden, position = np.split(kernel, [kernel.shape[0] - encoded])
                    kernel = np.concatenate([_order(position, legacy_posenc_order), hidden])
                elif where == ("view",):
                    hidden, view = np.split(kernel, [width])
                    kernel = np.concatenate([hidden, _order(view, legacy_posenc_order)])
            dense[where] = (f"{name}/Dense_{index}", kernel, layer.get("bias"))
        result[network] = _fill(path, params[network], dense)
    return result


def _order(rows, legacy):
    """Rows of a kernel that read jaxnerf's encoding [1 + 2 octaves, 3], in the reference's order."""
    if legacy:
        return rows
    octaves = (len(rows) // 3 - 1) // 2
    waves = rows[3:].reshape(2, octaves, 3, -1).swapaxes(0, 1).reshape(6 * octaves, -1)
    return np.concatenate([rows[:3], waves])


def _fill(path, params, dense):
    """`params` with kernels and biases of `dense`, {where: (name, kernel, bias)}."""
    params = {**params, "trunk": dict(params["trunk"])}
    for where, (name, kernel, bias) in dense.items():
        group = params
        for key in where[:-1]:
            group = group[key]
        for field, value in (("kernel", kernel), ("bias", bias)):
            like = group[where[-1]][field]
            if value is None:
                raise InputError(f"{path}: has no {name} {field}; is it of another architecture?")
            if tuple(value.shape) != like.shape:
                raise InputError(
                    f"{path}: {name} {field} has shape {list(value.shape)}, the network {list(like.shape)}"
                )
        group[where[-1]] = {
            "kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)
        }
    return params
