"""Figures of a run, with everything that one needs to cite them."""

import hashlib
import pathlib

import numpy as np

from vision_gen import data
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import distances, facts, report, use
from vision_gen.errors import InputError
from vision_gen.figures import sheets
from vision_gen.metrics import extract
from vision_gen.metrics.phrases import PHRASES

ROWS = 6  # Of the sample sheet.


def evaluate_run(
    workdir,
    checkpoint="best",
    split="test",
    *,
    metrics=(),
    features="efficientnet-lite0",
    weights=None,
    resize="clean",
    output=None,
    progress=report.no_progress,
):
    """Held-out figures of a run, its sample sheet, and a page that shows them.

    Adds to `metrics.json`, and writes `report.html`, `samples/SPLIT.png`, its pictures alone as
    `samples/SPLIT.npz`, and what `System.figures` draws into `output`; of other splits than "test", the names of
    pages and pictures have the split's.

    Args:
      workdir: as given to `train.py`, or "zoo/NAME".
      checkpoint: "best", "last", or a step.
      split: "test", "val", "train" or a name in `config.evaluations`.
      metrics: names of `extract.DISTANCES`, of `distances.PAIRED`, of `System.protocol_figures` and of what
        `System.evaluate` and `System.summarise` give; by default all of the last two.
      features, weights, resize: network of the distances, file of its weights (by default the published
        ones) and protocol; see `extract.Extractor`.
      output: a folder; by default the run's, of an entry of the zoo `runs/zoo/NAME`.
      progress: function of a label that gives a function of (done, total).

    Returns:
      (values by title, paths of the figures, the page, the sheet and the other pictures).

    Raises:
      InputError: a metric or split is unknown, or the system makes no images to compare.
    """
    distances.check(metrics, features, resize)
    folder = pathlib.Path(output or ckpt.results(workdir))
    report.check(folder, "--output" if output else "--workdir")
    model = use.load(workdir, checkpoint)
    settings, source = _held_out(workdir, model.experiment, split)
    own, between, paired, long = _chosen(model, source, metrics)
    if len(source) < distances.least(between):
        raise InputError(f"--metrics: {between} need {distances.least(between)} images; {split!r} has {len(source)}")
    extractor = extract.Extractor(features, resize, path=weights) if between or long else None
    compare = {name: distances.paired(name) for name in paired}
    of = {
        "system": model.config.system,
        "step": int(model.step),
        "split": split,
        "data": settings.name,
        "images": len(source),
        "fingerprint": data.fingerprint(source, progress("fingerprint of the data")),
    }
    kept = _kept(model, extractor, of["fingerprint"]) if between else None
    system = model.experiment.system
    phrases = PHRASES | system.explained
    entries, values = {}, {}
    if own:
        figures, values = model.evaluate(source, progress("evaluating"))
        for name in own:
            what = phrases.get(name, "")
            entries[name] = distances.mean(name, values.get(name, np.array([figures[name]])), what)
            if name not in values:  # A figure of the whole set.
                del entries[name]["standard_error"]
                entries[name]["images"] = len(source)
    if between or paired:
        of_sets = extractor if between else None
        found, truth, made = _outputs(model, source, compare, of_sets, kept, progress("comparing images"))
        entries |= {name: distances.mean(name, value, phrases[name]) for name, value in found.items()}
        if between:
            entries |= distances.entries(between, truth, made, extractor)
    if long:
        entries |= system.protocol(long, model, source, data.open(settings, "train"), extractor, progress)
    pictures = {}
    if model.columns:
        pictures["samples"] = folder / "samples" / f"{split}.png"
        columns, captions = model.samples(source, ROWS)
        sheets.save(pictures["samples"], sheets.sheet(columns, captions))
        alone = {name: sheets.pixels(images) for name, images in columns.items()}
        np.savez_compressed(pictures["samples"].with_suffix(".npz"), **alone)
    for name, image in model.draw(source, values).items():
        pictures[name] = folder / f"{name}{report.suffix(split)}.{'gif' if image.ndim == 4 else 'png'}"
        sheets.save(pictures[name], image)
    title = f"{folder.name}: {model.config.system}"
    shown = {name: (path, system.legends.get(name, "")) for name, path in pictures.items()}
    written = report.write(folder, title, of, entries, shown, report.curves_of_run(ckpt.folder(workdir)), split)
    return {report.label(*item): item[1]["mean"] for item in entries.items()}, [*written, *pictures.values()]


