"""CLIP's figures, tools and refusals; tests/nets has its towers, tests/engine and test_losses.py its loss."""

import jax
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from vision_gen import data, values
from vision_gen.data import captioned, images
from vision_gen.data.tokens import from_json
from vision_gen.engine import facts, optimizers, use
from vision_gen.engine import system as systems
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets.clip import unit
from vision_gen.ops import colour
from vision_gen.systems import clip

SMALL = dict(
    embedding=8, image_layers=1, image_width=16, text_layers=1, text_width=16, vocabulary=320, head=8, unroll=1
)
COLOURS = {"red": (200, 30, 30), "green": (20, 160, 60), "blue": (30, 60, 220)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("pictures")
    for number in range(24):
        name, tint = list(COLOURS.items())[number % 3]
        for split in ("train", "test"):
            path = at / split / f"{number:02d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 16), tuple(c + number // 3 for c in tint)).save(path)
            path.with_suffix(".txt").write_text(f"a {name} picture\n")
    return at


def config(folder, **more):
    found = tiny("clip_avatars", **SMALL | more)
    with found.unlocked():
        found.data.update(size=16, text_length=12, tokenizer="learned:300")
        found.data.parts = dict(pictures=dict(name="caption_folder", dir=str(folder)))
        found.evaluations = {}
    return found


@pytest.fixture(scope="module")
def model(folder):
    return use.untrained(config(folder))


@pytest.fixture(scope="module")
def encoded(model):
    """Function ("image" or "text", pictures or tokens, at most eight) that gives their features of length 1."""
    network = model.system().network
    both = {name: jax.jit(getattr(network, f"encode_{name}")) for name in ("image", "text")}

    def encoded(name, given):
        whole = np.resize(given, (8, *given.shape[1:]))  # One program for all.
        return np.asarray(unit(both[name](whole)))[: len(given)]

    return encoded


def picture(path, size=16):
    return np.float32(images.fit(images.read(path), size))[None] / np.float32(127.5) - 1


def test_texts_and_pictures_are_compared_as_cosines(model, encoded, folder):
    found = model.similarity(folder / "test/00.png", "a red picture")
    tokens = from_json(model.facts["tokenizer"]).encode("a red picture", 12)
    expected = encoded("image", picture(folder / "test/00.png")) @ encoded("text", tokens[None]).T
    assert found == pytest.approx(float(expected[0, 0]), abs=1e-5)
    with pytest.raises(InputError, match="text: the text 'a a a a.* has 22 tokens, .* at most 12"):
        model.similarity(folder / "test/00.png", "a " * 20)


def test_names_are_told_apart_by_the_mean_of_their_templates(model, encoded, folder, tmp_path):
    (tmp_path / "templates.txt").write_text("a {}\n\nthe {} picture\n")
    scores = model.classify(folder / "test/01.png", "red, green,blue", templates=str(tmp_path / "templates.txt"))
    assert set(scores) == set(COLOURS) and sum(scores.values()) == pytest.approx(1, abs=1e-5)
    tokenizer = from_json(model.facts["tokenizer"])
    texts = [[tokenizer.encode(t.format(name), 12) for t in ("a {}", "the {} picture")] for name in COLOURS]
    of_texts = encoded("text", np.concatenate(texts)).reshape(3, 2, -1)
    classes = np.asarray(unit(of_texts.mean(1)))
    logits = (encoded("image", picture(folder / "test/01.png")) @ classes.T)[0] / 0.07
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    for name, share in zip(COLOURS, shares):
        assert scores[name] == pytest.approx(float(share), rel=1e-3)
    # By default the published ones, which are the lines of a file.
    assert len(values.Texts(commas=False, holds="{}").read(clip.TEMPLATES, "templates")) == 80
    with pytest.raises(InputError, match="templates: 'a picture' has no {}"):
        model.classify(folder / "test/01.png", "red,blue", templates="a picture")
    with pytest.raises(InputError, match="names: 'red' is there twice"):
        model.classify(folder / "test/01.png", "red,red")


def test_a_folder_is_indexed_once_by_content(model, encoded, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path / "cache"))
    there = tmp_path / "there"
    there.mkdir()
    for number in range(20):
        (there / f"{number}.png").write_bytes((folder / f"test/{number:02d}.png").read_bytes())
    found = model.search(there, str(folder / "test/04.png"), number=3)
    assert (
        len(found) == 3
        and next(iter(found)) == "4.png"
        and next(iter(found.values())) == pytest.approx(1, abs=1e-4)
    )
    read, files = images.read, []
    monkeypatch.setattr(images, "read", lambda path, *more: files.append(path) or read(path, *more))
    tokens = from_json(model.facts["tokenizer"]).encode("a blue picture", 12)
    by_text = model.search(there, "a blue picture", number=100)
    assert not files and len(by_text) == 20 and list(by_text.values()) == sorted(by_text.values(), reverse=True)
    expected = encoded("image", picture(there / "7.png")) @ encoded("text", tokens[None])[0]
    assert by_text["7.png"] == pytest.approx(float(expected[0]), abs=1e-5)
    files.clear()
    (there / "copy.png").write_bytes((there / "0.png").read_bytes())  # Known by its content.
    Image.new("RGB", (9, 9), (1, 2, 3)).save(there / "1.png")
    assert len(model.search(there, "a blue picture", number=100)) == 21
    assert files == [there / "1.png"]


