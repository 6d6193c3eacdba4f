"""The classifier: it learns digits, and its augmentation is what the papers define."""

import json
from types import SimpleNamespace

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
import pytest
import safetensors.numpy
import scipy.ndimage
import scipy.special
import sklearn.metrics
from sklearn import linear_model

from vision_gen.configs import vit_avatars, vit_digits, vit_openmoji
from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.ops import augment, rand_augment
from vision_gen.systems import classifier
from vision_gen.systems.classifier import Classifier


def digits(split):
    return data.open(data.Settings(name="digits", size=8, labels=True), split)


def test_digits_are_learned_beyond_the_commonest_class(tmp_path):
    config = vit_digits.get_config()
    config.model.update(size=(32, 64, 2, 2), drop_path=0.0, mixup=0.0, crop_area=1.0)
    config.players.network.update(learning_rate=4e-3, warmup=20, ema_half_life=420)
    config.train.update(steps=150, eval_every=0, checkpoint_every=150, log_every=50)
    loop.train(config, tmp_path)
    means, paths = evaluation.evaluate_run(tmp_path)
    labels = digits("test").column("label").tolist()
    commonest = np.bincount(labels).max() / len(labels)
    assert [path.name for path in paths[2:]] == ["test.png", "predictions.png", "confusion.png"]
    assert all(path.exists() for path in paths)
    (record,) = json.loads(paths[0].read_text())["evaluations"]
    assert all(entry["what"] for entry in record["metrics"].values())
    assert means["top1"] > commonest + 0.4, (means, commonest)
    assert means["top5"] >= means["top1"]
    _, values = use.load(tmp_path).evaluate(digits("test"))
    assert values["label"].tolist() == labels and means["top1"] == pytest.approx(np.mean(values["predicted"] == labels))
    recalls = sklearn.metrics.recall_score(labels, values["predicted"], average=None)
    assert means["worst_class_top1"] == pytest.approx(recalls.min()) and recalls.min() < means["top1"]


@pytest.mark.slow
def test_openmojis_groups_are_learned_beyond_regression_on_pixels(tmp_path):
    config = vit_openmoji.get_config()
    config.train.update(steps=600, log_every=100, eval_every=0, sample_every=0, checkpoint_every=600)
    loop.train(config, tmp_path)
    source = data.open(Experiment(config).data, "test")
    model = use.load(tmp_path, "last")
    means, _ = model.evaluate(source)
    sets = {}
    for split in ("train", "test"):
        found = data.open(Experiment(config).data, split)
        examples = [found[i] for i in range(len(found))]
        pixels = np.stack([e["colour"] for e in examples]).reshape(-1, 8, 8, 8, 8, 3).mean((2, 4))
        sets[split] = pixels.reshape(len(pixels), -1) / 127.5 - 1, [e["label"] for e in examples]
    # Means of 8 x 8 pixels and a penalty: it overfits to single pixels.
    regression = linear_model.LogisticRegression(C=0.03, max_iter=300).fit(*sets["train"])
    accuracy = regression.score(*sets["test"])
    entropy = sklearn.metrics.log_loss(sets["test"][1], regression.predict_proba(sets["test"][0]))
    commonest = np.bincount(sets["test"][1]).max() / len(source)
    assert means["top1"] > commonest + 0.04, (means, commonest)
    assert means["top1"] > accuracy + 0.01, (means, accuracy)
    assert means["cross_entropy"] < entropy - 0.05, (means, entropy)


