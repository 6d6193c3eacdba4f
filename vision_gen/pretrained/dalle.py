"""DALL-E's published autoencoder, `encoder.pkl` and `decoder.pkl`, for `nets.dvae`; nothing in these files is run.

They hold whole modules of torch. Their state dicts are read too, and written.
"""

import re

import numpy as np

from vision_gen.errors import InputError
from vision_gen.pretrained import named, network_pickle, torch_file

_OURS = ("dall_e.encoder.Encoder", "dall_e.encoder.EncoderBlock", "dall_e.decoder.Decoder", "dall_e.decoder.DecoderBlock")
_TORCHS = (
    "container.Sequential",
    "activation.ReLU",
    "pooling.MaxPool2d",
    "upsampling.Upsample",
    "linear.Identity",
)
_MODULES = (*_OURS, "dall_e.utils.Conv2d", *(f"torch.nn.modules.{name}" for name in _TORCHS))


class _Unpickler(network_pickle.Unpickler):
    """Lets through modules of the released code, as what was set on them."""

    refusal = "only modules of DALL-E's autoencoder, tensors and plain containers are read"
    allowed = torch_file.Unpickler.allowed | {
        **{tuple(name.rsplit(".", 1)): network_pickle.Module for name in _MODULES},
        **{(module, "set"): lambda values=(): list(values) for module in ("builtins", "__builtin__")},
        ("torch", "device"): lambda name, *_: name,
    }

    def persistent_load(self, saved):
        # Older files have the source code beside a class, which stays text.
        if isinstance(saved, tuple) and len(saved) == 4 and saved[0] == "module":
            return saved[1]
        return super().persistent_load(saved)


def layout(network):
    """The released layout of a `nets.dvae.Encoder` or `Decoder`; see `pretrained.named`."""
    found = {}
    for ours in named.flat(network):
        at, part = ours.rsplit("/", 1)
        found[ours] = f"blocks.{_name(at)}.{'w' if part == 'kernel' else 'b'}", (
            named.CONV if part == "kernel" else named.SAME
        )
    return found


def _name(at):
    if inside := re.fullmatch(r"groups/(\d+)/(\d+)/(.+)", at):
        group, block, rest = inside.groups()
        conv = re.fullmatch(r"convs/(\d+)", rest)
        return f"group_{int(group) + 1}.block_{int(block) + 1}." + (
            f"res_path.conv_{int(conv[1]) + 1}" if conv else "id_path"
        )
    return {"input": "input", "output": "output.conv"}[at]


def read(path, network):
    """A `named.Named` of a file for a `nets.dvae.Encoder` or `Decoder`.

    Args:
      path: the file.
      network: may be abstract.

    Raises:
      InputError: the file cannot be read, or names anything else than such modules, or is of another size.
    """
    value = torch_file.read(path, _Unpickler)
    if isinstance(value, network_pickle.Module):
        state, facts = {}, {}
        try:
            network_pickle.collect_torch(value, "", state, facts, set())
        except (InputError, KeyError, AttributeError, TypeError) as error:
            raise InputError(f"{path}: not a module of DALL-E's autoencoder ({error})") from None
    elif isinstance(value, dict):
        state = value
    else:
        raise InputError(f"{path}: expected DALL-E's encoder.pkl or decoder.pkl, found {type(value).__name__}")
    theirs = layout(network)
    first = theirs["input/kernel"][0]
    if first not in state:
        raise InputError(f"{path}: not a part of DALL-E's autoencoder; it has no {first!r}")
    there, here = np.shape(state[first]), tuple(network.input.kernel.shape)
    if there != (here[3], here[2], *here[:2]):
        kind = "an encoder" if len(there) == 4 and there[2] == 7 else "a decoder"
        raise InputError(
            f"{path}: the first weights of {kind} are {list(there)}, the network's "
            f"{[here[3], here[2], *here[:2]]}; config.model says of which size it is"
        )
    return named.read(path, state, theirs).result()


def writers(name):
    """`System.writers` of a network: its state dict under the released names, as `name`.pth."""

    def write(path, network, about):
        torch_file.write(named.written(network, layout(network)), path)

    return {"dall_e": named.Writer(f"{name}.pth", write, (".pth", ".safetensors"))}
