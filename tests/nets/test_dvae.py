"""DALL-E's autoencoder against torch's own layers, and its files, which are read as they are and never run."""

from collections import OrderedDict
import os
import pickle
import sys
import types

from flax import nnx
import jax
import numpy as np
import pytest

from tests.pretrained.test_writers import ABOUT, drawn, needed, same
from vision_gen.errors import InputError
from vision_gen.nets import dvae
from vision_gen.pretrained import dalle, named

SIZES = dvae.Sizes(vocabulary=12, width=8, initial=6, groups=3, blocks=2)
KINDS = {"encoder": dvae.Encoder, "decoder": dvae.Decoder}


@pytest.fixture
def released(monkeypatch):
    """{name: torch module} of the released layers, written down again, of classes that are called as there."""
    torch = needed("torch")

    class Conv2d(torch.nn.Module):
        def __init__(self, channel, features, side):
            super().__init__()
            self.device, self.use_float16 = torch.device("cpu"), True
            self.w = torch.nn.Parameter(torch.randn(features, channel, side, side) / (channel * side**2) ** 0.5)
            self.b = torch.nn.Parameter(0.1 * torch.randn(features))

        def forward(self, x):
            return torch.nn.functional.conv2d(x, self.w, self.b, padding=self.w.shape[-1] // 2)

    class EncoderBlock(torch.nn.Module):
        kernels = (3, 3, 3, 1)

        def __init__(self, channel, features):
            super().__init__()
            self.post_gain = 1 / 6**2  # Of three groups of two.
            self.id_path = torch.nn.Identity() if channel == features else Conv2d(channel, features, 1)
            ends, parts = (channel, *[features // 4] * 3, features), OrderedDict()
            for i, kernel in enumerate(self.kernels):
                parts[f"relu_{i + 1}"] = torch.nn.ReLU()
                parts[f"conv_{i + 1}"] = Conv2d(ends[i], ends[i + 1], kernel)
            self.res_path = torch.nn.Sequential(parts)

        def forward(self, x):
            return self.id_path(x) + self.post_gain * self.res_path(x)

    class DecoderBlock(EncoderBlock):
        kernels = (1, 3, 3, 3)

    class Encoder(torch.nn.Module):
        def __init__(self, block, first, ends, last, between, rescale):
            super().__init__()
            parts = OrderedDict(input=first)
            for group, (channel, features) in enumerate(zip(ends, ends[1:]), 1):
                inner = OrderedDict(block_1=block(channel, features), block_2=block(features, features))
                if group < 3:
                    inner[between] = rescale()
                parts[f"group_{group}"] = torch.nn.Sequential(inner)
            parts["output"] = torch.nn.Sequential(OrderedDict(relu=torch.nn.ReLU(), conv=last))
            self.blocks = torch.nn.Sequential(parts)

        def forward(self, x):
            return self.blocks(x)

    class Decoder(Encoder):
        pass

    monkeypatch.setitem(sys.modules, "dall_e", types.ModuleType("dall_e"))
    for cls in (Conv2d, EncoderBlock, DecoderBlock, Encoder, Decoder):
        module = f"dall_e.{'utils' if cls is Conv2d else 'encoder' if 'Enc' in cls.__name__ else 'decoder'}"
        cls.__module__, cls.__qualname__ = module, cls.__name__
        if module not in sys.modules:
            monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        setattr(sys.modules[module], cls.__name__, cls)
    torch.manual_seed(0)
    pool, upsample = lambda: torch.nn.MaxPool2d(2), lambda: torch.nn.Upsample(scale_factor=2, mode="nearest")
    return {
        "encoder": Encoder(EncoderBlock, Conv2d(3, 8, 7), (8, 8, 16, 32), Conv2d(32, 12, 1), "pool", pool),
        "decoder": Decoder(DecoderBlock, Conv2d(12, 6, 1), (6, 32, 16, 8), Conv2d(8, 6, 1), "upsample", upsample),
    }


def blank(name, sizes=SIZES):
    return nnx.eval_shape(lambda: KINDS[name](sizes, rngs=nnx.Rngs(0)))


@pytest.mark.filterwarnings("ignore")  # Torch finds no source of these classes to put beside them.
def test_released_files_give_the_released_outputs(released, tmp_path):
    torch = needed("torch")
    rng, networks = np.random.default_rng(1), {}
    for name, module in released.items():
        torch.save(module, tmp_path / f"{name}.pkl")
        torch.save(module, tmp_path / f"{name}_old.pkl", _use_new_zipfile_serialization=False)
        torch.save(module.state_dict(), tmp_path / f"{name}.pth")
        networks[name] = named.load(dalle.read, tmp_path / f"{name}.pkl", blank(name))
        for other in (f"{name}_old.pkl", f"{name}.pth"):
            found, _ = named.fit(dalle.read(tmp_path / other, networks[name]), networks[name])
            for ours, value in named.flat(networks[name]).items():
                np.testing.assert_array_equal(found[ours], value)
    pixels = rng.uniform(0.1, 0.9, (2, 3, 16, 8)).astype(np.float32)
    last = lambda x: x.transpose(0, 2, 3, 1)
    same(jax.jit(networks["encoder"].__call__)(last(pixels)), released["encoder"](torch.tensor(pixels)))
    weights = rng.dirichlet(np.ones(12), (2, 2, 3)).astype(np.float32)
    mean, log_scale = jax.jit(networks["decoder"].__call__)(weights)
    theirs = released["decoder"](torch.tensor(weights).permute(0, 3, 1, 2))
    same(np.concatenate([mean, log_scale], -1), theirs)
    # Of codes themselves, as the released code shows pictures.
    codes = np.int32([[[0, 3, 11], [5, 5, 1]]])
    theirs = released["decoder"](torch.tensor(np.eye(12, dtype=np.float32)[codes]).permute(0, 3, 1, 2))
    shown = ((torch.sigmoid(theirs[:, :3]) - 0.1) / 0.8).clamp(0, 1) * 2 - 1
    same(jax.jit(networks["decoder"].images)(codes), shown)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_what_is_written_is_read_back_and_opens_in_torch(name, released, tmp_path):
    torch = needed("torch")
    network = drawn(lambda: KINDS[name](SIZES, rngs=nnx.Rngs(0)))
    dalle.writers(name)["dall_e"].write(tmp_path / "x.pth", network, ABOUT)
    found, _ = named.fit(dalle.read(tmp_path / "x.pth", network), network)
    for ours, value in named.flat(network).items():
        np.testing.assert_array_equal(found[ours], value)
    released[name].load_state_dict(torch.load(tmp_path / "x.pth", weights_only=True))


@pytest.mark.filterwarnings("ignore")
def test_files_that_are_none_are_refused_and_nothing_is_run(released, tmp_path):
    torch = needed("torch")

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trap"),)

    released["encoder"].trap = Trap()
    torch.save(released["encoder"], tmp_path / "trap.pkl")
    with pytest.raises(InputError, match=r"trap.pkl: refused: it names posix.mkdir; only modules of DALL-E's"):
        dalle.read(tmp_path / "trap.pkl", blank("encoder"))
    assert not (tmp_path / "trap").exists()
    torch.save(released["decoder"], tmp_path / "decoder.pkl")
    with pytest.raises(InputError, match=r"first weights of a decoder are \[6, 12, 1, 1\], the network's \[8, 3, 7, 7\]"):
        dalle.read(tmp_path / "decoder.pkl", blank("encoder"))
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="other.pth: not a part of DALL-E's autoencoder; it has no 'blocks.input.w'"):
        dalle.read(tmp_path / "other.pth", blank("encoder"))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps([1, 2], 2))
    with pytest.raises(InputError, match="plain.pkl: "):
        dalle.read(tmp_path / "plain.pkl", blank("encoder"))


def test_the_published_sizes():
    count = lambda name: sum(x.size for x in named.flat(blank(name, dvae.Sizes())).values())
    assert count("encoder") == 53_786_240 and count("decoder") == 43_829_766


def test_pixels_keep_a_margin():
    image = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    pixels = dvae.map_pixels(image)
    np.testing.assert_allclose([pixels.min(), pixels.max()], [0.1, 0.9], atol=1e-6)
    np.testing.assert_allclose(dvae.unmap_pixels(pixels), image, atol=1e-6)
    assert dvae.unmap_pixels(np.float32([0.0, 1.0])).tolist() == [-1, 1]
