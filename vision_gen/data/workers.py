"""Work on all cores whose results come in order: processes that run a module, each every so manyth number."""

import os
import pickle
import signal
import subprocess
import sys


def results(module, count, *arguments):
    """What a module's `serve` makes of 0 to `count` - 1, in order.

    Args:
      module: its name; run as a module it calls `serve`.
      count: how many.
      arguments: more words of its command line.

    Raises:
      RuntimeError: a process ended early.
    """
    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, count)
    # Processes of their own: drawing holds Python's lock, and multiprocessing would run the user's script again.
    command = [sys.executable, "-m", module, *map(str, arguments), str(count), str(cores)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    workers = [
        subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, env=environment) for first in range(cores)
    ]
    try:
        for number in range(count):
            worker = workers[number % cores]
            try:
                yield pickle.load(worker.stdout)
            except EOFError:
                raise RuntimeError(f"{' '.join(worker.args)} ended with {worker.wait()} before {number}") from None
    finally:
        for worker in workers:
            worker.kill()
            worker.stdout.close()
            worker.wait()


def serve(make):
    """The main program of a module that `results` runs: `make(number, *arguments)` gives what is to be had."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who reads ends this.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    *arguments, count, step, first = sys.argv[1:]
    for number in range(int(first), int(count), int(step)):
        pickle.dump(make(number, *arguments), sys.stdout.buffer)
