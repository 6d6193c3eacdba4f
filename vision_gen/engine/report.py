"""The files that figures are left in, and where they come from."""

import datetime
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import jax

from vision_gen.figures import page


def no_progress(label):
    """In place of a progress bar: see `commands.progress`."""
    del label
    return lambda done, total: None


def suffix(split):
    """Of the names of files with figures of a split; those of "test" have none."""
    return "" if split == "test" else f"-{split}"


def write(folder, title, record, pictures, curves=None, split="test"):
    """Writes figures as `metrics.json` and, with pictures and curves, as the page `report.html`.

    Args:
      folder: for both.
      title: of the page.
      record: what the figures are of, and `metrics`: {name: {"mean", "images", ...}}.
      pictures, curves: as of `figures.page.write`.
      split: which the figures are of; the files' names have it.

    Returns:
      Paths of the two.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = {**record, **_environment()}
    values, report = folder / f"metrics{suffix(split)}.json", folder / f"report{suffix(split)}.html"
    values.write_text(json.dumps(record, indent=2) + "\n")
    rows = [
        [name, value["mean"], value.get("standard_error"), value["images"], value.get("warning", "")]
        for name, value in sorted(record["metrics"].items())
    ]
    facts = {k: v for k, v in record.items() if k != "metrics"}
    header = ["", "value", "standard error", "images", ""]
    page.write(report, title, header, rows, pictures, curves, facts)
    return values, report


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

from vision_gen.engine import events


def curves_of_run(workdir):
    """{title: {"": (steps, values)}} of the validation figures and losses that a run has logged."""
    found = {}
    for name, points in events.scalars(workdir).items():
        if not (name.startswith("val/") or name.endswith("/loss")):
            continue
        last = {step: value for _, step, value in points}  # A resumed run logs steps twice.
        if len(last) > 1:
            steps = sorted(last)
            found[name] = {"": (steps, [last[step] for step in steps])}
    return dict(sorted(found.items()))