def test_fine_tuning_from_a_file_of_timms_names_beats_the_start_from_scratch(tmp_path):
    """The file has another head, which keeps its start; equal steps."""

    def config(steps):
        found = vit_digits.get_config()
        found.model.update(size=(32, 64, 2, 2), drop_path=0.0, mixup=0.0, crop_area=1.0)
        found.players.network.update(learning_rate=4e-3, warmup=10, ema_half_life=0.0)
        found.train.update(steps=steps, eval_every=0, checkpoint_every=steps, log_every=20)
        return found

    loop.train(config(150), tmp_path / "before")
    (path,) = use.load(tmp_path / "before", "last").export("timm", tmp_path / "vit.safetensors")
    state = safetensors.numpy.load_file(path)
    state["head.weight"], state["head.bias"] = state["head.weight"][:4], state["head.bias"][:4]
    safetensors.numpy.save_file(state, path)
    scratch = loop.train(config(40), tmp_path / "scratch")
    tuned = config(40)
    tuned.init.network = str(path)
    found = loop.train(tuned, tmp_path / "tuned")
    assert "head/kernel kept its start: 4 classes there, 10 here" in (tmp_path / "tuned" / "train.log").read_text()
    assert found["top1"] > scratch["top1"] + 0.1, (found, scratch)


@pytest.mark.slow
def test_every_augmentation_together_gives_a_finite_loss():
    config = vit_openmoji.get_config()
    config.model.size = (32, 64, 2, 2)
    config.data.size = 32
    config.model.update(patch=8, cutmix=1.0, mixup=0.5, dropout=0.1, drop_path=0.1, operations=2)
    graphdef, params, rest = systems.build(Experiment(config))
    rng = np.random.default_rng(0)
    batch = {
        "colour": rng.integers(0, 256, (8, 32, 32, 3), np.uint8),
        "label": np.arange(8, dtype=np.int32),
    }
    now = systems.Now(jax.random.split(jax.random.key(0), 8), 0, 0.0)

    def loss(params):
        out, _ = systems.run(graphdef, params, rest, "forward", batch, now)
        return systems.run(graphdef, params, rest, "network_loss", out, batch, now)[0][
            "cross_entropy"
        ], out["targets"]

    (value, targets), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    np.testing.assert_allclose(targets.sum(-1), 1, atol=1e-5)


def test_pictures_bear_their_class_and_the_likeliest_one():
    config = vit_digits.get_config()
    config.model.update(size=(32, 64, 2, 2))
    graphdef, params, rest = systems.build(Experiment(config))
    params["network"]["head"]["bias"] = jnp.zeros(10).at[3].set(np.log(9.0))  # Half of all probability is of 3.
    source = digits("val")
    batch = data.stack([source[i] for i in range(4)])
    sample = jax.device_get(systems.run(graphdef, params, rest, "sample", batch, None)[0])
    assert Classifier.captions(sample, source.classes) == {
        "image": [f"is {source[i]['label']}" for i in range(4)],
        "attention": ["3 (50%)"] * 4,
    }


def test_a_constant_network_is_never_right():
    config = vit_digits.get_config()
    config.model.size = (32, 64, 2, 2)
    graphdef, params, rest = systems.build(Experiment(config))  # The head starts at zero.
    source = digits("val")
    batch = data.stack([source[i] for i in range(16)])
    found = systems.run(graphdef, params, rest, "evaluate", batch, None)[0]
    assert found["top1"].sum() == 0
    np.testing.assert_allclose(found["cross_entropy"], np.log(10), rtol=1e-5)


def test_figures_of_logits_are_sklearns():
    config = vit_digits.get_config()
    config.model.update(size=(32, 64, 2, 2))
    graphdef, params, rest = systems.build(Experiment(config))
    head = params["network"]["head"]
    head["kernel"] = jax.random.normal(jax.random.key(0), head["kernel"].shape)
    source = digits("val")
    batch = data.stack([source[i] for i in range(60)])
    system = nnx.merge(graphdef, params, rest, copy=True)
    found, label = system.evaluate(batch, None), batch["label"]
    shares = np.asarray(system.classify(image=batch["colour"] / np.float32(127.5) - 1), np.float64)
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)
    shares /= shares.sum(-1, keepdims=True)
    for k in (1, 5):
        expected = sklearn.metrics.top_k_accuracy_score(label, shares, k=k, labels=range(10))
        assert float(found[f"top{k}"].mean()) == pytest.approx(expected) and 0 < expected < 1
    assert float(found["cross_entropy"].mean()) == pytest.approx(
        sklearn.metrics.log_loss(label, shares, labels=range(10)), rel=1e-4
    )
    np.testing.assert_array_equal(found["predicted"], shares.argmax(-1))


