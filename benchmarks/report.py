"""One page of all results: tables, plots, and the environment of every figure.

    python -m benchmarks.report benchmarks/results/*.json
    python -m benchmarks.report new.json --baseline=old.json       # exits 1 if something became slower

Writes runs/performance.html, which needs no other file, and with `--markdown=docs/performance.md` a page for the
documentation with its plots beside it. Measured and compile-time figures stand in tables of their own.
"""

import collections
import html
import pathlib
import sys
import textwrap

from absl import flags

from benchmarks import records
from vision_gen.engine import commands
from vision_gen.errors import InputError
from vision_gen.figures import page

TITLES = {
    "peers": "Against torch",
    "throughput": "Throughput",
    "scaling": "Scaling",
    "overhead": "The engine beside XLA",
    "hlo": "What XLA did",
    "quality": "Quality against time",
    "compile_only": "Without the chip",
}


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


def tables(results):
    """Results as tables by nature: {nature: (header, rows)}; a row a figure, a block a result."""
    found = {}
    for nature in (records.MEASURED, records.COMPILE_TIME):
        rows = []
        for result in results:
            if result["nature"] == nature:
                first = result["name"]
                for name, f in result["figures"].items():
                    low, high = (records.short(f[k]) if k in f else None for k in ("low", "high"))
                    rows.append([first, name, records.short(f["value"]), low, high, f["unit"], result["_source"]])
                    first = ""
                if result.get("note"):
                    rows.append([first, result["note"], None, None, None, None, result["_source"]])
        if rows:
            found[nature] = ["", nature, "value", "least", "most", "unit", "environment"], rows
    return found


# Plots: each takes the results of one benchmark and gives a figure, or None where there is nothing to draw.


def _figure(height=3.2):
    from matplotlib.figure import Figure

    return Figure(figsize=(8, height), dpi=110, layout="constrained")


def _bars(results, name, title, *, line=None, scale="linear"):
    kept = [(r["name"], r["figures"][name]) for r in results if name in r["figures"]]
    if not kept:
        return None
    figure = _figure(0.9 + 0.34 * len(kept))
    axes = figure.subplots()
    values = [f["value"] for _, f in kept]
    around = [[f["value"] - f.get("low", f["value"]) for _, f in kept],
              [f.get("high", f["value"]) - f["value"] for _, f in kept]]  # fmt: skip
    axes.barh([textwrap.fill(n, 60) for n, _ in kept], values, xerr=around, color="#4878a8", error_kw=dict(linewidth=1))
    if line is not None:
        axes.axvline(line, color="gray", linestyle="--", linewidth=1)
    axes.margins(y=0.5 / max(len(kept), 1))  # Half a bar.
    axes.invert_yaxis()
    axes.set_xscale(scale)
    axes.tick_params(axis="y", labelsize=8)
    axes.set(xlabel=f"{title} ({kept[0][1]['unit']})" if kept[0][1]["unit"] != "1" else title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_peers(results):
    return _bars(results, "ratio to the fastest", "times as fast as torch's fastest", line=1)


def plot_throughput(results):
    """Rates in their own units, so relative to the fastest of each config."""
    best = collections.defaultdict(float)
    for r in results:
        if "throughput" in r["figures"]:
            config = r["settings"]["config"]
            best[config] = max(best[config], r["figures"]["throughput"]["value"])
    scaled = []
    for r in results:
        if "throughput" in r["figures"]:
            f = r["figures"]["throughput"]
            share = {k: f[k] / best[r["settings"]["config"]] for k in ("value", "low", "high") if k in f}
            scaled.append({"name": r["name"], "figures": {"share": {**share, "unit": "1"}}})
    return _bars(scaled, "share", "throughput, share of the config's best")


def plot_compile_time(results):
    return _bars(results, "compile", "compile time", scale="log")


def plot_scaling(results):
    lines = collections.defaultdict(list)
    for r in results:
        if "efficiency" in r["figures"]:
            s = r["settings"]
            joined = f", {s['processes']} processes" if s["processes"] > 1 else ""
            lines[f"{s['config']}, {s['mode']}{joined}"].append((s["devices"], r["figures"]["efficiency"]["value"]))
    if not lines:
        return None
    figure = _figure()
    axes = figure.subplots()
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points)), marker="o", label=name)
    axes.set(xlabel="devices", ylabel="efficiency", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_roofline(results):
    """Attainable flop/s over arithmetic intensity: a line for each chip, a point for each program."""
    from benchmarks import targets

    kept = [r for r in results if "arithmetic intensity" in r["figures"]]
    if not kept:
        return None
    figure = _figure(4)
    axes = figure.subplots()
    colours, markers = {}, {}
    span = [1e0, 1e4]
    for r in kept:
        chip = targets.chip(r["settings"]["target"])
        name = r["settings"]["target"].rpartition(":")[0]
        peak = chip.flops if r["settings"]["dtype"] == "bfloat16" else chip.float32_flops
        if name not in colours:
            colours[name] = f"C{len(colours)}"
            x = [span[0], chip.flops / chip.bandwidth, span[1]]
            axes.plot(x, [v * chip.bandwidth for v in x[:2]] + [chip.flops], color=colours[name], label=name)
        intensity = r["figures"]["arithmetic intensity"]["value"]
        reached = peak * r["figures"]["roofline: utilisation at most"]["value"]
        system = r["settings"]["system"].split(".")[-1]
        marker = markers.setdefault(system, "os^vDPX*"[len(markers) % 8])
        axes.plot(intensity, reached, marker, color=colours[name])
    for system, marker in markers.items():
        axes.plot([], [], marker, color="grey", label=system)
    axes.set(xscale="log", yscale="log", xlabel="flop/byte", ylabel="flop/s a chip at most")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, frameon=False)
    return figure


