"""The zoo: small trained models that ship with the package, `zoo/NAME` wherever a run can be named.

An entry holds config.json and facts.json as its run did, `weights.safetensors` (see `packed`), `figures.json`,
`sheet.png` and a README.md. What is measured and drawn is what ships: the weights as they were rounded.
"""

import json
import math
import pathlib
import re
import shutil
import tempfile

import numpy as np

import vision_gen
from vision_gen import data, values
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import facts, packed, use
from vision_gen.errors import InputError
from vision_gen.figures import sheets

MEGABYTE = 10**6
# Of weights: of an entry, and of all.
LARGEST, LARGEST_TOGETHER = 6 * MEGABYTE, 60 * MEGABYTE
# Examples of the sheet, and the first so many of the test split whose figures are kept apart, to be checked quickly.
SHEET, FIRST = 6, 8


def listing():
    """What is there: {name: its figures.json}, `megabytes` added."""
    found = {}
    for path in sorted(ckpt.ZOO.glob("*/figures.json")):
        found[path.parent.name] = {**json.loads(path.read_text()), "megabytes": _weights(path.parent) / MEGABYTE}
    return found


def lines():
    """The list as lines for a terminal."""
    rows = [("name", "system", "data", "figure", "MB", "licence")]
    for name, entry in listing().items():
        figure = f"{entry['main']} {entry['figures'][entry['main']]['mean']:.4g}"
        size = f"{entry['megabytes']:.2f}"
        rows.append((f"zoo/{name}", entry["system"], entry["data"], figure, size, entry["licence"]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def add(workdir, name, checkpoint="best", *, trained="", replace=False, progress=None):
    """Makes an entry of a run.

    Args:
      workdir: of the run.
      name: of the entry: small letters, digits and "_".
      checkpoint: of the run.
      trained: the command that the run can be made again with.
      replace: also where there is an entry of this name that is not clearly worse, by two standard errors.
      progress: called with (done, total) while the test split is evaluated.

    Returns:
      (figures {name: mean}, the entry's folder).

    Raises:
      InputError: it is too large, or there is an entry as good.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise InputError(f'an entry of the zoo is called by small letters, digits and "_", got {name!r}')
    if ckpt.is_packed(workdir):
        raise InputError(f"{str(workdir)!r} is an entry of the zoo; one is made of a run")
    values.kind.check_folder(ckpt.ZOO, "the zoo")
    ckpt.ZOO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ckpt.ZOO, prefix=".") as folder:
        folder = pathlib.Path(folder) / name
        folder.mkdir()
        run = ckpt.folder(workdir)
        model = use.load(run, checkpoint)
        ckpt.write_config(folder, ckpt.load_config(run))
        facts.write(folder, facts.load(run, model.experiment))
        packed.write(folder, model)
        _check_size(folder)
        record, sheet = _measured(use.load(folder), progress)
        record |= {"trained": trained, "evaluated": f"vision-gen eval --workdir=zoo/{name}"}
        if not replace:
            _check_better(name, record)
        (folder / "figures.json").write_text(json.dumps(record, indent=1) + "\n")
        if sheet is not None:
            sheets.save(folder / "sheet.png", sheet)
        (folder / "README.md").write_text(_page(name, record, sheet is not None))
        shutil.rmtree(ckpt.ZOO / name, ignore_errors=True)
        folder.rename(ckpt.ZOO / name)
    return {title: figure["mean"] for title, figure in record["figures"].items()}, ckpt.ZOO / name


def first_figures(model):
    """Figures of the first examples of the test split, {name: mean}, as `figures.json` has them under "first".

    Of a system whose figures are all of a set, such as a distance, those.
    """
    source = data.open(model.experiment.data, "test")
    found, of_examples = model.evaluate(source, limit=FIRST)
    return {title: mean for title, mean in found.items() if title in of_examples} or found


def _measured(model, progress):
    """(what figures.json says of a model, its sheet or None)."""
    experiment = model.experiment
    source = data.open(experiment.data, "test")
    found, of_examples = model.evaluate(source, progress)
    figures = {title: {"mean": mean} for title, mean in sorted(found.items())}
    for title in figures.keys() & of_examples:
        kept = of_examples[title][np.isfinite(of_examples[title])]
        figures[title]["standard_error"] = float(kept.std() / len(kept) ** 0.5)
    record = {
        "system": model.config.system,
        "data": experiment.data.name,
        "licence": data.licence(experiment.data),
        "step": model.step,
        "version": vision_gen.__version__,
        "main": experiment.train.best_metric,
        "mode": experiment.train.best_mode,
        "examples": len(source),
        "fingerprint": data.fingerprint(source),
        "figures": figures,
        "first": first_figures(model),
    }
    return record, sheets.sheet(*model.samples(source, SHEET)) if model.columns else None


def _weights(folder):
    """Bytes of an entry's weights."""
    return (folder / ckpt.PACKED).stat().st_size


def _check_size(folder):
    own = _weights(folder)
    others = [path.parent for path in ckpt.ZOO.glob(f"*/{ckpt.PACKED}") if path.parent.name != folder.name]
    together = own + sum(map(_weights, others))
    for size, limit, what in ((own, LARGEST, "an entry's"), (together, LARGEST_TOGETHER, "all entries'")):
        if size > limit:
            allowed, taken = (f"{x / MEGABYTE:.2f} MB" for x in (limit, size))
            raise InputError(f"{what} weights may take {allowed} in the zoo, these {taken}")


def _check_better(name, record):
    """Refuses what is not better than the entry of this name, if there is one, by twice the error of the difference."""
    old = listing().get(name)
    if not old:
        return
    main, sign = record["main"], 1 if record["mode"] == "max" else -1
    if old["main"] != main or old["fingerprint"] != record["fingerprint"]:
        raise InputError(f"zoo/{name} is there already, with figures of something else; --replace takes this one")
    before, after = (entry["figures"][main] for entry in (old, record))
    error = math.hypot(*(figure.get("standard_error", 0.0) for figure in (before, after)))
    if sign * (after["mean"] - before["mean"]) <= 2 * error:
        raise InputError(
            f"zoo/{name} is there already, with {main} {before['mean']:.4g}; {after['mean']:.4g} is not clearly better "
            f"(by {2 * error:.2g}, two standard errors of the difference). --replace takes it all the same"
        )


def _page(name, record, sheet):
    """An entry's README.md."""
    trained = f":\n\n    {record['trained']}\n" if record["trained"] else " with a config that does not ship.\n"
    rows = [
        f"| {title} | {figure['mean']:.4g} | {figure.get('standard_error', math.nan):.2g} |".replace("nan", "")
        for title, figure in record["figures"].items()
    ]
    return "\n".join([
        f"# zoo/{name}",
        "",
        f"{record['system']} on {record['data']}, {record['step']} steps. {record['licence']}",
        "",
        *(["![held-out examples](sheet.png)", ""] if sheet else []),
        f"Figures of the {record['examples']} test examples, of the weights as they ship (bfloat16):",
        "",
        "| figure | mean | standard error |",
        "| --- | --- | --- |",
        *rows,
        "",
        f"    {record['evaluated']}",
        "",
        f"Trained by{trained}",
    ])  # fmt: skip
