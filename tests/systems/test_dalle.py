"""DALL-E's figures, tools and refusals; tests/nets has its networks, test_losses.py its losses."""

import jax
from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from vision_gen import data
from vision_gen.engine import use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets.clip import unit
from vision_gen.ops import colour
from vision_gen.systems import dalle, texts
from vision_gen.systems.dalle import autoencoder, generator

DVAE = dict(vocabulary=16, width=8, initial=8, groups=3, blocks=1)
DALLE = dict(vocabulary=320, width=16, depth=2, head=8, kernel=3, unroll=1)
CLIP = dict(
    embedding=8, image_layers=1, image_width=16, text_layers=1, text_width=16, vocabulary=320, head=8, unroll=1
)
ANSWERS = ("hair=red", "hair=grey", "eyes=open", "eyes=closed", "eyes=wide")


def of_dvae(**model):
    found = tiny("dvae_avatars", **DVAE | model)
    found.data.update(size=16)
    return found


def origin(name, config, **more):
    """As the run "runs/NAME" of a config is kept by those that use it."""
    return dict(
        run=f"runs/{name}", system=config.system, model=config.model.to_dict(), data=config.data.to_dict(), **more
    )


def of_judge():
    found = tiny("vit_avatars", size=(16, 16, 2, 1), patch=8, classes=len(ANSWERS), answers=ANSWERS)
    found.data.update(size=16)
    return found


def config(folder, *others, **model):
    """Of a small one with its autoencoder and `others` of "clip" and "judge"."""
    found = tiny("dalle_avatars", **DALLE | model)
    runs = {name: origin("dvae", of_dvae(), attribute=name) for name in ("encoder", "decoder")}
    with found.unlocked():
        found.data.update(size=16, text_length=12, tokenizer="learned:300")
        found.data.parts = dict(pictures=dict(name="caption_folder", dir=str(folder)))
        found.evaluations = {}
        if "clip" in others:
            small = tiny("clip_avatars", **CLIP)
            with small.unlocked():
                small.data = ConfigDict(found.data.to_dict())
            runs["clip"] = origin("clip", small, attribute="network", tokenizer=vocabulary(found))
        if "judge" in others:
            runs["judge"] = origin("judge", of_judge(), attribute="network")
        found.init.update({"clip": "", "judge": ""} | {name: f"{run['run']}:{run['attribute']}" for name, run in runs.items()})
        found.origin = ConfigDict(runs)
    return found


def vocabulary(config):
    return data.open(Experiment(config).data, "train").tokenizer.json()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        for split in ("train", "test"):
            path = at / split / f"{number:02d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (16, 16), (20 * number, 90, 200 - 10 * number)).save(path)
            path.with_suffix(".txt").write_text(f"a picture of number {number}\n")
    return at


@pytest.fixture(scope="module")
def model(folder):
    """Of weights that its seed draws."""
    return use.untrained(config(folder, "clip", "judge"))


def test_pictures_are_drawn_and_the_one_that_clip_likes_comes_first(model):
    found = model.generate("a picture of number 3", number=6, seed=1)
    assert found["image"].shape == (16, 16, 3) and found["all"].shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(found["image"], found["all"][0])
    assert len({picture.tobytes() for picture in found["all"]}) > 1
    encode = texts.clip_encoder(model.experiment, cut=True)
    network = model.system().clip
    text = unit(jax.jit(network.encode_text)(encode("a picture of number 3")))[0]
    image = unit(jax.jit(network.encode_image)(colour.from_uint8(found["all"])))
    similarity = np.asarray(image @ text)
    assert similarity[0] == pytest.approx(found["similarity"], abs=2e-2)  # Of pictures that were rounded since.
    assert (np.diff(similarity) < 1e-2).all()
    again = model.generate("a picture of number 3", number=6, seed=1)
    np.testing.assert_array_equal(found["all"], again["all"])
    other = model.generate("a picture of number 3", number=6, seed=2)
    assert (found["all"] != other["all"]).any()
    # Of one code alone, whatever the seed, all are alike.
    sure = model.generate("a picture of number 3", number=6, seed=1, top_k=1)
    assert len({picture.tobytes() for picture in sure["all"]}) == 1


