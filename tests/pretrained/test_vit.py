"""ViT files of others are read to the last bit, or refused by the name of the weight."""

import json

import ml_dtypes
import numpy as np
import pytest

from tests.pretrained.test_writers import ABOUT, a_vit, drawn
from vision_gen.errors import InputError
from vision_gen.nets import vit
from vision_gen.pretrained import named, torch_file
from vision_gen.pretrained import vit as of_vit


@pytest.fixture(scope="module")
def network():
    return drawn(a_vit())


@pytest.fixture(scope="module")
def states(network, tmp_path_factory):
    """{release: {name: array}} of one network."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for release, writer in of_vit.WRITERS.items():
        path = folder / f"{release}{(writer.suffixes or ('.pth',))[0]}"
        writer.write(path, network, ABOUT)
        found[release] = dict(np.load(path)) if path.suffix == ".npz" else torch_file.read(path)
    return found


def read(state, network, path):
    """What a network is given of a state dict, or of the archive that the file's suffix asks for."""
    np.savez(path, **state) if path.suffix == ".npz" else torch_file.write(state, path)
    return named.fit(of_vit.read(path, network), network, adapt=of_vit.adapt)[0]


def is_of(found, network, rounded=lambda x: x):
    expected = named.flat(network)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], rounded(np.asarray(value)), err_msg=name)


def big_vision(name):
    """How big_vision's files call it."""
    for older, newer in (
        ("MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0"),
        ("LayerNorm_2", "LayerNorm_1"),
        ("MlpBlock_3", "MlpBlock_0"),
    ):
        name = name.replace(older, newer)
    return name


@pytest.mark.parametrize("prefix", ["", "params/"])
@pytest.mark.parametrize("positions", [of_vit.ORIGINAL["positions"], "pos_embedding"])
def test_big_visions_names_are_read(prefix, positions, states, network, tmp_path):
    state = {big_vision(name): x for name, x in states["original"].items()}
    state[positions] = state.pop(of_vit.ORIGINAL["positions"])
    is_of(read({prefix + name: x for name, x in state.items()}, network, tmp_path / "vit.npz"), network)


@pytest.mark.parametrize("entry", ["model", "state_dict"])
def test_what_training_scripts_wrap_is_read(entry, states, network, tmp_path):
    is_of(read({entry: states["timm"], "epoch": 7}, network, tmp_path / "vit.pth"), network)
    parallel = {f"module.{name}": x for name, x in states["timm"].items()}
    is_of(read({entry: parallel}, network, tmp_path / "vit.pth"), network)


def test_sixteen_bits_are_read(states, network, tmp_path):
    rounded = lambda x: x.astype(ml_dtypes.bfloat16).astype(np.float32)
    short = lambda state: {name: x.astype(ml_dtypes.bfloat16) for name, x in state.items()}
    is_of(read(short(states["timm"]), network, tmp_path / "vit.pth"), network, rounded)
    is_of(read(short(states["original"]), network, tmp_path / "vit.npz"), network, rounded)
    header, data = {}, b""
    for name, x in short(states["timm"]).items():
        header[name] = {"dtype": "BF16", "shape": x.shape, "data_offsets": [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    header = json.dumps(header).encode()
    path = tmp_path / "vit.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    is_of(named.fit(of_vit.read(path, network), network)[0], network, rounded)


@pytest.mark.parametrize(
    "release, name",
    [
        ("timm", "blocks.1.ls1.gamma"),  # LayerScale.
        ("timm", "norm_pre.weight"),
        ("timm", "blocks.2.attn.q_norm.weight"),
        ("timm", "dist_token"),
        ("timm", "reg_token"),
        ("timm", "blocks.3.norm1.weight"),  # One block more.
        ("torchvision", "encoder.layers.encoder_layer_0.gamma"),
        ("transformers", "vit.pooler.dense.weight"),
        ("original", "pre_logits/kernel"),
        ("original", "Transformer/encoderblock_0/LayerScale_0/gamma"),
    ],
)
def test_weights_that_the_network_has_not_are_refused_by_name(release, name, states, network, tmp_path):
    path = tmp_path / ("vit.npz" if release == "original" else "vit.pth")
    with pytest.raises(InputError, match=f"weights that the network has not: '{name}'"):
        read(states[release] | {name: np.ones(32, np.float32)}, network, path)


@pytest.mark.parametrize(
    "release, name, value, message",
    [
        ("timm", "pos_embed", np.ones((1, 33, 32)), r"pos_embed has shape \[33, 32\], .* positions \[17, 32\]"),
        ("timm", "pos_embed", np.ones((2, 17, 32)), r"pos_embed has shape \[2, 17, 32\], .* not that of"),
        ("timm", "patch_embed.proj.weight", np.ones((32, 12, 2, 2)), r"shape \[32, 12, 2, 2\], .* \[32, 3, 4, 4\]"),
        ("timm", "norm.weight", np.full(32, np.nan, np.float32), "norm.weight has numbers that are not finite"),
        ("timm", "norm.weight", np.ones(32, np.int8), "norm.weight is of int8; weights must be floats"),
        # As many numbers in other heads.
        (
            "original",
            "Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel",
            np.ones((32, 4, 8), np.float32),
            r"has shape .* not that of .*qkv/kernel \(it would be \[32, 2, 16\]\)",
        ),
    ],
)
def test_weights_of_other_layouts_are_refused_by_name(release, name, value, message, states, network, tmp_path):
    path = tmp_path / ("vit.npz" if release == "original" else "vit.pth")
    with pytest.raises(InputError, match=message):
        read(states[release] | {name: value}, network, path)


def test_averaging_with_a_norm_after_the_mean_is_refused(tmp_path):
    """As timm has it, and MAE after fine-tuning."""
    averaging = drawn(a_vit(pool="gap"))
    of_vit.WRITERS["timm"].write(tmp_path / "vit.pth", averaging, ABOUT)
    state = torch_file.read(tmp_path / "vit.pth")
    state |= {f"fc_norm.{part}": state.pop(f"norm.{part}") for part in ("weight", "bias")}
    with pytest.raises(InputError, match="no weight 'norm.(weight|bias)'"):
        read(state, averaging, tmp_path / "vit.pth")


def test_what_is_no_archive_is_refused(states, tmp_path):
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, **states["original"])
    data = bytearray(whole.read_bytes())
    for start in range(1000, len(data), 1000):
        data[start : start + 4] = b"\xff" * 4
    damaged = {"cut": whole.read_bytes()[:5000], "flipped": data, "empty": b"", "text": b"hello"}
    for name, content in damaged.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.npz: not a readable .npz file"):
            of_vit.read(path, a_vit(size=vit.Size(32, 64, 2, 3))())
    np.save(open(tmp_path / "array.npz", "wb"), np.ones(3))
    with pytest.raises(InputError, match="array.npz: not a readable .npz file"):
        of_vit.read(tmp_path / "array.npz", None)
