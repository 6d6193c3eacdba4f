"""How fast the studio answers: one visitor at a time, then several at once.

    python -m benchmarks.studio
    python -m benchmarks.studio --workdir=runs/x --visitors=8 --rate=5 --seconds=60

Visitors are clients of the server in threads of their own, over real connections on this machine; they ask for the
whole page again and again, which costs more than what a browser is sent. First one visitor
changes the seed of a tool `--updates` times and waits each time for the new result: median and 95th percentile of the
milliseconds between. Then each of `--visitors` changes it `--rate` times a second for `--seconds`; every change must be
acknowledged, no page may show an error, and in the end each must show the result of its own last seed. The tool's first
results, for which its program is compiled, do not count.
"""

import asyncio
import html
import os
import sys
import threading
import time

from absl import flags
import bokeh.models
from bokeh.client import pull_session
import numpy as np

from vision_gen.engine import commands, loop, use
from vision_gen.errors import InputError
from vision_gen.studio import library, outputs, server


class Visitor:
    """A client at the page of a run's first tool.

    Args:
      address: of the server.
      run: name of the run.
    """

    def __init__(self, address, run):
        self.session = pull_session(url=address, arguments={"run": run})
        self.wait(lambda: "data:image" in self.texts())

    def _models(self):
        return self.session.document.select({"type": bokeh.models.Model})

    def give(self, seed):
        """Changes the seed."""
        next(model for model in self._models() if getattr(model, "title", None) == "Seed").value = seed

    def texts(self):
        """All that the page shows, as HTML."""
        return html.unescape(" ".join(model.text for model in self._models() if hasattr(model, "text")))

    def wait(self, right, seconds=120):
        """Waits until it is right."""
        until = time.monotonic() + seconds
        while not right():
            if time.monotonic() > until:
                raise TimeoutError("the page does not show what it should")
            self.session.pull()

    def update(self, seed):
        """Milliseconds from a change of the seed to its result."""
        before, began = self.texts(), time.perf_counter()
        self.give(seed)
        self.wait(lambda: self.texts() != before and "data:image" in self.texts())
        return 1000 * (time.perf_counter() - began)


def expected(model, tool, seed):
    """The HTML of a tool's first output, of its first class where it takes one."""
    given = {name: next(iter(kind.names)) for name, kind in tool.inputs.items()} | {"seed": seed}
    found = model.run(tool, *tool.read((), given))
    name, value = next(iter(found.items()))
    return outputs.shown(tool.outputs[name], value).partition('src="')[2].partition('"')[0]


def one(address, run, updates):
    """Milliseconds of each of so many updates by one visitor."""
    visitor = Visitor(address, run)
    for seed in range(3):
        visitor.update(900_000 + seed)
    found = [visitor.update(1_000 + seed) for seed in range(updates)]
    visitor.session.close()
    return found


def several(address, run, model, tool, visitors, rate, seconds):
    """(changes that were sent, how many were lost, errors that pages showed) by several visitors at once."""
    lost, errors, sent = [], [], []

    def visit(number):
        asyncio.set_event_loop(asyncio.new_event_loop())
        try:
            visitor, began = Visitor(address, run), time.monotonic()
            for change in range(round(rate * seconds)):
                time.sleep(max(0, began + change / rate - time.monotonic()))
                seed = 1_000_000 * (number + 1) + change
                visitor.give(seed)
                visitor.session.pull()  # The change has been acknowledged, and this is what there is now.
                sent.append(seed)
                errors.extend(["page"] if 'role="alert"' in visitor.texts() else [])
            right = expected(model, tool, seed)
            visitor.wait(lambda: right in visitor.texts())
            visitor.session.close()
        except Exception as error:  # Of whatever breaks a connection.
            lost.append(f"visitor {number + 1}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(sent), lost, errors


def serve(found, ready, run):
    """Serves in a thread of its own."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    found["server"], found["address"] = server.make(library.Library(first=run))
    found["server"].start()
    ready.set()
    found["server"].io_loop.start()


def define():
    """The flags of this program."""
    flags.DEFINE_string("workdir", "zoo/stylegan2_avatars", "Run whose first tool takes a seed and gives a picture.")
    flags.DEFINE_integer("updates", 100, "Updates by one visitor.", lower_bound=5)
    flags.DEFINE_integer("visitors", 8, "Visitors at once.", lower_bound=1)
    flags.DEFINE_float("rate", 5.0, "Changes a second by each.", lower_bound=0.1)
    flags.DEFINE_float("seconds", 60.0, "How long.", lower_bound=1.0)


def main(argv):
    del argv
    settings = flags.FLAGS
    loop.use_compilation_cache()
    model = use.load(settings.workdir)
    tool = next(iter(model.tools.values()))
    if "seed" not in tool.all_options or any(not hasattr(kind, "names") for kind in tool.inputs.values()):
        raise InputError(f"--workdir: {tool.name}, the first tool of {settings.workdir}, must draw from a seed alone")
    found, ready = {}, threading.Event()
    threading.Thread(target=serve, args=(found, ready, settings.workdir), daemon=True).start()
    ready.wait()
    times = one(found["address"], settings.workdir, settings.updates)
    print(f"{len(times)} updates: median {np.median(times):.0f} ms, 95th percentile {np.percentile(times, 95):.0f} ms")
    counts = settings.visitors, settings.rate, settings.seconds
    sent, lost, errors = several(found["address"], settings.workdir, model, tool, *counts)
    asked = round(settings.visitors * settings.rate * settings.seconds)
    print(
        f"{settings.visitors} visitors: {sent} of {asked} changes acknowledged, {len(lost)} visitors lost, {len(errors)} errors"
    )
    print(*lost, sep="\n", end="\n" if lost else "")
    return 1 if lost or errors or sent < asked else 0


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    define()
    sys.exit(commands.run(main))
