"""Tools on files: what `eval.py TOOL name=value ... --output=...` does, for one value of each input or whole folders.

Everything that can be found wrong is found when a `Job` is made, before weights are read.
"""

import concurrent.futures
import json
import os
import pathlib
import time

from vision_gen import values
from vision_gen.errors import InputError

# Seconds between previews that are written while a tool takes its turns.
BETWEEN_PREVIEWS = 5.0


def lines(named, arguments, pictures, output, *, listing, progress):
    """Runs a tool on files, or lists the tools there are.

    Args:
      named: a `use.Named`.
      arguments, pictures: see `choose`.
      output: see `Job`.
      listing: list the tools.
      progress: see `Job.run`.

    Returns:
      Lines that say what was done.
    """
    tools = named.tools()
    if listing:
        return [line for tool in tools.values() for line in tool.lines()] or ["no tools"]
    job = Job(*choose(tools, arguments, pictures), output)
    return job.run(named.model(), progress)


def choose(tools, arguments, pictures):
    """The tool that a command line asks for.

    Args:
      tools: {name: tool} of a system.
      arguments: what follows the flags: the tool's name, then name=value; without a name the first tool that takes
        an image is meant.
      pictures: for the first tool that takes an image: its images, in order.

    Returns:
      (tool, {name: text}).

    Raises:
      InputError: there is no such tool, or an argument is not name=value.
    """
    arguments = list(arguments)
    if pictures:
        drawing = [tool for tool in tools.values() if any(isinstance(k, values.Image) for k in tool.inputs.values())]
        if not drawing:
            raise InputError(f"--input goes with a tool that takes an image; there are {_listed(tools)}")
        tool = drawing[0]
        names = [name for name, kind in tool.inputs.items() if isinstance(kind, values.Image)]
        if len(pictures) > len(names):
            raise InputError(f"{tool.name} takes no second image; --reference goes with one that does")
        given = dict(zip(names, pictures))
    else:
        name, given = arguments.pop(0), {}
        if name not in tools:
            raise InputError(f"there is no tool {name!r}; there are {_listed(tools)}")
        tool = tools[name]
    return tool, named(arguments, tool.name, given)


def named(arguments, of, given=()):
    """{name: text} of what a command line gives a tool, `of`, as name=value; with what was `given` before.

    Raises:
      InputError: an argument is not name=value, or given twice.
    """
    given = dict(given)
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise InputError(f"unexpected {argument!r}; inputs and options of {of} are given as name=value")
        if name in given:
            raise InputError(f"{name} is given twice")
        given[name] = os.path.expanduser(text)
    return given


def _listed(tools):
    return ", ".join(tools) if tools else "none"


