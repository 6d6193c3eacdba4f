"""How fast the studio answers in a real browser: one visitor, then several at once.

    pip install -e '.[studio,test]'               # And Chromium.
    python -m benchmarks.studio
    python -m benchmarks.studio --workdir=runs/x --visitors=8 --rate=5 --seconds=60

Pages of Chromium are the visitors, on this machine, at a tool that draws from a seed. First one visitor changes the
seed `--updates` times and waits each time for the new picture: median and 95th percentile of the milliseconds
between. Then each of `--visitors` changes it `--rate` times a second for `--seconds`. No connection may close, no
page may show an error, and in the end each must show the picture of its own last seed. What is asked for while a
visitor's last picture is still being drawn is drawn afterwards, the newest only. The first pictures, for which the
program is compiled, do not count.
"""

import asyncio
import os
import shutil
import sys
import threading

from absl import flags
import numpy as np

from vision_gen.engine import commands, loop, use
from vision_gen.errors import InputError
from vision_gen.studio import library, outputs, server

# What the page's own JavaScript knows: the field of the seed, and all that is shown as HTML.
PAGE = """
window.models = () => [...Bokeh.documents[0]._all_models.values()];
window.shown = () => models().filter(m => typeof m.text == "string").map(m => m.text).join(" ");
window.give = seed => { models().find(m => m.title == "Seed" && "value" in m).value = seed; };
window.sleep = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
window.picture = () => (shown().match(/data:image[^&"]*/g) || []).at(-1);
window.update = async seed => {
  const before = picture(), began = performance.now();
  give(seed);
  while (picture() == before) await sleep(0.002);
  return performance.now() - began;
};
window.several = async (first, rate, count) => {
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, i / rate - (performance.now() - began) / 1000));
    give(first + i);
  }
};
"""


def opened(browser, address, run):
    """A page at a run, with `PAGE`, and what went wrong there: a list that grows."""
    page, wrong = browser.new_page(), []
    page.on("websocket", lambda socket: socket.on("close", lambda _: wrong.append("a connection closed")))
    page.goto(f"{address}?run={run}")
    page.locator("figure img").first.wait_for(timeout=300_000)
    page.evaluate(PAGE)
    return page, wrong


def expected(model, tool, seed):
    """The address of the picture of a seed, of the first class where there are some."""
    given = {name: next(iter(kind.names)) for name, kind in tool.inputs.items()} | {"seed": seed}
    found = model.run(tool, *tool.read((), given))
    name, value = next(iter(found.items()))
    return outputs.shown(tool.outputs[name], value).partition('src="')[2].partition('"')[0]


def one(page, updates):
    """Milliseconds of each of so many updates by one visitor."""
    for seed in range(3):
        page.evaluate("seed => update(seed)", 900_000 + seed)
    return [page.evaluate("seed => update(seed)", 1_000 + seed) for seed in range(updates)]


def several(pages, model, tool, rate, seconds):
    """What went wrong while all visitors changed their seeds, a line each."""
    count, lines = round(rate * seconds), []
    for number, (page, _) in enumerate(pages, 1):
        page.evaluate(
            "([first, rate, count]) => { window.asked = several(first, rate, count); }", [number * 10**6, rate, count]
        )
    for number, (page, wrong) in enumerate(pages, 1):
        page.evaluate("async () => { await window.asked; }")
        right = expected(model, tool, number * 10**6 + count - 1)
        for _ in range(300):
            if page.evaluate("right => shown().includes(right)", right):
                break
            page.wait_for_timeout(100)
        else:
            wrong.append("the last picture is not that of the last seed")
        if page.evaluate('shown().includes("role=&quot;alert&quot;")'):
            wrong.append("an error is shown")
        lines += [f"visitor {number}: {what}" for what in wrong]
    return lines


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
    from playwright.sync_api import sync_playwright

    settings = flags.FLAGS
    loop.use_compilation_cache()
    model = use.load(settings.workdir)
    tool = next(iter(model.tools.values()))
    if "seed" not in tool.all_options or any(not hasattr(kind, "names") for kind in tool.inputs.values()):
        raise InputError(f"--workdir: {tool.name}, the first tool of {settings.workdir}, must draw from a seed alone")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise InputError("Chromium is needed, the command chromium or google-chrome")
    found, ready = {}, threading.Event()
    threading.Thread(target=serve, args=(found, ready, settings.workdir), daemon=True).start()
    ready.wait()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = [opened(browser, found["address"], settings.workdir)]
        times = one(pages[0][0], settings.updates)
        print(
            f"{len(times)} updates: median {np.median(times):.0f} ms, 95th percentile {np.percentile(times, 95):.0f} ms"
        )
        pages += [opened(browser, found["address"], settings.workdir) for _ in range(settings.visitors - 1)]
        wrong = several(pages, model, tool, settings.rate, settings.seconds)
        browser.close()
    asked = f"{settings.rate:g} changes a second for {settings.seconds:g} s"
    print(f"{settings.visitors} visitors, {asked} each: {len(wrong)} things went wrong", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    define()
    sys.exit(commands.run(main))
