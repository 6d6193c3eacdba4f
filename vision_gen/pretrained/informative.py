"""Weights of published line extraction: `netG_A_latest.pth` of informative-drawings, and what ControlNet's annotators
have of it, `sk_model.pth` (fine lines) and `sk_model2.pth` (coarse ones)."""

import numpy as np

from vision_gen.pretrained import named, torch_file

# Transposed convolutions of 3 x 3 with an output padding are ours of 4 x 4 with zeros at the end.
_WIDER = named.Turn(
    lambda x: np.pad(x.transpose(2, 3, 1, 0), ((0, 1), (0, 1), (0, 0), (0, 0))),
    lambda x: [x[:3, :3].transpose(3, 2, 0, 1)],
)
PARTS = dict(kernel="weight", bias="bias")


def read(path, network):
    """A state dict for a `nets.informative.Generator`.

    Args:
      path: the file.
      network: may be abstract.

    Returns:
      A `named.Named`.

    Raises:
      InputError: the file cannot be read.
    """
    return named.read(path, torch_file.read_state_dict(path), layout(network)).result()


def layout(network):
    """The layout of a network; see `named`."""
    names = {"first": "model0.1", "out": "model4.1"}
    names |= {f"down/{i}": f"model1.{3 * i}" for i in range(2)} | {f"up/{i}": f"model3.{3 * i}" for i in range(2)}
    for i in range(len(network.blocks)):
        names |= {f"blocks/{i}/first": f"model2.{i}.conv_block.1", f"blocks/{i}/second": f"model2.{i}.conv_block.5"}
    found = {}
    for ours, value in named.flat(network).items():
        layer, _, part = ours.rpartition("/")
        turn = named.SAME if value.ndim == 1 else _WIDER if layer.startswith("up") else named.CONV
        found[ours] = f"{names[layer]}.{PARTS[part]}", turn
    return found
