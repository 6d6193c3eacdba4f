"""How good a config gets in how much time: its held-out figure over wall time and images seen.

    python -m benchmarks.quality --config=configs/scft_demo.py --minutes=10

Trains with `train.py` until the minutes are over (from the command's start, compilation included) and reads the
validation figures it logs; trivial baselines, where the system gives them, are drawn in. Schedules follow
config.train.steps, after which training ends: set it to about what fits. Writes
runs/benchmarks/quality-CONFIG.json and a plot beside it.
"""

import pathlib
import signal
import subprocess
import sys
import time

from absl import flags

from benchmarks import arguments, measure, plots, records, report
from vision_gen.engine import commands, events
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.figures import page


def train(given, workdir, seconds):
    """Runs train.py for so many seconds; it saves and ends on SIGTERM. Returns when it began.

    Raises:
      InputError: it failed; ends with its last line.
    """
    begun = time.time()
    command = [sys.executable, "train.py", *given, f"--workdir={workdir}"]
    process = subprocess.Popen(command, cwd=records.ROOT, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    if process.returncode not in (0, -signal.SIGTERM):
        raise InputError(errors.strip().splitlines()[-1] if errors.strip() else "train.py failed")
    return begun


def curves(workdir, begun, prefix="val/"):
    """{figure: [(seconds since `begun`, step, value)]} of what a run has logged under a prefix."""
    return {
        name.removeprefix(prefix): [(at - begun, step, value) for at, step, value in points]
        for name, points in events.scalars(workdir).items()
        if name.startswith(prefix)
    }


def define():
    """The flags of this program."""
    commands.define_config("config", "The experiment, a file of configs/.")
    flags.DEFINE_float("minutes", 10.0, "Wall time.", lower_bound=0.01)
    flags.DEFINE_string("workdir", None, "Folder of the run, which must not be there yet.")
    arguments.define_output()


def main(argv):
    del argv
    config = flags.FLAGS.config
    name, label = arguments.config_name(), arguments.label()
    workdir = pathlib.Path(flags.FLAGS.workdir or records.ROOT / "runs" / f"quality-{name}")
    if workdir.exists():
        raise InputError(f"--workdir: {workdir} is there already; give another or delete it")
    record = arguments.record("quality", f"quality-{name}")
    begun = train(arguments.config_arguments(), workdir.resolve(), 60 * flags.FLAGS.minutes)
    found = curves(workdir, begun)
    metric = config.train.best_metric
    if not found.get(metric):
        raise InputError(
            f"no validation of {metric!r} was logged in {flags.FLAGS.minutes:g} minutes; lower config.train.eval_every, "
            f"{config.train.eval_every}"
        )
    experiment = Experiment(config)
    unit, each = experiment.system.units(experiment)
    seen = config.train.batch_size * each
    points = [(seconds, step * seen, value) for seconds, step, value in found[metric]]
    # By the project's convention x_NAME is what x is to be compared with.
    baselines = {n: v[-1][2] for n, v in found.items() if n.startswith(f"{metric}_")}
    better = {"max": "higher", "min": "lower"}[config.train.best_mode]
    figures = {f"{metric} at the end": records.figure(points[-1][2], "1", better=better)}
    figures |= {f"baseline {n}": records.figure(v, "1") for n, v in baselines.items()}
    figures["time of the last validation"] = records.figure(points[-1][0], "s")
    figures[f"{unit} seen"] = records.figure(points[-1][1], unit)
    ended = found[metric][-1][1] == config.train.steps
    result = record.add(
        f"{label}: {metric} in {flags.FLAGS.minutes:g} minutes",
        figures,
        nature=records.MEASURED,
        settings=dict(config=label, minutes=flags.FLAGS.minutes, device=measure.device_name(), system=config.system),
        note=f"all of config.train.steps={config.train.steps} were over before" if ended else "",
        curves={
            metric: points,
            **{n: [(s, t * seen, v) for s, t, v in values] for n, values in found.items() if n != metric},
        },
    )
    records.show(result)
    plot = record.path.with_suffix(".png")
    plot.write_bytes(page.png(plots.quality(report.read([record.path]))))
    print(f"wrote {record.path} and {plot}")


if __name__ == "__main__":
    define()
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
