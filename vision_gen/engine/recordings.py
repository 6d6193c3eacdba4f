"""Recordings: calls of tools made by hand, as a small JSON file from which `eval.py --replay` makes them again.

A recording names its run and the step of its checkpoint, and has of every call the tool, what was given, and a
checksum of each output. Files that were given (pictures, clips) are in it once each, as they were.
"""

import base64
import collections
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
import tempfile

import numpy as np
import PIL.Image
from skimage import measure

import vision_gen
from vision_gen import values
from vision_gen.engine import use
from vision_gen.errors import InputError
from vision_gen.ops import users

FORMAT = 1
GREY = 3  # Channels of a grey picture differ by at most this, of 255.
ANOTHER = 16  # Lightness of two pictures of one thing differs by at most this on average, of 255.


@dataclasses.dataclass(frozen=True)
class File:
    """A file that was given, in memory.

    Attributes:
      name: as its owner calls it.
      data: bytes.
    """

    name: str
    data: bytes

    @property
    def digest(self):
        """The first 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.data).hexdigest()[:16]

    @property
    def plain(self):
        """The name in plain characters."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", pathlib.PurePosixPath(self.name).name).lstrip(".")[-80:] or "file"

    def write(self, folder, apart=True):
        """Its path below a folder, with `apart` in one of its own, where it is written unless it is there."""
        path = pathlib.Path(folder) / (self.digest if apart else "") / self.plain
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.data)
        return path


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of a tool.

    Attributes:
      tool: its name.
      given: {input or option: what `Kind.read` takes of JSON}; text in it never names a file.
      files: {input or option: tuple of `File`}, of those that are read from files.
    """

    tool: str
    given: dict
    files: dict = dataclasses.field(default_factory=dict)

    def read(self, tools, folder):
        """The tool and its checked values.

        Args:
          tools: {name: `tools.Tool`} of the system.
          folder: where files may be written to be read.

        Returns:
          (tool, inputs, options).

        Raises:
          InputError: there is no such tool, a value is not of its kind, or is the path of a file.
        """
        if self.tool not in tools:
            raise InputError(f"there is no tool {self.tool!r}; there are {', '.join(tools) or 'none'}")
        tool = tools[self.tool]
        kinds = {**tool.inputs, **tool.all_options}
        for name, value in self.given.items():
            if name in kinds and kinds[name].opens(value):
                raise InputError(f"{name}: {str(value)[:60]!r} names a file, which is not opened; give the file itself")
        try:
            named = {name: _as_given(kinds.get(name), files, folder) for name, files in self.files.items()}
            return tool, *tool.read((), {**self.given, **named})
        except InputError as error:  # Files are called as their owner does.
            raise InputError(as_called(str(error), folder)) from error


def as_called(text, folder):
    """A text in which files that `Call.read` has written below a folder are called as their owner does."""
    return re.sub(rf"{re.escape(str(folder))}/(?:[0-9a-f]{{16}}/)?", "", text)


def _as_given(kind, files, folder):
    """Files as a kind reads them: a path, several, a folder, or of what has parts each, named after its part."""
    if isinstance(kind, values.Folder):
        digest = hashlib.sha256("".join(file.plain + file.digest for file in files).encode()).hexdigest()[:16]
        names = collections.Counter(file.plain for file in files)
        for file in files:
            file.write(pathlib.Path(folder) / digest, apart=names[file.plain] > 1)
        return pathlib.Path(folder) / digest
    paths = [file.write(folder) for file in files]
    if isinstance(kind, values.Images):
        return paths
    if isinstance(kind, values.Prepared):
        return {path.stem: path for path in paths}
    if len(paths) != 1:
        raise InputError(f"one file is needed, got {len(paths)}")
    return paths[0]


def digest(value):
    """The SHA-256 of a checked value of any kind."""

    def plain(part):
        if isinstance(part, np.ndarray):
            return [str(part.dtype), list(part.shape), hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()]
        if isinstance(part, dict):
            return {str(key): plain(one) for key, one in part.items()}
        return [plain(one) for one in part] if isinstance(part, (list, tuple)) else part

    return hashlib.sha256(json.dumps(plain(value)).encode()).hexdigest()


class Recording:
    """Calls of the tools of one run, with the checksums of what they gave.

    Args:
      run: the run's folder, or "zoo/NAME".
      step: of its checkpoint.

    Attributes:
      calls: list of (`Call`, {output: checksum}).
    """

    def __init__(self, run, step):
        self.run, self.step, self.calls = run, step, []

    def add(self, call, outputs):
        """Keeps a call and what it gave, {name: value}."""
        self.calls.append((call, {name: digest(value) for name, value in outputs.items()}))

    def says(self, call):
        """What made one call's outputs, as a dict for JSON, files by their checksums: for the metadata of pictures."""
        files = {name: [file.digest for file in files] for name, files in call.files.items()}
        made = {"run": self.run, "step": self.step, "version": vision_gen.__version__}
        return {**made, "tool": call.tool, "given": call.given, **({"files": files} if files else {})}

    def text(self):
        """As JSON."""
        data = {file.digest: file.data for call, _ in self.calls for some in call.files.values() for file in some}
        named = lambda some: [{"name": file.name, "file": file.digest} for file in some]
        calls = [
            {
                "tool": call.tool,
                "given": call.given,
                "files": {name: named(some) for name, some in call.files.items()},
                "outputs": outputs,
            }
            for call, outputs in self.calls
        ]
        record = {
            "recording": FORMAT,
            "version": vision_gen.__version__,
            "run": self.run,
            "step": self.step,
            "calls": calls,
            "files": {digest: base64.b64encode(found).decode() for digest, found in data.items()},
        }
        return json.dumps(record, indent=1) + "\n"

    @classmethod
    def read(cls, path):
        """The recording in a file.

        Raises:
          InputError: it cannot be read, or is none.
        """
        try:
            record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
            if "round" in record:
                raise ValueError("a round of debiasing: python -m vision_gen.studio.debias --replay")
            if record["recording"] != FORMAT:
                raise ValueError(f"its format is {record['recording']!r}, not {FORMAT}")
            data = {key: base64.b64decode(found, validate=True) for key, found in record["files"].items()}
            files = lambda some: tuple(File(str(file["name"]), data[file["file"]]) for file in some)
            found = cls(str(record["run"]), int(record["step"]))
            for call in record["calls"]:
                some = {name: files(given) for name, given in call["files"].items()}
                found.calls.append((Call(call["tool"], dict(call["given"]), some), dict(call["outputs"])))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; a recording is a JSON file that the studio saves") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: is no recording that can be read ({error!r})") from error
        if not found.calls:
            raise InputError(f"{path}: has no calls of tools; rounds of debiasing are saved by \"Save the round\"")
        return found