def save_statistics(
    workdir,
    path,
    checkpoint="best",
    split="test",
    *,
    features="efficientnet-lite0",
    weights=None,
    resize="clean",
    progress=report.no_progress,
):
    """Writes the statistics of a run's truths, as its figures are of them, for `comparison.compare_folders` to read.

    Args:
      workdir, checkpoint, split, features, weights, resize, progress: as of `evaluate_run`.
      path: the `.npz`.

    Returns:
      The path.

    Raises:
      InputError: as of `evaluate_run`, or the file's name does not end in .npz.
    """
    distances.check_path(path)
    distances.check((), features, resize)
    model = use.load(workdir, checkpoint)
    _, source = _held_out(workdir, model.experiment, split)
    _chosen(model, source, ("fd",))
    extractor = extract.Extractor(features, resize, path=weights)
    fingerprint = data.fingerprint(source, progress("fingerprint of the data"))
    kept = _kept(model, extractor, fingerprint)
    _, truth, _ = _outputs(model, source, {}, extractor, kept, progress("features"))
    truth.made_of = {**extractor.key, "images": fingerprint}
    truth.save(path)
    return path


def _held_out(workdir, experiment, split):
    """(`data.Settings`, source) of a split of `config.data` or of a set in `config.evaluations`."""
    if split in data.SPLITS:
        return experiment.data, data.open(experiment.data, split)
    if split not in experiment.evaluations:
        known = [*data.SPLITS, *experiment.evaluations]
        raise InputError(f"--split must be one of {known}, got {split!r}; config.evaluations can add others")
    section = f"config.evaluations.{split}"
    settings, split = data.evaluation(experiment.data, experiment.evaluations[split], section)
    source = data.open(settings, split)
    facts.check(source, facts.load(workdir, experiment), section)
    return settings, source


def _chosen(model, source, metrics):
    """What `metrics` asks for: the system's own figures, names of `extract.DISTANCES`, `distances.PAIRED`, `System.protocol`."""
    own, long = model.figure_names(source), model.experiment.system.protocol_figures
    between, paired = ([name for name in known if name not in own] for known in (extract.DISTANCES, distances.PAIRED))
    others = (*between, *paired)
    for name in metrics:
        if name not in (*own, *long, *others):
            raise InputError(
                f"--metrics: unknown {name!r}; {model.config.system} has {', '.join(sorted((*own, *long)))}; every "
                f"system that makes images, {', '.join(others)}"
            )
        if name in others and not {"output", "truth"} <= set(model.columns):
            raise InputError(
                f"--metrics: {name!r} compares images, but {model.config.system} makes only "
                f"{list(model.columns)}, no output and truth"
            )
    pick = lambda known: [name for name in known if name in metrics]
    return pick(own) if metrics else own, pick(between), pick(paired), pick(long)


def _kept(model, extractor, fingerprint):
    """`distances.kept` of the truths of a source with a fingerprint, as the model's settings make them."""
    made = hashlib.sha256(model.config.to_json_best_effort().encode()).hexdigest()
    return distances.kept(extractor, f"{fingerprint} {made}")


def _outputs(model, source, compare, extractor, kept, progress):
    """One pass over a run's outputs and their truth.

    Args:
      compare: {name: function (output, truth) -> [batch]}.
      extractor: an `Extractor`, or None.
      kept: with an extractor, what `_kept` gives.

    Returns:
      (values of `compare`, `Statistics` of the truth, those of the output); the last two None without
      an extractor. Those of the truth are kept in the cache.

    Raises:
      InputError: an output is not finite.
    """
    values, collectors = {}, {}
    if extractor:
        cache, truth = kept
        sides = ("output",) if truth else ("output", "truth")
        collectors = {side: extract.Collector(len(source)) for side in sides}
    for found in model.each("sample", source, progress):
        if not np.isfinite(found["output"].astype(np.float32)).all():
            raise InputError(f"the run's outputs at step {int(model.step)} are not finite; --checkpoint takes another")
        for name, function in compare.items():
            values.setdefault(name, []).append(function(found["output"], found["truth"]))
        for side, collector in collectors.items():
            for part in extractor.stream(sheets.pixels(found[side])):
                collector.add(part)
    values = {name: np.concatenate(parts) for name, parts in values.items()}
    if not extractor:
        return values, None, None
    if "truth" in collectors:
        collectors["truth"].result().save(cache)
        truth = extract.Statistics.load(cache)
    return values, truth, collectors["output"].result()