def test_mixing_an_odd_batch_is_refused():
    images, targets = jnp.zeros((3, 4, 4, 1)), jnp.zeros((3, 2))
    with pytest.raises(ValueError, match="images must be an even number, got 3"):
        rand_augment.mix(jax.random.split(jax.random.key(0), 3), images, targets, mixup=1.0)


def test_mixup_and_cutmix_mix_neighbours_by_the_share_in_the_targets():
    images = jnp.where(jnp.arange(8)[:, None, None, None] % 2 == 0, -1.0, 1.0) * jnp.ones((8, 16, 16, 3))
    targets = jax.nn.one_hot(jnp.arange(8), 8)
    keys = jax.random.split(jax.random.key(0), 8)
    for alphas in ({"mixup": 1.0}, {"cutmix": 1.0}):
        mixed, labels = rand_augment.mix(keys, images, targets, **alphas)
        own = jnp.diagonal(labels)
        white = (mixed.mean((1, 2, 3)) + 1) / 2
        expected = jnp.where(jnp.arange(8) % 2 == 0, 1 - own, own)
        np.testing.assert_allclose(white, expected, atol=1e-5)
        assert 0.05 < own.std() and (labels.sum(-1) == pytest.approx(1))
        for i in range(8):
            assert set(np.flatnonzero(labels[i])) <= {i, i ^ 1}
        # CutMix keeps every pixel of one of the two.
        assert bool((jnp.abs(mixed) == 1).all()) == ("cutmix" in alphas)
        # The same on a half of the batch as on the whole.
        half = rand_augment.mix(keys[4:], images[4:], targets[4:], **alphas)
        np.testing.assert_allclose(half[0], mixed[4:], atol=1e-6)


@pytest.fixture(scope="module")
def operation():
    apply = jax.jit(rand_augment._apply)
    return lambda image, name, sign, strength: apply(
        image, rand_augment.OPERATIONS.index(name), sign, strength
    )


@pytest.fixture(scope="module")
def picture():
    """Colours that run smoothly, no two channels alike and none with all levels: every operation changes it."""
    y, x = np.mgrid[0:32, 0:32] / 31
    channels = 40 + 160 * x**2, 60 + 120 * y * x, 90 + 40 * np.sin(7 * x + 4 * y)
    found = np.uint8(np.stack(channels, -1))
    found[10:13, 5:20] = 10, 220, 30  # Edges.
    found[20:30:2, 8:12] = 200, 50, 160
    return found


def in_pils_levels(operation, picture, name, sign, strength):
    ours = operation(jnp.asarray(picture / 127.5 - 1, jnp.float32), name, sign, strength)
    return (np.asarray(ours) + 1) * 127.5


