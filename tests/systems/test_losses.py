"""Every system's losses against the papers' equations in numpy: terms, signs and weights, and where gradients flow.

A new system has a case here.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from typing import NamedTuple

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import tiny
from tests.systems import test_nerf
from vision_gen import data
from vision_gen import systems as shipped
from vision_gen.configs import vit_digits
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.ops import colour, gamut, random
from vision_gen.systems import classifier, colorization, hints, nerf, pix2pix, scft


class Case(NamedTuple):
    """A system's losses as they should be.

    Attributes:
      config: of an experiment, tiny, with the paper's weights.
      batch: that the step reads.
      expected: function (system, out, now) -> {player: {term: value}}; targets are taken of the batch.
      flows: {player: {term: names of what `forward` returns that its gradient flows into}}.
    """

    config: object
    batch: dict
    expected: object
    flows: dict


def check(case):
    """Compares a system's losses with what they should be, with numbers in every parameter."""
    experiment = Experiment(case.config)
    graphdef, params, rest = systems.build(experiment)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = tree.unflatten([x + 0.05 * jax.random.normal(key, x.shape) for key, x in zip(keys, leaves)])
    size = len(next(iter(case.batch.values())))
    now = systems.Now(jax.random.split(jax.random.key(2), size), jnp.int32(3), jnp.float32(0.25))
    forward = jax.jit(lambda params: systems.run(graphdef, params, rest, "forward", case.batch, now)[0])
    out = forward(params)
    expected = case.expected(nnx.merge(graphdef, params, rest, copy=True), out, now)
    assert expected.keys() == experiment.players.keys()
    for name, (player, _) in experiment.players.items():

        def loss(params, out):
            return systems.run(graphdef, params, rest, f"{name}_loss", out, case.batch, now)[0]

        def whole(own):
            return sum(loss(params | own, forward(params | own)).values())

        @jax.jit
        def look(params, out):
            terms = loss(params, out)
            into = {term: jax.grad(lambda out, term=term: loss(params, out)[term])(out) for term in terms}
            return terms, into, jax.grad(whole)({module: params[module] for module in player.modules})

        terms, into, moved = look(params, out)
        assert terms.keys() == expected[name].keys(), name
        for term, value in expected[name].items():
            np.testing.assert_allclose(terms[term], value, rtol=1e-4, err_msg=f"{name}: {term}")
            reached = {entry for entry, gradient in into[term].items() if np.any(gradient)}
            assert reached == case.flows[name][term], (name, term)
        for module, parts in moved.items():
            for part, gradients in parts.items():
                assert any(np.any(gradient) for gradient in jax.tree.leaves(gradients)), f"{name}: {module}/{part}"


