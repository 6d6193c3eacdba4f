"""The steps of a round of debiasing (DASH, Kwon et al., EuroVis 2022), each a plain function.

`look` shows what a classifier makes of a set, `select` chooses examples of it, `translate` paints them as those of
other clusters, `retrain` goes on training with what was painted, and `board`, `mosaic` and `trace` compare
classifiers. `rounds` has them in order, and records and replays them.

What goes with the label in training (`bias`) is for figures alone: nothing is trained or translated by it, unless a
person selects by it.
"""

import dataclasses
import importlib.util
import pathlib

from flax import nnx
import numpy as np
from PIL import Image, ImageEnhance

from vision_gen import data, settings
from vision_gen.data import source as source_lib
from vision_gen.data.settings import Settings as Data
from vision_gen.engine import loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.systems import xploregan
from vision_gen.systems.classifier import GROUPS, Classifier

PROJECTIONS = ("pca", "tsne", "umap")
# So many examples are placed by t-SNE at most: it takes long.
TSNE_MOST = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What a classifier makes of a set of n examples.

    Attributes:
      names: [n] texts, of the source.
      label, predicted: [n] int32.
      bias, aligned: [n] int32, or None of data that has none; for figures alone.
      features: [n, width] float32, before the last layer.
      places: [n, 2] float32, the features projected, NaN of those left out; None where none was asked for.
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


def check(classifier, translator, source):
    """Refuses what no round can be made of, before any long work starts.

    Args:
      classifier: an `experiment.Experiment`.
      translator: a config; None is no translator.
      source: the `data.Source` of examples to train on.

    Raises:
      InputError: one is of another system or of other data, or the translator's config is wrong.
    """
    _check_classifier(classifier)
    if translator is None:
        return
    try:
        painter = Experiment(translator)
        if not issubclass(painter.system, xploregan.XploreGAN):
            raise InputError(f"must be an xploregan.XploreGAN, got {translator.system}")
        ours, theirs = classifier.data, painter.data
        for field in ("name", "resolution"):
            right, given = getattr(ours, field), getattr(theirs, field)
            if right != given:
                raise InputError(f"{field} of data must be the classifier's, {right}, got {given}")
        xploregan.check_clusters(painter, source)
        network = nnx.eval_shape(lambda: classifier.system.build(classifier, rngs=nnx.Rngs(0)))
        xploregan.width(network, ours.resolution, painter.model.layer)
    except InputError as error:
        raise InputError(f"the translator: {error}") from error


def _check_classifier(experiment):
    if not issubclass(experiment.system, Classifier) or experiment.model.answers:
        raise InputError(f"the classifier must be a classifier.Classifier of one label, got {experiment.config.system}")


def look(model, source, *, clusters=0, projection="", seed=0, progress=None):
    """What a classifier makes of a set.

    Args:
      model: a `use.Model` of a `classifier.Classifier`.
      source: a labelled `data.Source`.
      clusters: how many, by k-means of the features; 0: none.
      projection: "pca", "tsne", "umap" (where umap-learn is installed), or "": none. t-SNE places `TSNE_MOST` examples
        at most and leaves out others: those misclassified are drawn first, for at most half of the places.
      seed: of both, and of that draw.
      progress: called with (done, total) examples.

    Returns:
      A `Look`.

    Raises:
      InputError: the model is no classifier of the source's classes, the projection is unknown or not installed, or
        there are fewer examples than clusters.
    """
    _check_classifier(model.experiment)
    if tuple(source.classes) != tuple(model.facts["classes"]):
        known = list(model.facts["classes"])
        raise InputError(f"the data has the classes {list(source.classes)}, but the classifier knows {known}")
    if projection not in ("", *PROJECTIONS):
        raise InputError(f"projection must be one of {', '.join(PROJECTIONS)}, or empty, got {projection!r}")
    if projection == "umap" and importlib.util.find_spec("umap") is None:
        raise InputError("projection 'umap' needs umap-learn: pip install umap-learn; pca and tsne need nothing more")
    if not 0 <= clusters <= len(source):
        raise InputError(f"clusters must be from 0 to {len(source)}, the examples, got {clusters}")
    found = _joined(model.each("look", source, progress))
    features = found["features"].astype(np.float32)
    known = lambda name: source.column(name) if name in source.shapes else None
    label, predicted = source.column("label"), found["predicted"].astype(np.int32)
    return Look(
        names=tuple(source.name(i) for i in range(len(source))),
        label=label,
        predicted=predicted,
        bias=known("bias"),
        aligned=known("aligned"),
        features=features,
        places=_projected(features, predicted != label, projection, seed) if projection else None,
        clusters=xploregan.clustered(features, clusters, seed) if clusters else None,
        classes=tuple(source.classes),
        biases=tuple(getattr(source, "biases", ())),
    )


