"""Pages of results: one of everything, and the figures that the documentation quotes.

    python -m benchmarks.report FILES                              # every figure of them in runs/performance.html
    python -m benchmarks.report new.json --baseline=old.json       # exits 1 if something became slower
    python -m benchmarks.report --docs                             # the documentation, of benchmarks/results/

`--docs` fills in what stands between markers in `PAGES` (benchmarks/blocks.py), draws docs/performance/*.png
(benchmarks/plots.py) and writes docs/performance/full.html with every figure: so no two pages disagree.
"""

import html
import io
import itertools
import pathlib
import sys

from absl import flags
from PIL import Image

from benchmarks import blocks, plots, records
from vision_gen.engine import commands
from vision_gen.errors import InputError
from vision_gen.figures import page

PAGES = ("README.md", "docs/benchmarks.md", "docs/performance.md")
COMMITTED = records.ROOT / "benchmarks" / "results"
TITLES = {
    "throughput": "Throughput",
    "peers": "Against torch",
    "scaling": "Scaling",
    "compile_only": "Without the chip",
    "quality": "Quality against time",
    "overhead": "The engine beside XLA",
    "hlo": "What XLA did",
}


def read(paths):
    """All results of files, each with its `benchmark`, `environment` and the number of its file, `source`."""
    found = []
    for number, path in enumerate(paths, 1):
        record = records.load(path)
        more = {"benchmark": record["benchmark"], "environment": record["environment"], "source": number}
        found += [{**result, **more} for result in results_of(record)]
    order = [*TITLES, *sorted({r["benchmark"] for r in found} - TITLES.keys())]
    return sorted(found, key=lambda r: order.index(r["benchmark"]))


def results_of(record):
    """A file's results, in their names the chip where it is not the machine's processor: no two chips are compared."""
    processor = record["environment"]["processor"]
    device = lambda result: result["settings"].get("device", processor)
    return [r if device(r) == processor else {**r, "name": f"{r['name']}, {device(r)}"} for r in record["results"]]


def worse(old, new, noise):
    """What of `new` is worse than in `old` by more than the noise: [(name, figure, old, new)].

    A figure counts as worse if its median is, by more than `noise`, and its range lies wholly on the worse side of
    the old one's; figures that say neither "lower" nor "higher" is better are left out.

    Args:
      old, new: results of the same name are compared.
      noise: share of the old median.
    """
    before = {(r["name"], r["nature"]): r["figures"] for r in old}
    found = []
    for result in new:
        for name, figure in result["figures"].items():
            was = before.get((result["name"], result["nature"]), {}).get(name)
            if not was or "better" not in figure:
                continue
            sign = 1 if figure["better"] == "lower" else -1
            end = lambda f, which: sign * f.get(which, f["value"])
            best, worst = ("low", "high") if sign == 1 else ("high", "low")
            apart = end(figure, best) > end(was, worst)
            if apart and sign * (figure["value"] - was["value"]) > noise * abs(was["value"]):
                found.append((result["name"], name, was["value"], figure["value"]))
    return found


def operations(result):
    """Rows of a result's costliest operations, for people."""
    header = ["share", "seconds", "operation", "shape", "made at", "of"]
    rows = [
        [f"{o['share']:.1%}", records.short(o["seconds"]), f"{o['opcode']} {o['name']}", o["shape"], o["source"],
         o["op_name"][-60:]]
        for o in result["operations"]
    ]  # fmt: skip
    return header, rows


def traffic(result):
    """Rows of where a compiled program's memory traffic comes from."""
    moved = result["figures"]["memory traffic, from the HLO"]["value"]
    rows = [[f"{size / moved:.1%}", opcode, source] for source, opcode, size in result["traffic"]]
    return ["share", "instruction", "made at"], rows


def facts(environment):
    """An environment in a few words."""
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    return {
        "command": environment["command"],
        "machine": f"{environment['processor']}, {environment['cores']} cores, Python {environment['python']}",
        "versions": versions,
        "XLA_FLAGS": environment["xla_flags"] or "none",
        "GLIBC_TUNABLES": environment.get("glibc_tunables") or "none",
        "commit": environment["commit"][:12] + (" with changes" if environment["changed"] else ""),
        "date": environment["date"],
    }


