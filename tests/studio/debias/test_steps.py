"""The steps of a round, on examples of which it is known what must come out; classifier and translator are played."""

import types

import numpy as np
from PIL import Image
import pytest

from vision_gen.data import source
from vision_gen.errors import InputError
from vision_gen.studio.debias import steps
from vision_gen.systems.classifier import Classifier

CLASSES, BIASES = ("apple", "pear"), ("red", "green", "blue")


class Fruit(source.Source):
    """Twelve flat pictures: six of each class, in three colours by turns; apples go with red, pears with green."""

    classes, biases = CLASSES, BIASES

    def __init__(self):
        self.label, self.bias = np.int32(np.repeat([0, 1], 6)), np.int32(np.tile([0, 1, 2], 4))
        self.shapes = dict.fromkeys(("colour", "label", "bias", "aligned"))

    def __len__(self):
        return 12

    def __getitem__(self, index):
        colour = np.full((8, 8, 3), 20, np.uint8)
        colour[..., self.bias[index]] = 200 + index
        return {"colour": colour, "label": self.label[index]}

    def name(self, index):
        return f"fruit/{index}.png"

    def column(self, name):
        return {"label": self.label, "bias": self.bias, "aligned": np.int32(self.label == self.bias)}[name]


def batches(source, function):
    """As `use.Model.each`: function of each picture, in batches of five."""
    for start in range(0, len(source), 5):
        found = [function(source[i]) for i in range(start, min(start + 5, len(source)))]
        yield {name: np.stack([one[name] for one in found]) for name in found[0]}


def classifier(answer, classes=CLASSES, answers=()):
    """Stands for a `use.Model` that sees the three channels and answers with a function of them."""

    def each(method, source, progress=None):
        assert method == "look"
        channels = lambda example: np.float32(example["colour"][0, 0])
        return batches(source, lambda x: {"features": channels(x), "predicted": np.int64(answer(channels(x)))})

    model, config = types.SimpleNamespace(answers=answers), types.SimpleNamespace(system="x")
    experiment = types.SimpleNamespace(system=Classifier, model=model, config=config)
    return types.SimpleNamespace(each=each, experiment=experiment, facts={"classes": classes})


def by_colour(channels):
    """Takes what is green for pears."""
    return channels.argmax() == 1


FRUIT = Fruit()
BEFORE = steps.look(classifier(by_colour), FRUIT, clusters=3, projection="pca")
# It mends green apples and blue pears, and spoils the first apple, red as it is.
AFTER = steps.look(classifier(lambda x: x.argmax() >= 1 and x.max() > 205 or x[0] == 200), FRUIT)


def test_a_look_tells_what_a_classifier_makes_of_a_set():
    assert BEFORE.names[3] == "fruit/3.png" and BEFORE.classes == CLASSES and BEFORE.biases == BIASES
    assert BEFORE.predicted.tolist() == [0, 1, 0] * 4
    assert BEFORE.wrong.tolist() == [False, True, False] * 2 + [True, False, True] * 2
    np.testing.assert_array_equal(BEFORE.features[4], [20, 204, 20])
    # Clusters are the colours, and the first two axes tell them apart.
    assert len({*zip(BEFORE.clusters, FRUIT.bias)}) == 3
    centres = np.stack([BEFORE.places[FRUIT.bias == i].mean(0) for i in range(3)])
    apart = np.linalg.norm(BEFORE.places[:, None] - centres, axis=-1)
    assert (apart.argmin(1) == FRUIT.bias).all() and AFTER.places is None and AFTER.clusters is None
    close = steps.look(classifier(by_colour), FRUIT, projection="tsne").places
    assert close.shape == (12, 2) and np.isfinite(close).all() and close.std() > 0


def test_tsne_leaves_out_some_of_many_but_few_of_those_misclassified(monkeypatch):
    monkeypatch.setattr(steps, "TSNE_MOST", 8)
    seen = steps.look(classifier(by_colour), FRUIT, projection="tsne")
    placed = np.isfinite(seen.places).all(1)
    assert placed.sum() == 8 and seen.wrong[placed].sum() >= 4
    again = steps.look(classifier(by_colour), FRUIT, projection="tsne")
    np.testing.assert_array_equal(again.places, seen.places)
    other = steps.look(classifier(by_colour), FRUIT, projection="tsne", seed=1)
    assert (np.isfinite(other.places[:, 0]) != placed).any()


def test_what_cannot_be_looked_at_is_refused():
    for model, how, message in (
        (classifier(by_colour, ("a", "b")), {}, r"the classes \['apple', 'pear'\], but the classifier knows \['a"),
        (classifier(by_colour, answers=("x=1",)), {}, "must be a classifier.Classifier of one label, got x"),
        (classifier(by_colour), {"projection": "x"}, "projection must be one of pca, tsne, umap, or empty, got 'x'"),
        (classifier(by_colour), {"clusters": 13}, "clusters must be from 0 to 12, the examples, got 13"),
    ):
        with pytest.raises(InputError, match=message):
            steps.look(model, FRUIT, **how)


