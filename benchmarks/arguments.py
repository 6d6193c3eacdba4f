"""What the benchmarks' command lines have in common."""

import pathlib
import re
import sys

from absl import flags

from benchmarks import records
from vision_gen.engine import commands
from vision_gen.errors import InputError

MEASUREMENT = ("rounds", "seconds", "data", "operations")


def define_measurement():
    """Flags of everything that times a config's step: the config, and those of `MEASUREMENT`."""
    commands.define_config("config", "The experiment, a file of configs/.")
    flags.DEFINE_integer("rounds", 10, "Timed steps, fewer where they take over --seconds.", lower_bound=3)
    flags.DEFINE_float("seconds", 20.0, "About how long to time steps of one setting.")
    flags.DEFINE_bool("data", True, "Also time the wait for the config's own data.")
    flags.DEFINE_integer("operations", 10, "How many of the costliest operations to list.")


def measurement():
    """What the user has set of `MEASUREMENT`, by name."""
    return {name: flags.FLAGS[name].value for name in MEASUREMENT if flags.FLAGS[name].present}


def define_output():
    """The flag that says where results go."""
    flags.DEFINE_string("output", None, "Results file; by default one in runs/benchmarks/.")


def record(benchmark, name, total=1):
    """The results file in the making that the user asked for.

    Args:
      benchmark: its name.
      name: of the file without suffix, where `--output` names none.
      total: how many results there will be.

    Raises:
      InputError: its folder cannot be made.
    """
    path = pathlib.Path(flags.FLAGS.output or records.RESULTS / f"{name}.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output: cannot write to {str(path.parent)!r} ({error.strerror})") from error
    return records.Record(benchmark, path, total)


def config_arguments(argv=None):
    """The `--config...` arguments of this program, for a child to get the same experiment."""
    found, argv = [], list(sys.argv[1:] if argv is None else argv)
    for i, argument in enumerate(argv):
        if re.match(r"--?config([.=]|$)", argument):
            found.append(argument)
            if "=" not in argument and i + 1 < len(argv):
                found.append(argv[i + 1])
    return found


def _config_file(argv=None):
    """What `--config` is: (the file, the argument of its `get_config` or "")."""
    words = " ".join(config_arguments(argv)).replace("=", " ").split()
    file, _, preset = words[[w.lstrip("-") for w in words].index("config") + 1].partition(":")
    return file, preset


def config_name(argv=None):
    """The config's file without its folder and suffix: "scft_demo"."""
    return pathlib.Path(_config_file(argv)[0]).stem


def given(argv=None):
    """The fields of the config that are set: {"train.batch_size"}."""
    return {m[1] for m in (re.match(r"--?config\.([^=]+)", a) for a in config_arguments(argv)) if m}


def label(argv=None):
    """The config's name, its preset and what was set of it: "scft_demo train.batch_size=4", "clip_captions:RN50"."""
    preset = _config_file(argv)[1]
    set_ = [re.sub(r"--?config\.", "", a) for a in config_arguments(argv) if re.match(r"--?config\.", a)]
    return " ".join([config_name(argv) + f":{preset}" * bool(preset), *set_])


def numbers(values, flag):
    """The integers of a list flag.

    Raises:
      InputError: one is not a positive integer.
    """
    if not values or not all(v.isdigit() and int(v) for v in values):
        raise InputError(f"{flag} must be positive integers such as 1,2,4, got {','.join(values)!r}")
    return [int(v) for v in values]
