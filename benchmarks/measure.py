"""Measures one setting of one config in a process of its own, for the other benchmarks.

    python -m benchmarks.measure --config=configs/scft_demo.py --output=/tmp/one.json

Its own process, so that peak memory, XLA's flags and the number of simulated devices are of this setting
alone, and that one that runs out of memory ends no other.
"""

import glob
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks import arguments, program, records
from vision_gen import memory
from vision_gen.engine import commands
from vision_gen.errors import InputError
from vision_gen.ops import conv

# The parent's side.


def child(given, *, devices=0, processes=1, xla_flags="", folder=None, **options):
    """Runs this module once, or once a process, and returns what process 0 measured.

    Args:
      given: `--config...` arguments.
      devices: over all processes; on CPU simulated. 0 is all there are.
      processes: on this machine, joined over loopback.
      xla_flags: added to XLA_FLAGS.
      folder: for files such as the HLO; by default none is kept.
      **options: further flags.

    Raises:
      InputError: the measurement failed; ends with its last lines.
    """
    if processes > 1 and (not devices or devices % processes):
        raise InputError(f"--devices must be a multiple of --processes, got {devices} and {processes}")
    xla_flags = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags}".strip()
    os.environ |= memory.environment()  # Of this process's record as well.
    environment = {**os.environ, "XLA_FLAGS": xla_flags}
    port = _free_port()
    with tempfile.TemporaryDirectory() as temporary:
        outputs = [pathlib.Path(temporary) / f"{i}.json" for i in range(processes)]
        running = []
        for i, output in enumerate(outputs):
            command = [sys.executable, "-m", "benchmarks.measure", *given, f"--output={output}"]
            command += [f"--device_count={devices}"]
            command += [f"--{name}={value}" for name, value in options.items()]
            if folder:
                command += [f"--hlo={folder}/step.hlo"]
            if processes > 1:
                command += [
                    f"--config.parallel.processes={processes}",
                    f"--config.parallel.process={i}",
                    f"--config.parallel.coordinator=127.0.0.1:{port}",
                ]
            log = open(f"{temporary}/{i}.log", "w+")
            running.append((subprocess.Popen(command, cwd=records.ROOT, env=environment, stdout=log,
                                             stderr=subprocess.STDOUT), log))  # fmt: skip
        try:
            codes = [process.wait() for process, _ in running]
        finally:
            for process, _ in running:
                process.kill()
        for code, (_, log) in zip(codes, running):
            if code:
                log.seek(0)
                lines = [line for line in log.read().splitlines() if line.strip()]
                raise InputError("\n".join(lines[-3:]) or f"exit status {code}")
        return json.loads(outputs[0].read_text())


def attempt(record, title, settings, given, **options):
    """What `child` measures, or None where it fails, which then stands in the record.

    Args:
      record: a `records.Record`.
      title, settings: of the result; `settings` gets what the child says of its device and config.
      given, **options: of `child`.
    """
    record.begin(title)
    try:
        found = child(given, **options)
    except InputError as error:
        record.fail(title, error, nature=records.MEASURED, settings=settings)
        return None
    settings |= {name: found[name] for name in ("device", "platform", "system", "batch")}
    return found


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# The child's side.


