"""Training that a page asks for, in a process of its own: pages are served meanwhile, and it alone is stopped."""

import atexit
import multiprocessing
import pathlib
import re
import threading

from vision_gen.studio import visit

# One at a time, of all visitors.
TURN = threading.Lock()
LOOK_EVERY = 0.5  # Seconds.
LATEST = 4096  # Bytes at the end of a log in which its latest step is looked for.


class Job:
    """A function that trains a run, at work; it begins at once, or when no other visitor's runs.

    Args:
      threads: the visitor's `visit.Threads`.
      work: a function of a module, called as `work(*arguments)` in another process; arguments can be pickled.
      workdir: of the run.
      progress: function of (steps done, steps in all), on the page.
      then: function of nothing, on the page, when it is done.
      failed: function of a message, on the page, where it is not: also where it was stopped.
    """

    def __init__(self, threads, work, arguments, workdir, progress, then, failed):
        self._threads, self._progress, self._then, self._failed = threads, progress, then, failed
        self._log = pathlib.Path(workdir) / "train.log"
        self._stopped = False
        context = multiprocessing.get_context("spawn")
        self._receive, self._send = context.Pipe(False)
        self._process = context.Process(target=_do, args=(self._send, work, arguments))
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self):
        """Asks it to save what there is and to end, as SIGTERM does."""
        self._stopped = True

    def _watch(self):
        told = False
        with TURN:
            if not self._over():
                self._process.start()
                atexit.register(self._process.terminate)  # The server does not wait for it: it saves what there is.
            self._send.close()
            while self._process.pid and self._process.is_alive():
                if self._over() and not told:
                    self._process.terminate()
                    told = True
                self._process.join(LOOK_EVERY)
                self._threads.soon(self._progress, *step(self._log))
            atexit.unregister(self._process.terminate)
        try:
            message = self._receive.recv()
        except (EOFError, OSError):
            message = "stopped before its first step" if self._stopped else "the process that trained has died"
        if message:
            self._threads.soon(self._failed, message)
        else:
            self._threads.soon(self._then)

    def _over(self):
        return self._stopped or self._threads.gone


def _do(send, work, arguments):
    """What the other process does; it sends what went wrong, or an empty text."""
    try:
        work(*arguments)
        found = ""
    except Exception as error:
        found = visit.message(error)
    send.send(found)


def step(log):
    """(steps done, steps in all) by the log of a run; (0, 0) where it says nothing yet."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - LATEST))
            found = re.findall(rb"step (\d+)/(\d+)", file.read())
    except OSError:
        return 0, 0
    return tuple(map(int, found[-1])) if found else (0, 0)
