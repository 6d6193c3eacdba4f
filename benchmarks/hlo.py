"""What XLA made of a config's step on this machine: its program, and where the time goes.

    python -m benchmarks.hlo --config=configs/scft_demo.py
    python -m benchmarks.hlo --config=configs/scft_demo.py --xla_flags="--xla_cpu_enable_fast_math=true;"
    python -m benchmarks.hlo --diff=old.json,new.json

Prints counts of instructions and the costliest operations with the line that made them. `--xla_flags` takes sets of
flags with ";" between them (an empty one is XLA as it is), and prints what differs from the first. `--diff`
compares two saved results. Writes runs/benchmarks/hlo-CONFIG.json; the program itself into runs/hlo/CONFIG/.
"""

import pathlib
import sys

from absl import flags

from benchmarks import arguments, measure, records, throughput
from vision_gen.engine import commands
from vision_gen.errors import InputError


def differences(old, new):
    """Lines on what differs between two results of this benchmark: time, memory, instructions."""
    lines = []
    for name in sorted(old["figures"].keys() | new["figures"].keys()):
        a, b = (r["figures"].get(name, {}).get("value") for r in (old, new))
        unit = (old["figures"].get(name) or new["figures"].get(name))["unit"]
        if a is None or b is None:
            lines.append(f"  {name:<44} {'-' if a is None else records.short(a):>11} to "
                         f"{'-' if b is None else records.short(b):>11} {unit}")  # fmt: skip
        elif a != b:
            ratio = f"  x {b / a:.3f}" if a else ""
            lines.append(
                f"  {name:<44} {records.short(a):>11} to {records.short(b):>11} {unit}{ratio}"
            )
    return lines


def figures(found):
    """A measurement as figures: time, memory, and a count of each kind of instruction."""
    chosen = throughput.figures(found, None)
    result = {name: chosen[name] for name in ("step", "compile", "peak memory of the process")}
    result |= {
        f"program: {name}": records.figure(size, "bytes", better="lower")
        for name, size in found["program_bytes"].items()
    }
    result["memory traffic, from the HLO"] = records.figure(found["moved_bytes"], "bytes", better="lower")
    return result | {f"{n} instructions": records.figure(c, "1") for n, c in found["counts"].items()}


def show_operations(operations):
    for o in operations:
        print(f"  {1e3 * o['seconds']:9.2f} ms {o['share']:6.1%}  {o['opcode']:<12} {o['name']:<28} "
              f"{o['shape']:<28} {o['source']}  {o['op_name'][-48:]}")  # fmt: skip


def define():
    """The flags of this program."""
    throughput.define()
    flags.DEFINE_string("xla_flags", "", 'Sets of flags to compare, such as "--a=1;--b=2".')
    flags.DEFINE_list("diff", [], "Two results files to compare, instead of measuring.")
    flags.DEFINE_string("folder", "runs/hlo", "Folder of the programs.")


def main(argv):
    del argv
    if flags.FLAGS.diff:
        if len(flags.FLAGS.diff) != 2:
            raise InputError(f"--diff takes two files, got {len(flags.FLAGS.diff)}")
        old, new = (records.load(path)["results"] for path in flags.FLAGS.diff)
        for before, after in zip(old, new):
            print(f"{before['name']}  to  {after['name']}")
            print("\n".join(differences(before, after)) or "  no difference")
        return
    if flags.FLAGS.config is None:
        raise InputError("give --config=configs/NAME.py or --diff=OLD.json,NEW.json")
    name, label = arguments.config_name(), arguments.label()
    sets = flags.FLAGS.xla_flags.split(";")
    record = arguments.record("hlo", f"hlo-{name}", len(sets))
    count = arguments.numbers(flags.FLAGS.devices, "--devices")[0]
    failed = False
    for number, xla_flags in enumerate(sets):
        folder = (pathlib.Path(flags.FLAGS.folder) / name / str(number)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        title = f"{label}: {xla_flags.strip() or 'no flags'}"
        settings = dict(config=label, devices=count, xla_flags=xla_flags.strip())
        found = measure.attempt(
            record, title, settings, arguments.config_arguments(), devices=count,
            xla_flags=xla_flags.strip(), folder=folder, profile=True,
            **{"data": False, **arguments.measurement()},
        )  # fmt: skip
        if found is None:
            failed = True
            continue
        result = record.add(
            title,
            figures(found),
            nature=records.MEASURED,
            settings=settings,
            operations=found["operations"],
        )
        records.show(result)
        show_operations(found["operations"])
        print(f"  program: {folder}/step.hlo")
        if number:
            print(f"{record.results[0]['name']}  to  {result['name']}")
            print("\n".join(differences(record.results[0], result)))
    print(f"wrote {record.path}")
    return int(failed)


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
