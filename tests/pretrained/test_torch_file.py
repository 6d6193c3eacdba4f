"""Torch files are read and written without torch, exactly, and nothing in them is run."""

import argparse
import io
import os
import pathlib
import pickle
import sys
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import safetensors.numpy

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file

TORCH = np.load(pathlib.Path(__file__).parent.parent / "golden" / "torch_reference.npz")  # See make_torch.py there.


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_give_torchs_values(tmp_path, zipped):
    values = {full.removeprefix("file/values/"): TORCH[full] for full in TORCH if full.startswith("file/values/")}
    for kind in ("", "parallel"):  # The latter with "module." before every name.
        path = tmp_path / f"{kind}.pth"
        path.write_bytes(TORCH[f"file/{zipped}/{kind}"].tobytes())
        found = torch_file.read_state_dict(path)
        assert list(found) == list(values)
        for name, value in values.items():
            np.testing.assert_array_equal(np.asarray(found[name], np.float64), value)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("/tmp/vision_gen_was_fooled",)


def test_code_is_refused_by_name(tmp_path):
    data = b"".join(
        pickle.dumps(x, protocol=2) for x in (torch_file._MAGIC, 1001, {}, {"w": Harmful()}, [])
    )
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(InputError, match=r"x.pth: refused: it names \w+.mkdir"):
        torch_file.read_state_dict(tmp_path / "x.pth")
    assert not os.path.exists("/tmp/vision_gen_was_fooled")


def test_arguments_of_a_training_script_are_left_empty(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    torch.save({"w": torch.ones(2), "args": argparse.Namespace(size=256, path="x")}, tmp_path / "x.pt")
    found = torch_file.read(tmp_path / "x.pt")
    np.testing.assert_array_equal(found["w"], [1, 1])
    assert found["args"] == {}


def test_what_is_no_torch_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.pth: cannot be read"):
        torch_file.read_state_dict(tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(InputError, match="text.pth: not a readable torch file"):
        torch_file.read_state_dict(tmp_path / "text.pth")
    (tmp_path / "list.pth").write_bytes(
        b"".join(pickle.dumps(x, protocol=2) for x in (torch_file._MAGIC, 1001, {}, [1, 2], []))
    )
    with pytest.raises(InputError, match="expected a state dict .* found list"):
        torch_file.read_state_dict(tmp_path / "list.pth")


def test_safetensors_are_read_by_their_suffix(tmp_path):
    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}
    safetensors.numpy.save_file(state, tmp_path / "x.safetensors")
    found = torch_file.read_state_dict(tmp_path / "x.safetensors")
    assert sorted(found) == ["a.weight", "count"]
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value)
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-4])
    with pytest.raises(InputError, match="short.safetensors: not a readable"):
        torch_file.read_state_dict(tmp_path / "short.safetensors")


WRITTEN = {
    "step": 70_000,
    "state": {"kernel": np.float32([[1, 2], [3, 4], [5, 6]]).T, "half": np.float16([1, 2]), "one": np.array(7)},
    "group": [{"betas": (0.9, 0.999), "on": False, "name": "x", "none": None, "empty": {}}],
}


def compare_with_written(found, arrays):
    assert {**found, "state": None} == {**WRITTEN, "state": None} and arrays.keys() == WRITTEN["state"].keys()
    for name, array in WRITTEN["state"].items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_what_is_written_is_read(tmp_path):
    torch_file.write(WRITTEN, tmp_path / "x.tar")
    found = torch_file.read(tmp_path / "x.tar")
    compare_with_written(found, found["state"])


def test_what_is_written_is_read_by_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    torch_file.write(WRITTEN, tmp_path / "x.tar")
    found = torch.load(tmp_path / "x.tar", weights_only=True)
    compare_with_written(found, {name: value.numpy() for name, value in found["state"].items()})