def plot_quality(results):
    """The figure over wall time and over what was seen, a row a result, with its baselines."""
    kept = [r for r in results if r.get("curves")]
    if not kept:
        return None
    figure = _figure(3.2 * len(kept))
    for row, r in zip(figure.subplots(len(kept), 2, squeeze=False, sharey="row"), kept):
        metric, points = next(iter(r["curves"].items()))
        seconds, seen, values = zip(*points)
        row[0].set_title(r["name"], loc="left", fontsize=8)
        row[0].set(ylabel=metric)
        for axes, x, label in zip(row, (seconds, seen), ("seconds", "seen")):
            axes.plot(x, values, marker=".")
            for name, f in r["figures"].items():
                if name.startswith("baseline "):
                    axes.axhline(f["value"], color="gray", linestyle="--", linewidth=1)
                    axes.annotate(name, (0, f["value"]), fontsize=8, va="bottom", color="gray")
            axes.set(xlabel=label, xlim=(0, None))
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    return figure


PLOTS = {
    "peers": {"against-torch": plot_peers},
    "throughput": {"throughput": plot_throughput, "compile-time": plot_compile_time},
    "scaling": {"scaling": plot_scaling},
    "compile_only": {"roofline": plot_roofline, "compile-time-targets": plot_compile_time},
    "quality": {"quality": plot_quality},
}


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


def markdown_table(header, rows):
    text = lambda v: "" if v is None else str(v).replace("|", "\\|").replace("\n", " ")
    lines = [f"| {' | '.join(map(text, header))} |", "|" + " --- |" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(map(text, row))} |" for row in rows])


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


def define():
    """The flags of this program."""
    flags.DEFINE_string("html", "runs/performance.html", "Where the page goes.")
    flags.DEFINE_string("markdown", None, "Where a Markdown page goes; its plots into a folder beside it.")
    flags.DEFINE_string("baseline", None, "Results to compare with.")
    flags.DEFINE_float("noise", 0.05, "Share by which a median may be worse.", lower_bound=0.0)


def main(argv):
    paths = argv[1:]
    if not paths:
        raise InputError("give results files, such as benchmarks/results/*.json")
    found = [records.load(path) for path in paths]
    by_benchmark = collections.defaultdict(list)
    for number, record in enumerate(found, 1):
        for result in results_of(record):
            by_benchmark[record["benchmark"]].append({**result, "_source": number})
    parts, text = [], ["# Performance", "", "Generated: `python -m benchmarks.report`. Do not edit.", ""]
    folder = flags.FLAGS.markdown and pathlib.Path(flags.FLAGS.markdown).with_suffix("")
    for benchmark in sorted(by_benchmark, key=lambda b: list(TITLES).index(b) if b in TITLES else 99):
        results = by_benchmark[benchmark]
        title = TITLES.get(benchmark, benchmark)
        parts.append(f"<h2>{title}</h2>")
        text += [f"## {title}", ""]
        for name, plot in PLOTS.get(benchmark, {}).items():
            figure = plot(results)
            if figure:
                data = page.png(figure)
                parts.append(page.image(data, "png", name))
                if folder:
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / f"{name}.png").write_bytes(data)
                    text += [f"![{name}]({folder.name}/{name}.png)", ""]
        for nature, (header, rows) in tables(results).items():
            parts.append(page.table(header, rows))
            text += [markdown_table(header, rows), ""]
        for result in results:
            for key, what, rows in (
                ("operations", "Costliest operations", operations), ("traffic", "Memory traffic", traffic)
            ):  # fmt: skip
                if result.get(key):
                    parts += [f"<h3>{what} of {html.escape(result['name'])}</h3>", page.table(*rows(result))]
                    text += [f"{what} of {result['name']}:", "", markdown_table(*rows(result)), ""]
    parts.append("<h2>Environments</h2>")
    text += ["## Environments", ""]
    for number, record in enumerate(found, 1):
        parts += [f"<h3>{number}</h3>", page.definitions(facts(record["environment"]))]
        text += [f"{number}. " + "; ".join(f"{k}: `{v}`" for k, v in facts(record["environment"]).items())]
    pathlib.Path(flags.FLAGS.html).parent.mkdir(parents=True, exist_ok=True)
    page.page(flags.FLAGS.html, "vision_gen: performance", parts)
    print(f"wrote {flags.FLAGS.html}")
    if flags.FLAGS.markdown:
        pathlib.Path(flags.FLAGS.markdown).write_text("\n".join(text) + "\n")
        print(f"wrote {flags.FLAGS.markdown}")
    if flags.FLAGS.baseline:
        new = [result for record in found for result in results_of(record)]
        slower = worse(results_of(records.load(flags.FLAGS.baseline)), new, flags.FLAGS.noise)
        for name, figure, was, value in slower:
            print(f"WORSE  {name}: {figure} {records.short(was)} to {records.short(value)}")
        if slower:
            return 1
        print(f"nothing is worse than in {flags.FLAGS.baseline}")


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
