"""Reads and writes torch's `.pth` files without torch, and without running anything that they contain.

Both formats are read: the zip archive (torch 1.6 and later), which is written, and the older sequence of pickles. Only
tensors and plain containers are let through; a pickle that names anything else is refused.
`.safetensors` files, which hold nothing else, are read and written too.
"""

import io
import math
import pathlib
import pickle
import zipfile

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from vision_gen.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}

_SAFETENSORS = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def read(path, unpickler=None):
    """What `torch.save(value, path)` wrote: plain containers, tensors as numpy arrays.

    Args:
      path: the file.
      unpickler: a subclass of `Unpickler` in its place.

    Raises:
      InputError: the file is missing, damaged, or names something that is neither a tensor nor a
        plain container.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a torch file") from None
    if not data:
        raise InputError(f"{path}: is empty; expected a torch file")
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(data)
        unpickler = unpickler or Unpickler
        return _read_zip(data, unpickler) if data[:2] == b"PK" else read_legacy(io.BytesIO(data), unpickler)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: not a readable torch file ({type(error).__name__}: {error})") from error


def read_state_dict(path, entry=None):
    """A torch state dict as numpy arrays.

    Args:
      path: a file that `torch.save(module.state_dict(), path)` wrote. `module.` in front of every
        name (DataParallel) is taken off.
      entry: where the file holds a dict of state dicts, the name of one.

    Returns:
      {name: numpy array}, in the file's order.

    Raises:
      InputError: as `read`, or it is not a state dict, or has no such entry.
    """
    state = read(path)
    if entry is not None:
        if not isinstance(state, dict) or entry not in state:
            found = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise InputError(f"{path}: has no entry {entry!r}, found {found}")
        state = state[entry]
    fits = lambda name, value: isinstance(name, str) and isinstance(value, np.ndarray)
    if not isinstance(state, dict) or not all(fits(*item) for item in state.items()):
        raise InputError(f"{path}: expected a state dict (names to tensors), found {type(state).__name__}")
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def write(value, path):
    """A file that `torch.load(path, weights_only=True)` opens, or safetensors, by the suffix.

    Args:
      value: plain containers and numbers, tensors as numpy arrays; for `.safetensors` {name: array}.
      path: where it goes.

    Raises:
      OSError: it cannot be written.
    """
    if pathlib.Path(path).suffix == ".safetensors":
        pathlib.Path(path).write_bytes(safetensors.numpy.save(value, metadata={"format": "pt"}))
        return
    with zipfile.ZipFile(path, "w") as archive:
        arrays = []
        archive.writestr("archive/data.pkl", b"\x80\x02" + _pickled(value, arrays) + b".")
        archive.writestr("archive/byteorder", "little")
        for key, array in enumerate(arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def _pickled(value, arrays):
    """The opcodes of a value, in pickle's protocol 2; its arrays are added to `arrays`, as a storage each."""
    each = lambda values: b"".join(_pickled(v, arrays) for v in values)
    if isinstance(value, np.ndarray):
        (storage,) = (name for name, dtype in _STORAGES.items() if dtype == value.dtype)
        arrays.append(value)
        stride = tuple(math.prod(value.shape[i + 1 :]) for i in range(value.ndim))
        saved = each(["storage"]) + _name("torch", storage) + each([str(len(arrays) - 1), "cpu", value.size])
        hooks = _name("collections", "OrderedDict") + b")R"
        # Offset, shape, stride, whether it takes part in gradients, and its hooks.
        tensor = b"((" + saved + b"tQ" + each([0, value.shape, stride, False]) + hooks + b"t"
        return _name("torch._utils", "_rebuild_tensor_v2") + tensor + b"R"
    if isinstance(value, dict):
        return b"}(" + each(x for item in value.items() for x in item) + b"u"
    if isinstance(value, (list, tuple)):
        return b"](" + each(value) + b"e" if isinstance(value, list) else b"(" + each(value) + b"t"
    return pickle.dumps(value, 2)[2:-1]


def _name(module, name):
    return f"c{module}\n{name}\n".encode()


class Storage:
    """A typed buffer that may be filled after the tensors that view it were made."""

    def __init__(self, kind):
        if not isinstance(kind, str) or kind not in _STORAGES:
            raise InputError(f"a storage has no type, or one that is not read; known are {', '.join(_STORAGES)}")
        self.dtype, self.values = np.dtype(_STORAGES[kind]), None


class Tensor:
    """A view of a storage, turned into an array when everything has been read."""

    def __init__(self, storage, offset, shape, stride, *_):
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def array(self):
        """A read-only view, so that a value repeated by a stride of 0 takes no memory.

        Raises:
          InputError: it is no view of what its storage holds.
        """
        shape, stride = self.shape, self.stride
        if not isinstance(self.storage, Storage) or self.storage.values is None:
            raise InputError("a tensor has no storage")
        if not isinstance(shape, tuple) or not isinstance(stride, tuple) or len(shape) != len(stride):
            raise InputError("a tensor's shape and stride do not agree")
        if not all(type(n) is int and 0 <= n < 2**63 for n in (self.offset, *shape, *stride)):
            raise InputError("a tensor's offset, shape or stride is no number from 0 on")
        values, count = self.storage.values, math.prod(shape)
        if not count:
            return np.zeros(shape, values.dtype)
        if count >= 2**63 or self.offset + sum((n - 1) * s for n, s in zip(shape, stride)) >= values.size:
            raise InputError("a tensor reaches beyond its storage")
        steps = [s * values.itemsize if n > 1 else 0 for n, s in zip(shape, stride)]
        return np.lib.stride_tricks.as_strided(values[self.offset :], shape, steps, writeable=False)