@pytest.mark.parametrize("strength", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_colours_are_changed_as_pil_does(operation, picture, sign, strength):
    image, factor = Image.fromarray(picture), 1 + 0.9 * sign * strength
    expected = {
        "identity": image,
        "autocontrast": ImageOps.autocontrast(image),
        "equalize": ImageOps.equalize(image),
        "solarize": ImageOps.solarize(image, 256 * (1 - strength)),
        "posterize": ImageOps.posterize(image, round(8 - 4 * strength)),
        "colour": ImageEnhance.Color(image).enhance(factor),
        "contrast": ImageEnhance.Contrast(image).enhance(factor),
        "brightness": ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": ImageEnhance.Sharpness(image).enhance(factor),
    }
    assert tuple(expected) == rand_augment.OPERATIONS[: rand_augment.GEOMETRIC]
    for name, theirs in expected.items():
        ours, theirs = in_pils_levels(operation, picture, name, sign, strength), np.asarray(theirs, float)
        # PIL rounds on the way.
        assert np.abs(ours - theirs).max() < 2.6, (name, np.abs(ours - theirs).max())
        assert name == "identity" or np.abs(theirs - picture).max() > 2.6, name


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", rand_augment.OPERATIONS[rand_augment.GEOMETRIC :])
def test_geometry_is_pils(operation, picture, name, sign):
    """30 degrees, shear by 0.3 and translation by 0.45 of the side at most, about the middle; grey comes in."""
    strength, side = 1.0, 32
    amount = sign * strength
    shear, move = 0.3 * amount, 0.45 * amount * side
    cos, sin = np.cos(np.pi / 6 * amount), np.sin(np.pi / 6 * amount)
    matrix = {  # Where a pixel of the result is in the picture.
        "rotate": (cos, sin, -sin, cos),
        "shear_x": (1, shear, 0, 1),
        "shear_y": (1, 0, shear, 1),
    }.get(name, (1, 0, 0, 1))
    offset = {"translate_x": (move, 0), "translate_y": (0, move)}.get(name, (0, 0))
    a, b, c, d = matrix
    x, y = (side / 2 - side / 2 * (one + two) + by for (one, two), by in zip(((a, b), (c, d)), offset))

    def moved(pixels, fill):
        image, where = Image.fromarray(pixels), (a, b, x, c, d, y)
        return np.asarray(image.transform(image.size, Image.AFFINE, where, Image.BILINEAR, fillcolor=fill), float)

    theirs, ours = moved(picture, (128,) * 3), in_pils_levels(operation, picture, name, sign, strength)
    there = moved(np.full((side, side), 255, np.uint8), 0)
    inside, outside = scipy.ndimage.minimum_filter(there, 5) == 255, scipy.ndimage.maximum_filter(there, 3) == 0
    assert inside.sum() > 200 and outside.sum() > 5
    assert np.abs(ours - theirs)[inside].max() < 2.6
    np.testing.assert_allclose(ours[outside], 127.5, atol=1e-3)


def test_a_window_of_the_whole_area_is_the_image():
    image = jax.random.uniform(jax.random.key(0), (4, 12, 12, 3), minval=-1)
    keys = jax.random.split(jax.random.key(1), 4)
    near = augment.resized_crop(keys, image, area=0.999)
    assert jnp.abs(near - image).mean() < 0.35  # The shape still varies.
    ramp = jnp.broadcast_to(jnp.linspace(-1, 1, 12)[None, None, :, None], (4, 12, 12, 3))
    small = augment.resized_crop(keys, ramp, area=0.05)
    spans = small.max((1, 2, 3)) - small.min((1, 2, 3))
    assert spans.min() < 1.2 and spans.std() > 0.1


def test_a_window_lies_inside_its_image():
    ramp = jnp.broadcast_to(jnp.linspace(-1, 1, 12)[:, None], (64, 12, 12, 1))
    keys = jax.random.split(jax.random.key(1), 64)
    for image, axis in ((ramp.swapaxes(1, 2), 1), (ramp, 2)):
        # Beyond an edge it would go on as it is there.
        assert (np.diff(augment.resized_crop(keys, image, area=0.25), axis=axis) > 0).all()


def test_labels_come_from_groups_and_folders(image_folder):
    for index, path in enumerate(sorted(image_folder.iterdir())):
        folder = image_folder / ("cats" if index % 2 else "dogs")
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    config = vit_digits.get_config()
    config.data.update(name="image_folder", dir=str(image_folder), size=16)
    with pytest.raises(InputError, match="config.model.classes is 10, but the data has 2: cats, dogs"):
        experiment = Experiment(config)
        experiment.system.check(experiment, data.open(experiment.data, "train"))
    config.model.classes = 2
    source = data.open(Experiment(config).data, "train")
    for index in range(len(source)):
        assert source.classes[source[index]["label"]] == source.paths[index].parent.name
    batch = next(pipeline.training_batches(source, batch_size=config.train.batch_size, seed=0))
    assert batch["label"].shape == (config.train.batch_size,)



def test_predictions_are_named_and_wrong_ones_marked(monkeypatch):
    given = {}
    note = lambda columns, captions, marked: given.update(captions, marked=marked)
    monkeypatch.setattr(classifier.sheets, "sheet", note)
    sample = {
        "image": np.zeros((3, 8, 8, 3)),
        "label": np.array([0, 1, 2]),
        "predicted": np.array([0, 0, 2]),
        "probabilities": np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.0, 0.1, 0.9]]),
    }
    model = SimpleNamespace(apply=lambda method, source, count: sample)
    found = Classifier.figures(model, SimpleNamespace(classes=("cat", "dog", "emu")), {})
    assert given == {"": ["is cat (70%)", "is dog, taken for cat (50%)", "is emu (90%)"], "marked": [1]}
    assert list(found) == ["predictions"]


