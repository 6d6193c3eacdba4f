"""Lines: the network finds lines that are not in the picture, of the width that it is told; the tool draws by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw
import pytest

from tests.conftest import tiny
from vision_gen import data
from vision_gen.data import source
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.metrics.phrases import PHRASES
from vision_gen.nets import lines as nets
from vision_gen.ops import sketch

# The data set: boxes of a flat colour, whose outlines are drawn in three widths.
FIELDS = ("size",)
WEIGHTS = (1.0, 2.0, 4.0)


def shapes(settings):
    return source.images(settings, colour=3, flat=3, lines=3) | {
        "weights": source.ShapeDtype((3,), np.dtype(np.float32))
    }


def open(settings, split):
    return Boxes(settings, split)


class Boxes(source.Source):
    """Two apart, of 7 to 12 pixels in pictures of 32."""

    def __init__(self, settings, split):
        self.shapes = shapes(settings)
        self._rng = np.random.default_rng(source.SPLITS.index(split))
        self._examples = [self._draw(settings.size) for _ in range({"train": 96}.get(split, 8))]

    def _draw(self, size):
        flat = Image.new("RGB", (4 * size, 4 * size), "white")
        lines = [Image.new("L", flat.size, "white") for _ in WEIGHTS]
        for top in (3, 17):
            left, width, height = self._rng.integers(3, 16), *self._rng.integers(7, 12, 2)
            box = [int(4 * x) for x in (left, top, left + width, top + height)]
            ImageDraw.Draw(flat).rectangle(box, fill=tuple(int(c) for c in self._rng.integers(30, 200, 3)))
            for weight, picture in zip(WEIGHTS, lines):
                reach = 2 * weight
                outer = [box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach]
                ImageDraw.Draw(picture).rectangle(outer, outline="black", width=int(4 * weight))
        small = lambda picture: np.asarray(picture.resize((size, size), Image.Resampling.BOX))
        flat, lines = small(flat), np.stack([small(picture) for picture in lines], -1)
        colour = np.uint8(flat * (lines[..., 1:2] / 255))
        return {"colour": colour, "flat": flat, "lines": lines, "weights": np.float32(WEIGHTS)}

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        return self._examples[index]

    def name(self, index):
        return str(index)


def configured(**model):
    config = tiny("lines_openmoji", **dict(width=8, levels=2, crop=0, blur=0.3) | model)
    config.data.name = __name__
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    config = configured()
    config.players.network.update(learning_rate=5e-3, ema_half_life=0)
    config.train.update(steps=250, log_every=250, checkpoint_every=250)
    loop.train(config, workdir)
    return workdir


def test_lines_are_found_where_there_are_none_and_as_wide_as_asked(run):
    means, paths = evaluation.evaluate_run(run, "last")
    assert all(path.exists() for path in paths)
    assert 1 - means["f_flat"] < (1 - means["f_flat_xdog"]) / 2 and means["f_colour"] > 0.85, means
    assert means["weight_error"] < 0.25 and means["weight_error"] < means["weight_error_fixed"] / 2, means
    for name in ("precision_flat", "recall_flat", "precision_colour_xdog", "f_flat_xdog"):
        assert 0 < means[name] <= 1


def picture(height=44, width=52):
    found = np.full((height, width, 3), 255, np.uint8)
    found[10:26, 12:34] = 90, 160, 60
    return found


def test_the_tool_draws_wider_and_less_steadily(run):
    model = use.load(run, "last")
    thin, thick = model.sketch(picture(), weight=1.0), model.sketch(picture(), weight=4.0)
    assert thin.shape == thick.shape == (44, 52, 1)
    assert (thick < 128).sum() > 2 * (thin < 128).sum() > 40
    np.testing.assert_array_equal(model.sketch(picture(), weight=4.0, hand=0.0, seed=3), thick)
    first = model.sketch(picture(), weight=4.0, hand=0.8, seed=3)
    assert np.abs(first.astype(int) - thick).mean() > 2
    np.testing.assert_array_equal(model.sketch(picture(), weight=4.0, hand=0.8, seed=3), first)
    assert (model.sketch(picture(), weight=4.0, hand=0.8, seed=4) != first).mean() > 0.05


def test_other_pictures_are_drawn_otherwise(run):
    model = use.load(run, "last")
    other = picture().copy()
    other[12, 14] = 80, 160, 60
    drawn = [model.sketch(image, weight=4.0, hand=0.8, seed=3).astype(int) for image in (picture(), other)]
    steady = [model.sketch(image, weight=4.0).astype(int) for image in (picture(), other)]
    assert np.abs(drawn[0] - drawn[1]).mean() > 5 * np.abs(steady[0] - steady[1]).mean()


def test_the_tool_gives_what_the_network_gives(run):
    model, image = use.load(run, "last"), picture(32, 32)
    drawn = model.system().draw(np.float32(image)[None] / 127.5 - 1, np.float32([2.0]))
    np.testing.assert_allclose(model.sketch(image, weight=2.0).astype(int), (np.asarray(drawn)[0] + 1) * 127.5, atol=1)


def test_the_width_that_is_told_is_that_of_the_lines_to_learn(monkeypatch):
    """Of windows, and of whole pictures made half as large."""
    experiment = Experiment(configured(crop=16))
    examples = data.open(experiment.data, "train")
    batch = data.stack([examples[i] for i in range(64)])
    now = systems.Now(jax.random.split(jax.random.key(0), 64), jnp.int32(0), jnp.float32(0))
    told = []
    monkeypatch.setattr(nets.LineNet, "__call__", lambda network, image, weight: told.append(weight) or image[..., :1])
    out, _ = systems.run(*systems.build(experiment), "forward", batch, now)
    assert out["ink"].shape == (64, 16, 16, 1) and set(np.asarray(told[0]).tolist()) == {0.5, 1, 2, 4}
    enough = np.asarray((out["ink"].sum((1, 2, 3)) > 12) & (told[0] >= 2))  # Thinner ones seem wider.
    ratio = np.asarray(sketch.weight(1 - 2 * out["ink"]) / told[0])[enough]
    assert enough.sum() > 25 and np.median(ratio) == pytest.approx(1, abs=0.15) and ratio.std() < 0.2


@pytest.mark.parametrize("model, size, message", [
    (dict(crop=64), 32, "config.model.crop is 64, but the pictures have 32 x 32 pixels"),
    (dict(crop=30), 32, "config.model.crop must be a multiple of 4, of 2 to the levels, got 30"),
    (dict(), 30, "config.data.size must be a multiple of 4, of 2 to config.model.levels, got"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_refused_by_name(tmp_path, model, size, message):
    config = configured(**model)
    config.data.size = size
    with pytest.raises(InputError, match=message):
        loop.train(config, tmp_path)


def test_every_figure_has_a_phrase():
    model = use.untrained(configured())
    example = {key: np.zeros(x.shape, x.dtype) for key, x in data.shapes(model.experiment.data).items()}
    system = model.experiment.system
    assert set(model.figure_names([example])) <= set(PHRASES | system.explained) and "samples" in system.legends
