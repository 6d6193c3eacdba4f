"""What the entry points share: flags, clear errors, progress bars, tables."""

import ast
import importlib
import importlib.machinery
import io
import logging
import os
import pathlib
import re
import select
import shlex
import signal
import sys
import time
import traceback
import types

from absl import flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags
import tqdm

from vision_gen import settings
from vision_gen.data.settings import local
from vision_gen.errors import InputError, LostProcessError, NonFiniteError
from vision_gen.settings import nearest

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"

# Seconds between lines of progress where it is no terminal that shows them.
BETWEEN_LINES = 10.0

TOOL = "a tool"  # Among flags: the first word of the command line that is none.

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
    if file in known:
        file = str(CONFIGS / f"{file}.py")
    if os.path.isdir(file):
        raise InputError(f"{file!r} is a folder; it must be the file of a config, or the name of one that ships")
    if not os.path.isfile(file):
        what = "no such file" if pathlib.Path(file).suffix else "no config that ships is called so"
        raise InputError(f"{what}{nearest(pathlib.Path(file).stem, known)}")
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


def chosen(selects, words, takes_words, nothing):
    """What a command line asks for.

    Args:
      selects: {flag that says what to do, or `TOOL`: (flags of which exactly one goes with it, others that may)}; the
        first that is given counts. "checkpoint" and "split" are of a "workdir".
      words: of the command line, that are no flags.
      takes_words: of `selects`, those that words belong to.
      nothing: what to say where nothing is asked for.

    Returns:
      One of `selects`.

    Raises:
      InputError: nothing says what to do, or flags do not go together.
    """
    values = flags.FLAGS
    known = {name for flag, (needs, may) in selects.items() for name in (flag, *needs, *may)} - {TOOL}
    given = [name for name in sorted(known) if values[name].present and values[name].value is not False]
    if words and not set(takes_words) & set(given):
        given.append(TOOL)
    call = lambda name: name if name == TOOL else f"--{name}"
    found = next((flag for flag in selects if flag in given), None)
    if not given:
        raise InputError(nothing)
    if found is None:
        ways = [call(flag) for flag, (needs, may) in selects.items() if given[0] in (*needs, *may)]
        raise InputError(f"{call(given[0])} goes with {' or '.join(ways)}")
    needs, may = selects[found]
    there = [name for name in needs if name in given]
    if needs and len(there) != 1:
        raise InputError(f"{call(found)} goes with {' or '.join(map(call, needs))}{', one of them' * (len(needs) > 1)}")
    without_run = {"checkpoint", "split"} if needs and "workdir" not in there else set()
    can = [*there, *(name for name in may if name not in without_run)]
    wrong = [name for name in given if name not in (found, *can)]
    if wrong:
        alone = f"{', '.join(map(call, can))} alone" if can else "nothing else"
        raise InputError(f"{call(found)} goes with {alone}, not with {call(wrong[0])}")
    return found


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
    """Where nobody reads the output any more, as of `| head`, it is as where the terminal is gone: SIGHUP."""

    def handleError(self, record):
        if not isinstance(sys.exception(), BrokenPipeError):
            return super().handleError(record)
        _quiet()
        signal.raise_signal(signal.SIGHUP)


def _quiet():
    """Lets standard output lead nowhere."""
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
        status = print("\n".join(_help())) if given != sys.argv else main(argv)
        sys.stdout.flush()
        return status or 0
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)
        if not output.poll(0):  # It is another pipe that is broken.
            raise
        _quiet()
        return 0
    except InputError as error:
        return _fail(error, 2)
    except NonFiniteError as error:
        return _fail(error, 3)
    except LostProcessError as error:
        _fail(error, 4)
        sys.stdout.flush()
        # What runs at exit would wait for the process that is gone.
        os._exit(4)
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
    """A line for each field of an experiment's config that something reads: its value, and what it is."""
    from vision_gen import data
    from vision_gen.engine import checkpoints, defaults, system

    values = dict(checkpoints.fields(config))
    values = {name: value for name, value in values.items() if not name.startswith("data.")} | {
        f"data.{name}": value for name, value in data.only_read(config.data.to_dict()).items()
    }
    init = {n: "Weights to start from: a file, a run, zoo/NAME." for n in config.init if n != "allow"}
    init["allow"] = "Patterns of tensors that may be missing there, or left over."
    described = {"": settings.described(defaults.Run), "data.": settings.described(data.Settings)}
    described |= {"model.": settings.described(system.load_class(config.system).Settings), "init.": init}
    kinds = defaults.sections(system.load_class(config.system))
    described |= {f"players.{player}.": settings.described(kinds[player]) for player in config.players}
    described |= {"train.": settings.described(defaults.Train), "parallel.": settings.described(defaults.Parallel)}
    says = {section + field: text for section, fields in described.items() for field, text in fields.items()}
    named = [*(field for field in says if field in values), *(field for field in values if field not in says)]
    return [f"  {f'{name}.{field}={values[field]}':<48} {says.get(field, '')}".rstrip() for field in named]


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
    """A progress bar, as a function of (done, total); it appears with the first call.

    Where standard error is no terminal, it is a line now and then.
    """
    if not sys.stderr.isatty():
        return _lines_of_progress(label, unit)
    bar = None

    def update(done, total):
        nonlocal bar
        bar = bar or tqdm.tqdm(desc=label, unit=f" {unit}", leave=False)
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return update


def _lines_of_progress(label, unit):
    last = time.monotonic()

    def update(done, total):
        nonlocal last
        if done < total and time.monotonic() - last >= BETWEEN_LINES:
            last = time.monotonic()
            print(f"{label}: {unit} {done} of {total}", file=sys.stderr, flush=True)

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
