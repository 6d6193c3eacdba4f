"""Mappers of StyleCLIP's release give what its code gives: a statement of it in numpy, under the names of its files."""

from flax import nnx
import numpy as np
import pytest

from tests.conftest import blank
from vision_gen.errors import InputError
from vision_gen.nets import latent_mapper as nets
from vision_gen.pretrained import latent_mapper, named, torch_file


def published(state, prefix, x):
    """Its `Mapper`: PixelNorm over axis 1, four EqualLinear of lr_mul 0.01 with fused_lrelu."""
    x = x / np.sqrt(np.mean(x**2, 1, keepdims=True) + 1e-8)
    for i in range(1, 5):
        weight, bias = (np.float64(state[f"{prefix}.mapping.{i}.{part}"]) for part in ("weight", "bias"))
        x = x @ weight.T * (0.01 / np.sqrt(weight.shape[1])) + bias * 0.01
        x = np.where(x < 0, 0.2 * x, x) * np.sqrt(2)
    return x


def file(path, sizes):
    """A checkpoint of theirs with mappers of some sizes, {name: size}."""
    rng, state = np.random.default_rng(0), {"decoder.conv1.bias": np.zeros(3, np.float32)}
    for name, size in sizes.items():
        for i in range(1, 5):
            state[f"{name}.mapping.{i}.weight"] = rng.normal(size=(size, size)).astype(np.float32) * 100
            state[f"{name}.mapping.{i}.bias"] = rng.normal(size=size).astype(np.float32) * 30
    torch_file.write({"state_dict": state, "opts": {"work_in_stylespace": False, "description": "x"}}, path)
    return state


def test_levels_are_the_released_ones(tmp_path):
    path = tmp_path / "mapper.pt"
    state = file(path, {f"mapper.{name}_mapping": 6 for name in ("course", "fine")})
    two = blank(lambda: nets.LevelsMapper(6, ["coarse", "fine"], "layers", rngs=nnx.Rngs(0)))
    found = named.load(latent_mapper.read, path, two)
    ws = np.random.default_rng(1).normal(size=(2, 10, 6)).astype(np.float32)
    coarse = published(state, "mapper.course_mapping", np.float64(ws[:, :4]))
    fine = published(state, "mapper.fine_mapping", np.float64(ws[:, 8:]))
    wanted = np.concatenate([coarse, np.zeros((2, 4, 6)), fine], 1)
    assert np.abs(coarse).max() > 0.1 and np.abs(fine).max() > 0.1
    np.testing.assert_allclose(found(ws), wanted, rtol=1e-4, atol=1e-4)
    other = blank(lambda: nets.LevelsMapper(6, ["coarse", "medium", "fine"], "layers", rngs=nnx.Rngs(0)))
    with pytest.raises(InputError, match="no weight 'mapper.medium_mapping.mapping.1.bias'"):
        named.load(latent_mapper.read, path, other)


def test_style_spaces_mappers_are_the_released_ones(tmp_path):
    path = tmp_path / "mapper.pt"
    state = file(path, {"mapper.mapper_0": 6, "mapper.mapper_2": 4})
    found = named.load(latent_mapper.read, path, blank(lambda: nets.StyleMapper([6, 6, 4], [0, 2], rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    styles = [rng.normal(size=(2, n)).astype(np.float32) for n in (6, 6, 4)]
    first, colours, last = found(styles)
    np.testing.assert_allclose(first, published(state, "mapper.mapper_0", np.float64(styles[0])), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(last, published(state, "mapper.mapper_2", np.float64(styles[2])), rtol=1e-4, atol=1e-4)
    assert np.abs(first).max() > 0.1 and not np.any(colours)


def test_channels_can_be_normalised_instead():
    ours = [nets.LevelsMapper(3, ["coarse"], over, rngs=nnx.Rngs(0)) for over in ("layers", "channels")]
    ws = np.tile(np.float32([1, -2, 3]), (1, 4, 1))  # Alike in all layers: of which their mean leaves the signs.
    by_layers, by_channels = (np.asarray(mapper(ws)) for mapper in ours)
    np.testing.assert_allclose(by_layers, ours[0](np.sign(ws)), rtol=1e-5)
    assert np.abs(by_channels - ours[1](7 * ws)).max() < 1e-4 and np.abs(by_channels - by_layers).max() > 1e-4
