"""Residual classifiers learn what goes with a label, figures of groups show it, and Grad-CAM is the paper's."""

import math

import jax
import numpy as np
import pytest

from vision_gen import data
from vision_gen.configs import resnet_coloured_digits
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.ops import colour
from vision_gen.systems.classifier import Classifier
from vision_gen.systems.resnet_classifier import ResNetClassifier


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of digits of 8 px in colours that go with them."""
    config = resnet_coloured_digits.get_config()
    config.data.size = 8
    config.model.update(depth=(1, 1), width=8)
    config.players.network.learning_rate = 3e-3
    config.train.update(batch_size=32, steps=150, eval_every=0, checkpoint_every=150)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    loop.train(config, folder)
    return folder


def test_colours_are_learned_and_figures_of_groups_show_it(run):
    figures, paths = evaluation.evaluate_run(run)
    assert figures["aligned"] > figures["conflicting"] + 0.3, figures
    assert all(path.exists() for path in paths)
    model = use.load(run)
    source = data.open(Experiment(model.config).data, "test")
    found, values = model.evaluate(source)
    assert found == figures
    right = values["label"] == values["predicted"]
    label, bias, aligned = (source.column(name) for name in ("label", "bias", "aligned"))
    groups = [right[(label == a) & (bias == b)].mean() for a in range(10) for b in range(10)]
    assert figures["aligned"] == pytest.approx(right[aligned == 1].mean())
    assert figures["conflicting"] == pytest.approx(right[aligned == 0].mean())
    assert figures["unbiased"] == pytest.approx(np.mean(groups))
    assert figures["worst_group"] == pytest.approx(min(groups))
    plain = data.open(data.Settings(name="digits", size=8, labels=True), "test")
    assert set(model.figure_names(source)) - set(model.figure_names(plain)) == {
        "aligned", "conflicting", "unbiased", "worst_group",
    }  # fmt: skip
    assert "unbiased" not in model.evaluate(plain)[0]


def test_grad_cam_is_the_maps_weighed_by_what_speaks_for_a_class(run):
    """Of a head that is linear in the mean of the maps: the maps' product with its weights, where positive."""
    model = use.load(run)
    source = data.open(Experiment(model.config).data, "test")
    pictures = np.stack([source[i]["colour"] for i in range(0, 60, 15)])
    system, images = model.system(), colour.from_uint8(pictures)
    logits, inside = jax.jit(lambda x: system.network(x, intermediates=True))(images)
    maps, label = np.asarray(inside["stage"][-1]), np.int32([3, -1, 0, -1])
    chosen = np.where(label < 0, np.argmax(logits, -1), label)
    heat = np.maximum(np.einsum("bhwc,cb->bhw", maps, np.asarray(system.network.head.kernel[...])[:, chosen]), 0)
    heat = heat / heat.max((1, 2), keepdims=True)
    found = jax.jit(lambda x, label: system.grad_cam(image=x, label=label))(images, label)
    assert found.shape == (4, 4, 4) and 0 < np.mean(found == 0) < 1
    np.testing.assert_allclose(found, heat, atol=1e-4)
    np.testing.assert_allclose(system.features(image=images), maps.mean((1, 2)), atol=1e-4)
    lit = lambda number: np.asarray(colour.to_uint8(colour.lit(images, heat)))[number].astype(int)
    assert np.abs(model.grad_cam(pictures[0], label="3").astype(int) - lit(0)).max() <= 1
    assert np.abs(model.grad_cam(pictures[1]).astype(int) - lit(1)).max() <= 1
    assert list(model.tools) == ["classify", "grad_cam"]


def test_a_set_that_lacks_a_side_has_no_figure_of_it():
    values = dict(label=[0, 1, 1], predicted=[0, 0, 1], bias=[1, 0, 0], agrees=[0, 0, 0])
    values = {name: np.int32(numbers) for name, numbers in values.items()}
    found = ResNetClassifier.summarise(values, ())
    assert math.isnan(found["aligned"]) and found["conflicting"] == pytest.approx(2 / 3)
    assert found["unbiased"] == pytest.approx(0.75) and found["worst_group"] == 0.5
    assert set(found) == set(ResNetClassifier.figures_of_set(None, values)) <= set(ResNetClassifier.explained) | {
        "worst_class_top1"
    }
    plain = {"label": values["label"], "predicted": values["label"]}
    assert Classifier.summarise(plain, ()) == {"worst_class_top1": 1.0}