def test_the_upper_part_of_a_picture_stays(model, folder):
    path, system = str(folder / "test/07.png"), model.system()
    image = colour.from_uint8(np.asarray(Image.open(path))[None])
    whole = model.complete("a picture", path, share=1.0, number=6, seed=3)
    reconstructed = jax.jit(lambda image: system.decoder.images(system.encoder.codes(image)))(image)
    np.testing.assert_allclose(whole["image"], colour.to_uint8(reconstructed)[0], atol=1)
    none = model.complete("a picture", path, share=0.0, number=6, seed=3)
    np.testing.assert_array_equal(none["all"], model.generate("a picture", number=6, seed=3)["all"])
    half = model.complete("a picture", path, share=0.5, number=6, seed=3)["all"]
    assert (half != none["all"]).any() and len({picture.tobytes() for picture in half}) > 1
    # Of the first places codes are the given ones, of others those that are likely.
    keys, given = jax.random.split(jax.random.key(0), 3), np.arange(16)[None]
    choose = system._chosen(keys, given, 8, top_k=1)
    logits = np.eye(16, dtype=np.float32)[[3, 1, 2]]
    assert choose(logits, 7).tolist() == [7, 7, 7] and choose(logits, 8).tolist() == [3, 1, 2]


def test_figures_are_of_the_traits_that_captions_name(model):
    system, rng = model.system(), np.random.default_rng(0)
    tokens = np.zeros((4, 12), np.int32)
    tokens[:, :3] = [298, 40, 299]
    batch = {"colour": rng.integers(0, 256, (4, 16, 16, 3), np.uint8), "tokens": tokens}
    batch |= {"traits": np.int32([[0, 1]] * 4), "named": np.array([[True, False], [True, True], [False] * 2, [True] * 2])}
    keys = jax.random.split(jax.random.key(0), 4)

    @jax.jit
    def look(batch):
        return system.evaluate(batch, keys), system.forward(batch, None), system.judge(colour.from_uint8(batch["colour"]))

    found, out, logits = look(batch)
    logits = np.asarray(logits)
    right = np.stack([logits[:, :2].argmax(-1) == 0, logits[:, 2:].argmax(-1) == 1], -1)
    np.testing.assert_array_equal(found["right_truth"], np.where(batch["named"], right, np.nan))
    log = lambda x: np.asarray(x) - np.log(np.exp(np.asarray(x, np.float64)).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log(out["image"]), np.asarray(out["codes"])[..., None], -1)[..., 0]
    np.testing.assert_allclose(found["image_entropy"], -chosen.mean(-1), rtol=1e-4)
    assert found["codes"].shape == (4, 16) and len(np.unique(found["codes"])) > 1
    values = {name: np.asarray(x) for name, x in found.items()} | {"right": np.float32([[1, np.nan], [0, 1]])}
    figures = dalle.DALLE.summarise(values, ())
    assert figures.keys() == set(dalle.DALLE.figures_of_set(model.experiment))
    assert figures["agreement"] == pytest.approx(2 / 3)
    assert figures["agreement_truth"] == pytest.approx(right[batch["named"]].mean())


def test_usage_of_codes():
    assert autoencoder.usage(np.int32([[0, 0], [1, 1]]), 4) == (pytest.approx(2), 0.5)
    assert autoencoder.usage(np.int32([3, 3, 3]), 4) == (pytest.approx(1), 0.75)


def test_schedules_go_along_cosines():
    found = [float(autoencoder.along_cosine(1.0, 1 / 16, 100, step)) for step in (0, 50, 100, 500)]
    assert found == pytest.approx([1, (1 + 1 / 16) / 2, 1 / 16, 1 / 16])
    assert float(autoencoder.along_cosine(0.0, 6.6, 0, 0)) == pytest.approx(6.6)


