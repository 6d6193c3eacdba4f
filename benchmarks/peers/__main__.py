"""The same architecture, batch and optimizer here and in torch, in turn.

    pip install -e '.[parity]'
    python -m benchmarks.peers
    python -m benchmarks.peers --only=scft,vit --rounds=9

Torch runs eager and, where it works, compiled, each with NCHW and channels_last: the ratio is to the fastest of
them. Each lives in a process of its own, so that neither finds the other's threads and memory, and they step
alternately, so that a drift of the machine's speed meets both. In its turn each steps for two seconds untimed,
then for two seconds, three steps at least, of which the median counts. A ratio is torch's time over ours of one
round; above 1 we are faster. Writes runs/benchmarks/peers.json.
"""

import os
import statistics
import sys

from absl import flags

from benchmarks import arguments, measure, records
from benchmarks.peers import compared
from vision_gen import memory
from vision_gen.engine import commands
from vision_gen.errors import InputError


def figures(seconds, unit, count):
    """Times as figures: rates of all, ratios to each peer and to the fastest of them by its median."""
    found = {name: records.spread([count / s for s in times], f"{unit}/s") for name, times in seconds.items()}
    mine = seconds["vision_gen"]
    ratios = {
        name: [theirs / own for theirs, own in zip(times, mine)]
        for name, times in seconds.items()
        if name != "vision_gen"
    }
    for name, each in ratios.items():
        found[f"ratio to {name}"] = records.spread(each, "1")
    fastest = min(ratios, key=lambda name: statistics.median(seconds[name]))
    found["ratio to the fastest"] = records.spread(ratios[fastest], "1", better="higher")
    return found, fastest


def define():
    """The flags of this program."""
    flags.DEFINE_integer("rounds", 5, "Turns of each peer.", lower_bound=1)
    flags.DEFINE_list("only", [], "Of the comparisons; by default all.")
    flags.DEFINE_bool("compiled", True, "Also torch.compile.")
    arguments.define_output()


def main(argv):
    del argv
    unknown = [name for name in flags.FLAGS.only if name not in compared.COMPARISONS]
    if unknown:
        raise InputError(f"--only must be of {', '.join(compared.COMPARISONS)}, got {unknown[0]!r}")
    chosen = flags.FLAGS.only or list(compared.COMPARISONS)
    record = arguments.record("peers", "peers", len(chosen))
    os.environ |= memory.environment()  # Of all the processes that step.
    best = []
    for key in chosen:
        name, prepare = compared.COMPARISONS[key]
        record.begin(name)
        comparison = prepare()
        peers = [p for p in comparison.peers if flags.FLAGS.compiled or "compiled" not in p]
        seconds = compared.alternated(key, peers, flags.FLAGS.rounds)
        found, fastest = figures(seconds, comparison.unit, comparison.count)
        settings = dict(config=key, device=measure.device_name(), rounds=flags.FLAGS.rounds)
        records.show(
            record.add(name, found, nature=records.MEASURED, settings=settings, note=f"fastest peer: {fastest}")
        )
        best.append(found["ratio to the fastest"]["value"])
    if len(best) > 1:
        mean = statistics.geometric_mean(best)
        records.show(
            record.add(
                f"geometric mean of {len(best)} ratios",
                {"ratio to the fastest": records.figure(mean, "1", better="higher")},
                nature=records.MEASURED,
                settings=dict(config="mean of " + ", ".join(chosen), device=measure.device_name()),
            )
        )
    print(f"wrote {record.path}")


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
