"""Reads the tensors of TorchScript archives without torch, and without running anything that they contain.

Such an archive holds a module as a pickle, which names classes that are defined by source code beside it. Here a module
is a dict of what was set on it, and the code is not looked at.
"""

import pathlib
import pickle
import zipfile

import numpy as np

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file


def is_one(path):
    """Whether a file is a TorchScript archive."""
    try:
        with zipfile.ZipFile(pathlib.Path(path)) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_state_dict(path):
    """The parameters and buffers of an archive's module, {name: numpy array}.

    Raises:
      InputError: the file is missing, damaged, or names something that is neither a module nor a tensor nor a plain
        container.
    """
    found = {}
    value = torch_file.read(path, _Unpickler)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a TorchScript module, found {type(value).__name__}")
    _collect(value, "", found)
    return found


def _collect(module, prefix, found):
    for name, value in module.items():
        if isinstance(value, dict):
            _collect(value, f"{prefix}{name}.", found)
        elif isinstance(value, np.ndarray):
            found[prefix + name] = value


class _Module(torch_file.Dict):
    """What was set on a module."""


class _Unpickler(torch_file.Unpickler):
    """Lets through modules of any class, as dicts."""

    refusal = "only modules, tensors and plain containers are read"
    allowed = torch_file.Unpickler.allowed | {
        ("torch.jit._pickle", f"build_{kind}list"): lambda values: values
        for kind in ("int", "tensor", "double", "bool")
    }
    makes = (*torch_file.Unpickler.makes, _Module)
    dispatch = dict(torch_file.Unpickler.dispatch)

    def find_class(self, module, name):
        return _Module if module.startswith("__torch__.") or module == "__torch__" else super().find_class(module, name)

    def _fill(self):
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, _Module) or not isinstance(state, dict):
            raise InputError("refused: it sets attributes of what is no module")
        made.update(state)

    dispatch |= {pickle.BUILD[0]: _fill}