def everything(path, results, pictures=()):
    """Writes a page of every result: its figures, its settings, and where it was measured.

    Args:
      path: of the HTML file, which needs no other file.
      results: as `read` gives them.
      pictures: matplotlib figures, for its top.
    """
    contents, parts = [], []
    for benchmark, each in itertools.groupby(enumerate(results), key=lambda pair: pair[1]["benchmark"]):
        title = html.escape(TITLES.get(benchmark, benchmark))
        parts.append(f"<h2>{title}</h2>")
        contents.append(f"<li>{title}<ul>")
        for number, result in each:
            name = html.escape(result["name"])
            contents.append(f"<li><a href=#r{number}>{name}</a>")
            parts += [f"<h3 id=r{number}>{name}</h3>", *_sections(result)]
        contents.append("</ul>")
    environments = {r["source"]: r["environment"] for r in results}
    contents.append("<li><a href=#e>Commands and machines</a>")
    parts.append("<h2 id=e>Commands and machines</h2>")
    for source, environment in sorted(environments.items()):
        parts += [f"<h3 id=e{source}>{source}</h3>", page.definitions(facts(environment))]
    images = [page.image(page.png(figure), "png", "") for figure in pictures]
    path.parent.mkdir(parents=True, exist_ok=True)
    page.page(path, "vision_gen: every figure", ["<ul>", *contents, "</ul>", *images, *parts])


def _sections(result):
    """HTML of one result."""
    measured = result["nature"] == records.MEASURED
    nature = "Measured" if measured else "Compile-time figures: compiled for a chip that was not there, nothing was run"
    settings = {**result["settings"], **{f"{k} in the program": v for k, v in result.get("counts", {}).items()}}
    text = f"<p>{nature}; <a href=#e{result['source']}>command and machine</a>. {html.escape(result.get('note') or '')}"
    values = lambda f: [records.short(f[k]) if k in f else None for k in ("value", "low", "high")]
    rows = [[name, *values(f), f["unit"]] for name, f in result["figures"].items()]
    parts = [text, page.definitions(settings), page.table(["", "value", "least", "most", "unit"], rows)]
    for key, what, of in (("operations", "Costliest operations", operations), ("traffic", "Memory traffic", traffic)):
        if result.get(key):
            parts += [f"<h4>{what}</h4>", page.table(*of(result))]
    for name, points in result.get("curves", {}).items():
        parts += [f"<h4>{html.escape(name)}</h4>", page.table(["seconds", "seen", name], points)]
    return parts


def documents(root):
    """Writes what the documentation under `root` shows of the results that are committed.

    Raises:
      InputError: a page asks for a block that there is none of.
    """
    results = read(sorted(COMMITTED.glob("*.json")))
    for name in PAGES:
        path = root / name
        path.write_text(blocks.fill(path.read_text(), results, name))
    folder = root / "docs" / "performance"
    everything(folder / "full.html", results)
    for name, plot in plots.ALL.items():
        picture = Image.open(io.BytesIO(page.png(plot(results))))
        picture.convert("RGB").quantize(64).save(folder / f"{name}.png", optimize=True)


def define():
    """The flags of this program."""
    flags.DEFINE_string("html", "runs/performance.html", "Where the page of everything goes.")
    flags.DEFINE_bool("docs", False, "Write the figures of the documentation, from what is committed.")
    flags.DEFINE_string("baseline", None, "Results to compare with.")
    flags.DEFINE_float("noise", 0.05, "Share by which a median may be worse.", lower_bound=0.0)


def main(argv):
    paths = argv[1:]
    if flags.FLAGS.docs:
        if paths or flags.FLAGS.baseline:
            raise InputError("--docs reads benchmarks/results alone; leave out files and --baseline")
        documents(records.ROOT)
        print(f"wrote {', '.join(PAGES)} and docs/performance/")
        return 0
    if not paths:
        raise InputError("give results files, such as benchmarks/results/*.json, or --docs")
    results = read(paths)
    figures = [plot(results) for plot in plots.ALL.values()]
    everything(pathlib.Path(flags.FLAGS.html), results, [figure for figure in figures if figure])
    print(f"wrote {flags.FLAGS.html}")
    if flags.FLAGS.baseline:
        slower = worse(results_of(records.load(flags.FLAGS.baseline)), results, flags.FLAGS.noise)
        for name, figure, was, value in slower:
            print(f"WORSE  {name}: {figure} {records.short(was)} to {records.short(value)}")
        if slower:
            return 1
        print(f"nothing is worse than in {flags.FLAGS.baseline}")


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
