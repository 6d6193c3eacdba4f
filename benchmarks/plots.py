"""Plots of results. Bars begin at zero, whiskers reach from the least to the most that was measured.

Each takes results as `report.read` gives them and returns a matplotlib figure, or None where there is nothing to draw.
What was measured is drawn in full colours, compile-time figures, which no step can reach, in pale ones.
"""

import collections
import functools

import matplotlib
from matplotlib.figure import Figure

from benchmarks import names, records

COLOURS = BLUE, *_, GREY = "#33638d", "#c9793b", "#6f9a72", "#777777"
LOOK = {
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "errorbar.capsize": 2,
}  # fmt: skip


def _figure(height, panels=1, **options):
    """A figure and the axes of its panels, one below the other; height in inches."""
    figure = Figure(figsize=(7.6, height), dpi=120, layout="constrained")
    return figure, figure.subplots(panels, squeeze=False, **options)[:, 0]


def _draw(plot):
    """Draws in `LOOK`, which matplotlib reads when text and bars are made."""

    @functools.wraps(plot)
    def drawn(results):
        with matplotlib.rc_context(LOOK):
            return plot(results)

    return drawn


def _whiskers(figures):
    """Distances of the least and the most from the values, [2][figure]."""
    low = [f["value"] - f.get("low", f["value"]) for f in figures]
    return [low, [f.get("high", f["value"]) - f["value"] for f in figures]]


def _grouped(results, key):
    found = collections.defaultdict(list)
    for result in results:
        found[key(result)].append(result)
    return found


@_draw
def torch(results):
    """How many times as fast as torch's fastest, a bar a comparison and a panel a machine."""
    kept = [r for r in results if r["benchmark"] == "peers" and "low" in r["figures"].get("ratio to the fastest", ())]
    panels = _grouped(kept, names.where)
    if not panels:
        return None
    figure, axes = _figure(sum(0.8 + 0.3 * len(of) for of in panels.values()), len(panels), sharex=True)
    for (place, of), ax in zip(panels.items(), axes):
        ratios = [r["figures"]["ratio to the fastest"] for r in of]
        ax.barh([r["name"] for r in of], [f["value"] for f in ratios], 0.6, xerr=_whiskers(ratios), color=BLUE)
        for y, f in enumerate(ratios):
            ax.annotate(f"{f['value']:.2f}", (f["high"], y), (5, 0), textcoords="offset points", va="center")
        ax.axvline(1, color=GREY, linestyle="--", linewidth=1)
        ax.invert_yaxis()
        ax.set(title=place)
    ax.set(xlabel="torch's time / this project's time", xlim=(0, None))
    return figure


@_draw
def styles(results):
    """Throughput by style of parallelism and number of devices, a panel a config and machine."""
    kept = [r for r in results if r["benchmark"] == "throughput" and "throughput" in r["figures"]]
    kept = _grouped(kept, lambda r: (r["settings"]["config"], r["settings"]["dtype"], names.where(r)))
    panels = [of for of in kept.values() if len({r["settings"]["style"] for r in of}) > 1]
    if not panels:
        return None
    figure, axes = _figure(2.8 * len(panels), len(panels))
    for of, ax in zip(panels, axes):
        counts = sorted({r["settings"]["devices"] for r in of})
        by_style = _grouped(of, lambda r: r["settings"]["style"])
        width = 0.8 / len(by_style)
        for number, ((style, each), colour) in enumerate(zip(by_style.items(), COLOURS)):
            rates = [r["figures"]["throughput"] for r in each]
            x = [counts.index(r["settings"]["devices"]) + (number - (len(by_style) - 1) / 2) * width for r in each]
            ax.bar(x, [f["value"] for f in rates], 0.9 * width, yerr=_whiskers(rates), color=colour, label=style)
        ax.set(title=_title(of[0], of[0]["settings"]["dtype"], f"batch {of[0]['settings']['batch']}"))
        ax.set(xticks=range(len(counts)), xticklabels=counts, xlabel="devices", ylabel=rates[0]["unit"])
        ax.legend()
    return figure