def legacy(*parts, storages=()):
    """A file of the older format: a pickle each, then the storages' counts and bytes."""
    whole = b"".join(x if isinstance(x, bytes) else pickle.dumps(x, 2) for x in (torch_file._MAGIC, 1001, {}, *parts))
    return whole + b"".join(np.int64(len(x)).tobytes() + x.tobytes() for x in storages)


def zipped(opcodes, *storages):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + opcodes + b".")
        for key, values in enumerate(storages):
            archive.writestr(f"archive/data/{key}", values.tobytes())
    return file.getvalue()


def tensor(storage, offset, shape, stride):
    """The opcodes of a tensor in storage 0, of 6 floats."""
    of = lambda value: pickle.dumps(value, 2)[2:-1]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + of("storage") + storage + of("0") + of("cpu") + of(6) + b"tQ" + of(offset) + of(shape) + of(stride)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


FLOATS = b"ctorch\nFloatStorage\n"
SMALL = st.integers(-3, 7)


@settings(max_examples=500, deadline=None)
@given(SMALL, st.lists(st.tuples(st.integers(-1, 4), SMALL), max_size=3))
def test_a_tensor_is_what_lies_in_its_storage_or_refused(offset, dimensions):
    shape, stride = tuple(n for n, _ in dimensions), tuple(s for _, s in dimensions)
    values = np.arange(6, dtype=np.float32)
    view = lambda: torch_file._read_zip(zipped(tensor(FLOATS, offset, shape, stride), values), torch_file.Unpickler)
    if min((offset, *shape, *stride)) < 0:
        with pytest.raises(InputError, match="no number from 0 on"):
            view()
        return
    places = offset + sum((np.indices(shape)[i] * s for i, s in enumerate(stride)), np.zeros(shape, int))
    if places.size and places.max() >= 6:
        with pytest.raises(InputError, match="reaches beyond its storage"):
            view()
    else:
        np.testing.assert_array_equal(view(), places.astype(np.float32))


