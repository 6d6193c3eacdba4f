"""Torch files are read and written without torch, exactly, and nothing in them is run."""

import collections
import os
import pickle

import numpy as np
import pytest

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_give_torchs_values(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = collections.OrderedDict(
        whole=base,
        view=base.T[1:3],  # Strided, with an offset, in the same storage.
        half=base.half(),
        brain=base.bfloat16(),
        count=torch.tensor(7),
        parameter=torch.nn.Parameter(torch.randn(2, 3)),
    )
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = torch_file.read_state_dict(tmp_path / "x.pth")
    assert list(found) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(
            np.asarray(found[name], np.float64), value.detach().double().numpy()
        )
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "parallel.pth")
    assert list(torch_file.read_state_dict(tmp_path / "parallel.pth")) == list(state)


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
    import safetensors.numpy

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


def test_what_is_written_is_read_by_torch_and_here(tmp_path):
    value = {
        "step": 70_000,
        "state": {"kernel": np.float32([[1, 2], [3, 4], [5, 6]]).T, "half": np.float16([1, 2]), "one": np.array(7)},
        "group": [{"betas": (0.9, 0.999), "on": False, "name": "x", "none": None, "empty": {}}],
    }
    path = tmp_path / "x.tar"
    torch_file.write(value, path)
    found = torch_file.read(path)
    assert {**found, "state": None} == {**value, "state": None} and found["state"].keys() == value["state"].keys()
    for name, array in value["state"].items():
        assert found["state"][name].dtype == array.dtype
        np.testing.assert_array_equal(found["state"][name], array)
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    found = torch.load(path, weights_only=True)
    assert {**found, "state": None} == {**value, "state": None}
    for name, array in value["state"].items():
        assert found["state"][name].numpy().dtype == array.dtype
        np.testing.assert_array_equal(found["state"][name].numpy(), array)
