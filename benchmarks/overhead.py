"""What the engine costs beside XLA: its loop against bare `jit` loops, and start to first step.

    python -m benchmarks.overhead                 # the loop around a step that does almost nothing
    python -m benchmarks.overhead --startup       # and start to first step of the demo, cold and warm

A bare loop places a batch, calls the compiled step and leaves the metrics where they are. One reads the engine's data
as the engine does, and is what the engine's loop is measured by; another turns around eight batches in memory, which
leaves loading out.
Writes runs/benchmarks/overhead.json.
"""

import itertools
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags
import jax

from benchmarks import arguments, measure, quality, records, steps, trivial
from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import commands, loop
from vision_gen.engine.experiment import Experiment

WARM = 50  # Steps before the clock starts.


def bare_loop(config, batches):
    """Steps a second of a plain loop over an iterator of batches."""
    step = steps.build(config, jax.devices()[:1])
    state = step.state
    for number in range(WARM + config.train.steps):
        if number == WARM:
            jax.block_until_ready(state)
            begun = time.perf_counter()
        state, metrics = step.compiled(state, step.parallel.batch(next(batches)))
    jax.block_until_ready((state, metrics))
    return config.train.steps / (time.perf_counter() - begun)


def engine_loop(config, workdir):
    """Steps a second that `engine.loop.train` logs, the median of its windows but the first."""
    loop.train(config, workdir)
    (points,) = quality.curves(workdir, 0.0, "images_per_second").values()
    return statistics.median(rate for _, _, rate in points[1:]) / config.train.batch_size


def startup():
    """Seconds from the command to the first step of the demo, with an empty cache and again."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VISION_GEN_CACHE": f"{folder}/cache"}
        for name in ("cold", "warm"):
            command = [
                sys.executable, "train.py", "--config=configs/scft_demo.py", f"--workdir={folder}/{name}",
                *(f"--config.train.{field}" for field in (
                    "steps=1", "log_every=1", "sample_every=0", "eval_every=0", "eval_images=1")),
            ]  # fmt: skip
            begun = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=records.ROOT, env=environment, stdout=subprocess.PIPE, text=True
            )
            for line in process.stdout:
                if re.match(r"step 1/1", line):
                    found[name] = time.perf_counter() - begun
            if process.wait():
                raise RuntimeError(f"{command} failed")
    return found


def define():
    """The flags of this program."""
    arguments.define_output()
    flags.DEFINE_integer("rounds", 5, "Runs of each loop.", lower_bound=1)
    flags.DEFINE_integer("steps", 5000, "Steps of a run.", lower_bound=1000)
    flags.DEFINE_bool("startup", False, "Also time start to first step.")


def main(argv):
    del argv
    record = arguments.record("overhead", "overhead", 1 + flags.FLAGS.startup)
    record.begin(f"the engine's loop against a bare one, {flags.FLAGS.rounds} rounds")
    settings = dict(config="a step of next to no work", device=measure.device_name())
    rates = {"engine's loop": [], "bare loop, the same data": [], "bare loop, batches in memory": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(flags.FLAGS.rounds):
            config = trivial.get_config()
            config.train.steps = flags.FLAGS.steps
            source = data.open(Experiment(config).data, "train")
            batches = pipeline.training_batches(source, batch_size=config.train.batch_size, seed=config.seed)
            memory = itertools.cycle([steps.random_batch(config, seed) for seed in range(8)])
            found = (
                engine_loop(config, pathlib.Path(folder) / str(number)),
                bare_loop(config, batches),
                bare_loop(config, memory),
            )
            for measured, rate in zip(rates.values(), found):
                measured.append(rate)
    figures = {name: records.spread(measured, "steps/s") for name, measured in rates.items()}
    engine, *bare = rates.values()
    for name, rate in zip(("the same data", "batches in memory"), bare):
        figures[f"ratio, {name}"] = records.spread([a / b for a, b in zip(engine, rate)], "1", better="higher")
    records.show(
        record.add("the engine's loop against a bare one", figures, nature=records.MEASURED, settings=settings)
    )
    if flags.FLAGS.startup:
        record.begin("start to first step, twice")
        figures = {f"{k} cache": records.figure(v, "s", better="lower") for k, v in startup().items()}
        settings = dict(config="scft_demo", device=measure.device_name())
        records.show(
            record.add("start to first step", figures, nature=records.MEASURED, settings=settings)
        )
    print(f"wrote {record.path}")


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
