"""Weights of the published NeRF implementations, for `nets.nerf.RadianceMLP`."""

import pathlib

from flax import serialization, traverse_util
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets.nerf import SKIP_AFTER
from vision_gen.pretrained import named, torch_file

LEGACY = ":legacy"
ENTRIES = {"coarse": "network_fn_state_dict", "fine": "network_fine_state_dict"}


def read(path, network):
    """A checkpoint of the PyTorch implementation, or of jaxnerf.

    Args:
      path: `200000.tar`, `checkpoint_1000000` or the like. ":legacy" behind it says that jaxnerf trained it with its
        flag `legacy_posenc_order`.
      network: of the system's `field`, with `coarse` and `fine`; may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read, or is neither.
    """
    path, legacy = str(path).removesuffix(LEGACY), str(path).endswith(LEGACY)
    try:
        with open(path, "rb") as file:
            torch = file.read(2) in (b"PK", b"\x80\x02")  # A zip archive, or a pickle.
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if torch and legacy:
        raise InputError(f"{path}{LEGACY}: is a torch file; {LEGACY} is for jaxnerf's")
    return read_torch(path, network) if torch else read_jaxnerf(path, network, legacy_posenc_order=legacy)


def read_torch(path, network):
    """A checkpoint of the PyTorch implementation or DietNeRF's (`network_fn_state_dict`, `network_fine_state_dict`).

    Without a fine network in the file, both are the coarse one. Arguments, result and errors as `read`.
    """
    whole = torch_file.read(path)
    entries = dict(ENTRIES)
    if not isinstance(whole, dict) or not whole.get(entries["fine"]):
        entries["fine"] = entries["coarse"]
    entries = {part: entries[part] for part in network}
    state = {
        f"{entry}.{name}": value
        for entry in set(entries.values())
        for name, value in torch_file.read_state_dict(path, entry).items()
    }
    file = named.read(path, state, _torch(network, entries))
    if not _directions(network):
        file.ignore("*.views_linears.*", "the layer of directions, which this network has and does not use")
    return file.result()


def _directions(network):
    return not hasattr(network["coarse"], "out")


def _torch(network, entries):
    """The layout of the PyTorch implementation's state dicts, named by `entries`, that of each network; see `named`."""
    found = {}
    for part, entry in entries.items():
        names = {f"trunk/{i}": f"pts_linears.{i}" for i in range(len(network[part].trunk))}
        if _directions(network):
            names |= dict(view="views_linears.0", bottleneck="feature_linear")
            names |= dict(density="alpha_linear", colour="rgb_linear")
        else:
            names["out"] = "output_linear"
        for ours, name in names.items():
            weight, bias = (named.LINEAR, named.SAME) if ours != "out" or "fine" not in network else _OUT
            found[f"{part}/{ours}/kernel"] = f"{entry}.{name}.weight", weight
            found[f"{part}/{ours}/bias"] = f"{entry}.{name}.bias", bias
    return found


# Without directions but with a fine network there is a fifth output there, which nothing reads.
_OUT = (
    named.Turn(lambda w: w[:4].T, lambda k: [np.pad(k.T, ((0, 1), (0, 0)))]),
    named.Turn(lambda b: b[:4], lambda b: [np.pad(b, (0, 1))]),
)


