"""What the entry points share: flags, clear errors, progress bars, tables."""

import ast
import importlib
import importlib.machinery
import io
import logging
import os
import pathlib
import re
import shlex
import sys
import traceback
import types

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags
import tqdm

from vision_gen import settings
from vision_gen.data.settings import local
from vision_gen.errors import InputError, LostProcessError, NonFiniteError
from vision_gen.settings import nearest

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"

_configs = []  # Names of the flags that name a config.
# Flags that ask for help.
HELP = ("--help", "-help", "-h", "-?", "--helpshort", "--helpfull")


def define_config(name, help_text):
    """A flag for a config, a file or the name of one that ships, whose fields can be set: --config.train.steps=100."""
    _configs.append(name)
    holder = config_flags.DEFINE_config_file(name, None, help_text)
    flags.FLAGS[name].parser.parse = _load_config
    return holder


def define_path(name, help_text):
    """A flag for a file or folder of this machine; `~` is somebody's home."""
    return flags.DEFINE(_Path(), name, None, help_text)


class _Path(flags.ArgumentParser):
    """A path of this machine."""

    def parse(self, argument):
        return argument and str(local(argument))


def _load_config(given):
    """The config of a file, or of the name of one that ships, locked.

    Args:
      given: the path, or the name; what follows a colon is the argument of the file's `get_config`.

    Raises:
      InputError: there is no such file, or it cannot be loaded; says at which line.
    """
    file, colon, argument = given.partition(":")
    known = _shipped()
    if file.isidentifier():
        if file not in known:
            raise InputError(f"no config that ships is called so{nearest(file, known)} (a file is given by its path)")
        file = str(CONFIGS / f"{file}.py")
    if not os.path.isfile(file):
        there = "a folder" if os.path.isdir(file) else "no file"
        raise InputError(f"{file!r} is {there}; it must be that of a config, or the name of one that ships")
    loader = importlib.machinery.SourceFileLoader("config_config", file)
    module = sys.modules[loader.name] = types.ModuleType(loader.name)
    module.__file__ = file
    try:
        loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise InputError(f"{file} has no get_config(), which gives the config")
        config = module.get_config(*([argument] if colon else []))
    except InputError:
        raise
    except Exception as error:  # Of whatever the file does.
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f", line {lines[-1]}" if lines else ""
        raise InputError(f"{file}{where}: {type(error).__name__}: {_first_line(str(error))}") from error
    if not isinstance(config, ConfigDict):
        right = "it must be a ConfigDict, as `defaults.experiment` makes one"
        raise InputError(f"{file}: get_config() gives a {type(config).__name__}; {right}")
    return config.lock()


def _first_line(message):
    return message.strip().partition("\n")[0]


def _shipped():
    return sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")


def training_command(config):
    """The command that trains a config: the nearest that ships, and what differs; "" if none is of its system."""
    from vision_gen.engine import checkpoints as ckpt

    ours = {name: value for name, value in ckpt.fields(config) if not name.startswith("origin.")}
    found = []
    for name in _shipped():
        theirs = dict(ckpt.fields(importlib.import_module(f"vision_gen.configs.{name}").get_config()))
        if ours["system"] == theirs["system"] and set(ours) == set(theirs):
            found.append([f"--config={name}", f"--workdir=runs/{name}"])
            different = [field for field in ours if ours[field] != theirs[field]]
            values = (tuple(v) if isinstance(v := ours[field], list) else v for field in different)
            found[-1] += [f"--config.{field}={value}" for field, value in zip(different, values)]
    return shlex.join(["vision-gen", "train", *min(found, key=len)]) if found else ""


def show_log():
    """Prints what the package logs, from INFO on, on standard output; called again, it goes to what that is now.

    Libraries that log by absl are silenced: they raise what goes wrong, and what they also log would bury it.
    """
    log = logging.getLogger("vision_gen")
    for handler in [handler for handler in log.handlers if handler.name == "console"]:
        log.removeHandler(handler)
    console = _Console(sys.stdout)
    console.name = "console"
    console.setLevel(logging.INFO)
    log.addHandler(console)
    log.setLevel(logging.INFO)
    log.propagate = False  # Libraries give the root logger handlers of their own.
    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # A checkpoint's other writes, where one fails.


class _Console(logging.StreamHandler):
    """The log on standard output; a run goes on where nobody reads that any more, as behind `| head`."""

    def handleError(self, record):
        if isinstance(sys.exception(), BrokenPipeError):
            _print_to_nobody()
        else:
            super().handleError(record)