TRAITS = {"hair": ("black", "red", "none"), "hat": ("no", "yes")}


def of_traits(**settings):
    """The experiment of a tiny classifier of `TRAITS`."""
    config = vit_digits.get_config()
    answers = classifier.answers(TRAITS)
    config.model.update(size=(32, 64, 2, 2), mixup=0.0, crop_area=1.0, **{"classes": 5, "answers": answers, **settings})
    return Experiment(config)


@pytest.fixture(scope="module")
def judged():
    """(results of `evaluate` and `sample`, loss, logits [5], truth [6, 2]) of one that says the same of every image."""
    graphdef, params, rest = systems.build(of_traits(label_smoothing=0.1))
    logits = np.float32([0.5, 2.0, -1.0, 0.3, 0.1])
    params["network"]["head"]["bias"] = jnp.asarray(logits)  # The head's kernel starts at zero.
    truth = np.int32([[0, 0], [1, 0], [2, 1], [1, 1], [1, 0], [0, 0]])
    batch = {"colour": np.zeros((6, 8, 8, 3), np.uint8), "label": truth[:, 1], "traits": truth}
    call = lambda method, *arguments: jax.device_get(systems.run(graphdef, params, rest, method, batch, *arguments)[0])
    out = call("forward", systems.Now(jax.random.split(jax.random.key(0), 6), 0, 0.0))
    loss = systems.run(graphdef, params, rest, "network_loss", out, batch, None)[0]["cross_entropy"]
    return call("evaluate", None), call("sample", None), float(loss), logits, truth


def test_each_trait_has_a_softmax_and_a_figure_of_its_own(judged):
    found, sample, loss, logits, truth = judged
    parts = [scipy.special.log_softmax(logits[:3]), scipy.special.log_softmax(logits[3:])]
    entropy = -np.mean([parts[0][truth[:, 0]], parts[1][truth[:, 1]]], 0)
    right = truth == [1, 0]  # The likeliest of each.
    np.testing.assert_array_equal(found["hair"], right[:, 0])
    np.testing.assert_array_equal(found["hat"], right[:, 1])
    np.testing.assert_allclose(found["top1"], right.mean(1))
    np.testing.assert_allclose(found["cross_entropy"], entropy, rtol=1e-5)
    assert "top5" not in found and found["predicted"].tolist() == [[1, 0]] * 6
    np.testing.assert_allclose(sample["probabilities"], [np.exp(np.concatenate(parts))] * 6, rtol=1e-5)
    smoothed = np.mean([0.9 * parts[i][truth[:, i]] + 0.1 * parts[i].mean() for i in range(2)], 0)
    assert loss == pytest.approx(-smoothed.mean(), rel=1e-5)
    assert Classifier.summarise(found, ()) == {"worst_class_top1": 0.0}
    half = {"label": truth[1:5], "predicted": np.array([[1, 0], [2, 0], [1, 1], [0, 0]])}
    assert Classifier.summarise(half, ()) == {"worst_class_top1": 0.5}  # Of hats; of hair 2/3.


