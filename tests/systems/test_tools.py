"""The tools of the systems give what their networks give, at any size."""

from flax import nnx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import tiny
from vision_gen import data
from vision_gen.engine import system as systems
from vision_gen.engine import export, fitting, use
from vision_gen.engine.experiment import Experiment
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import colour
from vision_gen.systems.pix2pix import Pix2Pix


@pytest.fixture(scope="module")
def pix2pix():
    config = tiny("pix2pix_openmoji")
    config.model.noise_at_test = False
    return use.untrained(config)


@pytest.fixture(scope="module")
def scft():
    return use.untrained(tiny("scft_demo"))


def drawing(height, width, seed=0):
    return np.repeat(np.random.default_rng(seed).integers(0, 256, (height, width, 1), np.uint8), 3, -1)


def direct(model, *arrays):
    """What the networks give for uint8 pictures, as uint8."""
    names = ("sketch", "reference")
    inputs = {name: colour.from_uint8(jnp.asarray(a))[None] for name, a in zip(names, arrays)}
    inputs["sketch"] = colour.luma(inputs["sketch"])
    found = nnx.jit(lambda system, inputs: system.translate(**inputs))(model.system(), inputs)
    if model.config.model.colour_layer:
        found = colour.multiply(found, inputs["sketch"])
    return np.asarray(colour.to_uint8(found[0]))


def test_pix2pix_translates_pictures_of_the_size_that_it_was_trained_at(pix2pix):
    picture = drawing(32, 32)
    found = pix2pix.translate(picture, lines="given")
    np.testing.assert_allclose(found.astype(int), direct(pix2pix, picture), atol=1)
    assert found.std() > 0


def test_pix2pix_translates_other_sizes_extended_by_reflection(pix2pix):
    picture = drawing(40, 75)
    extended = np.pad(picture, [(12, 12), (10, 11), (0, 0)], mode="reflect")
    expected = direct(pix2pix, extended)[12:52, 10:85]
    np.testing.assert_allclose(pix2pix.translate(picture, lines="given", size=0).astype(int), expected, atol=1)


def test_pix2pix_computes_drawings_at_the_training_size_and_pairs_at_their_own(pix2pix):
    size = lambda experiment: Pix2Pix.tools(experiment, {})[0].all_options["size"].default
    assert size(pix2pix.experiment) == 32
    pairs = pix2pix.config.copy_and_resolve_references()
    pairs.data.name = "pairs"
    assert size(Experiment(pairs)) == 0


def test_pix2pixs_noise_at_test_time_is_seeded():
    config = tiny("pix2pix_openmoji")
    config.model.noise_at_test = True
    model = use.untrained(config)
    picture = drawing(32, 32)
    first, again, other = (model.translate(picture, lines="given", seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).max() > 0


def test_scft_takes_references_of_another_shape_on_white_paper_of_the_sketchs(scft):
    sketch, reference = drawing(32, 48), drawing(32, 64, seed=1)
    found = scft.translate(sketch, reference, lines="given", size=32)
    paper = fitting.on_paper(reference, sketch)
    assert paper.shape == (32, 48, 3) and paper[[0, -1]].min() == 255
    np.testing.assert_allclose(found.astype(int), direct(scft, sketch, paper), atol=1)
    assert scft.translate(drawing(100, 333), drawing(50, 20), lines="given").shape == (100, 333, 3)


def test_scft_computes_at_the_training_size_unless_told(scft):
    tool = scft.tools["translate"]
    assert tool.all_options["size"].default == 32
    inputs = {"sketch": drawing(96, 192), "reference": (drawing(64, 64),)}
    fitted = tool.fitting.fit(tool.inputs, inputs, {"lines": "given", "size": 32})
    assert fitted.parts[0]["sketch"].shape == (1, 32, 64, 1)
    assert [array.shape for array in fitted.parts[0]["reference"]] == [(1, 32, 64, 3)]
    own = tool.fitting.fit(tool.inputs, inputs, {"lines": "given", "size": 0})
    assert own.parts[0]["sketch"].shape == (1, 96, 192, 1)


def test_ties_make_a_region_of_the_sketch_look_at_a_region_of_a_reference(scft):
    """The left one of two boxes of the sketch is tied to the right one of the second reference."""
    sketch = np.ones((1, 32, 64, 1), np.float32)
    for left in (8, 36):
        sketch[:, 8:24, left : left + 20] = -1
        sketch[:, 9:23, left + 1 : left + 19] = 1
    reference = np.ones((1, 2, 32, 64, 3), np.float32)
    reference[:, 1, 4:28, 8:32], reference[:, 1, 4:28, 32:56] = (-0.5, 0.5, 0.0), (0.3, -0.9, 0.2)
    system, ties, reach = scft.system(), jnp.asarray([[[18, 16, 50, 16, 2.0]]]), jnp.asarray([1.0])
    here, there = (np.array(x)[0, ..., 0] for x in system._tied(sketch, reference, ties, reach))
    assert here.shape == (16, 32) and there.shape == (32, 32)
    whole = lambda cells, rows, columns: (cells[rows, columns] == 1).all() and cells.sum() == cells[rows, columns].size
    here[[4, 4, 11, 11], [4, 13, 4, 13]] = 1  # A quarter of each corner lies inside.
    assert whole(here, slice(4, 12), slice(4, 14)) and whole(there, slice(18, 30), slice(16, 28))
    plain = system.translate(sketch=sketch, reference=reference)
    tied = system.translate(sketch=sketch, reference=reference, ties=ties, reach=reach)
    moved = np.abs(np.asarray(tied - plain)).max(-1)[0]
    assert moved[12:20, 14:22].max() > 1e-3 and moved[:, 48:].max() < 1e-5
    none = system.translate(sketch=sketch, reference=reference, ties=ties[:, :0], reach=reach)
    np.testing.assert_allclose(none, plain, atol=1e-6)


def test_systems_without_tools_say_so():
    class Bare(systems.System):
        pass

    assert Bare.tools(None, {}) == ()


def test_a_generator_that_paints_a_layer_is_exported_with_a_word(tmp_path, caplog, monkeypatch):
    config = tiny("pix2pix_openmoji")
    config.model.colour_layer = True
    monkeypatch.setattr(export.log, "propagate", True)
    paths = use.untrained(config).export("pytorch", tmp_path)
    assert [path.name for path in paths] == ["latest_net_D.pth", "latest_net_G.pth"]
    assert "config.model.colour_layer: the generator paints a layer" in caplog.text


@pytest.mark.parametrize("name", ["pix2pix", "scft"])
def test_every_figure_has_a_phrase(name, request):
    model = request.getfixturevalue(name)
    example = {key: np.zeros(x.shape, x.dtype) for key, x in data.shapes(model.experiment.data).items()}
    system = model.experiment.system
    assert set(model.figure_names([example])) <= set(PHRASES | system.explained) and "samples" in system.legends
