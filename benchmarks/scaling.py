"""How a config's step scales over devices and processes: strong (the same batch) and weak (the same a device).

    python -m benchmarks.scaling --config=configs/pix2pix_openmoji.py --devices=1,2,4,8
    python -m benchmarks.scaling --config=configs/pix2pix_openmoji.py --devices=2,4 --processes=2

`--processes=2` starts that many on this machine, joined over loopback. On CPU devices are simulated and share its
cores: there efficiency says what splitting costs, and cannot say what more chips bring. Bytes of collectives are
those of the compiled program, results on one device. Writes runs/benchmarks/scaling-CONFIG.json.
"""

import sys

from absl import flags

from benchmarks import arguments, measure, records, throughput
from vision_gen.engine import commands
from vision_gen.errors import InputError


def define():
    """The flags of this program."""
    throughput.define()
    flags.DEFINE_integer("processes", 1, "Processes on this machine.", lower_bound=1)
    flags.DEFINE_list("modes", ["strong", "weak"], "strong, weak.")


def main(argv):
    del argv
    counts = arguments.numbers(flags.FLAGS.devices, "--devices")
    for mode in flags.FLAGS.modes:
        if mode not in ("strong", "weak"):
            raise InputError(f'--modes must be of "strong" and "weak", got {mode!r}')
    name, label, processes = arguments.config_name(), arguments.label(), flags.FLAGS.processes
    joined = f"-{processes}-processes" if processes > 1 else ""
    record = arguments.record("scaling", f"scaling-{name}{joined}", len(flags.FLAGS.modes) * len(counts))
    batch, failed = flags.FLAGS.config.train.batch_size, False
    style = flags.FLAGS.styles[0]
    for mode in flags.FLAGS.modes:
        fewest = None  # Throughput a chip with the fewest devices.
        for count in sorted(counts):
            size = batch if mode == "strong" else batch * count // min(counts)
            title = f"{label}: {mode}, {count} device(s), {processes} process(es), batch {size}"
            settings = dict(
                config=label, mode=mode, devices=count, processes=processes, style=style
            )
            options = {**arguments.measurement(), "data": False, "processes": processes, "devices": count}
            given = [
                *arguments.config_arguments(),
                f"--config.parallel.style={style}",
                f"--config.train.batch_size={size}",
            ]
            found = measure.attempt(record, title, settings, given, **options)
            if found is None:
                failed = True
                continue
            figures = throughput.figures(found, None)
            rate = figures["throughput a chip"]["value"]
            fewest = fewest or rate
            figures["efficiency"] = records.figure(rate / fewest, "1", better="higher")
            for kind, (number, size_bytes) in sorted(found["collectives"].items()):
                figures[f"{kind}, {number} in the program"] = records.figure(size_bytes, "bytes")
            records.show(record.add(title, figures, nature=records.MEASURED, settings=settings))
    print(f"wrote {record.path}")
    return int(failed)


if __name__ == "__main__":
    define()
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
