"""Figures of runs and of folders of images, with everything that one needs to cite them."""

import collections
import datetime
import hashlib
import importlib.metadata
import json
import logging
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from vision_gen import data
from vision_gen.data import images as image_files
from vision_gen.engine import report, use
from vision_gen.errors import InputError
from vision_gen.figures import page, sheets
from vision_gen.metrics import extract
from vision_gen.metrics import image as image_metrics
from vision_gen.metrics import perceptual
from vision_gen.ops import colour, conv

log = logging.getLogger("vision_gen")
# Figures of an output beside its truth, that every system with both has.
PAIRED = ("lpips", "lpips_vgg", "ms_ssim")


def _no_progress(label):
    del label
    return lambda done, total: None


def evaluate_run(
    workdir,
    checkpoint="best",
    split="test",
    *,
    metrics=(),
    features="efficientnet-lite0",
    weights=None,
    resize="clean",
    progress=_no_progress,
):
    """Held-out figures of a run, its sample sheet, and a page that shows them.

    Writes `metrics.json`, `report.html`, `samples/SPLIT.png` and what `System.figures` draws into
    `workdir`.

    Args:
      workdir: as given to `train.py`.
      checkpoint: "best", "last", or a step.
      split: "test", "val" or "train".
      metrics: names of `extract.DISTANCES`, of `PAIRED` and of what `System.evaluate` gives; by
        default all of the last.
      features, weights, resize: network of the distances, file of its weights (by default the published
        ones) and protocol; see `extract.Extractor`.
      progress: function of a label that gives a function of (done, total).

    Returns:
      (values by title, path of the sheet).

    Raises:
      InputError: a metric is unknown, or the system makes no images to compare.
    """
    model = use.load(workdir, checkpoint)
    source = data.open(model.experiment.data, split)
    own, distances, paired = _chosen(model, source, metrics)
    extractor = _extractor(distances, features, weights, resize) if distances else None
    compare = {name: _paired(name) for name in paired}
    record = {
        "system": model.config.system,
        "step": int(model.step),
        "split": split,
        "data": model.config.data.name,
        "images": len(source),
        "fingerprint": data.fingerprint(source, progress("fingerprint of the data")),
        "metrics": {},
        **_environment(),
    }
    values = {}
    if own:
        _, found = model.evaluate(source, progress("evaluating"))
        values = {name: found[name] for name in own}
    if distances or paired:
        found, truth, output = _outputs(
            model, source, compare, extractor, record["fingerprint"], progress("comparing images")
        )
        values |= found
        if distances:
            record["metrics"] |= _distances(distances, truth, output, extractor)
    for name, value in values.items():
        kept = np.isfinite(value)
        record["metrics"][name] = {
            "mean": float(np.nanmean(value)),
            "images": int(kept.sum()),
            "standard_error": float(np.nanstd(value) / max(kept.sum(), 1) ** 0.5),
        }
    folder = pathlib.Path(workdir)
    sheet = folder / "samples" / f"{split}.png"
    sheets.save(sheet, model.sheet(source, 24))
    pictures = {"samples": sheet}
    for name, image in model.draw(source).items():
        pictures[name] = folder / f"{name}.{'gif' if image.ndim == 4 else 'png'}"
        sheets.save(pictures[name], image)
    _write(folder, record, pictures, report.curves_of_run(folder), f"{folder.name}: {model.config.system}")
    return {name: value["mean"] for name, value in record["metrics"].items()}, sheet


def _chosen(model, source, metrics):
    """(names of `System.evaluate`, of `extract.DISTANCES`, of `PAIRED`) that `metrics` asks for."""
    own = model.names("evaluate", source)
    others = (*extract.DISTANCES, *PAIRED)
    for name in metrics:
        if name not in (*own, *others):
            raise InputError(
                f"--metrics: unknown {name!r}; {model.config.system} has {', '.join(sorted(own))}; every "
                f"system that makes images, {', '.join(others)}"
            )
        if name in others and not {"output", "truth"} <= set(model.columns):
            raise InputError(
                f"--metrics: {name!r} compares images, but {model.config.system} makes only "
                f"{list(model.columns)}, no output and truth"
            )
    pick = lambda known: [name for name in known if name in metrics]
    return pick(own) if metrics else own, pick(extract.DISTANCES), pick(PAIRED)