def _projected(features, wrong, projection, seed):
    """[n, 2] float32, NaN where an example is left out."""
    if projection == "pca":
        centred = features - features.mean(0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        return np.float32(centred @ axes[:2].T)
    if projection == "tsne":
        from sklearn.manifold import TSNE  # Takes most of a second to import.
        from threadpoolctl import threadpool_limits

        placed = _placed(wrong, seed)
        places = np.full((len(features), 2), np.nan, np.float32)
        perplexity = min(30, (len(placed) - 1) / 3)
        with threadpool_limits(1):  # To the last bit the same on any number of cores.
            places[placed] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features[placed])
        return places
    import umap

    return np.float32(umap.UMAP(random_state=seed).fit_transform(features))


def _placed(wrong, seed):
    """Sorted indices of the `TSNE_MOST` examples that t-SNE places, of n that are `wrong` or not."""
    order = np.random.default_rng(seed).permutation(len(wrong))
    first = order[wrong[order]][: TSNE_MOST // 2]
    return np.sort(np.concatenate([first, order[~np.isin(order, first)]])[:TSNE_MOST])


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
    kept = np.ones(len(look.label), bool)
    if indices is not None:
        indices = np.asarray(indices, np.int64)
        if indices.size and not (0 <= indices.min() and indices.max() < len(kept)):
            raise InputError(f"indices must be from 0 to {len(kept) - 1}, got {indices.min()} to {indices.max()}")
        kept &= np.isin(np.arange(len(kept)), indices)
    classes = len(look.classes)
    for name, wanted, of, count in (
        ("cluster", cluster, look.clusters, 0 if look.clusters is None else look.clusters.max() + 1),
        ("label", label, look.label, classes),
        ("predicted", predicted, look.predicted, classes),
        ("bias", bias, look.bias, len(look.biases)),
    ):
        if wanted is None:
            continue
        if of is None:
            raise InputError(f"there is no {name} to select by")
        if not isinstance(wanted, (int, np.integer)) or not 0 <= wanted < count:
            raise InputError(f"{name} must be from 0 to {count - 1}, got {wanted!r}")
        kept &= of == wanted
    if wrong is not None:
        kept &= look.wrong == wrong
    if not kept.any():
        raise InputError("nothing is selected: no example is all of what was asked for")
    return np.flatnonzero(kept)


def _joined(batches):
    """{name: [n, ...]} of what `use.Model.each` gives."""
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


class _Some(source_lib.Source):
    """Some examples of a source in an order of their own, with further arrays {name: [n]}."""

    def __init__(self, source, chosen, **more):
        self._source, self._chosen, self._more = source, chosen, more

    def __len__(self):
        return len(self._chosen)

    def __getitem__(self, index):
        colour = self._source[int(self._chosen[index])]["colour"]
        return {"colour": colour, **{name: values[index] for name, values in self._more.items()}}


def train_translator(config, classifier, workdir):
    """Trains a translator between clusters of a classifier's features, or goes on; what is trained already is read.

    Args:
      config: of an `xploregan.XploreGAN`, whose `init.classifier` is set here.
      classifier: the run of the classifier.
      workdir: of the translator's run.

    Returns:
      A `use.Model`.
    """
    config = config.copy_and_resolve_references()
    config.init.classifier = f"{classifier}:network"
    return _trained(config, workdir)


def _trained(config, workdir):
    """The last checkpoint of a run, which is trained unless it is there."""
    loop.train(config, workdir)
    model = use.load(workdir, "last")
    if model.step < config.train.steps:
        raise InputError(f"{workdir} was stopped at step {model.step} of {config.train.steps}; the same again goes on")
    return model


def clusters(translator, source, chosen):
    """Which of a translator's clusters examples are of, [n] int32."""
    return _joined(translator.each("clusters", _Some(source, chosen)))["cluster"]


def translate(translator, source, chosen, targets="others", *, each=1, seed=0, progress=None):
    """Paints examples as those of clusters; their labels stay.

    Args:
      translator: a `use.Model` of an `xploregan.XploreGAN`.
      source: the `data.Source` that `chosen` counts.
      chosen: [n] ints.
      targets: a cluster for all; or "others": for every example `each` clusters that it is not of, drawn at random.
      each: translations of an example, where targets are drawn.
      seed: of the draws.
      progress: called with (done, total) pictures.

    Returns:
      A `Made` of n, or each * n.

    Raises:
      InputError: there is no such cluster.
    """
    count = translator.config.model.clusters
    if targets != "others":
        if not isinstance(targets, (int, np.integer)) or not 0 <= targets < count:
            raise InputError(f'targets must be a cluster from 0 to {count - 1}, or "others", got {targets!r}')
        wanted = np.full((len(chosen), 1), targets)
    else:
        if not 1 <= each < count:
            raise InputError(f"each must be from 1 to {count - 1}, as there are {count} clusters, got {each}")
        away = np.random.default_rng(seed).permuted(np.tile(np.arange(1, count), (len(chosen), 1)), axis=1)[:, :each]
        wanted = (clusters(translator, source, chosen)[:, None] + away) % count
    again, wanted = np.repeat(chosen, wanted.shape[1]), wanted.ravel().astype(np.int32)
    painted = _joined(translator.each("paint", _Some(source, again, target=wanted), progress))["picture"]
    return _made(painted, source, again, [f"cluster{target}" for target in wanted])


def _made(pictures, source, chosen, how):
    stems = [pathlib.PurePath(source.name(int(index))).stem for index in chosen]
    names = tuple(f"{number:06d}_{stem}_{text}" for number, (stem, text) in enumerate(zip(stems, how)))
    return Made(pictures, source.column("label")[chosen], names, tuple(source.classes))


def jitter(source, chosen, *, each=1, strength=(0.4, 0.4, 0.4, 0.1), seed=0):
    """Examples in colours drawn at random, as a baseline of `translate`.

    Args:
      source, chosen, each, seed: as of `translate`.
      strength: of brightness, contrast, saturation, and hue in turns, as torchvision's ColorJitter has them, whose
        defaults in use these are.

    Returns:
      A `Made` of each * n.
    """
    rng, again = np.random.default_rng(seed), np.repeat(chosen, each)
    pictures = np.stack([_jittered(source[int(i)]["colour"], strength, rng) for i in again])
    return _made(pictures, source, again, ["jittered"] * len(again))


def _jittered(picture, strength, rng):
    """A picture [height, width, 3] uint8 changed in a random order by random factors."""
    *factors, hue = strength
    image = Image.fromarray(picture)
    for i in rng.permutation(4):
        if i < 3:
            changes = ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color
            image = changes[i](image).enhance(rng.uniform(max(0, 1 - factors[i]), 1 + factors[i]))
        else:
            channels = np.array(image.convert("HSV"))
            channels[..., 0] += np.uint8(round(rng.uniform(-hue, hue) * 255) % 256)
            image = Image.frombytes("HSV", image.size, channels.tobytes()).convert("RGB")
    return np.asarray(image)


def keep(made, folder, again=False):
    """Writes made pictures as <class>/<name>.png below a folder.

    Args:
      made: a `Made`.
      folder: where to.
      again: some of the same may be there already.

    Raises:
      InputError: the folder has something in it, or cannot be written.
    """
    folder = pathlib.Path(folder)
    if not again and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: must be a new folder, or empty")
    try:
        for label in np.unique(made.label):
            (folder / made.classes[label]).mkdir(parents=True, exist_ok=again)
        for picture, label, name in zip(made.pictures, made.label, made.names):
            Image.fromarray(picture).save(folder / made.classes[label] / f"{name}.png")
    except OSError as error:
        raise InputError(f"cannot write below {folder} ({error.strerror or error})") from error


def train(config, workdir):
    """Trains a classifier, to begin with; what is trained already is read.

    Args:
      config: of the classifier.
      workdir: of its run.

    Returns:
      A `use.Model`, of the last step: a validation set chooses nothing.
    """
    config = config.copy_and_resolve_references()
    config.train.update(eval_every=0, checkpoint_every=config.train.steps)
    return _trained(config, workdir)


def retrain(config, classifier, workdir, *, made="", share=0.5, steps=0, seed=0):
    """Goes on training a classifier, with made pictures among its examples.

    Args:
      config: of the classifier.
      classifier: its run, from whose weights training goes on.
      workdir: of the new run.
      made: folder of `keep`; "": only the real examples, the plain baseline of the same budget.
      share: of the made pictures among the examples of an epoch, above 0 and below 1.
      steps: of training; 0: those of `config`.
      seed: of the run.

    Returns:
      As `train`.
    """
    config = config.copy_and_resolve_references()
    config.seed, config.init.network = seed, f"{classifier}:network"
    config.train.steps = steps or config.train.steps
    if made:
        if not 0 < share < 1:
            raise InputError(f"share must be above 0 and below 1, got {share}")
        real, size = data.only_read(config.data.to_dict()), config.data.size
        config.data = settings.section(
            Data,
            dict(
                name="augmented",
                size=size,
                dir=str(made),
                parts=dict(real=real),
                weights=dict(real=1 - share, made=share),
            ),
            "config.data",
        )
    return train(config, workdir)


def board(looks):
    """Figures of several classifiers on one set.

    Args:
      looks: {name: `Look` of the same source}.

    Returns:
      {name: {"top1", "aligned", "conflicting", "unbiased", "worst_group": share of right ones}}; of data without bias
        top1 alone.
    """
    return {name: _figures(look) for name, look in looks.items()}


def _figures(look):
    known = {"label": look.label, "predicted": look.predicted}
    if look.bias is not None:
        known |= {"bias": look.bias, "agrees": look.aligned}
    of_groups = Classifier.summarise(known, look.classes)
    return {"top1": float((~look.wrong).mean())} | {name: of_groups[name] for name in GROUPS if name in of_groups}


def mosaic(before, after):
    """How two classifiers differ by class and bias.

    Args:
      before, after: `Look`s of the same source.

    Returns:
      (count, change), [classes, biases]: examples, and share of right ones after minus before, NaN where there are
        none.

    Raises:
      InputError: the looks are of different sets, or of data without bias.
    """
    _same(before, after)
    if before.bias is None:
        raise InputError("a mosaic is of class and bias, but the data has no bias")
    count, change = np.zeros((2, len(before.classes), len(before.biases)))
    place = before.label, before.bias
    np.add.at(count, place, 1)
    np.add.at(change, place, trace(before, after))
    with np.errstate(invalid="ignore"):
        return count.astype(int), change / count


def trace(before, after):
    """What flipped from one classifier to another.

    Args:
      before, after: `Look`s of the same source.

    Returns:
      [n] int32: 1 became right, -1 became wrong, 0 neither.

    Raises:
      InputError: the looks are of different sets.
    """
    _same(before, after)
    return before.wrong.astype(np.int32) - after.wrong


def _same(before, after):
    if before.names != after.names or (before.label != after.label).any():
        raise InputError("the two looks must be of the same examples")