def _print_to_nobody():
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(main):
    """Parses the flags and calls `main(argv)`.

    Returns:
      The exit status: what `main` returns, or 0; 2 where the user can mend it, too little memory among it, with one line
      on stderr that says what; 3 where training diverged; 4 where another process of the run was lost; 141 where nobody
      reads what is printed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # Names of files may be of another encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    show_log()
    sys.unraisablehook = _report_unraisable
    flags.FLAGS.set_gnu_getopt(True)  # Flags may follow what is no flag.
    given = [argument for argument in sys.argv if argument not in HELP]
    try:
        argv = flags.FLAGS(given)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        return _fail(_of_flags(error), 2)
    try:
        if given != sys.argv:
            return print("\n".join(_help()), flush=True) or 0
        status = main(argv) or 0
        sys.stdout.flush()
        return status
    except (InputError, app.UsageError) as error:
        return _fail(error, 2)
    except NonFiniteError as error:
        return _fail(error, 3)
    except LostProcessError as error:
        _fail(error, 4)
        sys.stdout.flush()
        # What runs at exit would wait for the process that is gone.
        os._exit(4)
    except BrokenPipeError:
        _print_to_nobody()
        return 141
    except Exception as error:
        what = _first_line(str(error))
        if not (isinstance(error, MemoryError) or what.startswith("RESOURCE_EXHAUSTED")):  # As XLA has it.
            raise
        less = "a smaller batch, picture or model needs less; config.train.accumulate takes a batch in parts"
        return _fail(f"there is not enough memory ({what}): {less}", 2)


def _of_flags(error):
    """One line on what is wrong with a flag; of a field of a config that is none, ml_collections gives its name alone."""
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"{error}; --help lists those that there are"
    if isinstance(error, flags.IllegalFlagValueError):
        wrong = re.sub("invalid literal for int.*", "it must be an integer", str(error))
        wrong = re.sub("could not convert string to float.*", "it must be a number", wrong)
        return re.sub(r"\('Non-boolean argument.*", "it must be True or False", wrong)
    if not (isinstance(error, (AttributeError, KeyError)) and error.args):
        return error
    name, *more = str(error.args[0]).replace("\\n", "\n").replace("\\'", "'").strip("\"'").splitlines()
    return ". ".join(["no field of the config is called '" + name.strip("\"'") + "'", *(line.strip("'") for line in more)])


def _help():
    """Lines on the program, its flags, and the configs that there are or the fields of the one that was given."""
    program, values = sys.modules["__main__"], flags.FLAGS
    package = program.__spec__.name.partition(".")[0] if program.__spec__ else None
    own = lambda module: module == sys.argv[0] or module.partition(".")[0] in ("vision_gen", package)
    found = [flag for module, some in values.flags_by_module_dict().items() if own(module) for flag in some]
    lines = [(program.__doc__ or "").strip(), "", "Flags:"]
    for flag in (flag for flag in found if "." not in flag.name):
        default = "" if flag.default in (None, [], False) else f" (default {flag.default_as_str})"
        lines.append(f"  --{flag.name:<16} {flag.help}{default}")
    for flag in (values[name] for name in _configs):
        if flag.value is not None:
            lines += ["", f"Fields, to be set as --{flag.name}.seed=1:", *_fields(flag.value, flag.name)]
            continue
        lines += ["", f"Configs; --{flag.name}=NAME --help shows the fields of one:"]
        lines += [f"  {name:<24} {_says(CONFIGS / f'{name}.py')}" for name in _shipped()]
    return lines


def _says(file):
    """The first line of a Python file's docstring."""
    return _first_line(ast.get_docstring(ast.parse(file.read_text())) or "")


def _fields(config, name):
    """A line for each field of an experiment's config: its value, and what it is."""
    from vision_gen.data.settings import Settings as Data
    from vision_gen.engine import checkpoints, defaults, system

    classes = {"": defaults.Run, "data.": Data, "train.": defaults.Train, "parallel.": defaults.Parallel}
    classes["model."] = system.load_class(config.system).Settings
    classes |= {f"players.{player}.": defaults.Player for player in config.players}
    says = {prefix + field: text for prefix, cls in classes.items() for field, text in settings.described(cls).items()}
    values = {field: f"{name}.{field}={value}" for field, value in checkpoints.fields(config)}
    return [f"  {value:<48} {says.get(field, '')}".rstrip() for field, value in values.items()]


def _report_unraisable(unraisable):
    """Reports what no caller can catch, but for the tail of a checkpoint that could not be written.

    Orbax waits for TensorStore's writes in an event loop and closes it at the first that fails. The threads of the
    others then find it closed. What failed has been raised.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)


def _fail(message, status):
    print("error:", "; ".join(str(message).strip().splitlines()), file=sys.stderr, flush=True)
    return status


def progress(label, unit="image"):
    """A progress bar, as a function of (done, total); it appears with the first call."""
    bar = None

    def update(done, total):
        nonlocal bar
        bar = bar or tqdm.tqdm(desc=label, unit=unit, leave=False)
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def table(values):
    """Figures by name as lines; `x_NAME` stands under `x`, as what it is to be compared with."""
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}}  {value:10.4f}" for name, value in sorted(values.items()))


def columns(runs):
    """{run: {figure: value}} as a table, a column a run."""
    titles = sorted({title for values in runs.values() for title in values})
    width = max(map(len, titles))
    cell = max(12, *map(len, runs))
    lines = [" " * width + "".join(f"  {run:>{cell}}" for run in runs)]
    for title in titles:
        values = (f"{v[title]:.4f}" if title in v else "-" for v in runs.values())
        lines.append(f"{title:<{width}}" + "".join(f"  {v:>{cell}}" for v in values))
    return "\n".join(lines)
