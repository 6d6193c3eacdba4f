"""The steps of a round of debiasing (DASH, Kwon et al., EuroVis 2022), each a plain function.

`look` shows what a classifier makes of a set, `select` chooses examples of it, `translate` paints them as those of other
clusters, `retrain` goes on training with what was painted, and `board`, `mosaic` and `trace` compare classifiers. `rounds` has them in
order, and records and replays them.

What goes with the label in training (`bias`) is for figures alone: nothing is trained or translated by it, unless a person
selects by it.
"""

import dataclasses

import numpy as np

PROJECTIONS = ("pca", "tsne", "umap")


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What a classifier makes of a set of n examples.

    Attributes:
      names: [n] texts, of the source.
      label, predicted: [n] int32.
      bias, aligned: [n] int32, or None of data that has none; for figures alone.
      features: [n, width] float32, before the last layer.
      places: [n, 2] float32, the features projected; None where none was asked for.
      clusters: [n] int32, of the features; None where none were asked for.
      classes, biases: names of what `label` and `bias` count.
    """

    names: tuple
    label: np.ndarray
    predicted: np.ndarray
    bias: np.ndarray | None
    aligned: np.ndarray | None
    features: np.ndarray
    places: np.ndarray | None
    clusters: np.ndarray | None
    classes: tuple
    biases: tuple

    @property
    def wrong(self):
        """[n] bool: the prediction is not the label."""
        return self.predicted != self.label


@dataclasses.dataclass(frozen=True, eq=False)
class Made:
    """n pictures that were made of others.

    Attributes:
      pictures: [n, height, width, 3] uint8.
      label: [n] int32, those of the pictures that they are made of.
      names: [n] texts, no two alike.
      classes: names of what `label` counts.
    """

    pictures: np.ndarray
    label: np.ndarray
    names: tuple
    classes: tuple


def look(model, source, *, clusters=0, projection="", seed=0, progress=None):
    """What a classifier makes of a set.

    Args:
      model: a `use.Model` of a `classifier.Classifier`.
      source: a labelled `data.Source`.
      clusters: how many, by k-means of the features; 0: none.
      projection: "pca", "tsne", "umap" (where umap-learn is installed), or "": none.
      seed: of both.
      progress: called with (done, total) examples.

    Returns:
      A `Look`.

    Raises:
      InputError: the model is no classifier of the source's classes, the projection is unknown or not installed, or there are
        fewer examples than clusters.
    """
    raise NotImplementedError


def select(look, *, indices=None, cluster=None, label=None, predicted=None, bias=None, wrong=None):
    """Examples of a look that are all of what is asked for.

    Args:
      look: a `Look`.
      indices: sequence of ints.
      cluster, label, predicted, bias: a number each.
      wrong: True: those misclassified, False: the others.

    Returns:
      [n] int64, sorted.

    Raises:
      InputError: a number is out of range, the look has no clusters or no bias, or nothing is left.
    """
    raise NotImplementedError


def train_translator(config, classifier, workdir):
    """Trains a translator between clusters of a classifier's features, or goes on; what is trained already is read.

    Args:
      config: of an `xploregan.XploreGAN`, whose `init.classifier` is set here.
      classifier: the run of the classifier.
      workdir: of the translator's run.

    Returns:
      A `use.Model`.
    """
    raise NotImplementedError


def clusters(translator, source, chosen):
    """Which of a translator's clusters examples are of, [n] int32."""
    raise NotImplementedError


def translate(translator, source, chosen, targets="others", *, each=1, seed=0):
    """Paints examples as those of clusters; their labels stay.

    Args:
      translator: a `use.Model` of an `xploregan.XploreGAN`.
      source: the `data.Source` that `chosen` counts.
      chosen: [n] ints.
      targets: a cluster for all; or "others": for every example `each` clusters that it is not of, drawn at random.
      each: translations of an example, where targets are drawn.
      seed: of the draws.

    Returns:
      A `Made` of n or each * n.

    Raises:
      InputError: there is no such cluster.
    """
    raise NotImplementedError


def jitter(source, chosen, *, each=1, strength=(0.4, 0.4, 0.4, 0.1), seed=0):
    """Examples in colours drawn at random, as a baseline of `translate`.

    Args:
      source, chosen, each, seed: as of `translate`.
      strength: of brightness, contrast, saturation, and hue in turns, as torchvision's ColorJitter has them.

    Returns:
      A `Made`.
    """
    raise NotImplementedError


def keep(made, folder):
    """Writes made pictures as <class>/<name>.png below a folder, which is new or has the same in it."""
    raise NotImplementedError


def retrain(config, classifier, workdir, *, made="", share=0.5, steps=None, seed=0):
    """Goes on training a classifier, with made pictures among its examples.

    Args:
      config: of the classifier.
      classifier: its run, from whose weights training goes on.
      workdir: of the new run.
      made: folder of `keep`; "": only the real examples, the plain baseline of the same budget.
      share: of the made pictures among the examples of an epoch, above 0 and below 1.
      steps: of training; by default those of `config`.
      seed: of the run.

    Returns:
      A `use.Model`.
    """
    raise NotImplementedError


def board(looks):
    """Figures of several classifiers on one set.

    Args:
      looks: {name: `Look` of the same source}.

    Returns:
      {name: {"top1", "aligned", "conflicting", "unbiased", "worst_group": share of right ones}}; of data without bias top1
      alone.
    """
    raise NotImplementedError


def mosaic(before, after):
    """How two classifiers differ by class and bias.

    Args:
      before, after: `Look`s of the same source.

    Returns:
      (count, change), [classes, biases]: examples, and share of right ones after minus before, NaN where there are none.
    """
    raise NotImplementedError


def trace(before, after):
    """What flipped from one classifier to another.

    Args:
      before, after: `Look`s of the same source.

    Returns:
      [n] int32: 1 became right, -1 became wrong, 0 neither.
    """
    raise NotImplementedError
