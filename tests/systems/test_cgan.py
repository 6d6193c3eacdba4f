"""GANs conditioned on a class: they learn digits by class, and tools, figures and refusals are as they say."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest
from sklearn import linear_model

from vision_gen import data
from vision_gen.configs import acgan_digits, cgan_digits, vit_digits
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import defaults, evaluation, loop, use, weights
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.systems import class_gan
from vision_gen.systems import judge as judging

SMALL = dict(channels=1, latent=8, widths=(8,), discriminator_widths=(4, 8))


def digits(split, labels=True):
    return data.open(data.Settings(name="digits", size=8, labels=labels), split)


def tiny(system="cgan.CGAN", **model):
    """An experiment on scikit-learn's digits that compiles in seconds."""
    player = defaults.player(1e-3)
    return defaults.experiment(
        system,
        data=dict(name="digits", size=8, labels=True),
        model=model or SMALL,
        players=dict(discriminator=player, generator=player),
        batch_size=8,
        steps=2,
        log_every=1,
        sample_every=0,
        eval_every=0,
        eval_images=8,
        checkpoint_every=2,
        best_metric="spread",
    )


@pytest.fixture(scope="module")
def model():
    return use.untrained(tiny())


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A run of a classifier of digits."""
    workdir = tmp_path_factory.mktemp("judge")
    config = vit_digits.get_config()
    config.model.update(size=(16, 16, 2, 1), patch=4)
    config.train.update(steps=2, batch_size=8, eval_every=0, eval_images=8, checkpoint_every=2, log_every=1)
    loop.train(config, workdir)
    return workdir


@pytest.mark.parametrize("name", [cgan_digits, acgan_digits])
def test_digits_of_a_class_are_learned(name, tmp_path):
    config = name.get_config()
    config.data.size = 8
    config.model.update(latent=16, widths=(32,), discriminator_widths=(16, 32))
    config.init.judge = ""
    config.players.generator.update(learning_rate=2e-3, ema_half_life=1000)
    config.players.discriminator.learning_rate = 2e-3
    config.train.update(steps=300, log_every=100, sample_every=0, eval_every=0, checkpoint_every=300)
    config.train.best_metric = "spread"
    loop.train(config, tmp_path)
    train, test = digits("train"), digits("test")
    flat = lambda images: np.asarray(images, np.float64)[..., 0].reshape(len(images), -1)
    judge = linear_model.LogisticRegression(max_iter=300).fit(flat(train.column("colour")) / 255, train.column("label"))

    def agreement(model):
        made = np.concatenate([found["output"] for found in model.each("sample", test)])
        return np.mean(judge.predict((flat(made) + 1) / 2) == test.column("label"))

    trained, before = use.load(tmp_path), use.untrained(config)
    assert agreement(trained) > agreement(before) + 0.5, (agreement(trained), agreement(before))
    means, _ = trained.evaluate(test)
    # Classes have not collapsed to an image each.
    assert 0.5 < means["spread"] / means["spread_truth"] < 1.5


def test_every_seed_and_class_gives_an_image_of_its_own(model):
    first = model.generate("3", seed=1)
    assert first.shape == (8, 8, 3) and (first[..., 0] == first[..., 2]).all()
    np.testing.assert_array_equal(first, model.generate(3, seed=1))
    for other in (model.generate(3, seed=2), model.generate(4, seed=1)):
        assert np.abs(first.astype(int) - other).max() > 0
    for label in ("eight", 10, -1, "", 2.5):
        with pytest.raises(InputError, match="label must be one of 10 classes, by name or number: 0, .*, got"):
            model.generate(label)


def test_many_images_are_those_of_the_seeds_one_after_another(model):
    found = model.generate_many(7, number=4, seed=20)
    for i in range(4):
        np.testing.assert_allclose(found[i].astype(int), model.generate(7, seed=20 + i), atol=1)
    with pytest.raises(InputError, match="number must be an integer from 1 to 1000, got 0"):
        model.generate_many(7, number=0)


def test_a_film_leads_from_one_image_to_another(model):
    film = model.morph(2, 5, frames=6, seed=1, end_seed=9).astype(int)
    np.testing.assert_allclose(film[0], model.generate(2, seed=1), atol=1)
    np.testing.assert_allclose(film[-1], model.generate(5, seed=9), atol=1)
    steps = np.abs(np.diff(film, axis=0)).mean((1, 2, 3))
    assert film.shape == (6, 8, 8, 3) and steps.max() < np.abs(film[0] - film[-1]).mean()


def test_a_sheet_has_a_row_a_class_and_a_column_a_seed(model):
    sheet = model.sheet(seed=5).astype(int)
    assert sheet.shape == (10 * 8, 8 * 8, 3)
    for label, draw in ((0, 0), (3, 2), (9, 7)):
        part = sheet[label * 8 : label * 8 + 8, draw * 8 : draw * 8 + 8]
        np.testing.assert_allclose(part, model.generate(label, seed=5 + draw), atol=1)


def test_truncated_latents_lie_near_the_middle(model):
    system = model.system()
    seeds = jnp.arange(50, dtype=jnp.uint32)
    for truncation in (0.5, 4.0):
        latents = np.asarray(system._chosen(seeds, jnp.full(1, truncation)))
        assert np.abs(latents).max() <= truncation
        assert np.abs(latents).max() > 0.9 * min(truncation, 2.5)


def test_latents_of_the_paper_are_uniform_and_not_truncated():
    small = dict(latent=50, hidden=(8, 8, 8), image_maxout=(4, 2), class_maxout=(4, 2), joint_maxout=(4, 2))
    model = use.untrained(tiny("cgan.MaxoutCGAN", **small))
    latents = np.asarray(model.system()._chosen(jnp.arange(50, dtype=jnp.uint32)))
    assert latents.min() >= 0 and latents.max() <= 1 and latents.mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(InputError, match="unknown 'truncation': generate takes label; options are seed"):
        model.generate(3, truncation=1.0)
    film = model.morph(2, 5, frames=3, seed=1, end_seed=9).astype(int)
    np.testing.assert_allclose(film[2], model.generate(5, seed=9), atol=1)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_an_arc_keeps_its_distance_from_the_middle(share):
    a, b = np.float32([[3.0, 0.0]]), np.float32([[0.0, 3.0]])
    angle = share * np.pi / 2
    found = class_gan.slerp(a, b, jnp.full((1, 1), share))
    np.testing.assert_allclose(found, 3 * np.array([[np.cos(angle), np.sin(angle)]]), atol=1e-5)
    np.testing.assert_allclose(class_gan.slerp(a, a, jnp.full((1, 1), share)), a, rtol=1e-5)


def test_spread_is_of_pairs_of_a_class(model):
    source = digits("val")
    batch = data.stack([source[i] for i in range(6)])
    batch["label"] = np.int32([4, 1, 4, 1, 4, 2])
    found = model.system().evaluate(batch, jax.random.split(jax.random.key(0), 6))
    image = batch["colour"] / 127.5 - 1
    apart = lambda a, b: np.abs(image[a] - image[b]).mean()
    expected = [apart(0, 2), apart(1, 3), apart(2, 4), apart(3, 1), apart(4, 0), np.nan]
    np.testing.assert_allclose(found["spread_truth"], expected, rtol=1e-5)
    sample = model.system().sample(batch, jax.random.split(jax.random.key(0), 6))
    np.testing.assert_allclose(found["spread"], np.abs(sample["output"] - sample["another"]).mean((1, 2, 3)), rtol=1e-4)
    assert "agreement" not in found and model.figure_names(source) == ("spread", "spread_truth")


def test_a_judge_of_another_run_says_what_it_sees(judge, tmp_path):
    config = tiny()
    config.init.judge = f"{judge}:network"
    config.train.update(best_metric="judge_distance", best_mode="min")
    loop.train(config, tmp_path)
    means, paths = evaluation.evaluate_run(tmp_path, "last")
    assert [path.name for path in paths[2:]] == ["test.png", "classes.png", "confusion.png"]
    assert all(path.exists() for path in paths)
    model, classifier = use.load(tmp_path, "last"), use.load(judge)
    source = digits("test")
    truth, _ = classifier.evaluate(source)
    assert means["agreement_truth"] == pytest.approx(truth["top1"])
    made = np.concatenate([found["output"] for found in model.each("sample", source)])
    scores = np.asarray(classifier.system().classify(image=made))
    # The outputs of `sample` are those that `evaluate` judges.
    assert means["agreement"] == pytest.approx(np.mean(scores.argmax(1) == source.column("label")))
    assert {"judge_distance", "judge_precision", "judge_recall", "spread"} <= set(means)
    # The judge stays as it was, and the run opens when its own is gone.
    for name, value in systems.build(classifier.experiment)[1]["network"].items():
        assert name in model.state["params"]["judge"], value
    judge.rename(judge.with_name("gone"))
    try:
        again, _ = use.load(tmp_path, "last").evaluate(source)
        assert again["agreement"] == pytest.approx(means["agreement"])
    finally:
        judge.with_name("gone").rename(judge)


def test_distances_of_a_set_and_itself_are_none():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    values = {"features": features, "features_truth": features}
    found = class_gan.ClassGAN.summarise(values, ())
    assert found["judge_distance"] == pytest.approx(0, abs=1e-6)
    assert found["judge_precision"] == found["judge_recall"] == 1
    # Every image the same: it lies among the real ones, and they do not among it.
    values["features"] = np.repeat(features[:1], 60, 0) + 1e-4 * rng.normal(size=(60, 3))
    found = class_gan.ClassGAN.summarise(values, ())
    assert found["judge_precision"] == 1 and found["judge_recall"] < 0.05 and found["judge_distance"] > 1


def test_of_a_judge_of_several_traits_the_label_is_asked(judge):
    config = tiny(**SMALL, classes=3)
    config.data.update(name="avatars", size=64)
    with config.unlocked():
        answers = ("hair=red", "hair=grey", "eyes=open", "eyes=closed", "eyes=happy", "mouth=open")
        model = ckpt.load_config(judge).model.to_dict() | dict(answers=answers, classes=6)
        origin = dict(run="runs/x", attribute="network", system="classifier.Classifier", model=model, data={})
        config.origin = ConfigDict(dict(judge=origin))
    assert judging.of_label(Experiment(config), "eyes") == (2, 5)
    message = "config.init.judge must be .* 3 classes .*, got runs/x: .*, 0 classes of 'nose', .* hair, eyes, mouth"
    with pytest.raises(InputError, match=message):
        judging.of_label(Experiment(config), "nose")


def refused(config, message, workdir):
    with pytest.raises(InputError, match=message):
        loop.train(config, workdir)


def test_what_does_not_fit_is_refused_by_name(judge, tmp_path):
    config = tiny()
    config.data.labels = False
    message = r"config.data.name: cgan.CGAN reads label \[\], but digits gives colour .*; config.data.labels=True"
    refused(config, message, tmp_path)
    config = tiny(**SMALL, classes=7)
    refused(config, "config.model.classes is 7, but the data has 10: 0, 1, 2", tmp_path)
    for source, classes, found in ((f"{judge}:network", 7, "network"), (str(judge), 10, "judge")):
        config = tiny(**SMALL, classes=classes)
        config.init.judge = source
        right = rf"config.init.judge must be network of classifier.Classifier, {classes} classes .*, got"
        with pytest.raises(InputError, match=f"{right} .*: {found} of classifier.Classifier, 10 classes"):
            systems.build(weights.with_origins(Experiment(config)))
    config = tiny(**(SMALL | dict(widths=(8, 4, 4, 4))))
    refused(config, r"config.model: widths .* are 4 doublings: .* multiples of 16, got 8 x 8", tmp_path)
    config = tiny()
    config.train.best_metric = "agreement"
    refused(config, "config.train.best_metric is 'agreement'; cgan.CGAN evaluates spread, spread_truth", tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_published_weights_are_used_without_a_run(judge, tmp_path):
    config = tiny("acgan.ResizeACGAN", latent=8)
    trained = use.untrained(config)
    trained.export("pytorch", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["discriminator.pth", "generator.pth"]
    config.init.update(generator=str(tmp_path / "generator.pth"), judge=f"{judge}:network")
    config.seed = 5
    model = use.from_config(config)
    np.testing.assert_array_equal(model.generate(3, seed=4), trained.generate(3, seed=4))
    assert "agreement" in model.figure_names(digits("test"))