def test_traits_that_are_not_found_stand_under_the_pictures(judged, monkeypatch):
    _, sample, _, _, truth = judged
    given = {}
    note = lambda columns, captions, marked: given.update(captions, marked=marked)
    monkeypatch.setattr(classifier.sheets, "sheet", note)
    monkeypatch.setattr(classifier.confusion, "draw", lambda *arguments: given.update(confusion=arguments))
    model = SimpleNamespace(apply=lambda method, source, count: sample)
    values = {"label": truth, "predicted": sample["predicted"]}
    Classifier.figures(model, SimpleNamespace(classes=(), traits=TRAITS), values)
    black, hat = "black, taken for red", "yes, taken for no"
    assert given[""] == [black, "all right", f"none, taken for red; {hat}", hat, "all right", black]
    assert given["marked"] == [0, 2, 3, 5]
    label, predicted, classes = given["confusion"]
    assert label.tolist() == truth[:, 0].tolist() and set(predicted) == {1} and classes == TRAITS["hair"]
    captions = Classifier.captions(sample, ())
    assert captions == {"attention": [f"{count} of 2 traits right" for count in (1, 2, 0, 1, 2, 1)]}


def test_places_of_traits_among_the_logits():
    assert classifier.places(of_traits().model) == {"hair": slice(0, 3), "hat": slice(3, 5)}
    assert classifier.places(of_traits().config.model) == {"hair": slice(0, 3), "hat": slice(3, 5)}
    assert classifier.places(of_traits(answers=()).model) == {"label": slice(0, 5)}


def test_other_traits_than_the_datas_are_refused():
    source = SimpleNamespace(classes=("no", "yes"), traits=TRAITS)
    Classifier.check(of_traits(), source)
    with pytest.raises(InputError, match="config.model.answers must be .* hair, hat, in their order; .*hat=maybe"):
        Classifier.check(of_traits(answers=classifier.answers({**TRAITS, "hat": ("no", "maybe")})), source)
    with pytest.raises(InputError, match="config.model.classes is 4, but the data has 5: hair=black"):
        Classifier.check(of_traits(classes=4), source)
    with pytest.raises(InputError, match="config.model.answers must be .* traits, of which it has none"):
        Classifier.check(of_traits(), SimpleNamespace(classes=("no", "yes"), traits={}))


def test_traits_of_avatars_are_learned_and_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    config = vit_avatars.get_config()
    config.data.examples = 600
    config.model.update(size=(48, 96, 4, 2), crop_area=1.0)
    config.players.network.update(learning_rate=3e-3, warmup=20, ema_half_life=0.0)
    config.train.update(batch_size=16, steps=400, log_every=100, eval_every=0, checkpoint_every=400)
    loop.train(config, tmp_path / "run")
    train, source = (data.open(Experiment(config).data, split) for split in ("train", "test"))
    model = use.load(tmp_path / "run", "last")
    figures, _ = model.evaluate(source)
    assert set(source.traits) < set(figures)
    commonest = [np.bincount(values).argmax() for values in train.column("traits").T]
    assert figures["top1"] > (source.column("traits") == commonest).mean() + 0.1, figures
    found = model.classify(source[0]["colour"])
    assert {trait: sorted(shares) for trait, shares in found.items()} == {t: sorted(v) for t, v in source.traits.items()}
    predicted = model.apply("evaluate", source, 2)["predicted"][0]
    for (trait, names), number in zip(source.traits.items(), predicted):
        assert next(iter(found[trait])) == names[number] and sum(found[trait].values()) == pytest.approx(1)
