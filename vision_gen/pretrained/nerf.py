"""Weights of the published NeRF implementations, for `nets.nerf.RadianceMLP`."""

import pathlib

from flax import serialization
import numpy as np

from vision_gen.errors import InputError
from vision_gen.nets.nerf import SKIP_AFTER
from vision_gen.pretrained import named, torch_file

LEGACY = ":legacy"


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
    """A checkpoint of the PyTorch implementation (`network_fn_state_dict`, `network_fine_state_dict`).

    Without a fine network in the file, both are the coarse one. Arguments, result and errors as `read`.
    """
    whole = torch_file.read(path)
    entries = {"coarse": "network_fn_state_dict", "fine": "network_fine_state_dict"}
    if not isinstance(whole, dict) or not whole.get(entries["fine"]):
        entries["fine"] = entries["coarse"]
    state = {
        f"{entry}.{name}": value
        for entry in set(entries.values())
        for name, value in torch_file.read_state_dict(path, entry).items()
    }
    file = named.Translation(path, state)
    for part, entry in entries.items():
        names = {f"trunk/{i}": f"pts_linears.{i}" for i in range(len(network[part].trunk))}
        names |= dict(density="alpha_linear", bottleneck="feature_linear", view="views_linears.0", colour="rgb_linear")
        for ours, name in names.items():
            file.put(f"{part}/{ours}/kernel", f"{entry}.{name}.weight", np.transpose)
            file.put(f"{part}/{ours}/bias", f"{entry}.{name}.bias")
    return file.result()


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
    file = named.Translation(path, state)
    order = lambda rows: _order(rows, legacy_posenc_order)
    for part, name in (("coarse", "MLP_0"), ("fine", "MLP_1")):
        width = network[part].bottleneck.kernel.shape[0]
        makes = {
            "trunk/0": order,
            # There the layer's input is [hidden, position], here [position, hidden].
            f"trunk/{SKIP_AFTER + 1}": lambda k, w=width: np.concatenate([order(k[w:]), k[:w]]),
            "view": lambda k, w=width: np.concatenate([k[:w], order(k[w:])]),
        }
        ours = [f"trunk/{i}" for i in range(len(network[part].trunk))] + ["density", "bottleneck", "view", "colour"]
        for index, layer in enumerate(ours):
            file.put(f"{part}/{layer}/kernel", f"{name}/Dense_{index}/kernel", makes.get(layer))
            file.put(f"{part}/{layer}/bias", f"{name}/Dense_{index}/bias")
    return file.result()


def _order(rows, legacy):
    """Rows of a kernel that read jaxnerf's encoding [1 + 2 octaves, 3], in the reference's order."""
    if legacy:
        return rows
    octaves = (len(rows) // 3 - 1) // 2
    waves = rows[3:].reshape(2, octaves, 3, -1).swapaxes(0, 1).reshape(6 * octaves, -1)
    return np.concatenate([rows[:3], waves])
