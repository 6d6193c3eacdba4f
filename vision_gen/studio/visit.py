"""One visitor at one run: calls of its tools in threads, what they gave, and the recording of them.

Nothing here is shared between visitors but the model. Files are written to a folder of the visitor's own, which goes
when the visitor does.
"""

import concurrent.futures
import contextlib
import io
import itertools
import json
import logging
import pathlib
import re
import shutil
import tempfile
import threading
import time

import panel as pn
import PIL.Image
from PIL import PngImagePlugin

from vision_gen.data import images
from vision_gen.engine import recordings
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
# Pixels of a picture that is uploaded, at most.
MAX_PIXELS = 24_000_000
# Tools that take turns must not keep others waiting.
QUICK = concurrent.futures.ThreadPoolExecutor(4, "studio")
SLOW = concurrent.futures.ThreadPoolExecutor(4, "studio-turns")


class Threads:
    """Work in threads for one visitor's page, whose results are shown where the page may be changed.

    Attributes:
      gone: the visitor has left.
    """

    def __init__(self):
        self.gone = False
        self._document = document()

    def soon(self, function, *arguments):
        """Calls a function where the page may be changed; at once where there is no page, as in tests."""
        if self._document is None:
            function(*arguments)
        elif not self.gone:
            self._document.add_next_tick_callback(lambda: None if self.gone else function(*arguments))

    def do(self, work, then, failed, pool=QUICK):
        """Does `work()` in a thread, then `then(what it gave)` or `failed(message)` on the page."""

        def run():
            try:
                found = work()
            except Exception as error:  # Whatever a picture or a weight brings about, the server lives.
                self.soon(failed, message(error))
            else:
                self.soon(then, found)

        run() if self._document is None else pool.submit(run)


class Visit:
    """A visitor at a run.

    Args:
      name: of the run.
      model: the `use.Model`, shared.
      threads: the visitor's `Threads`.
      runs: folder of runs, for those that are trained here.

    Attributes:
      name, model, threads: as given.
      recording: a `recordings.Recording` of all calls.
    """

    def __init__(self, name, model, threads, runs="runs"):
        self.name, self.model, self.threads, self._runs = name, model, threads, pathlib.Path(runs)
        self.recording = recordings.Recording(name, model.step)
        self._made = None
        self._folder = tempfile.TemporaryDirectory(prefix="vision_gen_studio_")

    def leave(self):
        """Ends what runs and removes the visitor's files."""
        self.threads.gone = True
        self._folder.cleanup()
        with contextlib.suppress(OSError):  # Where something is in it, it stays.
            if self._made:
                self._made.rmdir()

    @property
    def folder(self):
        """The visitor's own folder."""
        return self._folder.name

    def new_folder(self):
        """A new folder for runs, `studio/NAME_1` and so on, NAME being this run's; it stays unless it is empty."""
        plain = re.sub(r"\W+", "_", pathlib.PurePath(self.name).name)
        for number in itertools.count(1):
            folder = self._runs / "studio" / f"{plain}_{number}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise InputError(f"{folder} cannot be made ({error.strerror})") from error
            self._made = folder
            return folder

    def path(self, file):
        """The path of a `recordings.File` in the visitor's folder, whatever it calls itself."""
        return file.write(self.folder)

    def call(self, call, then, failed, progress=None, stopped=lambda: False):
        """Calls a tool in a thread and records it.

        Args:
          call: a `recordings.Call`.
          then: function of (call, {output: value}, what was warned of, a text each), on the page.
          failed: function of a message, on the page.
          progress: function of (turns done, turns in all, {output: preview} or None), on the page.
          stopped: function that says whether a tool that takes turns shall end with what there is. Such a call is not
            recorded, as it could not be made again.
        """
        ended = False
        last = time.monotonic()

        def report(done, total, preview):
            nonlocal ended, last
            if progress and time.monotonic() - last > 0.5:
                last = time.monotonic()
                self.threads.soon(progress, done, total, preview())
            ended = done < total and (stopped() or self.threads.gone)
            return ended

        def work():
            with warned() as warnings:
                tool, inputs, options = call.read(self.model.tools, self.folder)
                found = self.model.run(tool, inputs, options, report)
            if not ended:
                self.recording.add(call, found)
            return found, [recordings.as_called(text, self.folder) for text in warnings]

        tool = self.model.tools.get(call.tool)
        slow = tool and (tool.turns or tool.fitting.prepares)
        self.threads.do(work, lambda both: then(call, *both), failed, SLOW if slow else QUICK)

    def file(self, kind, value, name, call):
        """(file name, bytes) of an output; a .png has the settings that made it in its metadata, as "vision_gen"."""
        suffix = kind.suffixes[0]
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            path = pathlib.Path(folder) / f"{name}{suffix}"
            kind.write(value, path)
            if suffix == "":
                path = pathlib.Path(shutil.make_archive(str(path), "zip", path))
            data = path.read_bytes()
        if suffix == ".png":
            data = with_text(data, "vision_gen", json.dumps(self.recording.says(call)))
        return path.name, data


@contextlib.contextmanager
def warned():
    """A list of what the package warns of meanwhile in this thread, so of nothing that other visitors have given."""
    found, mine = [], threading.get_ident()
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: found.append(record.getMessage()) if record.thread == mine else None
    log.addHandler(listener)
    try:
        yield found
    finally:
        log.removeHandler(listener)


def with_text(png, key, text):
    """Bytes of a PNG with a text in its metadata."""
    image, out, chunk = PIL.Image.open(io.BytesIO(png)), io.BytesIO(), PngImagePlugin.PngInfo()
    chunk.add_itxt(key, text)
    image.save(out, "PNG", pnginfo=chunk)
    return out.getvalue()


def check_size(path, name):
    """Refuses a picture that is too large to be worked on by hand, by its header.

    Raises:
      InputError: it has more than `MAX_PIXELS`.
    """
    try:
        height, width = images.size(path)
    except Exception:  # It is no picture that can be read; `Kind.read` says why.
        return
    if height * width > MAX_PIXELS:
        size = f"{width:,} x {height:,} pixels, {height * width / 1e6:.0f} megapixels"
        raise InputError(f"{name} has {size}; the studio takes {MAX_PIXELS // 10**6} at most")


def message(error):
    """An error as a visitor is told it; one that is not the visitor's own to mend is logged in full."""
    if isinstance(error, InputError):
        return str(error)
    log.error("in the studio", exc_info=error)
    what = str(error).strip().partition("\n")[0]
    return f"This did not work: {type(error).__name__}: {what[:300]}"


def document():
    """The Bokeh document of the visitor whose request this is; None outside of the server."""
    found = pn.state.curdoc
    return found if found is not None and found.session_context is not None else None


class Newest:
    """Does the newest of what is asked for; what was asked for while it was busy, the last only, comes after.

    Args:
      work: function of (what was asked for, done); calls `done()` when it is ready for the next.
    """

    def __init__(self, work):
        self._work, self._busy, self._next = work, False, None

    def ask(self, *what):
        """Asks for something."""
        if self._busy:
            self._next = what
            return
        self._busy = True
        self._work(*what, self._done)

    def _done(self):
        self._busy = False
        if self._next is not None:
            what, self._next = self._next, None
            self.ask(*what)