def replay(path, output=None, workdir=None, checkpoint=None):
    """Makes the calls of a recording again.

    Args:
      path: of the recording.
      output: folder for what they give, `001_TOOL_OUTPUT.png` and so on; None writes nothing.
      workdir, checkpoint: another run, or checkpoint, than those that it names.

    Returns:
      Lines, one a call: whether every output is the same to the last bit, and what was written.

    Raises:
      InputError: the recording, its run or a call is wrong; names it.
    """
    recording, model = _opened(path, workdir, checkpoint, output)
    lines = []
    for number, call, (tool, inputs, options) in _calls(path, recording, model):
        with _told(path, number):
            found = model.run(tool, inputs, options)
        before = recording.calls[number - 1][1]
        different = [name for name, value in found.items() if digest(value) != before.get(name)]
        lines.append(f"{number} {call.tool}: {'differs in ' + ', '.join(different) if different else 'the same'}")
        for name, value in found.items() if output is not None else ():
            kind = tool.outputs[name]
            file = pathlib.Path(output) / f"{number:03d}_{call.tool}_{name}{kind.suffixes[0]}"
            kind.write(value, file)
            lines.append(f"wrote {file}")
    return lines


def beside_simulated(path, truth=None, workdir=None, checkpoint=None):
    """What a person's scribbles in a recording are worth beside those of users as systems simulate them for training.

    Of every call with scribbles of a tool whose system has `TOOL_user`, which takes what the tool does, its picture in
    colour, and `number`, how many scribbles there are, [1]. It gives {who: {figure: a number, or one for each draw}}.

    Args:
      path: of the recording.
      truth: picture in colour in the place of those that were coloured; None: these are in colour.
      workdir, checkpoint: another run, or checkpoint, than those that it names.

    Returns:
      {"3 colorize, 2 scribbles": {who: {figure: mean}}}; "simulated, deviation" is the standard deviation of draws.

    Raises:
      InputError: no call has such a tool and scribbles, a picture is grey, or the truth is of another.
    """
    recording, model = _opened(path, workdir, checkpoint)
    found = {}
    for number, call, (tool, inputs, options) in _calls(path, recording, model):
        method = f"{tool.name}_user"
        scribbles = next((name for name, kind in tool.inputs.items() if isinstance(kind, values.Scribble)), None)
        given = _count(inputs[scribbles]) if scribbles else 0
        if not given or not hasattr(model.experiment.system, method):
            continue
        with _told(path, number):
            if given > users.BY_HAND:
                raise InputError(f"{scribbles} has {given} scribbles; {users.BY_HAND} at most are simulated")
            picture = next(name for name, kind in tool.inputs.items() if isinstance(kind, values.Image))
            inputs = {**inputs, picture: _in_colour(tool.inputs[picture], inputs[picture], truth, picture)}
            _, figures = model.look(tool, method, inputs, options, number=np.int32([given]))
        title = f"{number} {call.tool}, {given} scribble{'s' if given > 1 else ''}"
        found[title] = {}
        for who, some in figures.items():  # NaN, so left out, of scribbles that are nowhere.
            found[title][who] = {name: float(np.nanmean(x)) for name, x in some.items()}
            spread = {name: float(np.nanstd(x, ddof=1)) for name, x in some.items() if np.size(x) > 1}
            found[title] |= {f"{who}, deviation": spread} if spread else {}
    if not found:
        known = "colorize of hints, enhance of edges"
        raise InputError(f"{path}: has no scribbles for a tool whose users are simulated ({known})")
    return found