@_draw
def scaling(results):
    """Throughput over devices: the same batch, the same a device; in one process and in several."""
    kept = [r for r in results if r["benchmark"] == "scaling" and "efficiency" in r["figures"]]
    panels = _grouped(kept, lambda r: (r["settings"]["config"], names.where(r)))
    if not panels:
        return None
    figure, axes = _figure(3 * len(panels), len(panels))
    for of, ax in zip(panels.values(), axes):
        lines = _grouped(of, lambda r: (r["settings"]["processes"], r["settings"]["mode"]))
        for number, ((processes, mode), each) in enumerate(sorted(lines.items())):
            rates = [r["figures"]["throughput"] for r in each]
            of_mode = {"strong": "the same batch", "weak": "the same batch a device"}[mode]
            ax.errorbar(
                [r["settings"]["devices"] * 1.02 ** (2 * number - 3) for r in each],  # Side by side, to be told apart.
                [f["value"] for f in rates], yerr=_whiskers(rates), color=COLOURS[mode == "weak"],
                linestyle="--" if processes > 1 else "-", marker="os"[processes > 1],
                label=f"{of_mode}, {processes} process{'es' * (processes > 1)}",
            )  # fmt: skip
        counts = sorted({r["settings"]["devices"] for r in of})
        ax.set(title=_title(of[0]), xscale="log", xlabel="devices", ylabel=rates[0]["unit"], ylim=(0, None))
        ax.set_xticks(counts, counts)
        ax.set_xticks([], minor=True)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def best_bounds(results):
    """{model: {chip: result}}: of the compiled results of a model that fit, that with the highest throughput a chip.

    Results are of one model if they are of one system and have the same flops an example. Models that were compiled
    with the published batch alone are left out: no batch was sought that suits a chip.
    """
    fit = [r for r in results if r["nature"] == records.COMPILE_TIME and (r.get("note") or "").startswith("fits")]
    models = []
    for r in fit:
        settings = r["settings"]
        flops = r["figures"]["model flops"]["value"] * settings["devices"] / settings["batch"]
        of = next((of for s, f, of in models if s == settings["system"] and 0.9 < f / flops < 1.1), None)
        if of is None:
            of = []
            models.append((settings["system"], flops, of))
        of.append(r)
    rate = lambda r: r["figures"]["roofline: throughput a chip at most"]["value"]
    found = {}
    for _, _, of in models:
        if all(names.paper(r) for r in of):
            continue
        name = max({names.subject(r) for r in of}, key=lambda name: (not name.endswith("paper"), len(name)))
        found[name] = {chip: max(each, key=rate) for chip, each in sorted(_grouped(of, names.target).items())}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


@_draw
def bounds(results):
    """What share of each chip's peak a step can reach at most, a bar a chip, in groups by model."""
    models = best_bounds(results)
    if not models:
        return None
    rows = len(models) + sum(map(len, models.values()))
    height = 0.9 + 0.21 * rows
    figure, (ax,) = _figure(height)
    bottom = 0.45 / height
    ax.set_position((0.22, bottom, 0.38, 1 - bottom))  # Words stand beside the axes, where no layout looks for them.
    beside = lambda x, y, text, **look: ax.annotate(text, (x, y), xycoords=("axes fraction", "data"), va="center",
                                                    ha="right", annotation_clip=False, **look)  # fmt: skip
    columns, y = (1.39, 1.82, 2.02), -1
    for x, text in zip(columns, ("rate a chip at most", "memory needed", "batch")):
        beside(x, y, text, color=GREY)
    for model, of in models.items():
        y += 1
        beside(-0.02, y, model, fontweight="bold")
        for chip, r in of.items():
            y += 1
            f, settings = r["figures"], r["settings"]
            ax.barh(y, f["roofline: utilisation at most"]["value"], 0.7, facecolor="#dfe6ee", edgecolor="#8fa5bb")
            rate = f["roofline: throughput a chip at most"]
            gigabytes = [f[name]["value"] / 1e9 for name in ("memory: needed", "memory: of the chip")]
            beside(-0.02, y, chip)
            beside(columns[0], y, f"{names.number(rate['value'])} {rate['unit']}")
            beside(columns[1], y, "{:.1f} of {:.0f} GB".format(*gigabytes))
            beside(columns[2], y, settings["batch"] // settings["devices"])
    ax.set(ylim=(y + 1, -1.5), yticks=[], xlim=(0, 1), xlabel="compile-time: share of the chip's peak at most")
    return figure


@_draw
def quality(results):
    """The held-out figure over wall time, and what it is to be compared with."""
    kept = [r for r in results if r.get("curves")]
    if not kept:
        return None
    figure, axes = _figure(2.9 * len(kept), len(kept))
    for r, ax in zip(kept, axes):
        metric, points = next(iter(r["curves"].items()))
        ax.plot([s / 60 for s, _, _ in points], [v for _, _, v in points], marker="o", markersize=3, color=BLUE)
        for name, f in r["figures"].items():
            if name.startswith("baseline "):
                ax.axhline(f["value"], color=GREY, linestyle="--", linewidth=1)
                ax.annotate(name.replace(f"{metric}_", ""), (1, f["value"]), (0, 3), xycoords=("axes fraction", "data"),
                            textcoords="offset points", ha="right", color=GREY)  # fmt: skip
        ax.set(title=_title(r), xlabel="minutes from the command", xlim=(0, None))
        ax.set_ylabel(f"{names.METRICS.get(metric, metric)}, held out")
        ax.set_ylim(0 if min(v for _, _, v in points) >= 0 else None)
        ax.grid(axis="y", alpha=0.3)
    return figure


def _title(result, *more):
    """The subject, the config and the machine of a panel."""
    return ", ".join([f"{names.subject(result)} ({names.config(result)})", *more, names.where(result)])


ALL = {"torch": torch, "styles": styles, "scaling": scaling, "bounds": bounds, "quality": quality}
