"""Colorization by hints: hints tell what lightness does not; the tool takes strokes and pictures, and edits locally."""

import json

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from vision_gen import data
from vision_gen.engine import evaluation, loop, recordings, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.metrics import image as metrics
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import colour


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Each picture is of one colour, and all are of one lightness, which does not tell it."""
    folder = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(0)
    light = rng.uniform(45, 65, (4, 4, 1)).repeat(8, 0).repeat(8, 1)
    for split, count in (("train", 32), ("val", 4), ("test", 8)):
        (folder / split).mkdir()
        for i in range(count):
            ab = rng.uniform(-60, 60, 2)
            picture = colour.lab_to_rgb(jnp.float32(np.concatenate([light, np.full((32, 32, 2), ab)], -1)))
            Image.fromarray(np.uint8(np.asarray(picture) * 255)).save(folder / split / f"{i}.png")
    return folder


def configured(folder):
    config = tiny("hints_photographs")
    config.data.dir = str(folder)
    config.model.update(crop_area=1.0, sizes=(1, 5))
    return config


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = configured(folder)
    config.players.network.learning_rate = 3e-3
    config.train.update(steps=300, log_every=100, checkpoint_every=300)
    loop.train(config, workdir)
    return workdir


def test_hints_tell_what_lightness_does_not(run):
    means, paths = evaluation.evaluate_run(run, "last")
    assert all(path.exists() for path in paths) and (run / "hints.png").exists()
    assert means["psnr_50"] > means["psnr_0"] + 3, means
    assert means["psnr_directed"] > means["psnr_0"] + 3, means


def picture(height=48, width=40):
    """Grey noise around a square of another grey."""
    found = np.random.default_rng(0).integers(100, 110, (height, width, 1), np.uint8).repeat(3, -1)
    found[10:30, 10:30] += 60
    return found


STROKES = [{"colour": "#c83200", "points": [[12, 20], [26, 20]], "width": 4}]


def test_strokes_and_a_picture_of_them_give_the_same(run, tmp_path):
    model = use.load(run, "last")
    kind = model.tools["colorize"].inputs["hints"]
    drawn = kind.draw(kind.read(STROKES, "hints"), (48, 40))
    Image.fromarray(drawn).save(tmp_path / "hints.png")
    (tmp_path / "hints.json").write_text(json.dumps(STROKES))
    found = model.colorize(picture(), STROKES, size=0)
    for other in (drawn, tmp_path / "hints.png", tmp_path / "hints.json", json.dumps(STROKES)):
        np.testing.assert_array_equal(model.colorize(picture(), other, size=0), found)
    none = model.colorize(picture(), [], size=0)
    assert none.shape == found.shape == (48, 40, 3)
    red = found[15:25, 12:27].astype(int).mean((0, 1)) - none[15:25, 12:27].mean((0, 1))
    assert red[0] > 5 and red[0] > red[2]


def test_the_tool_gives_what_the_network_gives(run):
    model, grey = use.load(run, "last"), picture(32, 32)
    hints = np.zeros((32, 32, 4), np.uint8)
    hints[18:22, 18:22] = 200, 40, 30, 255
    system = model.system()
    lightness, _ = colour.lightness_and_ab(colour.from_uint8(jnp.asarray(grey)))
    _, ab = colour.lightness_and_ab(colour.from_uint8(jnp.asarray(hints[..., :3])))
    given = np.concatenate([np.asarray(ab) / 110, np.ones((32, 32, 1))], -1) * (hints[..., 3:] > 0)
    look = nnx.jit(lambda system, *given: system.colours(*given, train=False))
    colours, _ = look(system, lightness[None], jnp.float32(given)[None])
    expected = colour.to_uint8(colour.with_lightness_of(colour.from_uint8(jnp.asarray(grey)), colours[0] * 110))
    np.testing.assert_allclose(model.colorize(grey, hints).astype(int), expected, atol=1)


def test_hints_by_hand_are_compared_with_those_of_simulated_users(run, folder, tmp_path):
    model, path = use.load(run, "last"), next((folder / "test").glob("*.png"))
    truth = np.asarray(Image.open(path))
    right, wrong = ("#%02x%02x%02x" % tuple(colour) for colour in (truth[16, 16], 255 - truth[16, 16]))
    recording, grey = recordings.Recording(str(run), model.step), tmp_path / "grey.png"
    Image.fromarray(truth).convert("L").save(grey)
    dots = lambda colour: [{"colour": colour, "points": [[x, 16]], "width": 3} for x in (8, 16, 24)]
    for file, hints in ((path, dots(right)), (path, []), (path, dots(wrong)), (grey, dots(right))):
        files = {"image": (recordings.File(file.name, file.read_bytes()),)}
        call = recordings.Call("colorize", {"hints": hints}, files)
        recording.add(call, model.run(*call.read(model.tools, tmp_path)))
    (tmp_path / "all.json").write_text(recording.text())
    with pytest.raises(InputError, match="all.json: call 4: image is grey, so nobody knows its colours; --truth=FILE"):
        recordings.beside_simulated(tmp_path / "all.json")
    with pytest.raises(InputError, match="--truth has 40 x 48 pixels, image 32 x 32"):
        recordings.beside_simulated(tmp_path / "all.json", picture())
    with pytest.raises(InputError, match="--truth is another picture than image: their lightness differs by .* of 255"):
        recordings.beside_simulated(tmp_path / "all.json", 255 - truth // 2)
    with pytest.raises(InputError, match="--truth is grey, so nobody knows its colours"):
        recordings.beside_simulated(tmp_path / "all.json", grey)
    found = recordings.beside_simulated(tmp_path / "all.json", path)
    assert list(found) == ["1 colorize, 3 scribbles", "3 colorize, 3 scribbles", "4 colorize, 3 scribbles"]
    good, bad, also = found.values()
    assert also == good  # What is seen of a picture is its lightness.
    made = lambda hints: metrics.psnr(*(jnp.float32(x)[None] / 127.5 - 1 for x in (model.colorize(path, hints), truth)))
    assert good["by hand"]["psnr"] == pytest.approx(float(made(dots(right))[0]), abs=0.1)  # But for rounding.
    assert good["no hints"]["psnr"] == pytest.approx(float(made([])[0]), abs=0.1)
    assert bad["by hand"]["psnr"] == pytest.approx(float(made(dots(wrong))[0]), abs=0.1)
    assert good["simulated"] == bad["simulated"] and good["simulated, deviation"]["psnr"] > 0
    # Pictures are of one colour, all but their noise in lightness; the negative is far from it.
    assert max(good["by hand"]["off"], good["simulated"]["off"]) < 6 and bad["by hand"]["off"] > 4 * good["by hand"]["off"]
    assert good["by hand"]["covered"] == pytest.approx(good["simulated"]["covered"], rel=0.5)
    recording.calls = recording.calls[1:2]
    (tmp_path / "none.json").write_text(recording.text())
    with pytest.raises(InputError, match="none.json: has no scribbles for a tool whose users are simulated"):
        recordings.beside_simulated(tmp_path / "none.json")


def test_local_edits_leave_what_is_out_of_reach_as_it_was(run):
    model = use.load(run, "last")
    before = np.random.default_rng(1).integers(0, 256, (100, 120, 3), np.uint8)
    before[20:60, 20:70] = 120
    strokes = [{"colour": "#c83200", "points": [[45, 40]], "width": 6}]
    after = model.colorize(before, strokes, reach=0.2)
    changed = (after != before).any(-1)
    rows, columns = np.nonzero(changed)
    assert changed[38:42, 43:47].all()
    # A fifth of 100 pixels, and what enlarging spreads.
    assert (np.abs(rows - 40) + np.abs(columns - 45)).max() < 20 + 12
    assert changed.sum() < 1500
    assert (model.colorize(before, strokes) != before).any(-1).mean() > 0.9


def test_small_hints_on_large_pictures_are_not_lost(run):
    tool = use.load(run, "last").tools["colorize"]
    dot = [{"colour": "#c83200", "points": [[101, 103]], "width": 1}]
    inputs, options = tool.read([np.zeros((320, 320, 3), np.uint8), dot], {})
    (parts,) = tool.fitting.fit(tool.inputs, inputs, options).parts
    there = parts["hints"][0, ..., 3] > 0
    assert parts["hints"].shape == (1, 32, 32, 4) and 1 <= there.sum() <= 4
    np.testing.assert_allclose((parts["hints"][0][there][0, :3] + 1) * 127.5, [200, 50, 0], atol=1)


@pytest.mark.parametrize("hints, message", [
    ([{"colour": "red", "points": [[50, 10]], "width": 2}], "hints: stroke 1 of 1 lies outside the picture"),
    (np.zeros((40, 48, 4), np.uint8), "hints has 48 x 40 pixels, but image 40 x 48"),
    (np.full((48, 40, 4), 255, np.uint8), "hints: is opaque everywhere"),
    (np.zeros((48, 40, 3), np.uint8), "hints must be an image with transparency, or strokes"),
])  # fmt: skip
def test_hints_that_do_not_lie_on_the_picture_are_refused(run, hints, message):
    with pytest.raises(InputError, match=message):
        use.load(run, "last").colorize(picture(), hints)


def forward(config):
    """A function of the progress: what `forward` returns, and the hints that the network is given, in turn."""
    experiment = Experiment(config)
    source = data.open(experiment.data, "train")
    batch = data.stack([source[i] for i in range(4)])
    graphdef, params, rest = systems.build(experiment)
    original = experiment.system.colours

    @jax.jit
    def look(params, progress):
        kept = []
        given = lambda system, lightness, hints, **more: kept.append(hints) or original(system, lightness, hints, **more)
        now = systems.Now(jax.random.split(jax.random.key(0), 4), jnp.int32(0), progress)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(experiment.system, "colours", given)
            return systems.run(graphdef, params, rest, "forward", batch, now)[0], kept

    return lambda progress: look(params, jnp.float32(progress))


def test_classes_are_learned_first_without_hints(folder):
    config = configured(folder)
    config.model.update(by_class=0.5, stop=0.01)
    look = forward(config)
    assert not look(0.4)[1][0].any()
    assert look(0.6)[1][0].any()


def test_users_who_look_answer_where_the_result_errs(folder):
    config = configured(folder)
    config.model.update(rounds=2, stop=1.0)
    out, kept = forward(config)(0.5)
    counts = [np.asarray(hints[..., 2]).astype(bool).sum((1, 2)) for hints in kept]
    assert len(kept) == 3 and not counts[0].any() and counts[2].max() > 0
    assert (counts[2] >= counts[1]).all() and set(counts[1]) <= {0, 9}
    hints = np.asarray(kept[2])
    there = hints[..., 2] > 0
    np.testing.assert_allclose(hints[there][:, :2], np.asarray(out["ab"])[there], atol=0.02)  # Flat pictures.


def test_settings_that_do_not_fit_are_refused_by_name(folder, tmp_path):
    config = configured(folder)
    config.model.sizes = (5, 2)
    with pytest.raises(InputError, match="config.model.sizes must be two sides of at least 1"):
        loop.train(config, tmp_path)
    config.model.sizes = (5, 40)
    with pytest.raises(InputError, match="config.model.sizes are larger than pictures"):
        loop.train(config, tmp_path)


def test_every_figure_has_a_phrase(folder):
    model = use.untrained(configured(folder))
    example = {key: np.zeros(x.shape, x.dtype) for key, x in data.shapes(model.experiment.data).items()}
    system = model.experiment.system
    assert set(model.figure_names([example])) <= set(PHRASES | system.explained) and "samples" in system.legends