def ceiling(dtype):
    """What the device reaches at best: {matmul_flops, copy_bytes} a second, the fastest of 7.

    The best of square products of three sizes in `dtype`, and an addition to an array far larger than caches, read
    and written.
    """
    cpu = jax.default_backend() == "cpu"
    product = jax.jit(jnp.matmul, compiler_options=conv.compiler_options())
    big = jnp.zeros((64 if cpu else 512) * 2**20, jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def seconds(function):
        function(), function()
        found = []
        for _ in range(7):
            begun = time.perf_counter()
            function()
            found.append(time.perf_counter() - begun)
        return min(found)

    def rate(n):
        a = jax.random.normal(jax.random.key(0), (n, n), dtype)
        return 2 * n**3 / seconds(lambda: jax.block_until_ready(product(a, a)))

    def copy():
        nonlocal big
        big = jax.block_until_ready(add(big))

    return {
        "matmul_flops": max(rate(n) for n in ((512, 1024, 2048) if cpu else (4096, 8192, 16384))),
        "copy_bytes": 2 * big.nbytes / seconds(copy),
        "device": device_name(),
    }


def device_name():
    """Kind of the device; a CPU's is its processor, as JAX only says "cpu"."""
    kind = jax.devices()[0].device_kind
    return records.processor() if kind == "cpu" else kind


def measured(config, options):
    """The figures of one setting as a dict; see the code for its keys. `options`: the flags of `main`."""
    from benchmarks import steps

    devices = jax.devices()
    count = options.device_count or len(devices)
    if count > len(devices):
        raise InputError(f"--devices: {count} asked for, {len(devices)} there ({devices[0].platform})")
    step = steps.build(config, devices[:count])
    begun = time.perf_counter()
    step.run()
    first = time.perf_counter() - begun
    step.run()
    seconds, begun = [], time.perf_counter()
    while len(seconds) < options.rounds and (
        len(seconds) < 3 or time.perf_counter() - begun < options.seconds
    ):
        started = time.perf_counter()
        step.run()
        seconds.append(time.perf_counter() - started)
    memory = step.compiled.memory_analysis()
    text = step.compiled.as_text()
    parsed = program.Program(text)
    found = {
        "device": device_name(),
        "platform": devices[0].platform,
        "devices": count,
        "processes": jax.process_count(),
        "system": config.system,
        "batch": config.train.batch_size,
        "unit": step.unit,
        "count": step.count,
        "compile_seconds": step.compile_seconds,
        "first_step_seconds": first,
        "step_seconds": seconds,
        "flops": step.flops,
        "peak_bytes": _peak_bytes(),
        "program_bytes": {
            "arguments": memory.argument_size_in_bytes,
            "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
            "temporaries": memory.temp_size_in_bytes,
        },
        "moved_bytes": parsed.bytes_moved(),
        "counts": parsed.counts(),
        "collectives": {
            f"{kind} over {axis}": value
            for (kind, axis), value in parsed.collectives(dict(step.parallel.mesh.shape)).items()
        },
    }
    if options.hlo and jax.process_index() == 0:
        pathlib.Path(options.hlo).write_text(text)
    if options.data:
        found |= _data_wait(config, step, min(len(seconds), 10))
    if options.profile:
        found["operations"] = costliest(step, parsed, options.operations)
    return found


def _peak_bytes():
    """{where: bytes} at the most: of the devices if they say so, and of this process."""
    found = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        found["device"] = stats["peak_bytes_in_use"]
    return found


def _data_wait(config, step, rounds):
    """Share of the time that steps on the config's own data wait for it, or why it is not known."""
    from vision_gen import data
    from vision_gen.data import pipeline
    from vision_gen.engine.experiment import Experiment

    try:
        experiment = Experiment(config)
        source = data.open(experiment.data, "train")
    except (InputError, OSError) as error:
        return {"no_data": str(error).splitlines()[0]}
    batches = pipeline.training_batches(
        source,
        batch_size=experiment.train.batch_size,
        seed=experiment.seed,
        workers=experiment.data.workers,
        process=jax.process_index(),
        processes=jax.process_count(),
    )
    step.advance(step.parallel.batch(next(batches)))
    waited = 0.0
    begun = time.perf_counter()
    for _ in range(rounds):
        asked = time.perf_counter()
        local = next(batches)
        waited += time.perf_counter() - asked
        step.advance(step.parallel.batch(local))
    return {"data_wait_share": waited / (time.perf_counter() - begun)}


def costliest(step, parsed, count, rounds=3):
    """The operations that a step spends most time in: [{name, opcode, seconds, share, source, op_name}].

    By JAX's profiler; where two run at a time, both count. On devices whose profile names no operation of the
    program the list is empty.
    """
    known = {i.name: i for i in parsed.instructions if i.opcode not in program.FREE}
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(rounds):
                step.run()
        (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        spans = {}
        for plane in jax.profiler.ProfileData.from_file(path).planes:
            for line in plane.lines:
                for event in line.events:
                    name = event.name.split(" = ")[0].lstrip("%")
                    if name in known:
                        # A name may be traced where the work is issued and where it is done: the larger counts.
                        own = spans.setdefault(name, {})
                        own[line.name, plane.name] = own.get((line.name, plane.name), 0) + event.duration_ns
    seconds = {name: max(own.values()) / 1e9 / rounds for name, own in spans.items()}
    total = sum(seconds.values())
    largest = sorted(seconds, key=seconds.get, reverse=True)[:count]
    return [
        {
            "name": name,
            "opcode": known[name].opcode,
            "seconds": seconds[name],
            "share": seconds[name] / total,
            "shape": re.sub(r"\{[^}]*\}", "", known[name].shape),
            "source": known[name].source,
            "op_name": known[name].op_name,
        }
        for name in largest
    ]


def main(argv):
    del argv
    from vision_gen.engine import experiment
    from vision_gen.engine import parallel as parallel_lib

    options = flags.FLAGS
    config = options.config
    if options.device_count:
        local = options.device_count // max(config.parallel.processes, 1)
        jax.config.update("jax_num_cpu_devices", max(local, 1))
    parallel_lib.initialize(experiment.Experiment(config).parallel)
    found = ceiling(config.dtype) if options.ceiling else measured(config, options)
    pathlib.Path(options.output).write_text(json.dumps(found))


if __name__ == "__main__":
    arguments.define_measurement()
    flags.DEFINE_integer("device_count", 0, "Devices over all processes; 0 is all there are.")
    flags.DEFINE_string("output", None, "Where the JSON goes.", required=True)
    flags.DEFINE_string("hlo", "", "Where the optimised HLO goes.")
    flags.DEFINE_bool("profile", False, "Also profile, to list the costliest operations.")
    flags.DEFINE_bool("ceiling", False, "Measure the device's products and copies instead.")
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