def _count(scribbles):
    """How many there are: strokes, or connected parts of a picture."""
    return len(scribbles) if isinstance(scribbles, tuple) else int(measure.label(scribbles[..., 3] >= 128).max())


def _in_colour(kind, picture, truth, name):
    """The truth, where one is given of the same lightness as the picture, otherwise the picture; it must not be grey."""
    found = picture if truth is None else kind.read(truth, "--truth")
    if found.shape != picture.shape:
        (height, width), (rows, columns) = found.shape[:2], picture.shape[:2]
        raise InputError(f"--truth has {width} x {height} pixels, {name} {columns} x {rows}")
    lightness, other = (np.asarray(PIL.Image.fromarray(x).convert("L"), float) for x in (picture, found))
    if (apart := np.abs(lightness - other).mean()) > ANOTHER:
        raise InputError(f"--truth is another picture than {name}: their lightness differs by {apart:.0f} of 255 on average")
    if np.ptp(found.astype(int), -1).max() <= GREY:
        what = name if truth is None else "--truth"
        raise InputError(f"{what} is grey, so nobody knows its colours; --truth=FILE is the same picture in colour")
    return found


def _opened(path, workdir, checkpoint, output=None):
    """(the recording, its model)."""
    recording = Recording.read(path)
    if output is not None:
        values.kind.check_folder(output, "--output")
    return recording, use.load(workdir or recording.run, checkpoint or str(recording.step))


def _calls(path, recording, model):
    """(number, call, (tool, inputs, options)) of each call of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (call, _) in enumerate(recording.calls, 1):
            with _told(path, number):
                read = call.read(model.tools, folder)
            yield number, call, read


@contextlib.contextmanager
def _told(path, number):
    """What is wrong with a call is told with its number."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: call {number}: {error}") from error
