"""Enhancement of edges: scribbles sharpen what a frozen colorizer blurs, and nothing else changes."""

from flax import nnx
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from tests.golden import metrics_by_seed as golden
from vision_gen import data
from vision_gen.engine import evaluation, loop, recordings, use
from vision_gen.metrics import bleeding
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import colour
from vision_gen.systems import edges


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Light things on dark ground, of other colours: the lighter, the redder."""
    folder = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    for split, count in (("train", 32), ("val", 4), ("test", 8)):
        (folder / split).mkdir()
        for i in range(count):
            middle = rng.uniform(8, 24, 2)
            thing = np.hypot(rows - middle[0], columns - middle[1]) < rng.uniform(5, 9)
            lab = np.where(thing[..., None], [75, 50, 40], [40, -20, -40]).astype(np.float32)
            Image.fromarray(np.uint8(np.asarray(colour.lab_to_rgb(lab)) * 255)).save(folder / split / f"{i}.png")
    return folder


def configured():
    """With a colorizer of a run of hints that is not there."""
    config, of = tiny("edges_photographs"), tiny("hints_photographs")
    config.init.colorizer = "runs/hints:network"
    with config.unlocked():
        origin = dict(run="runs/hints", attribute="network", system=of.system, model=of.model, data=of.data)
        config.origin = ConfigDict(dict(colorizer=origin))
    return config


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """Trained on a colorizer that has learned the colours, not where they end; block1 is of the size of pictures."""
    colorizer, workdir = tmp_path_factory.mktemp("hints"), tmp_path_factory.mktemp("run")
    config = tiny("hints_photographs")
    config.data.dir = str(folder)
    config.model.crop_area = 1.0
    config.players.network.learning_rate = 3e-3
    config.train.update(steps=60, log_every=60, checkpoint_every=60)
    loop.train(config, colorizer)
    config = tiny("edges_photographs", width=8, block="block1")
    config.init.colorizer = f"{colorizer}:network"
    config.data.dir = str(folder)
    config.players.enhancer.learning_rate = 5e-3
    config.train.update(steps=60, log_every=60, checkpoint_every=60)
    loop.train(config, workdir)
    return workdir


def test_scribbles_bring_back_the_edges_that_a_colorizer_lacks(run):
    means, paths = evaluation.evaluate_run(run, "last")
    assert all(path.exists() for path in paths) and (run / "scribbles.png").exists()
    for end in ("", "_1", "_2", "_10"):
        assert means[f"psnr_inside{end}"] > means[f"psnr_inside_before{end}"] + 3, means
    assert 0 < means["outside"] < 20


def test_cdr_is_of_edges_inside_scribbles_and_pictures_without_any_are_left_out():
    result, truth = golden.bleeding()["wide"]
    inside = np.hypot(*np.mgrid[-24:24, -32:32]) < 15
    made = np.stack([truth, result, truth, result])
    values = {"ab": [truth] * 2, "before": [result] * 2, "guided": [0 * truth] * 2, "made": [made, made[::-1]]}
    values["scribbles"] = [np.stack([inside] * 4), np.zeros((4, 48, 64), bool)]
    found = edges.Edges.summarise(values, ())
    assert found["cdr_1"] == found["cdr"] == 1
    expected = pytest.approx(np.mean(bleeding.ratio(result, truth, inside)))
    assert found["cdr_2"] == found["cdr_before_2"] == found["cdr_before"] == found["cdr_10"] == expected
    assert found["cdr_guided"] == pytest.approx(np.mean(bleeding.ratio(0 * truth, truth, inside)))


STROKES = [{"colour": "black", "points": [[10, 8], [24, 8]], "width": 5}]


def picture():
    """Grey, 48 x 40: a light square."""
    found = np.full((48, 40, 3), 90, np.uint8)
    found[8:30, 8:30] = 190
    return found


def test_a_grey_picture_is_coloured_and_a_coloured_one_changes_where_it_is_scribbled_on(run):
    model, grey = use.load(run, "last"), picture()
    system = model.system()
    lightness, _ = colour.lightness_and_ab(colour.from_uint8(jnp.asarray(grey)[None]))
    ab, _ = nnx.jit(lambda system, lightness: system.colours(lightness))(system, lightness)
    before = np.asarray(colour.to_uint8(colour.with_lightness_of(colour.from_uint8(jnp.asarray(grey)), ab[0] * 110)))
    kind = model.tools["enhance"].inputs["scribbles"]
    inside = kind.draw(kind.read(STROKES, "scribbles"), (48, 40))[..., 3] > 0
    found = model.enhance(grey, STROKES, size=0)
    np.testing.assert_allclose(found[~inside].astype(int), before[~inside], atol=1)
    assert np.abs(found[inside].astype(int) - before[inside]).max() > 10
    own = np.uint8(grey * [1.0, 0.5, 0.8])
    found = model.enhance(own, STROKES, size=0)
    np.testing.assert_array_equal(found[~inside], own[~inside])
    assert (found[inside] != own[inside]).any(-1).mean() > 0.5
    np.testing.assert_array_equal(model.enhance(own, [{**STROKES[0], "colour": "red"}], size=0), found)


def test_scribbles_by_hand_are_compared_with_those_of_simulated_users(run, folder, tmp_path):
    model, path = use.load(run, "last"), next((folder / "test").glob("*.png"))
    recording = recordings.Recording(str(run), model.step)
    truth = np.asarray(Image.open(path)).astype(int)
    # Of what is light, where it begins in its middle row; far from it, nothing bleeds.
    light = truth.sum(-1) > 350
    row = int(np.flatnonzero(light.any(1)).mean())
    edge = int(np.flatnonzero(light[row])[0])
    far = 28 if edge < 14 else 3
    for x in (edge, far):
        scribbles = [{"colour": "#ff0000", "points": [[x, row - 2], [x, row + 2]], "width": 3}]
        call = recordings.Call("enhance", {"scribbles": scribbles}, {"image": (recordings.File("a.png", path.read_bytes()),)})
        recording.add(call, model.run(*call.read(model.tools, tmp_path)))
    (tmp_path / "both.json").write_text(recording.text())
    found = recordings.beside_simulated(tmp_path / "both.json")
    assert list(found) == ["1 enhance, 1 scribble", "2 enhance, 1 scribble"]
    at, away = found.values()
    assert at["by hand"]["bleeding"] > away["by hand"]["bleeding"] + 0.2
    assert at["simulated"] == away["simulated"] and at["simulated"]["bleeding"] > 0.2
    gain = lambda figures: figures["psnr_inside"] - figures["psnr_inside_before"]
    assert gain(at["simulated"]) > 2 and gain(at["by hand"]) > 2


def test_the_colorizer_is_used_as_its_run_uses_it(run, folder):
    """Its mask of hints is centred as there, and none of its numbers has moved."""
    model = use.load(run, "last")
    source = use.load(model.experiment.origin["colorizer"].run)
    lightness = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48, 40, 1)), jnp.float32)
    expected, _ = source.system().colours(lightness, jnp.zeros((1, 48, 40, 3)), train=False)
    np.testing.assert_allclose(model.system().colours(lightness)[0], expected, atol=1e-6)


def test_every_figure_has_a_phrase(folder):
    config = configured()
    config.data.dir = str(folder)
    model = use.untrained(config)
    example = {key: np.zeros(x.shape, x.dtype) for key, x in data.shapes(model.experiment.data).items()}
    names, explained = set(model.figure_names([example])), PHRASES | model.experiment.system.explained
    assert names <= set(explained) and {"cdr", "cdr_before_10", "outside"} <= names
