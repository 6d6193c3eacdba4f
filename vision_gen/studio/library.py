"""The runs and models that can be opened: each is loaded once, when it is first asked for, and shared."""

import dataclasses
import importlib
import json
import pathlib
import threading

from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import use, zoo
from vision_gen.errors import InputError
from vision_gen.metrics.phrases import PHRASES

# Folders below that of runs which are looked through.
DEPTH = 3


@dataclasses.dataclass(frozen=True)
class Entry:
    """A run that can be opened.

    Attributes:
      name: as `use.load` takes it, "runs/x", "zoo/NAME" or "configs/NAME".
      title: what its system is called.
      data: what its data are called.
      says: what is known of it, in a line.
      sheet: path of a picture of what it does, or None.
    """

    name: str
    title: str
    data: str
    says: str
    sheet: pathlib.Path | None


class Library:
    """What is below a folder of runs, the zoo, and what needs no run.

    Args:
      runs: the folder; there may be none.
      first: the run that is opened first, or None; it may be anywhere.

    Attributes:
      runs, first: as given.

    Raises:
      InputError: the first is no run.
    """

    def __init__(self, runs="runs", first=None):
        self.runs, self.first = pathlib.Path(runs), first
        self._models, self._locks, self._lock = {}, {}, threading.Lock()
        if first not in (None, *use.READY) and _run(ckpt.folder(first), first) is None:
            raise InputError(f"--workdir: {str(first)!r} is no run: it has no config.json that can be read")

    def entries(self):
        """The entries there are now: the first, runs by name, then the zoo, then what needs no run."""
        found = [] if self.first in (None, *use.READY) else [_run(ckpt.folder(self.first), self.first)]
        found += [_run(path.parent, str(path.parent)) for path in _configs(self.runs)]
        for name, record in zoo.listing().items():
            main, known = record["main"], PHRASES | getattr(_class(record["system"]), "explained", {})
            what, mean = known.get(main, main).partition(";")[0], record["figures"][main]["mean"]
            figure = f"{what}: {mean:.4g}, of {record['examples']:,} held-out examples"
            sheet = ckpt.ZOO / name / "sheet.png"
            entry = _run(ckpt.ZOO / name, f"zoo/{name}")
            found.append(dataclasses.replace(entry, says=figure, sheet=sheet if sheet.exists() else None))
        found += [Entry(name, title(use.ready(name).system), "", "needs no run", None) for name in use.READY]
        return list({entry.name: entry for entry in found if entry}.values())

    def load(self, name):
        """The `use.Model` of an entry.

        Raises:
          InputError: no entry is called so, whatever else the name may be the path of; or it cannot be loaded.
        """
        if name not in [entry.name for entry in self.entries()]:
            raise InputError(f"there is no run {name!r} here")
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._models:
                self._models[name] = use.load(name)
            return self._models[name]


def title(system):
    """What a system is called, by its class as configs name it."""
    return getattr(_class(system), "title", "") or system.rpartition(".")[2]


def _class(system):
    """The class of a system of the package; None of another, whose module is not run for it."""
    module, _, name = system.rpartition(".")
    try:
        return getattr(importlib.import_module(f"vision_gen.systems.{module}"), name, None)
    except ImportError:
        return None


def data_title(data):
    """What the `config.data` of a run is called, as JSON has it or as settings: by the sets that it is made of."""
    get = data.get if isinstance(data, dict) else lambda name, default=None: getattr(data, name, default)
    parts = [data_title(part) for part in (get("parts") or {}).values()]
    return " and ".join(dict.fromkeys(parts)) or str(get("name")).replace("_", " ")


def _configs(folder, depth=DEPTH):
    """Paths of config.json of runs below a folder; what lies within a run is not looked through."""
    found = []
    inner = folder.iterdir() if folder.is_dir() else ()
    for path in sorted(p for p in inner if p.is_dir() and not p.name.startswith(".")):
        config = path / "config.json"
        found += [config] if config.is_file() else _configs(path, depth - 1) if depth > 1 else []
    return found


def _run(folder, name):
    """The `Entry` of a run's folder; None if it is none."""
    try:
        config = json.loads((folder / "config.json").read_text())
        system, data = title(config["system"]), data_title(config["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    steps = ckpt.finished(folder / "checkpoints")
    says = (
        "packed" if ckpt.is_packed(folder) else f"checkpoint of step {max(steps):,}" if steps else "no checkpoint yet"
    )
    return Entry(str(name), system, data, says, next(iter(sorted(folder.glob("samples/*.png"))[-1:]), None))
