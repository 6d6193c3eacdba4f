"""What a visitor sees: the list of runs, and for one run a page for each of its tools."""

import functools
import html
import io
import re
import urllib.parse

import panel as pn

from vision_gen.data import images
from vision_gen.engine.recordings import Call
from vision_gen.studio import inputs, outputs, style, views
from vision_gen.studio import library as library_lib
from vision_gen.studio.parts import Checkbox, Said, button, card, styled, text
from vision_gen.studio.visit import Newest, Threads, Visit, document, message


def bar(where=""):
    """The bar above every page."""
    place = f'<span class="where">{html.escape(where)}</span>' if where else ""
    line = f'<nav class="bar"><a href="./?list" title="all models">vision_gen studio</a>{place}</nav>'
    return pn.Row(text(line, style.TOP, margin=0), stylesheets=[style.BAR], sizing_mode="stretch_width", margin=0)


def page(library):
    """The page that a request asks for: `?run=NAME` opens a run of the library, `?list` lists them."""
    asked = pn.state.session_args
    name = asked["run"][0].decode("utf-8", "replace") if "run" in asked else None
    if name is None and library.first is not None and "list" not in asked:
        name = str(library.first)
    shown = home(library) if name is None else run_page(library, name)
    return pn.Column(*shown, sizing_mode="stretch_width", margin=0)


def home(library):
    """The list of runs."""
    entries = library.entries()
    groups = {"": "Your runs", "zoo": "The zoo", "configs": "Without a run"}
    grouped = {title: [] for title in groups.values()}
    for entry in entries:
        grouped[groups.get(entry.name.partition("/")[0], "Your runs")].append(entry)
    parts = [
        "<h1>Trained systems</h1>",
        '<p class="soft">Each has a page with what it can be asked to do, and is loaded when it is opened.</p>',
    ]
    for title, some in grouped.items():
        if some:
            parts.append(f'<div class="group">{title}</div><div class="cards">{"".join(map(_card, some))}</div>')
    found = text("".join(parts), style.HOME, sizing_mode="stretch_width", margin=(26, 28, 40, 28))
    return [bar(), found]


def _card(entry):
    """An entry of the library as a link with its picture."""
    link = "?" + urllib.parse.urlencode({"run": entry.name})
    look = '<div class="look bare">no picture yet</div>'
    if entry.sheet is not None:
        picture = _thumbnail(entry.sheet, entry.sheet.stat().st_mtime)
        look = f'<div class="look" style="background-image:url({picture})"></div>'
    says = ": ".join(filter(None, (entry.data, entry.says)))
    return (
        f'<a class="card" href="{html.escape(link)}">{look}<div class="text"><b>{html.escape(entry.title)}</b>'
        f'<div class="of">{html.escape(entry.name)}<br>{html.escape(says)}</div></div></a>'
    )