def _rebuild_parameter(tensor, *_):
    return tensor


class Dict(dict):
    """A dict that takes names and numbers as keys only: to hash what is nested deeply would overflow the stack."""

    def __init__(self, items=()):
        super().__init__()
        for key, value in items:
            self[key] = value

    def __setitem__(self, key, value):
        if not isinstance(key, (str, int)):
            raise InputError(f"refused: a key is of the type {type(key).__name__}")
        super().__setitem__(key, value)


# All that a pickle may name; a type of storage stays the text that it is.
_ALLOWED = {
    ("collections", "OrderedDict"): Dict,
    ("argparse", "Namespace"): Dict,  # Arguments of a training script beside its weights, left empty.
    ("torch._utils", "_rebuild_tensor"): Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): Tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): name for name in _STORAGES},
}
_OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK DUP MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
    GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
""".split()


class Unpickler(pickle._Unpickler):
    """Python's own unpickler, with the opcodes and names above only; a subclass may let through more.

    The one in C cannot be kept from setting attributes of anything, nor from taking memory for any index of its memo.
    """

    allowed, refusal = _ALLOWED, "only tensors and plain containers are read"
    makes = (Dict,)  # Types of objects that a pickle may make without arguments.

    dispatch = {getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES}

    def __init__(self, file, storage):
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise InputError(f"refused: it names {module}.{name}; {self.refusal}")
        return self.allowed[module, name]

    def persistent_load(self, saved):
        if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] != "storage" or not isinstance(saved[2], str):
            raise InputError("refused: an unknown persistent object")
        return self._storage(saved)

    def _make_dict(self):
        self.append(Dict())

    def _make(self):
        arguments, kind = self.stack.pop(), self.stack.pop()
        if arguments != () or kind not in self.makes:
            raise InputError("refused: it makes an object of another type")
        self.append(kind())

    def _set_attributes(self):
        self.stack.pop()  # Torch's versions of modules, or arguments.
        if not isinstance(self.stack[-1], Dict):
            raise InputError("refused: it sets attributes of what is no OrderedDict")

    dispatch |= {pickle.EMPTY_DICT[0]: _make_dict, pickle.NEWOBJ[0]: _make, pickle.BUILD[0]: _set_attributes}


def arrays(value, done=None):
    """A value with arrays in place of its tensors; `done`, by id, has what was met before."""
    done = {} if done is None else done
    if id(value) not in done:
        if isinstance(value, Tensor):
            found = value.array()
        elif isinstance(value, dict):
            found = {k: arrays(v, done) for k, v in value.items()}
        elif isinstance(value, (list, tuple)):
            found = type(value)(arrays(v, done) for v in value)
        else:
            found = value
        done[id(value)] = found
    return done[id(value)]


def _read_zip(data, unpickler):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (index,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        folder = index.removesuffix("data.pkl")
        storages = {}

        def storage(saved):
            _, dtype, key, _, _ = saved
            if key not in storages:
                storages[key] = Storage(dtype)
                storages[key].values = np.frombuffer(archive.read(f"{folder}data/{key}"), storages[key].dtype)
            return storages[key]

        return arrays(unpickler(io.BytesIO(archive.read(index)), storage).load())


def _read_safetensors(data):
    # safetensors' own function for numpy has no bfloat16.
    found = {}
    for name, tensor in safetensors.deserialize(data):
        if tensor["dtype"] not in _SAFETENSORS:
            raise InputError(f"{name} is of {tensor['dtype']}; read are {', '.join(_SAFETENSORS)}")
        found[name] = np.frombuffer(tensor["data"], _SAFETENSORS[tensor["dtype"]]).reshape(tensor["shape"])
    return found


def read_legacy(file, unpickler=Unpickler):
    """What torch wrote before the zip archive: a sequence of pickles, then the storages."""
    storages = {}

    def storage(saved):
        _, dtype, key, _, _, view = saved
        if view is not None:
            raise InputError("a storage that views another is not supported")
        return storages.setdefault(key, Storage(dtype))

    load = lambda: unpickler(file, storage).load()
    if load() != _MAGIC:
        raise InputError("not a torch file: the magic number is missing")
    load()  # Protocol version.
    load()  # Sizes of the types of the machine that wrote it; always little-endian here.
    result = load()
    for key in load():
        (count,) = np.frombuffer(file.read(8), np.int64)
        found = storages[key]
        raw = file.read(max(0, int(count)) * found.dtype.itemsize)
        found.values = np.frombuffer(raw, found.dtype)
        if found.values.size != count:
            raise InputError("the file ends early")
    return arrays(result)
