"""The files that figures are left in, and where they come from."""

import datetime
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import jax

from vision_gen.engine import events
from vision_gen.errors import InputError
from vision_gen.figures import page
from vision_gen.values import kind

NAME = "metrics.json"


def no_progress(label):
    """In place of a progress bar: see `commands.progress`."""
    del label
    return lambda done, total: None


def suffix(split):
    """Of the names of files with figures of a split; those of "test" have none."""
    return "" if split == "test" else f"-{split}"


def read(folder):
    """The evaluations that `metrics.json` holds, the oldest first.

    Returns:
      [{"of": what the figures are of, "metrics": {flag: {"mean", "images", ...}}, "made_with": {...}}]; empty
      without the file.

    Raises:
      InputError: the file is damaged or of an older version.
    """
    path = pathlib.Path(folder) / NAME
    try:
        evaluations = json.loads(path.read_text())["evaluations"]
        for evaluation in evaluations:
            dict(evaluation["of"])
            for entry in evaluation["metrics"].values():
                if not (isinstance(entry["mean"], (int, float)) and isinstance(entry["images"], int)):
                    raise ValueError("a figure is no number")
        return evaluations
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} has no evaluations as this version writes them ({error!r}); move it away") from error


def check(folder, name="--output"):
    """Refuses a folder to which no figures can be added, before they are computed.

    Args:
      folder: for `metrics.json` and what belongs to it.
      name: what it was given as.

    Raises:
      InputError: as of `read`, or the folder cannot be written.
    """
    kind.check_folder(folder, name)
    read(folder)


def add(folder, of, metrics):
    """Adds an evaluation to `metrics.json`, in the place of one of the same figures of the same thing.

    Args:
      folder: made if it is not there.
      of: {name: value}, what the figures are of.
      metrics: {flag: entry}.

    Returns:
      (path, all evaluations).
    """
    path = pathlib.Path(folder) / NAME
    new = {"of": of, "metrics": metrics, "made_with": _environment()}
    evaluations = [old for old in read(folder) if _key(old) != _key(new)] + [new]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{NAME}.part")
    part.write_text(json.dumps({"evaluations": evaluations}, indent=2) + "\n")
    part.replace(path)
    return path, evaluations


def _key(evaluation):
    return evaluation["of"], {label(*item) for item in evaluation["metrics"].items()}


def label(flag, entry):
    """What a figure is called beside others: its title, with its protocol where that is not the usual one."""
    resize = entry.get("resize", "clean")
    return entry.get("title", flag) + ("" if resize == "clean" else f", {resize}")


def figures(evaluations, of):
    """{label: entry} of all figures `of` one thing, the newest of each."""
    return {
        label(*item): item[1] for found in evaluations if found["of"] == of for item in found["metrics"].items()
    }


def write(folder, title, of, metrics, pictures, curves=None, split="test"):
    """Adds figures to `metrics.json` and shows them, with pictures and curves, on the page `report.html`.

    Args:
      folder: for both.
      title: of the page.
      of, metrics: as of `add`.
      pictures, curves: as of `figures.page.write`.
      split: which the figures are of; the page's name has it.

    Returns:
      Paths of the two.
    """
    values, evaluations = add(folder, of, metrics)
    path = pathlib.Path(folder) / f"report{suffix(split)}.html"
    rows = []
    for name, entry in sorted(figures(evaluations, of).items()):
        words = ". ".join(filter(None, (entry.get("what"), entry.get("warning"))))
        rows.append([name, entry["mean"], entry.get("standard_error"), entry["images"], words])
    header = ["", "value", "standard error", "images", ""]
    page.write(
        path, title, header, rows, pictures, curves, {**of, **evaluations[-1]["made_with"]}, _beside(evaluations, of)
    )
    return values, path


def _beside(evaluations, of):
    """(header, rows) of the figures of everything that a folder has figures of, if there is more than one."""
    things = [found["of"] for found in evaluations]
    things = [thing for i, thing in enumerate(things) if thing not in things[:i]]
    if len(things) < 2:
        return None
    # What tells them apart, such as split and step.
    telling = [name for name in of if len({str(thing.get(name)) for thing in things}) > 1]
    telling = [name for name in telling if name not in ("images", "fingerprint", "fingerprints")]
    header = ["", *(", ".join(f"{name} {thing.get(name)}" for name in telling) for thing in things)]
    return header, side_by_side([figures(evaluations, thing) for thing in things])


def side_by_side(columns):
    """Rows of a table: label and mean of each {label: entry} of `columns`."""
    labels = sorted({name for column in columns for name in column})
    return [[name, *(column.get(name, {}).get("mean") for column in columns)] for name in labels]


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


def curves_of_run(workdir):
    """Validation figures and losses that a run has logged.

    Returns:
      {title: {name: line}}, a line (steps, values), or a number where it stays the same all along. A figure's own
      name is ""; what it is to be compared with, `x_NAME` of `x`, is NAME in the plot of `x`.
    """
    lines = {}
    for name, points in events.scalars(workdir).items():
        last = {step: value for _, step, value in points}  # A resumed run logs steps twice.
        if (name.startswith("val/") or name.endswith("/loss")) and len(last) > 1:
            lines[name] = sorted(last), [last[step] for step in sorted(last)]
    found = {}
    for name in sorted(lines):  # A name comes after those that it begins with.
        title = next((title for title in found if name.startswith(f"{title}_")), name)
        steps, values = lines[name]
        level = title != name and max(values) - min(values) <= 1e-5 * abs(values[0])
        found.setdefault(title, {})[name[len(title) + 1 :]] = values[0] if level else (steps, values)
    return found