@functools.lru_cache(200)
def _thumbnail(path, changed):
    """A small picture of a sheet as an address of its own; `changed` is when."""
    try:
        sheet = images.read(path)
    except Exception:  # Of a file that is not whole.
        return ""
    height = min(len(sheet), max(64, sheet.shape[1] * 3 // 5))
    found = re.search('src="([^"]*)"', outputs.picture(images.fit(sheet[:height], (264, 516)), 516, caption=False))
    return found[1]


def run_page(library, name):
    """The page of a run, filled when the run is loaded."""
    said, place = Said(), pn.Column(sizing_mode="stretch_width", margin=(18, 28, 40, 28))
    said.note(f"{name} is being loaded")
    place.append(said.view)
    threads, visits = Threads(), []
    if document() is not None:
        pn.state.on_session_destroyed(lambda _: [visit.leave() for visit in visits])

    def ready(model):
        visit = Visit(name, model, threads, library.runs)
        visits.append(visit)
        try:
            place.objects = [run_view(visit)]
        except Exception as error:  # Of a tool that cannot be shown: the message is, and the server lives.
            said.wrong(message(error))

    failed = lambda why: said.wrong(f"{name} cannot be opened. {why}")
    begin = lambda: threads.do(lambda: library.load(name), ready, failed)
    # What Panel is told between a page's first picture and its connection may be lost.
    begin() if document() is None else pn.state.onload(begin)
    return [bar(name), place]


def run_view(visit):
    """The view of its own that the system has, and a page for each tool, of which buttons choose one."""
    model = visit.model
    title = html.escape(library_lib.title(model.config.system))
    data = library_lib.data_title(model.experiment.data)
    trained = f", trained on {data} for {model.step:,} steps" if model.step else ""
    says = html.escape(f"{visit.name}{trained}")
    head = text(f'<h1>{title}</h1><p class="soft">{says}</p>', sizing_mode="stretch_width")
    found = [(view.TITLE, view.View, model.tools[view.TOOL]) for view in views.of(model)]
    found += [(inputs.titled(name), ToolPage, tool) for name, tool in model.tools.items()]
    tabs = [(title, functools.partial(page, tool=tool)) for title, page, tool in found]
    if not tabs:
        return pn.Column(head, text('<p class="soft">This system has no tools.</p>'), margin=0)
    # Bokeh's own tabs cannot be reached by the keyboard.
    names = {label: number for number, (label, _) in enumerate(tabs)}
    chosen = styled(pn.widgets.RadioButtonGroup(options=names, value=0, margin=0), style.TABS)
    shown = [pn.Column(sizing_mode="stretch_width", margin=(18, 0, 0, 0), visible=False) for _ in tabs]

    def fill(_=None):
        """Shows a tab, and makes what is in it when it is first looked at."""
        for number, part in enumerate(shown):
            part.visible = number == chosen.value
        if not shown[chosen.value].objects:
            shown[chosen.value].objects = [tabs[chosen.value][1](visit).view]

    chosen.param.watch(fill, "value")
    fill()
    return pn.Column(
        pn.Row(head, recorder(visit), margin=0, sizing_mode="stretch_width"),
        *([chosen] if len(tabs) > 1 else []),
        *shown,
        margin=0,
        sizing_mode="stretch_width",
    )


def recorder(visit):
    """A button that saves all calls of this visit."""

    def saved():
        return io.BytesIO(visit.recording.text().encode())

    return styled(
        pn.widgets.FileDownload(
            callback=saved,
            filename="recording.json",
            label="Save recording",
            button_type="default",
            width=150,
            margin=(6, 0),
        )
    )


class ToolPage:
    """A tool's inputs and options beside what it gives; views of certain systems are subclasses.

    Args:
      visit: a `visit.Visit`.
      tool: one of its model's `tools.Tool`.

    Attributes:
      visit, tool: as given.
      view: what the page shows.
      entries: {input or option: `inputs.Entry`}.
      said: a `parts.Said`.
      results: {output: value}, the latest; call: the `recordings.Call` that made them.
      side: pixels of the page that the longer side of a picture takes; sides: {output: such pixels}, where others.
      titles: {output: what it is called there}, where otherwise than the tool calls it.
    """

    side, sides, titles = None, {}, {}

    def __init__(self, visit, tool):
        self.visit, self.tool = visit, tool
        self.said, self.results, self.call = Said(), {}, None
        self.entries, base = {}, None
        for name, kind in {**tool.inputs, **tool.all_options}.items():
            self.entries[name] = made = self.entry(name, kind, base)
            made.changed.append(self._changed)
            base = base or (made if isinstance(made, (inputs.Picture, inputs.Film)) else None)
        if self.side is None:  # So that two are side by side.
            self.side = outputs.SIDE if len(tool.outputs) == 1 else outputs.SIDE * 2 // 3
        self._newest_look = Newest(lambda work, done: work(done))
        self._newest, self._stop = Newest(self._start), False
        live = not (tool.turns or tool.fitting.prepares)
        self.live = styled(Checkbox(label="Run at every change", value=live, margin=(10, 8)))
        self.run = button("Run", lambda _: self.ask(), primary=True, width=110)
        self.stop = button("Stop", lambda _: self._interrupt(), visible=False, width=80)
        self.progress = pn.indicators.Progress(value=0, max=100, visible=False, width=220, margin=(12, 8))
        self._bare = text(
            '<div class="empty">What it gives will be shown here.</div>', style.OUTPUT, sizing_mode="stretch_width"
        )
        self._titles = {name: text("", margin=(0, 0, 4, 0)) for name in tool.outputs}
        self._shown = {name: text("", style.OUTPUT, margin=0) for name in tool.outputs}
        self._saves = {name: self._download(name) for name in tool.outputs}
        self.view = self.layout()
        if self.live.value and not self.given()[1]:
            self.ask()

    def entry(self, name, kind, base):
        """The `inputs.Entry` of an input or option; see `inputs.entry`. Views have others for some."""
        return inputs.entry(kind, name, self.visit, base)

    def layout(self):
        """`view`: what is given on the left, what comes out on the right."""
        left = self.given_part(*self.entries)
        return pn.Row(left, self.results_part(sizing_mode="stretch_width"), sizing_mode="stretch_width", margin=0)

    def given_part(self, *names):
        """A card with the parts of inputs and options of these names, and the buttons."""
        doc = text(f"<p>{html.escape(self.tool.doc)}</p>", margin=(0, 0, 14, 0), width=inputs.WIDTH)
        own = [self.entries[name].view for name in names if name in self.tool.inputs]
        options = [self.entries[name].view for name in names if name not in self.tool.inputs]
        line = '<div class="divide"></div>'
        divide = [text(line, style.OUTPUT, sizing_mode="stretch_width")] if own and options else []
        buttons = pn.Row(self.run, self.stop, *([] if self.tool.turns else [self.live]), margin=(0, 0, 0, -4))
        return card(doc, *own, *divide, *options, buttons, width=inputs.WIDTH + 44, margin=(0, 20, 20, 0))

    def results_part(self, *names, **settings):
        """A card with messages, progress and results of these names, or all."""
        found = pn.FlexBox(*map(self.result_part, names or self.tool.outputs), margin=0)
        parts = self.said.view, self.progress, self._bare, found
        return card(*parts, **{"min_height": 220, "margin": 0, **settings})

    def result_part(self, name):
        """A result with its title, and the button that saves it."""
        return pn.Column(self._titles[name], self._shown[name], self._saves[name], margin=(0, 24, 18, 0))

    def _download(self, name):
        def saved():
            return io.BytesIO(self.visit.file(self.tool.outputs[name], self.results[name], name, self.call)[1])

        suffix = self.tool.outputs[name].suffixes[0] or ".zip"
        widget = pn.widgets.FileDownload(
            callback=saved,
            filename=f"{self.tool.name}_{name}{suffix}",
            label=f"Save {name}{suffix}",
            button_type="default",
            visible=False,
            width=170,
            margin=(8, 0, 0, 0),
        )
        return styled(widget)

    def given(self):
        """(a `recordings.Call`, names of inputs that are missing)."""
        plain, files, missing = {}, {}, []
        for name, entry in self.entries.items():
            value = entry.given()
            if value is None:
                missing += [name] if name in self.tool.inputs else []
            elif isinstance(value, tuple):
                files[name] = value
            else:
                plain[name] = value
        return Call(self.tool.name, plain, files), missing

    def _changed(self):
        if self.live.value:
            self.ask()

    def ask(self):
        """Runs the tool with what is given, or says what is missing."""
        call, missing = self.given()
        if missing:
            names = ", ".join(inputs.titled(name).lower() for name in missing)
            self.said.note(f"Still to be given: {names}")
        else:
            self._newest.ask(call)

    def look(self, method, made, then):
        """Calls another method of the system for what the last result was made of, in a thread; views look inside so.

        Args:
          method: its name.
          made: function of (`fitting.Fitted`, what the method gives, {input: value}), in the thread.
          then: function of what that gives, on the page.
        """

        def found():
            tool, given, options = self.call.read(self.visit.model.tools, self.visit.folder)
            return made(*self.visit.model.look(tool, method, given, options), given)

        def work(done):
            self.visit.threads.do(found, lambda what: (then(what), done()), lambda why: done())

        self._newest_look.ask(work)

    def _interrupt(self):
        self._stop = True
        self.stop.label = "Stopping"

    def _start(self, call, done):
        self._stop, self.stop.label, self.run.disabled = False, "Stop", bool(self.tool.turns)
        self.run.label = "Running"
        self.said.note("")
        self.stop.visible = self.progress.visible = bool(self.tool.turns)
        self.progress.value = -1 if self.tool.turns else 0

        def then(call, found, warnings):
            self.call = call
            self.said.note("\n".join(dict.fromkeys(warnings)))
            self.show(found)
            end()

        def failed(why):
            self.said.wrong(why)
            end()

        def end():
            self.stop.visible = self.progress.visible = self.run.disabled = False
            self.run.label = "Run"
            done()

        self.visit.call(call, then, failed, self._progress, lambda: self._stop)

    def _progress(self, done, total, preview):
        self.stop.visible = self.progress.visible = True
        self.progress.value = round(100 * done / total)
        self._bare.visible = self._bare.visible and not preview
        for name, value in (preview or {}).items():
            self._shown[name].object = outputs.shown(self.tool.outputs[name], value, self.sides.get(name, self.side))

    def title(self, name):
        """What an output is called."""
        return self.titles.get(name) or self.tool.titles.get(name) or inputs.titled(name)

    def show(self, found):
        """Shows results, {output: value}."""
        self.results, self._bare.visible = found, False
        for name, value in found.items():
            self._titles[name].object = f"<h2>{html.escape(self.title(name))}</h2>"
            self._shown[name].object = outputs.shown(self.tool.outputs[name], value, self.sides.get(name, self.side))
            self._saves[name].visible = True
