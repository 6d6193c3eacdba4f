"""Figures of folders of images, and evaluated runs side by side."""

import collections
import logging
import pathlib

import numpy as np

from vision_gen.data import images as image_files
from vision_gen.data import paired
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import distances, report
from vision_gen.errors import InputError
from vision_gen.figures import page, sheets
from vision_gen.metrics import extract
from vision_gen.metrics.phrases import PHRASES

log = logging.getLogger("vision_gen")

SIDE = 256  # Pixels of a picture on the sheets of folders.


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

    Adds to `metrics.json` and writes `report.html` in `output`. Images may be of any size; grey ones count
    as colours, transparency is dropped, as pytorch-fid does.

    Args:
      reference: folder, or `.npz` with `mu` and `sigma`.
      generated: folder.
      output: folder for the results.
      metrics: of `extract.DISTANCES`, and where the files have the same names, of `distances.PAIRED`.
      features, weights, resize, progress: as of `evaluate_run`.

    Returns:
      Values by title.

    Raises:
      InputError: a folder is missing or empty, a file is broken, a metric unknown, or files make no pairs.
    """
    known = (*extract.DISTANCES, *distances.PAIRED)
    unknown = [m for m in metrics if m not in known]
    if unknown:
        raise InputError(f"--metrics: unknown {unknown[0]!r}; two folders have {', '.join(known)}")
    between, beside = ([name for name in metrics if name in group] for group in (extract.DISTANCES, distances.PAIRED))
    distances.check(metrics, features, resize)
    report.check(output)
    folders = {"reference": reference, "generated": generated}
    if str(reference).endswith(".npz"):
        if beside:
            raise InputError(f"--metrics: {beside[0]!r} needs the reference's images, not the statistics {reference}")
        del folders["reference"]
    given = {name: _images(path, name, distances.least(between)) for name, path in folders.items()}
    pairs = _pairs(folders, given, beside) if beside else {}
    functions = {name: distances.paired(name) for name in beside}
    extractor, found = None, {}
    if between:
        extractor = extract.Extractor(features, resize, path=weights)
        if "reference" not in given:
            found["reference"] = distances.load_statistics(reference, extractor, between)
    fingerprints = {
        name: image_files.fingerprint(paths, progress(f"fingerprint of {name}")) for name, paths in given.items()
    }
    entries, pictures = {}, {}
    if extractor:
        found |= _statistics(extractor, given, fingerprints, progress)
        fingerprints = {name: (found[name].made_of or {}).get("images", "not known") for name in found}
        entries = distances.entries(between, found["reference"], found["generated"], extractor)
    if beside:
        values = _compare_pairs(pairs, functions, progress("comparing pairs"))
        entries |= {name: distances.mean(name, values[name], PHRASES[name]) for name in beside}
    output = pathlib.Path(output)
    for name, (image, legend) in (_sheet_of_pairs(pairs, values) if beside else _sheets(given)).items():
        pictures[name] = output / f"{name}.png", legend
        sheets.save(pictures[name][0], image)
    of = {"reference": str(reference), "generated": str(generated), "fingerprints": fingerprints}
    report.write(output, f"{generated} against {reference}", of, entries, pictures)
    return {report.label(*item): item[1]["mean"] for item in entries.items()}


def save_statistics(
    folder, path, *, features="efficientnet-lite0", weights=None, resize="clean", progress=report.no_progress
):
    """Writes the statistics of a folder of images, for `compare_folders` to read in its place.

    Args:
      folder: of images.
      path: the `.npz`.
      features, weights, resize, progress: as of `evaluate_run`.

    Returns:
      The path.

    Raises:
      InputError: the folder has fewer than two images, a broken one, or the file's name does not end in .npz.
    """
    distances.check_path(path)
    distances.check((), features, resize)
    given = {"reference": _images(folder, "reference", least=2)}
    extractor = extract.Extractor(features, resize, path=weights)
    fingerprints = {"reference": image_files.fingerprint(given["reference"], progress("fingerprint"))}
    _statistics(extractor, given, fingerprints, progress)["reference"].save(path)
    return path


def _statistics(extractor, given, fingerprints, progress):
    """{name: `extract.Statistics`} of {name: files}, from the cache where it has them, otherwise kept there."""
    caches = {name: distances.kept(extractor, fingerprints[name]) for name in given}
    found = {}
    for name, (cache, statistics) in caches.items():
        if statistics is None:
            images, count = image_files.in_order(given[name]), len(given[name])
            extract.statistics(extractor, images, count, progress(f"features of {name}")).save(cache)
            statistics = extract.Statistics.load(cache)
        statistics.made_of = {**extractor.key, "images": fingerprints[name]}
        found[name] = statistics
    return found


def _images(folder, name, least):
    """Image files below a folder that was given as --`name`, at least so many."""
    paths = image_files.checked(folder, f"--{name}")
    if len(paths) < least:
        raise InputError(f"--{name}: {folder} has {len(paths)} of the {least} images that are needed at least")
    return paths


def _pairs(folders, given, metrics):
    """{name: (path in reference, path in generated)}, of one size each, the small ones first.

    Raises:
      InputError: a file has no partner of its name, or one of another size, or is too small for `metrics`.
    """
    named = {}
    for side, paths in given.items():
        inner = [path.relative_to(folders[side]).as_posix() for path in paths]
        named[f"--{side}"] = {name: paths[i] for name, i in paired.numbered(inner, f"--{side}").items()}
    names = paired.matched(named, "--metrics: pairs go by name")
    pairs = {name: tuple(named[side][name] for side in ("--reference", "--generated")) for name in names}
    found = {}
    for name, paths in pairs.items():
        sizes = [image_files.size(path, upright=False) for path in paths]
        if sizes[0] != sizes[1]:
            (height, width), (height2, width2) = sizes
            raise InputError(
                f"{paths[0]} is {width} x {height} px, but {paths[1]} {width2} x {height2}; pairs must be of one size"
            )
        distances.check_sides(metrics, *sizes[0], paths[0])
        found[name] = sizes[0]
    # Those that LPIPS has one program for come in a row.
    return {name: pairs[name] for name in sorted(pairs, key=lambda name: distances.program(found[name]))}


def _compare_pairs(pairs, functions, progress):
    """{name of a function: [pairs] values}, the pairs one by one, as they may be of several sizes."""
    values = {name: [] for name in functions}
    readers = [image_files.in_order([pair[side] for pair in pairs.values()]) for side in (0, 1)]
    for number, (truth, image) in enumerate(zip(*readers), 1):
        truth, image = (np.float32(x)[None] / 127.5 - 1 for x in (truth, image))
        for name, function in functions.items():
            value = function(image, truth)[0]
            if not np.isfinite(value):
                raise InputError(f"{name} of {list(pairs)[number - 1]} is {value}")
            values[name].append(value)
        progress(number, len(pairs))
    return {name: np.array(found) for name, found in values.items()}


def _tile(path):
    """An image not larger than the sheets' pictures."""
    image = image_files.read_rgb(path)
    height, width = image.shape[:2]
    scale = min(1, SIDE / max(height, width))
    return image_files.fit(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def _sheets(given):
    """{folder: (sheet of pictures spread over it, what it shows)}."""
    found = {}
    for name, paths in given.items():
        chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(12, len(paths))).astype(int)]
        sheet = sheets.sheet({"": [_tile(path) for path in chosen]}, {"": [path.name for path in chosen]})
        found[name] = sheet, f"{len(chosen)} of {len(paths)} images, spread evenly"
    return found