def _outputs(model, source, compare, extractor, fingerprint, progress):
    """One pass over a run's outputs and their truth.

    Args:
      compare: {name: function (output, truth) -> [batch]}.
      extractor: an `Extractor`, or None.
      fingerprint: of the source.

    Returns:
      (values of `compare`, `Statistics` of the truth, those of the output); the last two None without
      an extractor. Those of the truth are kept in the cache.
    """
    values, collectors = {}, {}
    if extractor:
        made = hashlib.sha256(model.config.to_json_best_effort().encode()).hexdigest()
        cache = extract.cache_path(extractor, f"{fingerprint} {made}")
        sides = ("output",) if cache.exists() else ("output", "truth")
        collectors = {side: extract.Collector(len(source)) for side in sides}
    for found in model.each("sample", source, progress):
        for name, function in compare.items():
            values.setdefault(name, []).append(function(found["output"], found["truth"]))
        for side, collector in collectors.items():
            for part in extractor.stream(_pixels(found[side])):
                collector.add(part)
    values = {name: np.concatenate(parts) for name, parts in values.items()}
    if not extractor:
        return values, None, None
    if "truth" in collectors:
        collectors["truth"].result().save(cache)
    return values, extract.Statistics.load(cache), collectors["output"].result()


def _pixels(images):
    """Images [batch, height, width, 1 or 3] in [-1, 1] as they would be saved: RGB, uint8."""
    pixels = np.asarray(colour.to_uint8(jnp.asarray(images)))
    return np.repeat(pixels, 3 // pixels.shape[-1], -1)


def _paired(name):
    """The function (output, truth) -> [batch] of a name of `PAIRED`."""
    if name == "ms_ssim":
        return jax.jit(image_metrics.ms_ssim)
    function, params = perceptual.load_lpips("vgg16" if name == "lpips_vgg" else "alexnet")
    function = jax.jit(function, compiler_options=conv.compiler_options())
    return lambda output, truth: np.asarray(function(params, output, truth))


def _extractor(metrics, features, weights, resize):
    """An `Extractor`; "fid" and "is" are only what they are called with the network of 2015."""
    if "fid" in metrics and features != "inception-2015":
        raise InputError(
            f'--metrics: "fid" is the Frechet distance of features of inception-2015; with {features} ask for '
            '"fd", or give --features=inception-2015'
        )
    return extract.Extractor(features, resize, path=weights)


def _distances(names, reference, generated, extractor):
    found = extract.distances(names, reference, generated, extractor)
    entry = {**extractor.key, "images": generated.count, "reference_images": reference.count}
    features = reference.mean.size
    smallest = min(n for n in (generated.count, reference.count) if n)
    result = {}
    for name, (value, error) in found.items():
        result[name] = {"mean": value, **entry}
        if error is not None:
            result[name]["standard_error"] = error
        if name == extractor.title and smallest <= features:
            result[name]["warning"] = (
                f"{smallest} images are fewer than the {features} features: the covariance is singular and the "
                "distance biased; compare it only with others of as many images"
            )
            log.warning("%s: %s", name, result[name]["warning"])
    return result


def compare_folders(
    reference,
    generated,
    output,
    *,
    metrics=("fd",),
    features="efficientnet-lite0",
    weights=None,
    resize="clean",
    progress=_no_progress,
):
    """Metrics between two folders of images, or of statistics in an `.npz` and a folder.

    Writes `metrics.json` and `report.html` into `output`. Images may be of any size; grey ones count
    as colours, transparency is dropped, as pytorch-fid does.

    Args:
      reference: folder, or `.npz` with `mu` and `sigma`.
      generated: folder.
      output: folder for the results.
      metrics: of `extract.DISTANCES`.
      features, weights, resize, progress: as of `evaluate_run`.

    Returns:
      Values by title.

    Raises:
      InputError: a folder is missing or empty, a file is broken, a metric unknown.
    """
    unknown = [m for m in metrics if m not in extract.DISTANCES]
    if unknown:
        raise InputError(
            f"--metrics: unknown {unknown[0]!r}; two folders have {', '.join(extract.DISTANCES)}"
        )
    folders = {"reference": reference, "generated": generated}
    given = {
        name: image_files.checked(path, f"--{name}")
        for name, path in folders.items()
        if not (name == "reference" and str(path).endswith(".npz"))
    }
    for name, paths in given.items():
        if len(paths) < 2:
            raise InputError(f"--{name}: {folders[name]} has {len(paths)} image; at least 2 are needed")
    extractor = _extractor(metrics, features, weights, resize)
    fingerprints = {
        name: image_files.fingerprint(paths, progress(f"fingerprint of {name}"))
        for name, paths in given.items()
    }
    found = {}
    for name, paths in given.items():
        cache = extract.cache_path(extractor, fingerprints[name])
        if not cache.exists():
            bar = progress(f"features of {name}")
            extract.statistics(extractor, image_files.in_order(paths), len(paths), bar).save(cache)
        found[name] = extract.Statistics.load(cache)
    if "reference" not in given:
        found["reference"] = extract.Statistics.load(reference)
    record = {
        "reference": str(reference),
        "generated": str(generated),
        "fingerprints": fingerprints,
        "metrics": _distances(metrics, found["reference"], found["generated"], extractor),
        **_environment(),
    }
    pictures = {}
    for name, paths in given.items():
        pictures[name] = pathlib.Path(output) / f"{name}.png"
        chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(16, len(paths))).astype(int)]
        tiles = [image_files.fit(image_files.read_rgb(path), 96) / 127.5 - 1 for path in chosen]
        half = -(-len(tiles) // 8)
        tiles += [np.ones_like(tiles[0])] * (8 * half - len(tiles))
        columns = np.stack(tiles).reshape(half, 8, 96, 96, 3).swapaxes(0, 1)
        sheets.save(pictures[name], sheets.sheet({f"{i + 1}": c for i, c in enumerate(columns)}))
    _write(output, record, pictures, {}, f"{generated} against {reference}")
    return {name: value["mean"] for name, value in record["metrics"].items()}


def compare_runs(workdirs, output):
    """A table of the figures of runs that were evaluated, and their curves.

    Args:
      workdirs: folders with a `metrics.json`.
      output: folder for `report.html`.

    Returns:
      {run: {title: value}}.

    Raises:
      InputError: a run was not evaluated yet.
    """
    found, curves = {}, collections.defaultdict(dict)
    for workdir in map(pathlib.Path, workdirs):
        path = workdir / "metrics.json"
        if not path.exists():
            raise InputError(f"{path} is not there; run eval.py --workdir={workdir} first")
        record = json.loads(path.read_text())
        name = str(workdir)
        found[name] = {title: value["mean"] for title, value in record["metrics"].items()}
        for title, lines in report.curves_of_run(workdir).items():
            for points in lines.values():
                curves[title][name] = points
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    titles = sorted({title for values in found.values() for title in values})
    rows = [[t, *(found[run].get(t) for run in found)] for t in titles]
    # A curve of one run compares nothing.
    shared = {title: lines for title, lines in curves.items() if len(lines) == len(found)}
    page.write(output / "report.html", "Runs compared", ["", *found], rows, curves=shared)
    return found


def _environment():
    command = subprocess.list2cmdline(sys.argv)
    names = ("vision_gen", "jax", "flax", "optax", "numpy", "pillow")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "devices": str(jax.devices()),
        "versions": versions,
    }


def _write(folder, record, pictures, curves, title):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(record, indent=2) + "\n")
    rows = [
        [name, value["mean"], value.get("standard_error"), value["images"], value.get("warning", "")]
        for name, value in sorted(record["metrics"].items())
    ]
    facts = {k: v for k, v in record.items() if k != "metrics"}
    header = ["", "value", "standard error", "images", ""]
    page.write(folder / "report.html", title, header, rows, pictures, curves, facts)