@pytest.mark.parametrize(
    "opcodes,message",
    [
        (tensor(FLOATS, 0, (2, 2), (2,)), "shape and stride do not agree"),
        (tensor(FLOATS, 0, [2], [1]), "shape and stride do not agree"),
        (tensor(FLOATS, 0.5, (2,), (1,)), "no number from 0 on"),
        (tensor(FLOATS, 0, (2**40, 2**40), (0, 0)), "reaches beyond its storage"),
        (tensor(FLOATS, 0, (2,), (2**62,)), "reaches beyond its storage"),
        (tensor(b"cnumpy\ndtype\n", 0, (2,), (1,)), "names numpy.dtype"),
        (tensor(b"X\x01\x00\x00\x00O", 0, (2,), (1,)), "known are DoubleStorage"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", "names numpy.core.multiarray._reconstruct"),
        (b"cnumpy\nfloat32\n", "names numpy.float32"),
        (b"ctorch\nload\n", "names torch.load"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n", "names torch._utils._rebuild_tensor_v2.__globals__"),
        # What is named cannot be called if it is a type, nor changed.
        (FLOATS + b"K\x05\x85R", "not callable"),
        (b"ctorch._utils\n_rebuild_parameter\n}b", "sets attributes"),
        (b"ctorch._utils\n_rebuild_tensor\n)\x81", "makes an object of another type"),
        (b"cargparse\nNamespace\n(Nt\x81", "makes an object of another type"),
        (tensor(FLOATS, 0, (2,), (1,)) + b"}b", "sets attributes"),
        (b"Nr\xff\xff\xff\x7f0i", "not a readable"),  # A far place of the memo, then an opcode that makes objects.
        (b"}" + b"(" * 100_000 + b"N" + b"t" * 100_000 + b"Ns", "a key is of the type tuple"),
        (b"]q\x00h\x00a", "recursion"),  # A list in itself.
    ],
)
def test_what_a_torch_file_may_hold_is_exact(tmp_path, opcodes, message):
    (tmp_path / "x.pth").write_bytes(zipped(opcodes, np.arange(6, dtype=np.float32)))
    with pytest.raises(InputError, match=f"x.pth: .*{message}"):
        torch_file.read(tmp_path / "x.pth")


def test_what_repeats_takes_no_memory(tmp_path):
    opcodes = b"(" + tensor(FLOATS, 5, (2**20, 2**20), (0, 0)) + b"K\x01t"
    for _ in range(60):  # 2 ** 60 of them, if they were not shared.
        opcodes += b"2\x86"
    found = torch_file._read_zip(zipped(opcodes, np.arange(6, dtype=np.float32)), torch_file.Unpickler)
    while isinstance(found[0], tuple):
        found = found[0]
    assert found[0].shape == (2**20, 2**20) and found[0][-1, -1] == 5 and found[1] == 1


def test_a_state_dict_has_names(tmp_path):
    torch_file.write({1: np.zeros(2), "a": np.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="expected a state dict"):
        torch_file.read_state_dict(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"has no entry 'state', found \['1', 'a'\]"):
        torch_file.read_state_dict(tmp_path / "x.pth", "state")


BYTE = 0x3F  # Every byte of every storage: another one in what is read is not of the file.


def whole_files():
    """{suffix or "pickle": bytes} of files in all formats, and opcodes that are put into a zip afterwards."""
    file = lambda *shape: np.full(shape, np.frombuffer(bytes([BYTE] * 4), np.float32)[0])
    state = {"a.weight": file(3, 4), "a.bias": file(4), "b": {"step": 7, "groups": [(0.5, "x", None)], "w": file(2, 2)}}
    arrays = []
    opcodes = torch_file._pickled(state, arrays)
    body = b"\x80\x02" + opcodes + b"."
    for array in arrays:  # The older format's persistent object has a view behind its size.
        body = body.replace(pickle.dumps(array.size, 2)[2:-1] + b"tQ", pickle.dumps(array.size, 2)[2:-1] + b"NtQ")
    keys = [str(number) for number in range(len(arrays))]
    return {
        "pickle": opcodes,
        "pth": zipped(opcodes, *arrays),
        "legacy": legacy(body, keys, storages=[array.ravel() for array in arrays]),
        "safetensors": safetensors.numpy.save({n: x for n, x in state.items() if n != "b"}),
    }, arrays


WHOLE, ARRAYS = whole_files()
HARMFUL = ("exec", "compile", "import", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.find_class")
watched, seen = [False], []  # What Python does while a file is read; a hook cannot be taken away again.
sys.addaudithook(lambda event, _: seen.append(event) if watched[0] and event.startswith(HARMFUL) else None)


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [x for v in value for x in leaves(v)] if isinstance(value, (list, tuple)) else [value]


def test_whole_files_of_the_fuzz_are_read(tmp_path):
    for kind in ("pth", "legacy", "safetensors"):
        path = tmp_path / f"x.{kind}"
        path.write_bytes(WHOLE[kind])
        arrays = [x for x in leaves(torch_file.read(path)) if isinstance(x, np.ndarray)]
        assert len(arrays) == 3 - (kind == "safetensors"), kind


@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    st.sampled_from(["change", "cut", "put in"]),
)
def test_changed_bytes_of_a_file_harm_nothing(tmp_path_factory, kind, changes, how):
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        place %= len(data)
        data[place : place + (how != "put in")] = [value]
    if how == "cut":
        del data[changes[0][0] % len(data) :]
    path = tmp_path_factory.getbasetemp() / f"fuzz.{'safetensors' if kind == 'safetensors' else 'pth'}"
    path.write_bytes(zipped(bytes(data), *ARRAYS) if kind == "pickle" else data)
    watched[0] = True
    try:
        found = torch_file.read(path)
    except InputError:
        found = None
    finally:
        watched[0] = False
    assert not seen
    if kind == "pickle":  # Elsewhere the values of the file may be changed.
        arrays = [x for x in leaves(found) if isinstance(x, np.ndarray) and x.size < 2**20]
        assert all(set(x.tobytes()) <= {BYTE} for x in arrays)
