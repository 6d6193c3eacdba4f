"""Results of benchmarks: one JSON schema for all of them, version 1 (docs/benchmarks.md).

A file holds one environment and a list of results, and is written anew after each of them: a run
that is killed keeps what it finished.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

from vision_gen.errors import InputError

SCHEMA = 1
ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "runs" / "benchmarks"  # Where they go unless told otherwise; what is committed lies beside this file.
MEASURED, COMPILE_TIME = "measured", "compile-time"
PACKAGES = ("vision_gen", "jax", "jaxlib", "flax", "optax", "numpy", "torch", "libtpu", "jax-cuda13-plugin")


def figure(value, unit, *, better=None, low=None, high=None):
    """One number of a result.

    Args:
      value: the number; a median, where it was measured several times.
      unit: such as "s", "images/s", "bytes", "flop", "1" for ratios.
      better: "lower" or "higher"; figures without are not compared with a baseline.
      low, high: the smallest and largest measurement.
    """
    found = {"value": float(value), "unit": unit}
    if better:
        found["better"] = better
    if low is not None:
        found |= {"low": float(low), "high": float(high)}
    return found


def spread(values, unit, *, better=None):
    """The `figure` of several measurements: their median, smallest and largest."""
    return figure(statistics.median(values), unit, better=better, low=min(values), high=max(values))


@dataclasses.dataclass
class Record:
    """A results file in the making.

    Args:
      benchmark: its name, such as "throughput".
      path: of the file; an existing one is replaced when the first result is there.
      total: how many results there will be.
    """

    benchmark: str
    path: pathlib.Path
    total: int = 1
    results: list = dataclasses.field(default_factory=list)

    def begin(self, name):
        """Says on stderr which of the results is measured now."""
        print(f"[{len(self.results) + 1} of {self.total}] {name}", file=sys.stderr, flush=True)

    def add(self, name, figures, *, nature, settings, **more):
        """Appends a result and writes the file.

        Args:
          name: what was measured, for people.
          figures: {name: `figure(...)`}.
          nature: `MEASURED` or `COMPILE_TIME`.
          settings: what tells this result from the others: config, system, devices, dtype, ...
          **more: JSON of the benchmark's own: `curves`, `operations`, `hlo`, `note`.
        """
        self.results.append(
            {"name": name, "nature": nature, "settings": settings, "figures": figures, **more}
        )
        self.save()
        return self.results[-1]

    def fail(self, name, error, **where):
        """Appends a setting that could not be measured, and says why; the others go on."""
        print(f"{name}: {error}", file=sys.stderr)
        self.add(name, {}, note=f"failed: {error}", **where)

    def save(self):
        """Writes the file, which `add` does as well."""
        record = {
            "schema": SCHEMA,
            "benchmark": self.benchmark,
            "environment": environment(),
            "results": self.results,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(record, indent=1) + "\n")
        part.replace(self.path)


def load(path):
    """A results file.

    Raises:
      InputError: it is not there, not of this schema, or not JSON.
    """
    try:
        record = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a file of results ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: results of schema {SCHEMA} are read, this has "
            f"{record.get('schema') if isinstance(record, dict) else None!r}; run the benchmark again"
        )
    return record


def environment():
    """Where and of what figures are: device, versions, flags, commit, date, command.

    Touches no device of its own accord: the device's name is left to who has measured on it.
    """
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    git = lambda *words: subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "versions": versions,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
        "commit": git("rev-parse", "HEAD"),
        "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": _command(),
    }


def _command():
    """The command line as a user would type it, without where files went."""
    program = pathlib.Path(sys.argv[0])
    try:
        module = str(program.resolve().relative_to(ROOT).with_suffix("")).replace("/", ".")
        program = f"python -m {module.removesuffix('.__main__')}"
    except ValueError:
        program = str(program)
    return f"{program} {subprocess.list2cmdline(a for a in sys.argv[1:] if not a.startswith(('--output=', '--hlo=')))}".strip()


def processor():
    """The name of the CPU; its family and model as well, as makers sell several by one name."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in found:
        return platform.processor() or platform.machine()
    kind = [f"{key.removeprefix('cpu ')} {found[key]}" for key in ("cpu family", "model") if key in found]
    return found["model name"] + (f", {' '.join(kind)}" if kind else "")


def short(value):
    """A number in few characters."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}"
    return f"{value:.3e}"


def show(result):
    """Prints a result."""
    print(f"{result['name']}  [{result['nature']}]")
    for name, f in result["figures"].items():
        around = f"  ({short(f['low'])} to {short(f['high'])})" if "low" in f else ""
        print(f"  {name:<44} {short(f['value']):>11} {f['unit']}{around}")
    if "note" in result:
        print(f"  {result['note']}")
    sys.stdout.flush()