def test_what_is_selected_is_all_of_what_was_asked_for():
    chosen = lambda **how: steps.select(BEFORE, **how).tolist()
    assert chosen() == list(range(12)) and chosen(indices=[5, 2, 2]) == [2, 5]
    assert chosen(wrong=True) == [1, 4, 6, 8, 9, 11] and chosen(wrong=True, label=0) == [1, 4]
    assert chosen(label=1, bias=2) == [8, 11] and chosen(predicted=1, wrong=False) == [7, 10]
    red = int(BEFORE.clusters[0])
    assert chosen(cluster=red) == [0, 3, 6, 9]
    for how, message in (
        ({"indices": [12]}, "indices must be from 0 to 11, got 12 to 12"),
        ({"label": 2}, "label must be from 0 to 1, got 2"),
        ({"bias": "red"}, "bias must be from 0 to 2, got 'red'"),
        ({"label": 0, "bias": 0, "wrong": True}, "nothing is selected"),
    ):
        with pytest.raises(InputError, match=message):
            chosen(**how)
    with pytest.raises(InputError, match="there is no cluster to select by"):
        steps.select(AFTER, cluster=0)


class Painter:
    """Stands for the `use.Model` of a translator whose clusters are the channels."""

    config = types.SimpleNamespace(model=types.SimpleNamespace(clusters=3))

    def each(self, method, source, progress=None):
        def paint(example):
            picture = np.full((8, 8, 3), 20, np.uint8)
            picture[..., example["target"]] = example["colour"].max()
            return {"picture": picture}

        return batches(source, {"paint": paint, "clusters": lambda x: {"cluster": x["colour"][0, 0].argmax()}}[method])


def test_pictures_are_made_in_other_clusters_and_keep_their_labels(tmp_path):
    made = steps.translate(Painter(), FRUIT, np.array([4, 9]), each=2)
    assert made.label.tolist() == [0, 0, 1, 1] and made.classes == CLASSES
    shades = made.pictures[:, 0, 0]
    assert shades.max(1).tolist() == [204, 204, 209, 209]
    # Green is painted red and blue, red green and blue.
    assert [{*pair} for pair in shades.argmax(1).reshape(2, 2).tolist()] == [{0, 2}, {1, 2}]
    to_one = steps.translate(Painter(), FRUIT, np.arange(12), 2)
    assert (to_one.pictures[:, 0, 0].argmax(1) == 2).all() and len(to_one.pictures) == 12
    drawn = steps.translate(Painter(), FRUIT, np.arange(12), seed=1).pictures[:, 0, 0].argmax(1)
    assert (drawn != FRUIT.bias).all() and len({*(drawn - FRUIT.bias) % 3}) == 2
    for how, message in (
        ({"targets": 3}, 'targets must be a cluster from 0 to 2, or "others", got 3'),
        ({"each": 3}, "each must be from 1 to 2, as there are 3 clusters, got 3"),
    ):
        with pytest.raises(InputError, match=message):
            steps.translate(Painter(), FRUIT, np.arange(12), **how)
    steps.keep(made, tmp_path / "made")
    files = sorted(path.relative_to(tmp_path / "made") for path in tmp_path.rglob("*.png"))
    assert [str(path.parent) for path in files] == ["apple", "apple", "pear", "pear"]
    assert files[0].name.startswith("000000_4_cluster")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "made" / files[0])), made.pictures[0])
    with pytest.raises(InputError, match="must be a new folder, or empty"):
        steps.keep(made, tmp_path / "made")


def test_jitter_draws_colours_within_its_strength():
    chosen = np.repeat(0, 200)
    made = lambda *strength: steps.jitter(FRUIT, chosen, strength=strength).pictures[:, 0, 0].astype(int)
    assert (made(0, 0, 0, 0) == [200, 20, 20]).all()
    brighter = made(0.4, 0, 0, 0)
    assert brighter[:, 0].min() in range(119, 135) and brighter[:, 0].max() == 255 and brighter[:, 1].std() > 1
    turned = made(0, 0, 0, 0.5)
    assert len({*turned.argmax(1)}) == 3 and (abs(turned.max(1) - 200) <= 2).all()
    assert (made(0, 0, 0, 0.1).argmax(1) == 0).all() and made(0, 0, 0, 0.1)[:, 1:].std() > 5
    assert steps.jitter(FRUIT, np.array([1, 8]), each=2).label.tolist() == [0, 0, 1, 1]


def test_figures_compare_classifiers_by_group():
    board = steps.board({"before": BEFORE, "after": AFTER})
    assert board["before"] == {"top1": 0.5, "aligned": 1, "conflicting": 0.25, "unbiased": 0.5, "worst_group": 0}
    assert steps.trace(BEFORE, AFTER).tolist() == [-1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
    count, change = steps.mosaic(BEFORE, AFTER)
    assert (count == 2).all() and change.tolist() == [[-0.5, 1, 0], [0, 0, 1]]
    other = Fruit()
    other.bias = other.bias[::-1]
    other.name = lambda index: f"other/{index}"
    with pytest.raises(InputError, match="of the same examples"):
        steps.trace(BEFORE, steps.look(classifier(by_colour), other))