class Job:
    """Calls of a tool, on one value of each input or on all files of folders.

    A folder for an input that is read from a file stands for every such file below it; two folders are matched by their
    files' names without suffix, and what is no folder goes with each of them.

    Args:
      tool: a `tools.Tool`.
      given: {name: text} of inputs and options.
      output: where results go: a file, or with folders a folder, in which results have the names of the inputs, or for
        results that can be printed a .csv or .json for all. None prints them. Of several outputs all but the first have
        their names added to it.

    Raises:
      InputError: an input, option or the output is wrong; every file is read to see that it can be.
    """

    def __init__(self, tool, given, output):
        given = tool.match((), given)
        self._tool, self._output = tool, None if output is None else pathlib.Path(output)
        self._options = tool.read_options(given)
        folders = {
            name: pathlib.Path(given[name])
            for name, kind in tool.inputs.items()
            if kind.reads and os.path.isdir(given[name])
        }
        self._files = {name: _files(folder, tool.inputs[name], name) for name, folder in folders.items()}
        _check_names(self._files)
        self._names = list(next(iter(self._files.values()), {}))
        self._fixed = {
            name: kind.read(given[name], name) for name, kind in tool.inputs.items() if name not in folders
        }
        self._check_output(folders)
        _check_readable(tool, self._files)

    def __len__(self):
        return len(self._names) if self._files else 1

    @property
    def _together(self):
        """Do results of many files go into one?"""
        return bool(self._files) and (self._output is None or self._output.suffix != "")

    def _check_output(self, folders):
        kinds = self._tool.outputs
        if self._output is None or self._together:
            silent = [name for name, kind in kinds.items() if not kind.prints]
            if silent and self._output is None:
                made = f"{self._tool.name} gives {silent[0]}: {kinds[silent[0]].describe()}"
                raise InputError(f"{made}; say where with --output")
            if silent:
                found = f"{str(self._output)!r} is a file"
                raise InputError(f"--output: {found}; with a folder of inputs it must be a folder")
            if self._output and (self._output.suffix not in (".csv", ".json") or len(kinds) > 1):
                raise InputError(f"--output: {str(self._output)!r} must end in .csv or .json, or be a folder")
            if self._output:
                values.kind.check_folder(self._output.parent, "--output")
        elif self._files:
            values.kind.check_folder(self._output, "--output")
            for name, folder in folders.items():
                if self._output.resolve() == folder.resolve():
                    raise InputError(f"--output is the folder of {name}, {str(folder)!r}; choose another")
        else:
            for name, path in self._paths(self._output).items():
                kinds[name].check_path(path)

    def _paths(self, main):
        """{output: file} of one call, from that of the first output; a path without suffix gets one."""
        found = {}
        for number, (name, kind) in enumerate(self._tool.outputs.items()):
            suffix = main.suffix if main.suffix.lower() in kind.suffixes or number == 0 else kind.suffixes[0]
            found[name] = main if number == 0 else main.with_name(f"{main.stem}_{name}{suffix}")
        return found

    def _path(self, name):
        """File of the first output for the input called `name`."""
        kind = next(iter(self._tool.outputs.values()))
        return self._output / f"{name}{kind.suffixes[0]}"

    def run(self, model, progress):
        """Calls the tool of a `use.Model` and writes what it gives.

        Args:
          model: whose tool it is.
          progress: function of a label and a unit that gives a function of (done, total).

        Returns:
          Lines that say what there is.
        """
        if not self._files:
            show = progress(self._tool.name, self._tool.unit)
            found = model.run(self._tool, self._fixed, self._options, self._shower(show))
            if self._output is None:
                return [self._tool.outputs[name].text(value) for name, value in found.items()]
            return [f"wrote {path}" for path in self._write(found, self._output)]
        together, show = {}, progress(self._tool.name, "file")
        for number, name in enumerate(self._names):
            inputs = {key: self._tool.inputs[key].read(files[name], key) for key, files in self._files.items()}
            called = {key: f"{key} ({files[name]})" for key, files in self._files.items()}
            found = model.run(self._tool, {**self._fixed, **inputs}, self._options, called=called)
            if self._together:
                together[name] = found
            else:
                self._write(found, self._path(name))
            show(number + 1, len(self._names))
        if not self._together:
            return [f"wrote {len(self._names)} results below {self._output}"]
        return self._write_together(together)

    def _write(self, found, main):
        paths = self._paths(main)
        for name, value in found.items():
            self._tool.outputs[name].write(value, paths[name])
        return [paths[name] for name in found]

    def _write_together(self, together):
        kinds = self._tool.outputs
        if self._output is None:
            indent = lambda text: "  " + text.replace("\n", "\n  ")
            return [
                f"{name}\n{indent(kinds[key].text(value))}"
                for name, found in together.items()
                for key, value in found.items()
            ]
        ((key, kind),) = kinds.items()
        rows = {name: kind.cells(found[key]) for name, found in together.items()}
        if self._output.suffix == ".json":
            values.kind.made(self._output).write_text(json.dumps(rows, indent=2) + "\n")
        else:
            columns = list(next(iter(rows.values())))
            table = [[name, *(cells[column] for column in columns)] for name, cells in rows.items()]
            values.words.write_rows(self._output, [["file", *columns], *table])
        return [f"wrote {self._output}"]

    def _shower(self, show):
        """Progress of turns, with a preview in the place of the output now and then."""
        last = time.monotonic()

        def update(done, total, preview):
            nonlocal last
            show(done, total)
            if done < total and self._output and time.monotonic() - last > BETWEEN_PREVIEWS:
                found, last = preview(), time.monotonic()
                if found:
                    self._write(found, self._output)

        return update


def _files(folder, kind, name):
    """{relative path without suffix: file} below a folder, sorted."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in kind.reads):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if key in found:
            raise InputError(f"{name}: {found[key]} and {path} have one name, and so would their results")
        found[key] = path
    if not found:
        raise InputError(f"{name}: no files ({', '.join(kind.reads)}) below {str(folder)!r}")
    return found


def _check_names(files):
    """Refuses folders whose files do not match."""
    names = list(files)
    for a in names:
        for b in names:
            lacking = [key for key in files[a] if key not in files[b]]
            if lacking:
                raise InputError(
                    f"{len(lacking)} of {len(files[a])} files of {a} have none of their name in {b}, the first: "
                    f"{files[a][lacking[0]]}"
                )


def _check_readable(tool, files):
    """Reads every file once, in threads."""

    def problem(name, path):
        try:
            tool.inputs[name].read(path, name)
        except InputError as error:
            return str(error)
        return None

    with concurrent.futures.ThreadPoolExecutor() as executor:
        pairs = [(name, path) for name, found in files.items() for path in found.values()]
        wrong = [why for why in executor.map(lambda pair: problem(*pair), pairs) if why]
    if wrong:
        raise InputError(wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