def _write_torch(path, network, about):
    """Also the optimizer's state, without which that implementation opens no checkpoint: before its first step."""
    entries = {part: ENTRIES[part] for part in network}
    file = {"global_step": about["step"], **{entry: {} for entry in entries.values()}}
    state = named.written(network, _torch(network, entries))
    if not _directions(network):  # That implementation has the layer all the same.
        width = len(network["coarse"].out.kernel)
        for entry in entries.values():
            state[f"{entry}.views_linears.0.weight"] = np.zeros((width // 2, width), np.float32)
            state[f"{entry}.views_linears.0.bias"] = np.zeros(width // 2, np.float32)
    for name, value in state.items():
        entry, _, name = name.partition(".")
        file[entry][name] = value
    adam = dict(lr=5e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, params=list(range(len(state))))
    torch_file.write({**file, "optimizer_state_dict": {"state": {}, "param_groups": [adam]}}, path)


def read_jaxnerf(path, network, *, legacy_posenc_order=False):
    """A flax checkpoint of jaxnerf.

    Args:
      path, network: as of `read`.
      legacy_posenc_order: the flag of that name with which it was trained: sine and cosine of one
        octave after the other, as in the reference. Otherwise all sines come before all cosines.

    Returns, raises: as `read`.
    """
    try:
        tree = serialization.msgpack_restore(pathlib.Path(path).read_bytes())
        tree = tree["optimizer"]["target"]
        tree = tree.get("params", tree)
        state = {f"{a}/{b}/{c}": leaf for a, layers in tree.items() for b, layer in layers.items() for c, leaf in layer.items()}
    except Exception as error:
        raise InputError(f"{path}: not a readable jaxnerf checkpoint ({error})") from error
    return named.read(path, state, _jaxnerf(network, legacy_posenc_order)).result()


def _jaxnerf(network, legacy=False):
    """The layout of jaxnerf's parameters; see `named`."""
    if not _directions(network) or "fine" not in network:
        raise InputError("jaxnerf's checkpoints are of two networks with directions; config.model says otherwise")
    found = {}
    order = lambda rows: rows if legacy else _order(rows, (2, -1))
    back = lambda rows: rows if legacy else _order(rows, (-1, 2))
    for part, name in (("coarse", "MLP_0"), ("fine", "MLP_1")):
        width = network[part].bottleneck.kernel.shape[0]
        turns = {
            "trunk/0": named.Turn(order, lambda k: [back(k)]),
            # There the layer's input is [hidden, position], here [position, hidden].
            f"trunk/{SKIP_AFTER + 1}": named.Turn(
                lambda k, w=width: np.concatenate([order(k[w:]), k[:w]]),
                lambda k, w=width: [np.concatenate([k[-w:], back(k[:-w])])],
            ),
            "view": named.Turn(
                lambda k, w=width: np.concatenate([k[:w], order(k[w:])]),
                lambda k, w=width: [np.concatenate([k[:w], back(k[w:])])],
            ),
        }
        ours = [f"trunk/{i}" for i in range(len(network[part].trunk))] + ["density", "bottleneck", "view", "colour"]
        for index, layer in enumerate(ours):
            found[f"{part}/{layer}/kernel"] = f"{name}/Dense_{index}/kernel", turns.get(layer, named.SAME)
            found[f"{part}/{layer}/bias"] = f"{name}/Dense_{index}/bias", named.SAME
    return found


def _order(rows, axes):
    """Rows of a kernel that read the encoding [1 + 2 octaves, 3] in another order.

    Args:
      axes: of the waves in `rows`: (2, -1), all sines before all cosines as jaxnerf has them, to sine and cosine of one
        octave after the other; (-1, 2), back.
    """
    waves = rows[3:].reshape(*axes, 3, rows.shape[-1]).swapaxes(0, 1)
    return np.concatenate([rows[:3], waves.reshape(-1, rows.shape[-1])])


def _write_jaxnerf(path, network, about):
    """Also the optimizer's state, without which jaxnerf opens no checkpoint: moments of zero."""
    state = named.written(network, _jaxnerf(network))
    adam = {f"{name}/{part}": np.zeros_like(x) for name, x in state.items() for part in ("grad_ema", "grad_sq_ema")}
    params, adam = ({"params": traverse_util.unflatten_dict(x, sep="/")} for x in (state, adam))
    optimizer = {"target": params, "state": {"step": np.int32(about["step"]), "param_states": adam}}
    path.write_bytes(serialization.msgpack_serialize({"optimizer": optimizer}))


WRITERS = {
    "pytorch": named.Writer("{step:06d}.tar", _write_torch, (".tar",)),
    "jaxnerf": named.Writer("checkpoint_{step}", _write_jaxnerf),
}