def _sheet_of_pairs(pairs, values):
    chosen = np.linspace(0, len(pairs) - 1, min(6, len(pairs))).astype(int)
    names, paths = list(pairs), list(pairs.values())
    columns = {side: [_tile(paths[i][n]) for i in chosen] for n, side in enumerate(("reference", "generated"))}
    figures = lambda i: ", ".join(f"{name} {found[i]:.3g}" for name, found in values.items())
    captions = {"reference": [names[i] for i in chosen], "generated": [figures(i) for i in chosen]}
    return {"pairs": (sheets.sheet(columns, captions), f"{len(chosen)} of {len(pairs)} pairs, spread evenly")}


def compare_runs(workdirs, output, split="test"):
    """A table of the figures of runs that were evaluated, their samples beside each other, and their curves.

    Of each run it takes what was evaluated last on the split, with all figures that there are of that checkpoint.

    Args:
      workdirs: folders of runs.
      output: folder for `report.html` and `samples.png`.
      split: on which they were evaluated.

    Returns:
      {run: {title: value}}.

    Raises:
      InputError: there are not two, or a run is not there or was not evaluated yet.
    """
    workdirs = [str(workdir) for workdir in workdirs]
    if len(set(workdirs)) < max(2, len(workdirs)):
        raise InputError(f"--compare takes two runs or more, as runs/a runs/b; got {' '.join(workdirs) or 'none'}")
    report.check(output)
    of, figures = {}, {}
    for workdir in workdirs:
        evaluations = report.read(ckpt.results(workdir))
        found = [evaluation["of"] for evaluation in evaluations if evaluation["of"].get("split") == split]
        if not found:
            ckpt.load_config(workdir)  # Refuses what is no run.
            command = f"eval.py --workdir={workdir}" + ("" if split == "test" else f" --split={split}")
            raise InputError(f"{ckpt.results(workdir)}/{report.NAME} has nothing of the split {split!r}; run {command} first")
        of[workdir], figures[workdir] = found[-1], report.figures(evaluations, found[-1])
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    same = len({thing["fingerprint"] for thing in of.values()}) == 1
    if not same:
        log.warning("the runs were evaluated on different examples: neither figures nor samples can be compared")
    what = {label: entry.get("what") for found in figures.values() for label, entry in found.items()}
    told = ("system", "data", "fingerprint", "images", "step")
    facts = [[name, *(str(thing[name])[: 20 if name == "fingerprint" else None] for thing in of.values()), ""] for name in told]
    rows = [[*row, what[row[0]]] for row in report.side_by_side(list(figures.values()))]
    pictures = {}
    sheet = _samples_of_runs(list(of), split) if same else None
    if sheet is not None:
        pictures["samples"] = output / "samples.png", "The same examples; what is alike in all runs stands once."
        sheets.save(pictures["samples"][0], sheet)
    curves = _curves_of_runs(list(of))
    page.write(output / "report.html", f"Runs compared: {split}", ["", *of, ""], facts + rows, pictures, curves)
    return {run: {label: entry["mean"] for label, entry in found.items()} for run, found in figures.items()}


