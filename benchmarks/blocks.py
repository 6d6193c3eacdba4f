"""Tables and sentences that pages quote of results: `<!-- figures: NAME -->` to `<!-- end -->`, filled in by
`python -m benchmarks.report --docs`.

Each takes results as `report.read` gives them and returns Markdown. A sentence stands in one place, here, and says its
figures as they are in the results; what stays true whatever is measured is written on the page itself.
"""

import collections
import itertools
import re
import textwrap

from benchmarks import names, plots, records, targets
from vision_gen.errors import InputError

CEILING = "utilisation of the measured matmul ceiling"
WAIT = "share of a step waiting for data"
TEN = 10  # Lines of a table; the page with everything has the others.


def table(header, rows):
    """Markdown of a table; None is left blank."""
    text = lambda v: "" if v is None else str(v).replace("|", "\\|").replace("\n", " ")
    lines = [f"| {' | '.join(map(text, header))} |", "|" + " --- |" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(map(text, row))} |" for row in rows])


def _text(sentences):
    """Sentences as a paragraph of short lines."""
    return textwrap.fill(" ".join(sentences), 120, break_long_words=False, break_on_hyphens=False)


def _percent(share):
    return f"{100 * share:.1f} percent"


def _of(results, benchmark, figure):
    """The measured results of a benchmark that have a figure."""
    measured = (r for r in results if r["benchmark"] == benchmark and r["nature"] == records.MEASURED)
    return [r for r in measured if figure in r["figures"]]


def _value(result, figure):
    return result["figures"][figure]["value"]


