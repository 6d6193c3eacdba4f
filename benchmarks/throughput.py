"""How fast a config trains on this machine, in every style, number of devices and dtype asked for.

    python -m benchmarks.throughput --config=configs/scft_demo.py
    python -m benchmarks.throughput --config=configs/pix2pix_openmoji.py --styles=jit,shard_map,pmap \\
        --devices=1,2,4,8 --dtype=float32,bfloat16

The batch of all devices together stays that of the config. On CPU devices are simulated: they share its cores.
Fields of the config are set as --config.train.batch_size=8. Writes runs/benchmarks/throughput-CONFIG.json.
"""

import itertools
import statistics
import sys

from absl import flags

from benchmarks import arguments, measure, records
from vision_gen.engine import commands
from vision_gen.engine.parallel import STYLES
from vision_gen.errors import InputError


def figures(found, ceiling):
    """A measurement of `measure.measured` as figures."""
    seconds = found["step_seconds"]
    median = statistics.median(seconds)
    # Simulated devices are one chip.
    chips = 1 if found["platform"] == "cpu" else found["devices"]
    rate = lambda s: found["count"] / s
    unit = f"{found['unit']}/s"
    result = {
        "throughput": records.figure(
            rate(median), unit, better="higher", low=rate(max(seconds)), high=rate(min(seconds))
        ),
        "throughput a chip": records.figure(rate(median) / chips, unit),
        "step": records.spread(seconds, "s", better="lower"),
        "compile": records.figure(found["compile_seconds"], "s"),
        "first step": records.figure(found["first_step_seconds"], "s"),
        "model flops a step": records.figure(found["flops"], "flop"),
        "achieved": records.figure(found["flops"] / median, "flop/s"),
        "peak memory of the process": records.figure(found["peak_bytes"]["process"], "bytes", better="lower"),
        "temporaries of the program, a device": records.figure(
            found["program_bytes"]["temporaries"], "bytes", better="lower"
        ),
    }
    if "device" in found["peak_bytes"]:
        result["peak memory of a device"] = records.figure(
            found["peak_bytes"]["device"], "bytes", better="lower"
        )
    if ceiling:
        result |= {
            "utilisation of the measured matmul ceiling": records.figure(
                found["flops"] / median / chips / ceiling["matmul_flops"], "1"
            ),
            "matmul ceiling of a chip": records.figure(ceiling["matmul_flops"], "flop/s"),
            "copy bandwidth of a chip": records.figure(ceiling["copy_bytes"], "bytes/s"),
        }
    if "data_wait_share" in found:
        result["share of a step waiting for data"] = records.figure(found["data_wait_share"], "1")
    return result


def define():
    """The flags of this program."""
    arguments.define_measurement()
    flags.DEFINE_list("styles", ["jit"], f"Of {', '.join(STYLES)}.")
    flags.DEFINE_list("devices", ["1"], "Numbers of devices.")
    flags.DEFINE_list("dtype", [], "float32, bfloat16; by default the config's.")
    arguments.define_output()


def main(argv):
    del argv
    devices = arguments.numbers(flags.FLAGS.devices, "--devices")
    unknown = [s for s in flags.FLAGS.styles if s not in STYLES]
    if unknown:
        raise InputError(f"--styles must be of {STYLES}, got {unknown[0]!r}")
    name, label = arguments.config_name(), arguments.label()
    dtypes = flags.FLAGS.dtype or [flags.FLAGS.config.dtype]
    record = arguments.record("throughput", f"throughput-{name}", len(dtypes) * len(flags.FLAGS.styles) * len(devices))
    given = arguments.config_arguments()
    failed = False
    for dtype in dtypes:
        typed = [*given, f"--config.dtype={dtype}"]
        ceiling = measure.child(typed, devices=1, ceiling=True)
        for style, count in itertools.product(flags.FLAGS.styles, devices):
            title = f"{label}: {style}, {count} device{'s' * (count > 1)}, {dtype}"
            settings = dict(config=label, style=style, devices=count, dtype=dtype)
            styled = [*typed, f"--config.parallel.style={style}"]
            found = measure.attempt(
                record, title, settings, styled, devices=count, **arguments.measurement()
            )
            if found is None:
                failed = True
                continue
            more = {"note": f"its data was not there: {found['no_data']}"} if "no_data" in found else {}
            result = record.add(
                title, figures(found, ceiling), nature=records.MEASURED, settings=settings, **more
            )
            records.show(result)
    print(f"wrote {record.path}")
    return int(failed)


if __name__ == "__main__":
    define()
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