def test_recall_is_among_groups_of_a_hundred_and_probes_learn_from_one_half():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(250, 16))
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text = image.copy()
    text[[3, 150]] = -image[[3, 150]]  # Two captions of the first two groups are of anything but their picture.
    found = clip.CLIP.summarise({"image": image, "text": text}, ())
    assert found == {"recall_at_1": pytest.approx(0.99), "recall_at_5": pytest.approx(0.99)}
    label = (image[:, 0] > 0).astype(np.int32)
    label[:10] = -1  # Of these nobody knows.
    probed = clip.CLIP.summarise({"image": 10 * image, "text": text, "is_side": label}, ())["linear_probe"]
    assert 0.9 < probed <= 1


def test_what_can_be_asked_is_answered_by_the_nearest_class(model, encoded, folder):
    tokenizer = from_json(model.facts["tokenizer"])
    ask = np.stack([[tokenizer.encode(t, 12) for t in (f"a {name}", f"{name} picture")] for name in COLOURS])
    pictures = np.stack([images.fit(images.read(folder / f"test/{n:02d}.png"), 16) for n in range(4)])
    tokens = np.stack([tokenizer.encode("a red picture", 12)] * 4)
    features = encoded("image", np.float32(pictures) / np.float32(127.5) - 1)
    classes = np.asarray(unit(encoded("text", ask.reshape(6, 12)).reshape(3, 2, -1).mean(1)))
    answer = (features @ classes.T).argmax(1)
    truth = np.int32([answer[0], (answer[1] + 1) % 3, answer[2], -1])
    batch = {"colour": pictures, "tokens": tokens, "ask_tint": np.stack([ask] * 4), "is_tint": truth}
    text = np.zeros((4, captioned.SHOWN), np.uint8)
    text[:, :4] = np.frombuffer(b"a ha", np.uint8)
    found, sample = jax.jit(lambda batch: (model.system().evaluate(batch, None), model.system().sample(batch, None)))(
        batch | {"text": text}
    )
    np.testing.assert_array_equal(found["zero_shot_tint"], [1, 0, 1, np.nan])
    np.testing.assert_array_equal(found["zero_shot"], [1, 0, 1, np.nan])
    nearest = (encoded("text", tokens) @ features.T).argmax(1)
    np.testing.assert_array_equal(colour.to_uint8(sample["found"]), pictures[nearest])
    captions = clip.CLIP.captions({name: np.asarray(x) for name, x in sample.items()}, ())
    assert captions["image"] == ["a ha"] * 4 and all(float(text) <= 1 for text in captions["found"])


def test_settings_that_do_not_go_together_are_refused(folder):
    given = config(folder, vocabulary=200)
    source = data.open(Experiment(given).data, "train")
    with pytest.raises(
        InputError, match="config.model.vocabulary is 200, but 300 tokens learned from the captions has"
    ):
        clip.CLIP.check(Experiment(given), source)
    given = config(folder)
    given.train.accumulate = 2
    with pytest.raises(InputError, match="accumulate and .*shrink must be 1: the loss compares all"):
        clip.CLIP.check(Experiment(given), source)
    given = config(folder)
    with given.unlocked():
        given.evaluations = dict(faces=dict(parts=dict(pictures=dict(name="avatars", size=64))))
    with pytest.raises(
        InputError,
        match=r"config.evaluations.faces: \['hair_colour', .* can be asked of it, but nothing of config.data",
    ):
        clip.CLIP.check(Experiment(given), source)
    given = config(folder, head=5)
    with pytest.raises(InputError, match="config.model: text_width is 16; it must be a multiple of head, 5"):
        systems.build(Experiment(given))


def test_what_is_neither_gain_nor_bias_decays(folder):
    """As the paper has it; the scale of the cosines is a gain."""
    experiment = Experiment(config(folder))
    params = jax.eval_shape(lambda: systems.build(experiment)[1])
    _, settings = experiment.players["network"]
    decays = jax.tree_util.tree_leaves_with_path(optimizers._decays(params, settings))
    names = {yes: {"/".join(key.key for key in path) for path, does in decays if does == yes} for yes in (True, False)}
    assert settings.weight_decay == 0.2 and "network/temperature/scale" in names[False]
    assert {name.split("/")[-1] for name in names[False]} == {"scale", "bias"}
    assert {name.split("/")[-1] for name in names[True]} == {"kernel", "embed", "positions", "token"}


def test_a_vocabulary_that_is_not_the_runs_is_refused(folder, model, tmp_path):
    other = tmp_path / "other" / "train"
    other.mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (8, 8)).save(other / f"{number}.png")
        (other / f"{number}.txt").write_text("entirely entirely different words")
    source = data.open(Experiment(config(other.parent)).data, "train")
    facts.check(data.open(model.experiment.data, "test"), model.facts, "config.data")
    with pytest.raises(
        InputError, match="config.data: its captions are numbered by 300 tokens learned from the captions, which is not"
    ):
        facts.check(source, model.facts, "config.data")
    facts.write(tmp_path, model.facts)
    assert facts.load(tmp_path, None) == model.facts