def test_the_figure_of_the_best_of_several_is_of_all_examples(folder):
    given = Experiment(config(folder, "clip", "judge"))
    source, encode, looked = data.open(given.data, "test"), texts.clip_encoder(given, cut=True), []

    class Model:
        experiment = given

        def each(self, method, examples, progress):
            looked.extend([method, len(examples), examples[2]["clip_tokens"], examples[2]["tokens"]])
            yield {"right": np.float32([[1, np.nan], [0, 1]])}
            yield {"right": np.float32([[np.nan, 1]])}

    (name,) = dalle.DALLE.protocol_figures
    found = dalle.DALLE.protocol([name], Model(), source, None, None, lambda label: None)[name]
    assert found["mean"] == pytest.approx(3 / 4) and found["images"] == 3 and looked[:2] == ["best_of", 12]
    np.testing.assert_array_equal(looked[2], encode(source.caption(2))[0])
    np.testing.assert_array_equal(looked[3], source[2]["tokens"])
    Model.experiment = Experiment(config(folder, "judge"))
    with pytest.raises(InputError, match=f"--metrics: {name} needs config.init.clip and config.init.judge"):
        dalle.DALLE.protocol([name], Model(), source, None, None, None)


@pytest.mark.slow
def test_pictures_of_any_size_are_shown_as_codes():
    model = use.untrained(of_dvae())
    picture = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    found = model.reconstruct(picture)
    assert found.shape == picture.shape and found.dtype == np.uint8


def built(config):
    """Its shapes."""
    return jax.eval_shape(lambda: systems.build(Experiment(config))[1])


def test_what_does_not_go_together_is_refused(folder):
    given = config(folder)
    source = data.open(Experiment(given).data, "train")
    dalle.DALLE.check(Experiment(given), source)
    given.init.decoder = ""
    with pytest.raises(InputError, match=r"config.init.decoder must be the autoencoder's, a run of dalle.DVAE \(runs/dvae:"):
        dalle.DALLE.check(Experiment(given), source)
    with pytest.raises(InputError, match="config.model.vocabulary is 200, but 300 tokens learned from the captions has"):
        dalle.DALLE.check(Experiment(config(folder, vocabulary=200)), source)
    with pytest.raises(InputError, match="config.init.judge must be a classifier.* of all traits .* got runs/judge: .* 5 answers"):
        dalle.DALLE.check(Experiment(config(folder, "judge")), source)
    with pytest.raises(InputError, match="config.model: width is 16; it must be a multiple of head, 5"):
        built(config(folder, head=5))
    given = config(folder)
    with given.unlocked():
        given.origin.decoder.model.groups = 2
    with pytest.raises(InputError, match="config.init.decoder must be of the sizes of config.init.encoder"):
        built(given)
    given = config(folder)
    with given.unlocked():
        given.origin.encoder.attribute = "decoder"
    with pytest.raises(InputError, match="config.init.encoder must be the encoder of a dalle.DVAE, got runs/dvae: decoder of"):
        built(given)
    given = config(folder)
    given.data.size = 18
    with pytest.raises(InputError, match="config.data.size must be a multiple of 4, what a code stands for, got 18"):
        built(given)


@pytest.mark.slow
def test_the_best_of_several_is_the_one_that_clip_likes(model):
    system, number = model.system(), generator.BEST_OF
    tokens = np.zeros((2, 12), np.int32)
    tokens[:, :3] = [[298, 40, 299], [298, 41, 299]]
    batch = {"tokens": tokens, "clip_tokens": tokens, "traits": np.int32([[0, 1]] * 2), "named": np.ones((2, 2), bool)}
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    def look(batch):
        found, each = system.best_of(batch, keys)["right"], []
        for n in range(number):
            images = system._images(system._drawn(batch["tokens"], jax.vmap(lambda key: jax.random.fold_in(key, n))(keys)))
            each.append((system._similarity(images, batch["clip_tokens"]), system._right(images, batch)))
        return found, each

    found, each = look(batch)
    similarity, right = (np.stack([np.asarray(pair[i]) for pair in each]) for i in (0, 1))
    np.testing.assert_array_equal(found, right[similarity.argmax(0), np.arange(2)])
    assert len(np.unique(similarity.argmax(0))) >= 1 and similarity.std() > 1e-4