def _span(values, form="{:.2f}"):
    """The least and the most: "0.20 to 0.37"."""
    ends = [form.format(end(values)) for end in (min, max)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def machines(results):
    """What was measured on what."""
    rows = collections.defaultdict(lambda: (set(), set(), set()))
    for r in results:
        measured = r["nature"] == records.MEASURED
        what, software, days = rows[names.where(r) if measured else "chips that were not there (compile-time)"]
        what.add(f"`{r['benchmark']}`")
        packages = ["jax", "torch"] if r["benchmark"] == "peers" else ["jax"]
        software |= {f"{name} {r['environment']['versions'][name].partition('+')[0]}" for name in packages}
        days.add(r["environment"]["date"][:10])
    rows = [[place, *(", ".join(sorted(each)) for each in sets)] for place, sets in sorted(rows.items())]
    return table(["on", "`python -m benchmarks.`", "with", "date"], rows)


def _training(results):
    """Steps on one device as one program, those of a GPU first, the fastest of a model first."""
    kept = [r for r in _of(results, "throughput", "throughput")
            if r["settings"]["devices"] == 1 and r["settings"]["style"] == "jit"]  # fmt: skip
    model = lambda r: (names.subject(r), r["settings"]["config"], -_value(r, "throughput"))
    return sorted(kept, key=lambda r: (r["settings"]["platform"] == "cpu", names.where(r), *model(r)))


def training(results):
    """How fast steps are here and on a GPU."""
    rows, kept = [], _training(results)
    for r in kept[:TEN]:
        rate, step, settings = r["figures"]["throughput"], r["figures"]["step"], r["settings"]
        rows.append([names.where(r), f"{names.subject(r)} (`{names.config(r)}`)", settings["dtype"], settings["batch"],
                     f"{names.number(rate['value'])} {rate['unit']}", names.around(rate),
                     f"{names.number(1e3 * step['value'])} ms", f"{_value(r, CEILING):.2f}"])  # fmt: skip
    header = ["on", "system (config)", "dtype", "batch", "rate", "least to most", "step", "of the ceiling"]
    said = []
    for place, there in itertools.groupby(kept, key=names.where):
        there = list(there)
        span = _span([_value(r, CEILING) for r in there])
        said.append(f"On {place} the steps reach {span} of the speed of square matrix products.")
        for config, each in itertools.groupby(there, key=lambda r: r["settings"]["config"]):
            rates = {r["settings"]["dtype"]: _value(r, "throughput") for r in each}
            if {"float32", "bfloat16"} <= rates.keys():
                times = rates["bfloat16"] / rates["float32"]
                said.append(f"There bfloat16 trains `{config.split()[0]}` at {times:.2f} times the rate of float32.")
    waits = [_value(r, WAIT) for r in _of(results, "throughput", WAIT)]
    said.append(f"A step waits for its data for at most {_percent(max(waits))} of its time.")
    if len(kept) > TEN:
        said.append(f"{len(kept) - TEN} more are among all results.")
    return f"{table(header, rows)}\n\n{_text(said)}"


def gpu(results):
    """One sentence a GPU, of bfloat16."""
    said, kind = [], ("gpu", "bfloat16")
    kept = [r for r in _training(results) if (r["settings"]["platform"], r["settings"]["dtype"]) == kind]
    for place, each in itertools.groupby(kept, key=names.where):
        each = list(each)
        rates = [f"{names.subject(r)}, batch {r['settings']['batch']}, {names.number(_value(r, 'throughput'))} "
                 f"{r['figures']['throughput']['unit']}" for r in each]  # fmt: skip
        share = _span([_value(r, CEILING) for r in each])
        said.append(f"On {place} in bfloat16: {'; '.join(rates)}. That is {share} of the speed that plain products of "
                    "matrices reach on the card.")  # fmt: skip
    return _text(said)


def peers(results):
    """One sentence a machine: ratios to torch."""
    said = []
    kept = sorted(_of(results, "peers", "ratio to the fastest"), key=names.where)
    for place, each in itertools.groupby(kept, key=names.where):
        ratios = []
        for r in each:
            name, _, how = r["name"].replace(" train step", "").partition(", ")
            ratios.append(f"{_value(r, 'ratio to the fastest'):.2f} for {name}" + f" ({how})" * bool(how))
        torch = r["environment"]["versions"]["torch"].partition("+")[0]
        said.append(f"On {place}, torch {torch}: {', '.join(ratios)}.".replace("for geometric", "in the geometric"))
    what = "The time that torch takes divided by this project's, so that above 1 this project is faster."
    how = "Torch is at its fastest of eager and, where it works, compiled, NCHW and channels_last."
    return _text([what, *said, how] if said else [])


def styles(results):
    """What shard_map and pmap do beside jit."""
    by_setting = collections.defaultdict(dict)
    for r in _of(results, "throughput", "throughput"):
        key = names.where(r), r["settings"]["config"], r["settings"]["dtype"], r["settings"]["devices"]
        by_setting[key][r["settings"]["style"]] = r
    times, beyond, compiled = collections.defaultdict(list), [], []
    for (*_, devices), by_style in by_setting.items():
        jit = by_style.pop("jit", None)
        for style, r in by_style.items() if jit else ():
            mine, its = r["figures"]["throughput"], jit["figures"]["throughput"]
            times[style].append(mine["value"] / its["value"])
            if mine["low"] > its["high"] or mine["high"] < its["low"]:
                beyond.append(f"{style} on {devices}")
            compiled += [_value(r, "compile"), _value(jit, "compile")]
    each = names.listed([f"{style} makes {_span(values)}" for style, values in times.items()])
    return _text([
        f"On as many devices {each} times the throughput of jit.",
        f"Ranges that lie apart from jit's: {names.listed(beyond) if beyond else 'none'}.",
        f"A program takes {_span(compiled, '{:.0f}')} s to compile.",
    ])  # fmt: skip


def scaling(results):
    """What splitting a step over devices that share the cores costs."""
    said = []
    kept = {}
    for r in _of(results, "scaling", "efficiency"):
        s = r["settings"]
        kept.setdefault((s["config"], names.where(r), s["processes"], s["mode"]), []).append(r)
    for (config, place, processes, mode), each in sorted(kept.items()):
        first, last = (end(each, key=lambda r: r["settings"]["devices"]) for end in (min, max))
        counts = [r["settings"]["devices"] for r in (first, last)]
        means = {"strong": "the same batch", "weak": "a batch that grows with the devices"}[mode]
        one = kept.get((config, place, 1, mode), ())
        beside = next((r for r in one if r["settings"]["devices"] == counts[0] and processes > 1), None)
        rate = _value(first, "throughput")
        joined = f" over {processes} processes" * (processes > 1)
        left = f"leave {_value(last, 'throughput') / rate:.2f} of the rate"
        if beside:
            left += f", and {counts[0]} make {rate / _value(beside, 'throughput'):.2f} of that of one process"
        said.append(f"With {means}{joined}, {counts[1]} devices instead of {counts[0]} {left}.")
    return _text(said)


def bounds(results):
    """What the compile-time bounds say: by what they are set."""
    kept = [(m, chip, r) for m, of in plots.best_bounds(results).items() for chip, r in of.items()]
    share = lambda r: _value(r, "roofline: utilisation at most")
    full = sum(share(r) > 0.995 for _, _, r in kept)
    model, chip, least = min(kept, key=lambda k: share(k[2]))
    batch = least["settings"]["batch"] // least["settings"]["devices"]
    said = [f"{full} of these {len(kept)} programs could keep their chip's arithmetic busy all the time.",
            f"The others wait for memory or links, {model} on {chip} most: {share(least):.2f} of the peak, with a "
            f"batch of {batch} a chip."]  # fmt: skip
    other = sorted({f"{m} in {r['settings']['dtype']}" for m, _, r in kept if r["settings"]["dtype"] != "bfloat16"})
    said.append(f"They compute in bfloat16{f', {names.listed(other)}' if other else ''}.")
    return _text(said)


def paper(results):
    """The memory that training at every paper's full size needs of a chip; if it is too much, what more chips need."""
    compiled = [r for r in results if r["nature"] == records.COMPILE_TIME]
    programs = collections.defaultdict(list)
    published = {(names.subject(r), names.config(r), r["settings"]["batch"]) for r in compiled if names.paper(r)}
    for r in compiled:
        subject, config, batch = names.subject(r), names.config(r), r["settings"]["batch"]
        if (subject, config, batch) in published:
            programs[subject.lower(), config, names.target(r)].append(r)
    rows = []
    for (*_, chip), each in sorted(programs.items()):
        for r in sorted(each, key=lambda r: (r["settings"]["devices"], r["settings"]["fsdp"])):
            s, fits = r["settings"], (r.get("note") or "").startswith("fits")
            of_rays = s.get("system", "").split(".")[0] in ("nerf", "dietnerf")  # Views have a size of their own.
            size = None if of_rays else s.get("size")
            size = size and f"{size if isinstance(size, int) else ' x '.join(map(str, size))} px"
            shares = f", parameters in {s['fsdp']} shares" * (s["fsdp"] > 1)
            rows.append([names.subject(r).removesuffix(", paper"), f"`{names.config(r)}`", size, f"{s['batch']:,}",
                         s["dtype"], f"{s['devices']} x {chip}{shares}", _needed(r),
                         f"{targets.chip(s['target']).memory / 1e9:.0f}", "yes" if fits else "no"])  # fmt: skip
            if fits:
                break
    header = ["system", "config", "size", "batch", "dtype", "chips", "a chip needs, GB", "and has, GB", "fits"]
    return table(header, rows)


def _needed(result):
    """Memory of a compiled step in GB; of one that the compiler refused, at least what it says that is too much."""
    if "memory: needed" in result["figures"]:
        return f"{_value(result, 'memory: needed') / 1e9:.1f}"
    found = re.search(r"([\d.]+)G", result["note"])
    return f"over {float(found[1]) * 2**30 / 1e9:.0f}" if found else None


def _pairs(results):
    """[(measured, compiled)]: results of one step, on a chip and compiled for it."""
    compiled = [r for r in results if r["nature"] == records.COMPILE_TIME and r["figures"]]
    found = []
    for r in _training(results):
        for c in compiled:
            alike = all(r["settings"][k] == c["settings"][k] for k in ("system", "dtype", "batch", "devices"))
            flops = _value(c, "model flops") / _value(r, "model flops a step")
            if alike and 0.99 < flops < 1.01 and r["settings"]["device"].startswith(names.target(c)):
                found.append((r, c))
    return found


def bound_beside_measured(results):
    """Steps that ran on a chip beside the bounds of the same steps compiled for it."""
    rows, pairs = [], _pairs(results)
    for r, c in pairs:
        ms = lambda seconds: names.number(1e3 * seconds)
        rows.append([
            f"{names.subject(r)}, batch {r['settings']['batch']}", r["settings"]["dtype"], ms(_value(r, "step")),
            ms(_value(c, "roofline: step at least")),
            ms(_value(r, "model flops a step") / _value(r, "matmul ceiling of a chip")),
            ms(_value(c, "memory traffic, from the HLO") / _value(r, "copy bandwidth of a chip")),
            f"{_value(r, 'peak memory of a device') / 1e9:.1f}", f"{_value(c, 'memory: needed') / 1e9:.1f}",
        ])  # fmt: skip
    header = ["", "dtype", "measured, ms", "bound (compile-time), ms", "products, ms", "traffic, ms",
              "memory used, GB", "memory needed (compile-time), GB"]  # fmt: skip
    times = _span([_value(r, "step") / _value(c, "roofline: step at least") for r, c in pairs], "{:.1f}")
    places = names.listed(sorted({names.where(r) for r, _ in pairs}))
    off = max(abs(_value(r, "peak memory of a device") / _value(c, "memory: needed") - 1) for r, c in pairs)
    said = [f"On {places} a real step takes {times} times as long as its bound.",
            f"The memory needed was right to {_percent(off)}.",
            f"Compiling took {_span([_value(r, 'compile') for r, _ in pairs], '{:.0f}')} s."]  # fmt: skip
    return f"{table(header, rows)}\n\n{_text(said)}"


def quality(results):
    """How good, and when."""
    said = []
    for r in _of(results, "quality", "time of the last validation"):
        metric, points = next(iter(r["curves"].items()))
        better = r["figures"][f"{metric} at the end"].get("better") != "lower"
        prefix = f"baseline {metric}_"
        baselines = {n.removeprefix(prefix): f["value"] for n, f in r["figures"].items() if n.startswith(prefix)}
        beaten = lambda value: all(value > b if better else value < b for b in baselines.values())
        first = next((s for s, _, v in points if beaten(v)), None)
        halfway = min(points, key=lambda p: abs(p[0] - points[-1][0] / 2))
        said.append(
            f"{names.subject(r)} (`{names.config(r)}`) on {names.where(r)}: {names.METRICS.get(metric, metric)} "
            f"{halfway[2]:.1f} after {halfway[0] / 60:.1f} minutes, {points[-1][2]:.1f} after {points[-1][0] / 60:.1f}."
        )
        if baselines and first is not None:
            each = names.listed([f"{n} {b:.1f}" for n, b in baselines.items()])
            said.append(f"Its first validation above its baselines, {each}, is that after {first / 60:.1f} minutes.")
    return _text(said)


def engine(results):
    """What the loop and the start cost."""
    rows, said = [], []
    for r in _of(results, "overhead", "engine's loop"):
        rates = {name: f for name, f in r["figures"].items() if f["unit"] == "steps/s"}
        ms = lambda rate: f"{1e3 / rate:.3f}"
        for name, f in rates.items():
            rows.append([f"{name}, a step", f"{ms(f['value'])} ms", f"{ms(f['high'])} to {ms(f['low'])}"])
        loop, same, bare = (1e3 / f["value"] for f in rates.values())
        said.append(f"The loop takes {loop - same:.2f} ms a step, loading a batch {same - bare:.2f} ms.")
        steps = [s for s in _training(results) if names.where(s) == names.where(r)]
        if steps:
            step = min(steps, key=lambda s: _value(s, "step"))
            share = (loop - bare) / 1e3 / _value(step, "step")
            said.append(f"Together that is {_percent(share)} of a step of `{names.config(step)}` on the same machine.")
    for r in _of(results, "overhead", "cold cache"):
        for name in ("cold cache", "warm cache"):
            rows.append([f"command to first step of `{names.config(r)}`, {name}", f"{_value(r, name):.1f} s", ""])
    return f"{table(['', 'median', 'least to most'], rows)}\n\n{_text(said)}"


ALL = {
    "machines": machines, "training": training, "gpu": gpu, "peers": peers, "styles": styles, "scaling": scaling,
    "bounds": bounds, "paper": paper, "bound_beside_measured": bound_beside_measured, "quality": quality,
    "engine": engine,
}  # fmt: skip
MARKED = re.compile(r"(<!-- figures: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text, results, page):
    """A page with all its marked blocks written anew.

    Raises:
      InputError: a marker names no block, or has no end.
    """
    if text.count("<!-- figures: ") != len(MARKED.findall(text)):
        raise InputError(f"{page}: every <!-- figures: NAME --> needs an <!-- end -->")
    for _, name, _ in MARKED.findall(text):
        if name not in ALL:
            raise InputError(f"{page}: figures are {', '.join(ALL)}, not {name!r}")
    return MARKED.sub(lambda m: f"{m[1]}\n{ALL[m[2]](results)}\n\n{m[3]}", text)
