"""Reads the network pickles of StyleGAN2 (TensorFlow) and StyleGAN2-ADA without running anything that they contain.

Such a pickle holds the source code of its classes beside the weights. Here what would become a module is a dict of what
was set on it, and the code stays the text that it is. Tensors, numpy's arrays and numbers, and plain containers are let
through; a pickle that names anything else is refused.
"""

import dataclasses
import io
import math
import pathlib
import pickle

import numpy as np

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file

_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


@dataclasses.dataclass(frozen=True)
class Network:
    """What a pickle has of one network.

    Attributes:
      tensors: {name: array}, parameters and buffers, under the pickle's names.
      facts: {name: number, text or None}: a TensorFlow network's arguments that are not at their defaults, or what is
        set on the modules of a torch network, under names such as "mapping.fc0.bias_gain".
      tensorflow: which of both it is.
    """

    tensors: dict
    facts: dict
    tensorflow: bool


def is_one(path):
    """Whether a file is a pickle, but no torch file, which may begin as one."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start[:1] == pickle.PROTO and start[2:] != pickle.LONG1 + b"\n"  # Torch's begins with a number of 10 bytes.


def read(path):
    """The networks of a pickle, {name: `Network`}: "G", "D" and "G_ema", or "" if it is of a single one.

    Raises:
      InputError: the file is missing, damaged, has no networks, or names something that is neither one nor an array nor
        a plain container.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a network pickle") from None
    try:
        return _networks(Unpickler(io.BytesIO(data), None).load())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: not a readable network pickle ({error})") from error


def _networks(value):
    if isinstance(value, tuple) and len(value) == 3:  # TensorFlow's have the average last.
        value = dict(zip(("G", "D", "G_ema"), value))
    named = value if isinstance(value, dict) else {"": value}
    found = {}
    for name in ("G", "D", "G_ema", ""):
        if isinstance(named.get(name), Module):
            tensors, facts, module = {}, {}, named[name]
            collect = _collect_tensorflow if "variables" in module.state else collect_torch
            collect(module, "", tensors, facts, set())
            found[name] = Network(tensors, facts, collect is _collect_tensorflow)
    if not found:
        raise InputError(f"has no network G, D or G_ema, but a {type(value).__name__}")
    return found


class Module:
    """What a persistent class or a TensorFlow network would be: a dict of what was set on it."""

    def __init__(self, state=None):
        self.state = {} if state is None else state


def _once(module, met):
    if not isinstance(module, Module) or id(module) in met:
        raise InputError("refused: a network has a part that is no module, or has it twice")
    met.add(id(module))
    return module.state


def collect_torch(module, prefix, tensors, facts, met):
    """Adds what a torch `Module` and its parts have to `tensors` and `facts`, as of a `Network`; `met` are ids of others."""
    state = _once(module, met)
    for name, value in [*state["_parameters"].items(), *state["_buffers"].items()]:
        if value is not None:
            tensors[prefix + name] = value.array()
    plain = (str, int, float, type(None))
    facts |= {prefix + name: value for name, value in state.items() if isinstance(value, plain)}
    for name, part in state["_modules"].items():
        if part is not None:
            collect_torch(part, f"{prefix}{name}.", tensors, facts, met)


def _collect_tensorflow(module, prefix, tensors, facts, met):
    state = _once(module, met)
    if not prefix:
        facts |= state["static_kwargs"]
    for name, value in state["variables"]:
        tensors[prefix + name] = value.value if isinstance(value, _Array) else np.asarray(value, np.float32)
    for name, part in state["components"].items():
        _collect_tensorflow(part, f"{prefix}{name}/", tensors, facts, met)


class _Type:
    """Numpy's type of numbers."""

    def __init__(self, name, *_):
        if name not in _TYPES:
            raise InputError(f"refused: an array of the type {name!r}")
        self.type = np.dtype(name)

    def set(self, state):
        if state[1] == ">":
            self.type = self.type.newbyteorder(">")


class _Array:
    """Numpy's array, which gets its numbers after it was made."""

    value = None

    def __init__(self, kind, *_):
        if kind is not _Array:
            raise InputError("refused: an array that is none of numpy's")

    def set(self, state):
        _, shape, kind, by_columns, data = state
        if not isinstance(kind, _Type) or not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise InputError("refused: an array of something else than numbers")
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * kind.type.itemsize != len(data):
            raise InputError("an array's shape and numbers do not agree")
        self.value = np.frombuffer(data, kind.type).reshape(shape, order="F" if by_columns else "C")


def _number(kind, data):
    if not isinstance(kind, _Type) or not isinstance(data, bytes) or len(data) != kind.type.itemsize:
        raise InputError("refused: a number of numpy's that is none")
    return np.frombuffer(data, kind.type)[0].item()


def _persistent(meta):
    state = meta.get("state") if isinstance(meta, dict) else None
    if not isinstance(state, dict):
        raise InputError("refused: a persistent object without a state")
    return Module(state)


def _storage(data):
    """A storage of torch, pickled by itself: the bytes of a whole file."""
    if not isinstance(data, bytes):
        raise InputError("refused: a storage that is no bytes")
    found = torch_file.read_legacy(io.BytesIO(data))
    if not isinstance(found, torch_file.Storage):
        raise InputError("refused: a storage that is none")
    return found


def _set(values=()):
    return list(values)


class Unpickler(torch_file.Unpickler):
    """Lets through what is in network pickles beyond a torch file."""

    refusal = "only networks, arrays and plain containers are read"
    allowed = torch_file.Unpickler.allowed | {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
        ("dnnlib.tflib.network", "Network"): Module,
        ("dnnlib.util", "EasyDict"): torch_file.Dict,
        ("torch.storage", "_load_from_bytes"): _storage,
        ("builtins", "set"): _set,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Type,
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "scalar"): _number for core in ("core", "_core")},
    }
    makes = (torch_file.Dict, Module)
    dispatch = dict(torch_file.Unpickler.dispatch)

    def _make_set(self):
        self.append([])

    def _add(self):
        items = self.pop_mark()
        if type(self.stack[-1]) is not list:
            raise InputError("refused: it adds to what is no set")
        self.stack[-1].extend(items)

    def _fill(self):
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, (_Type, _Array)):
            made.set(state)
        elif isinstance(made, Module) and isinstance(state, dict):
            made.state = state
        elif not isinstance(made, torch_file.Dict):  # An OrderedDict may have torch's versions of modules.
            raise InputError("refused: it sets attributes of what is no network")

    dispatch |= {
        pickle.EMPTY_SET[0]: _make_set,
        pickle.ADDITEMS[0]: _add,
        pickle.BUILD[0]: _fill,
    }