def _samples_of_runs(runs, split):
    """A sheet of what the runs have made of the same examples, or None where there is nothing in common."""
    samples = []
    for run in runs:
        path = ckpt.results(run) / "samples" / f"{split}.npz"
        if not path.exists():
            log.info("%s has no samples", run)
            return None
        try:
            with np.load(path) as file:
                samples.append(dict(file))
        except Exception as error:  # As a damaged archive has it.
            raise InputError(f"{path}: not the samples of a run ({error}); run eval.py again") from error
    alike, apart = {}, {}
    for name in dict.fromkeys(name for sample in samples for name in sample):
        found = {run: sample[name] for run, sample in zip(runs, samples) if name in sample}
        first = next(iter(found.values()))
        if len(found) == len(runs) and all(np.array_equal(first, images) for images in found.values()):
            alike[name] = first
        else:
            apart |= {f"{name}, {run}": images for run, images in found.items()}
    return sheets.sheet(alike | apart)


def _curves_of_runs(runs):
    """The curves that all runs have, as of `figures.page.write`; a level that they share stands once."""
    every = [report.curves_of_run(ckpt.folder(run)) for run in runs]
    curves = collections.defaultdict(dict)
    for title in every[0]:
        if not all(title in found for found in every):
            continue  # A curve of one run compares nothing.
        for run, found in zip(runs, every):
            for name, line in found[title].items():
                shared = isinstance(line, float) and all(other[title].get(name) == line for other in every)
                curves[title][name if shared else f"{run}: {name}" if name else run] = line
    return curves