def pixels(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def plain(image):
    return image / np.float32(127.5) - 1


def entropy(logits, real):
    """Mean of -log of the share that logits give the verdict."""
    share = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return -np.mean(np.log(share if real else 1 - share))


def square(logits, real):
    return np.mean((np.asarray(logits) - (1 if real else 0)) ** 2)


def absolute(a, b):
    return np.abs(np.asarray(a) - np.asarray(b)).mean()


def of_settings(config, settings, **small):
    config.model.update(**dataclasses.asdict(settings) | small)
    return config


def of_pix2pix(gan_loss, distance):
    """Equations 1 to 4 with lambda = 100; the discriminator's loss is halved (section 3.3)."""
    small = dict(width=4, discriminator_width=4, flip=False, jitter=1.0, gan_loss=gan_loss)
    config = of_settings(tiny("pix2pix_pairs"), pix2pix.Settings(), **small)
    batch = {"source": pixels(2, 32, 32, 3), "colour": pixels(2, 32, 32, 3)[::-1]}

    def expected(system, out, now):
        look = lambda image: system.discriminator(plain(batch["source"]), image, train=True)
        fake, target = out["fake"], plain(batch["colour"])
        return {
            "discriminator": {"fake": 0.5 * distance(look(fake), False), "real": 0.5 * distance(look(target), True)},
            "generator": {"gan": distance(look(fake), True), "l1": 100 * absolute(fake, target)},
        }

    flows = {
        "discriminator": {"fake": {"source", "fake"}, "real": {"source", "target"}},
        "generator": {"gan": {"source", "fake"}, "l1": {"fake", "target"}},
    }
    return Case(config, batch, expected, flows)


def of_scft():
    """Equation 9 without its perceptual terms, which `test_scft` has: weights 1, 30 and 1, margin 12."""
    small = dict(width=4, levels=2, residual_blocks=1, discriminator_width=4, flip=False, jitter_shift=0.0)
    small |= dict(perceptual_weight=0.0, style_weight=0.0, line_share=1.0)
    config = of_settings(tiny("scft_demo"), scft.Settings(), **small)
    batch = {"line": pixels(2, 32, 32, 1), "colour": pixels(2, 32, 32, 3)}

    def expected(system, out, now):
        look = lambda image: system.discriminator(plain(batch["line"]), image, train=True)
        fake, target = out["fake"], plain(batch["colour"])
        codes = out["query"], out["key"], out["sampling"]
        return {
            "discriminator": {"fake": entropy(look(fake), False), "real": entropy(look(target), True)},
            "generator": {
                "gan": entropy(look(fake), True),
                "reconstruction": 30 * absolute(fake, target),
                "triplet": scft.similarity_triplet(*codes, random.fold(now.keys, 4), margin=12),
            },
        }

    flows = {
        "discriminator": {"fake": {"sketch", "fake"}, "real": {"sketch", "target"}},
        "generator": {
            "gan": {"sketch", "fake"},
            "reconstruction": {"fake", "target"},
            "triplet": {"query", "key", "sampling"},
        },
    }
    return Case(config, batch, expected, flows)


def of_classifier():
    """Cross-entropy of smoothed labels."""
    small = dict(size=(32, 64, 2, 2), patch=2, classes=10, label_smoothing=0.1)
    small |= dict(dropout=0.0, drop_path=0.0, crop_area=1.0, flip=False, operations=0, mixup=0.0)
    config = of_settings(vit_digits.get_config(), classifier.Settings(), **small)
    batch = {"colour": pixels(4, 8, 8, 3), "label": np.array([3, 0, 9, 3], np.int32)}

    def expected(system, out, now):
        logits = np.asarray(system.network(plain(batch["colour"])), np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        right = log[np.arange(4), batch["label"]]
        return {"network": {"cross_entropy": -np.mean(0.9 * right + 0.1 * log.mean(-1))}}

    return Case(config, batch, expected, {"network": {"cross_entropy": {"logits", "targets"}}})


def of_colorization():
    """Equation 2, pixels weighed by how rare their nearest bins are (equations 3 and 4); the second picture is grey."""
    config = of_settings(tiny("colorization_photographs"), colorization.Settings(), width=4, flip=False)
    batch = {"colour": pixels(2, 32, 32, 3)}
    batch["colour"][1] = batch["colour"][1, ..., :1]

    def expected(system, out, now):
        bins = gamut.in_gamut()
        ab = np.asarray(colour.rgb_to_lab(batch["colour"][:, ::4, ::4] / np.float32(255)))[..., 1:]
        number, weight = (np.asarray(x, np.float64 if i else int) for i, x in enumerate(gamut.encode(ab, bins)))
        seen = np.bincount(number[0].ravel(), weight[0].ravel(), 313) / 64
        before = 0.75 / 313 + 0.25 * seen  # The running mean of four steps, of which this is one.
        logits = np.asarray(out["logits"], np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        entropy = -(np.take_along_axis(log, number, -1) * weight).sum(-1)
        rarity = np.asarray(gamut.rarity(before.astype(np.float32), bins))
        return {"network": {"cross_entropy": (entropy * rarity[number[..., 0]])[0].sum() / entropy.size}}

    return Case(config, batch, expected, {"network": {"cross_entropy": {"logits", "ab"}}})


def of_hints():
    """Cross-entropy of the nearest bin at every fourth pixel, ten times L1 of ab / 110; the second picture is grey."""
    small = dict(width=4, flip=False, crop_area=1.0)
    config = of_settings(tiny("hints_photographs"), hints.Settings(), **small)
    batch = {"colour": pixels(2, 32, 32, 3)}
    batch["colour"][1] = batch["colour"][1, ..., :1]

    def expected(system, out, now):
        ab = np.asarray(colour.rgb_to_lab(batch["colour"] / np.float32(255)))[..., 1:]
        logits = np.asarray(out["logits"], np.float64)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        number = np.round((ab[:, ::4, ::4] + 110) / 10).astype(int)
        right = np.take_along_axis(log, (number[..., :1] * 23 + number[..., 1:]), -1)[..., 0]
        far = np.abs(np.asarray(out["colours"], np.float64) - ab / 110).sum(-1)
        return {"network": {"class": -right[0].sum() / right.size, "colour": 10 * far[0].sum() / far.size}}

    return Case(config, batch, expected, {"network": {"class": {"logits"}, "colour": {"colours", "ab"}}})


def of_nerf(encoding):
    """Equation 6: squared errors of the fine and of the coarse colours, on white."""
    config = test_nerf.tiny(encoding)
    config.model.white_background = True
    source = data.open(Experiment(config).data, "train")
    batch = data.stack([source[i] for i in range(2)])
    batch["colour"] = pixels(*batch["colour"].shape)

    def expected(system, out, now):
        opacity = batch["colour"][..., 3:] / 255
        truth = batch["colour"][..., :3] / 255 * opacity + (1 - opacity)
        names = {"fine": "colour"} | ({"coarse": "coarse"} if encoding == "positional" else {})
        return {"field": {term: np.mean((np.asarray(out[name]) - truth) ** 2) for term, name in names.items()}}

    flows = {"fine": {"colour"}} | ({"coarse": {"coarse"}} if encoding == "positional" else {})
    return Case(config, batch, expected, {"field": flows})


CASES = {
    "cross entropy": (pix2pix.Pix2Pix, lambda: of_pix2pix("cross_entropy", entropy)),
    "least squares": (pix2pix.Pix2Pix, lambda: of_pix2pix("least_squares", square)),
    "scft": (scft.SCFT, of_scft),
    "classifier": (classifier.Classifier, of_classifier),
    "colorization": (colorization.Colorization, of_colorization),
    "hints": (hints.Hints, of_hints),
    "positional": (nerf.NeRF, lambda: of_nerf("positional")),
    "hash": (nerf.HashNeRF, lambda: of_nerf("hash")),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_are_the_papers_and_gradients_flow_where_they_should(name):
    check(CASES[name][1]())


def test_every_system_that_ships_has_a_case():
    names = [module.name for module in pkgutil.iter_modules(shipped.__path__)]
    modules = [importlib.import_module(f"vision_gen.systems.{name}") for name in names]
    known = {cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)}
    trained = {cls for cls in known if issubclass(cls, systems.System) and cls.players and not cls.__subclasses__()}
    assert trained == {cls for cls, _ in CASES.values()}
