"""Figures of folders of images, and evaluated runs side by side."""

import collections
import json
import pathlib

import numpy as np

from vision_gen.data import images as image_files
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import distances, report
from vision_gen.errors import InputError
from vision_gen.figures import page, sheets
from vision_gen.metrics import extract


def compare_folders(
    reference,
    generated,
    output,
    *,
    metrics=("fd",),
    features="efficientnet-lite0",
    weights=None,
    resize="clean",
    progress=report.no_progress,
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
    extractor = distances.open_extractor(metrics, features, weights, resize)
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
        "metrics": distances.entries(metrics, found["reference"], found["generated"], extractor),
    }
    pictures = {}
    for name, paths in given.items():
        pictures[name] = pathlib.Path(output) / f"{name}.png"
        chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(16, len(paths))).astype(int)]
        tiles = [image_files.fit(image_files.read_rgb(path), 96) for path in chosen]
        sheets.save(pictures[name], sheets.sheet({"": tiles}, {"": [path.name for path in chosen]}))
    report.write(output, f"{generated} against {reference}", record, pictures)
    return {name: value["mean"] for name, value in record["metrics"].items()}


def compare_runs(workdirs, output, split="test"):
    """A table of the figures of runs that were evaluated, and their curves.

    Args:
      workdirs: folders of runs.
      output: folder for `report.html`.
      split: on which they were evaluated.

    Returns:
      {run: {title: value}}.

    Raises:
      InputError: a run was not evaluated yet.
    """
    found, curves = {}, collections.defaultdict(dict)
    for workdir in workdirs:
        path = ckpt.results(workdir) / f"metrics{report.suffix(split)}.json"
        if not path.exists():
            command = f"eval.py --workdir={workdir}" + ("" if split == "test" else f" --split={split}")
            raise InputError(f"{path} is not there; run {command} first")
        record = json.loads(path.read_text())
        name = str(workdir)
        found[name] = {title: value["mean"] for title, value in record["metrics"].items()}
        for title, lines in report.curves_of_run(ckpt.folder(workdir)).items():
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
