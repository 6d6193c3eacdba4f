"""How fast the studio answers in a real browser: one visitor, then several at once.

    pip install -e '.[studio,test]'               # And Chromium.
    python -m benchmarks.studio
    python -m benchmarks.studio --change=hint
    python -m benchmarks.studio --change=reference
    python -m benchmarks.studio --workdir=runs/x --visitors=8 --rate=5 --seconds=60

Pages of Chromium are the visitors, on this machine. First one visitor changes something `--updates` times and waits
each time for the new picture: median and 95th percentile of the milliseconds between. What is changed is the seed of
a tool that draws from one, a dot that is clicked into a picture which is coloured by hints, or the reference that a
sketch is coloured like, another file each time (`--change`).

Then, with `--change=seed`, each of `--visitors` changes it `--rate` times a second for `--seconds`. No connection may
close, no page may show an error, and in the end each must show the picture of its own last seed. What is asked for
while a visitor's last picture is still being drawn is drawn afterwards, the newest only. The first pictures, for
which the program is compiled, do not count.
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
from vision_gen.studio import library, outputs, server, views
from vision_gen.studio.canvas import png

# Milliseconds between a picture and the next change by one visitor.
PAUSE = 500
# What the page's own JavaScript knows: the field of the seed, and all that is shown as HTML.
PAGE = """
window.models = () => [...Bokeh.documents[0]._all_models.values()];
window.shown = () => models().filter(m => typeof m.text == "string").map(m => m.text).join(" ");
window.give = seed => { models().find(m => m.title == "Seed" && "value" in m).value = seed; };
window.sleep = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
// A result has a caption; what is given has none.
window.picture = () => (shown().match(/data:image[^&"]*(?=[^>]*(>|&gt;)(<|&lt;)figcaption)/g) || []).at(-1);
window.follow = began => {
  const before = picture();
  window.followed = (async () => {
    const start = performance.now();
    while (picture() == before) {
      if (performance.now() - start > 60000) throw Error("no new picture within a minute");
      await sleep(0.002);
    }
    return performance.now() - (began || released);
  })();
};
for (const done of ["pointerup", "input"])  // A click is over, a file has been chosen.
  window.addEventListener(done, () => { window.released = performance.now(); }, true);
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
    page, wrong = browser.new_page(viewport={"width": 1400, "height": 1400}), []
    page.on("websocket", lambda socket: socket.on("close", lambda _: wrong.append("a connection closed")))
    page.goto(f"{address}?run={run}")
    page.locator("figure img, input[type=file]").first.wait_for(timeout=300_000, state="attached")
    page.evaluate(PAGE)
    return page, wrong


def drawing(number, side):
    """Bytes of a PNG of a drawing [side, side]: a disc in the colour of a number, outlined, on white; 0: lines."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    colour = np.random.default_rng(number).integers(40, 220, 3) if number else np.full(3, 255)
    away = np.hypot(y, x)[..., None]
    return png(np.uint8(np.where(away < 0.3, colour, np.where(away < 0.33, 0, 255))))


def upload(page, place, number, side):
    """Gives a drawing to an input of files, by its place on the page."""
    file = {"name": f"{number}.png", "mimeType": "image/png", "buffer": drawing(number, side)}
    page.locator("input[type=file]").nth(place).set_input_files([file])


class Seed:
    """The seed of a tool that draws from one is changed."""

    workdir, needs = "zoo/acgan_digits", {"seed"}

    def __init__(self, page, model):
        del model
        self.page = page

    def change(self, number):
        self.page.evaluate("seed => { follow(performance.now()); give(seed); }", 1_000 + number)


class Hint:
    """A dot is clicked into a picture of the model's size."""

    workdir, needs = "zoo/hints_openmoji", {"image", "hints"}

    def __init__(self, page, model):
        self.page = page
        upload(page, 0, 1, model.experiment.data.size)
        page.wait_for_function("picture()", timeout=300_000)
        self.box = page.locator(".bk-Canvas:visible").first.bounding_box()

    def change(self, number):
        across, down = (np.random.default_rng(number).uniform(0.2, 0.8, 2) * self.box["width"]).tolist()
        self.page.evaluate("follow()")
        self.page.mouse.click(self.box["x"] + across, self.box["y"] + down)


class Reference:
    """Another reference is uploaded, a drawing of the model's size."""

    workdir, needs = "zoo/scft_openmoji", {"sketch", "reference"}

    def __init__(self, page, model):
        self.page, self.side = page, model.experiment.data.size
        upload(page, 0, 0, self.side)
        upload(page, 1, 1, self.side)
        page.wait_for_function("picture()", timeout=300_000)

    def change(self, number):
        self.page.evaluate("follow()")
        upload(self.page, 1, number, self.side)


CHANGES = {"seed": Seed, "hint": Hint, "reference": Reference}


def expected(model, tool, seed):
    """The address of the picture of a seed, of the first class where there are some."""
    given = {name: next(iter(kind.names)) for name, kind in tool.inputs.items()} | {"seed": seed}
    found = model.run(tool, *tool.read((), given))
    name, value = next(iter(found.items()))
    return outputs.shown(tool.outputs[name], value).partition('src="')[2].partition('"')[0]


def one(changes, updates):
    """Milliseconds of each of so many updates by one visitor."""

    def update(number):
        # A visitor looks first; two clicks in less than this are a double click, too.
        changes.page.wait_for_timeout(PAUSE)
        changes.page.wait_for_function("models().every(m => m.label != 'Running')")
        changes.change(number)
        return changes.page.evaluate("async () => await followed")

    return [update(number) for number in range(2, updates + 5)][3:]


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
    flags.DEFINE_enum("change", "seed", list(CHANGES), "What visitors change.")
    flags.DEFINE_string("workdir", None, "Run, where not one of the zoo.")
    flags.DEFINE_integer("updates", 100, "Updates by one visitor.", lower_bound=5)
    flags.DEFINE_integer("visitors", 8, "Visitors at once.", lower_bound=1)
    flags.DEFINE_float("rate", 5.0, "Changes a second by each.", lower_bound=0.1)
    flags.DEFINE_float("seconds", 60.0, "How long.", lower_bound=1.0)


def main(argv):
    del argv
    from playwright.sync_api import sync_playwright

    settings = flags.FLAGS
    loop.use_compilation_cache()
    changes = CHANGES[settings.change]
    workdir = settings.workdir or changes.workdir
    model = use.load(workdir)
    tool = next(iter(model.tools.values()))
    draws = all(hasattr(kind, "names") for kind in tool.inputs.values()) and not views.of(model)
    if not changes.needs <= {*tool.inputs, *tool.all_options} or (changes is Seed and not draws):
        needs = " and ".join(sorted(changes.needs))
        alone = " alone, and be what is shown first" if changes is Seed else ""
        raise InputError(f"--workdir: {tool.name}, the first tool of {workdir}, must work from {needs}{alone}")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise InputError("Chromium is needed, the command chromium or google-chrome")
    found, ready = {}, threading.Event()
    serving = threading.Thread(target=serve, args=(found, ready, workdir), daemon=True)
    serving.start()
    ready.wait()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = [opened(browser, found["address"], workdir)]
        times = one(changes(pages[0][0], model), settings.updates)
        late = np.percentile(times, 95)
        print(
            f"{len(times)} updates ({settings.change}): median {np.median(times):.0f} ms, 95th percentile {late:.0f} ms"
        )
        if settings.change == "seed":
            pages += [opened(browser, found["address"], workdir) for _ in range(settings.visitors - 1)]
            wrong = several(pages, model, tool, settings.rate, settings.seconds)
        browser.close()
    found["server"].io_loop.add_callback(found["server"].io_loop.stop)
    serving.join()
    if settings.change != "seed":
        return 0
    asked = f"{settings.rate:g} changes a second for {settings.seconds:g} s"
    print(f"{settings.visitors} visitors, {asked} each: {len(wrong)} things went wrong", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    define()
    sys.exit(commands.run(main))
