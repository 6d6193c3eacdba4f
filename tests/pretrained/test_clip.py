"""CLIP files of others are read to the last bit, whatever they are, or refused by the name of what is wrong."""

import dataclasses
import pickle
import zipfile

from flax import nnx
import jax
import numpy as np
import pytest

from tests.nets.test_clip import RESNET, SMALL, a_clip
from tests.pretrained.test_writers import ABOUT, drawn, needed
from vision_gen.configs import clip_captions
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import clip
from vision_gen.pretrained import clip as of_clip
from vision_gen.pretrained import named, torch_file, torchscript
from vision_gen.systems import clip as systems

# As OpenAI counts them; running statistics are none.
PARAMETERS = {
    "RN50": 102_007_137,
    "ViT-B/32": 151_277_313,
    "ViT-B/16": 149_620_737,
    "ViT-L/14": 427_616_513,
    "ViT-L/14@336": 427_944_193,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_presets_have_as_many_parameters_as_the_released_networks(name):
    params = nnx.state(nnx.eval_shape(a_clip(clip.PRESETS[name])), nnx.Param)
    assert sum(x.size for x in jax.tree.leaves(params)) == PARAMETERS[name]


@pytest.fixture(scope="module", params=[SMALL, RESNET], ids=["vit", "resnet"])
def network(request):
    return drawn(a_clip(request.param))


@pytest.fixture(scope="module")
def state(network, tmp_path_factory):
    """{name: array} under OpenAI's names."""
    path = tmp_path_factory.mktemp("files") / "x.pt"
    of_clip.WRITERS["open_clip"].write(path, network, ABOUT)
    return torch_file.read(path)


def is_of(found, network, rounded=lambda x: x):
    expected = named.flat(network)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], rounded(np.asarray(value)), err_msg=name)


def read(path, network):
    return named.fit(of_clip.read(path, network), network)[0]


def archive(state, path):
    """A TorchScript archive as OpenAI's are: half precision, sizes as buffers."""
    torch = needed("torch")

    class Part(torch.nn.Module):
        def forward(self, x):
            return x

    root = Part()
    for name, value in state.items():
        *parts, last = name.split(".")
        at = root
        for part in parts:
            if part not in at._modules:
                at.add_module(part, Part())
            at = at._modules[part]
        tensor = torch.tensor(value).half()
        if last.startswith("running"):
            at.register_buffer(last, tensor)
        else:
            at.register_parameter(last, torch.nn.Parameter(tensor))
    for name in ("input_resolution", "context_length", "vocab_size"):
        root.register_buffer(name, torch.tensor(7))
    torch.jit.save(torch.jit.script(root), path)


def test_torchscript_archives_are_read_and_not_run(network, state, tmp_path):
    archive(state, tmp_path / "ViT-B-32.pt")
    assert torchscript.is_one(tmp_path / "ViT-B-32.pt") and not torchscript.is_one(tmp_path / "nothing.pt")
    # Its code says nothing to us.
    with zipfile.ZipFile(tmp_path / "ViT-B-32.pt") as whole, zipfile.ZipFile(tmp_path / "x.pt", "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, b"raise SystemExit" if "/code/" in name else whole.read(name))
    halved = lambda x: x.astype(np.float16).astype(np.float32)
    is_of(read(tmp_path / "x.pt", network), network, halved)
    assert of_clip.load(tmp_path / "x.pt", head=network.sizes.head).sizes == network.sizes


def test_an_archive_that_names_anything_else_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("x/data.pkl", pickle.dumps({"a": Evil()}, 2))
        file.writestr("x/constants.pkl", b"")
    with pytest.raises(InputError, match="x.pt: refused: it names (__builtin__|builtins).print; only modules"):
        torchscript.read_state_dict(tmp_path / "x.pt")


def test_what_open_clip_saves_in_training_is_read(network, state, tmp_path):
    torch_file.write(
        {"epoch": 3, "state_dict": {f"module.{name}": x for name, x in state.items()}}, tmp_path / "epoch_3.pt"
    )
    is_of(read(tmp_path / "epoch_3.pt", network), network)
    towers = {
        name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}": x for name, x in state.items()
    }
    torch_file.write(towers, tmp_path / "towers.safetensors")
    is_of(read(tmp_path / "towers.safetensors", network), network)


def test_sizes_follow_from_the_tensors_and_others_are_refused_by_name(network, state, tmp_path):
    assert of_clip.sizes(state, "x") == dataclasses.replace(network.sizes, head=64)
    torch_file.write(state, tmp_path / "x.pt")
    other = dataclasses.replace(network.sizes, text_layers=3, embedding=16)
    with pytest.raises(
        InputError, match="x.pt: its sizes are embedding=24, text_layers=2, the network's embedding=16, text_layers=3"
    ):
        of_clip.read(tmp_path / "x.pt", nnx.eval_shape(a_clip(other)))


def test_a_config_of_a_file_has_its_sizes(network, state, tmp_path):
    torch_file.write(state, tmp_path / "x.pt")
    config = clip_captions.get_config(str(tmp_path / "x.pt"))
    config.model.head = network.sizes.head
    assert config.init.network == str(tmp_path / "x.pt")
    built = nnx.eval_shape(lambda: systems.CLIP(Experiment(config), rngs=nnx.Rngs(0))).network
    assert built.sizes == network.sizes and named.fit(of_clip.read(config.init.network, built), built)
    defaults = systems.Settings()
    assert systems.fields_of(clip.PRESETS["ViT-B/32"])[0].items() <= dataclasses.asdict(defaults).items()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: state.pop("logit_scale"), "not a CLIP of openai, transformers or open_clip"),
        (lambda state: state.pop("ln_final.bias"), "no weight 'ln_final.bias'"),
        (lambda state: state.update(extra=np.ones(3, np.float32)), "weights that the network has not: 'extra'"),
        (lambda state: state.pop("positional_embedding"), "not a whole CLIP: 'positional_embedding' is missing"),
        (lambda state: state["logit_scale"].fill(np.nan), "logit_scale has numbers that are not finite"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message, network, state, tmp_path):
    changed = {name: np.array(x) for name, x in state.items()}
    change(changed)
    torch_file.write(changed, tmp_path / "x.pt")
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.pt", network)


def test_pictures_of_another_size_have_positions_between(network, state, tmp_path):
    torch_file.write(state, tmp_path / "x.pt")
    larger = nnx.eval_shape(a_clip(dataclasses.replace(network.sizes, image=2 * network.sizes.image)))
    found, notes = named.fit(of_clip.read(tmp_path / "x.pt", larger), larger, adapt=of_clip.adapt)
    at = "image/positions" if network.sizes.patch else "image/pool/positions"
    grid = network.sizes.image // (network.sizes.patch or 32)
    assert found[at].shape[0] == (2 * grid) ** 2 + 1
    np.testing.assert_array_equal(found[at][0], named.flat(network)[at][0])
    assert any(f"interpolated from {grid} x {grid}" in note for note in notes)
