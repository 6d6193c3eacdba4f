"""A part of the page for each kind of value that is given to a tool.

All that is given is what `recordings.Call` takes: values of JSON, and files in memory. Nothing that a visitor types
is ever the path of a file.
"""

import contextlib
import html
import pathlib

import numpy as np
import panel as pn

from vision_gen import values
from vision_gen.data import images, labels, openpose
from vision_gen.engine.recordings import File
from vision_gen.errors import InputError
from vision_gen.studio import outputs, style
from vision_gen.studio.canvas import Canvas, png
from vision_gen.studio.parts import Said, button, styled, text
from vision_gen.studio.visit import check_size, message

WIDTH = 340
# Words up to which a choice is a row of buttons.
FEW = 4
# Names of attributes up to which each has a slider.
SLIDERS = 40


def entry(kind, name, visit, base=None):
    """The part of the page for a value of a kind; see `Entry`.

    Args:
      kind: a `values.Kind`.
      name: of the input or option.
      visit: the `visit.Visit`.
      base: the `Picture` that drawings lie on, or None.
    """
    if isinstance(kind, (values.Camera, values.Cameras)) and kind.rig is None:
        return CameraFile(kind, name, visit, base)
    for ancestor in type(kind).__mro__:
        if ancestor in ENTRIES:
            return ENTRIES[ancestor](kind, name, visit, base)
    return Written(kind, name, visit, base)


class Entry:
    """A value on the page.

    Attributes:
      view: what the page shows.
      changed: functions that are called when it changes.
      said: a `parts.Said` for what is wrong with it.
    """

    width = WIDTH

    def __init__(self, kind, name, visit, base=None):
        self.kind, self.name, self.visit, self.base = kind, name, visit, base
        self.changed, self.said = [], Said()
        self.view = pn.Column(*self.build(), self.said.view, margin=(0, 0, 14, 0), width=self.width)

    def build(self):
        """Parts of `view`."""
        raise NotImplementedError

    def given(self):
        """None where nothing is given, a tuple of `File`, or a value of JSON."""
        raise NotImplementedError

    def title(self):
        """The name as a heading."""
        return text(f"<h2>{html.escape(titled(self.name))}</h2>", margin=(0, 0, 2, 0), width=WIDTH)

    def says(self, more=""):
        """What may be given, in small print, without what only a command can be given."""
        found = self.kind.describe()
        for end in (" (", ", several with", ", or a .txt", ": an image with transparency"):
            found = found.partition(end)[0]
        return text(f'<p class="soft small">{html.escape(found + more)}</p>', width=WIDTH)

    @contextlib.contextmanager
    def silent(self):
        """Within it no change is told."""
        told, self.changed = self.changed, []
        try:
            yield
        finally:
            self.changed = told

    def tell(self, *_):
        """Says that it has changed."""
        for function in self.changed:
            function()

    def watched(self, widget):
        """A widget in the studio's style, whose changes are told."""
        widget.param.watch(self.tell, "value")
        return styled(widget)


def titled(name):
    """A name of Python as words."""
    return name.replace("_", " ").capitalize()


class Files(Entry):
    """One file that is uploaded, or several."""

    several = False

    @property
    def label(self):
        """What the box is called."""
        return titled(self.name)

    @property
    def suffixes(self):
        """Of the files that can be given."""
        return self.kind.reads or images.SUFFIXES

    def build(self):
        self.files = ()
        self._chosen = styled(
            pn.widgets.FileInput(
                accept=",".join(self.suffixes),
                multiple=self.several,
                width=WIDTH - 20,
                margin=(0, 0, 2, 0),
                label=self.label,
            )
        )
        self._chosen.param.watch(self._uploaded, "value")
        return [self._chosen, self.says(", or several" if self.several else "")]

    def _uploaded(self, _):
        found, names = self._chosen.value, self._chosen.filename
        if found or names:  # Of an empty file Panel has None.
            found, names = (found, names) if isinstance(found, list) else ([found], [names])
            self.give(*(File(name or "file", data or b"") for name, data in zip(found and names or [], found)))

    def give(self, *files):
        """Takes files as if they had been uploaded; refuses those that cannot be read."""
        self.said.note("")
        try:
            self.check(files)
        except Exception as error:  # As of `visit.message`: files hold whatever they do.
            self.files = ()
            self.said.wrong(message(error))
        else:
            self.files = files
        self._name()
        self.show()
        self.tell()

    def _name(self):
        """Names files that did not come from the box, which says of these that there are none, or others."""
        names, chosen = [file.name for file in self.files], self._chosen.filename
        there = names if names != (chosen if isinstance(chosen, list) else [chosen]) else []
        self._chosen.label = ": ".join([self.label, *filter(None, [", ".join(there)])])
        self._chosen.css_classes = ["elsewhere"] if there else []

    def check(self, files):
        """Raises InputError for what cannot be read."""
        for file in files:
            if not file.name.lower().endswith(tuple(self.suffixes)):
                raise InputError(f"{file.name}: a file must end in {', '.join(self.suffixes)}")
            check_size(self.visit.path(file), file.name)
        self.value = self.read(files)

    def read(self, files):
        """The checked value of files."""
        paths = [self.visit.path(file) for file in files]
        try:
            return self.kind.read(paths if self.several else paths[0], self.name)
        except InputError as error:
            raise InputError(str(error).replace(str(paths[0].parent) + "/", "")) from error

    def show(self):
        """Shows what was given."""

    def given(self):
        return self.files or None


class Picture(Files):
    """A picture: uploaded, taken from a result, or where it is a line drawing, drawn."""

    def build(self):
        self.value, self._canvas = None, None
        self._shown = text("", style.OUTPUT, margin=0)
        parts = super().build()
        if isinstance(self.kind, values.Image) and self.kind.lines:
            self._canvas = Canvas(tint="#000000", width=3, side=WIDTH - 4)
            self._canvas.changed.append(self._drawn)
            toggle = styled(pn.widgets.Toggle(label="Draw it here", margin=(0, 0, 6, 0)))
            # Figures that were made while they were hidden stay empty.
            self._paper = pn.Column(margin=0)
            toggle.param.watch(lambda event: setattr(self._paper, "objects", [self._canvas.view] * event.new), "value")
            parts += [toggle, self._paper]
        return [*parts, self._shown]

    def _drawn(self):
        lines = values.Scribble(least=0).draw(
            values.Scribble(least=0).read(self._canvas.strokes, self.name), self._canvas.size
        )
        paper = np.where(lines[..., 3:] > 0, lines[..., :3], np.uint8(255))
        self.give(File("drawing.png", png(paper)))

    def show(self):
        if not self.files:
            self.value = None
        drawn = self._canvas is not None and len(self._paper)
        self._shown.object = "" if self.value is None or drawn else outputs.picture(self.value, 150)


class Pictures(Files):
    """Several pictures."""

    several = True

    def build(self):
        self._shown = text("", style.OUTPUT, margin=0)
        return [*super().build(), self._shown]

    def show(self):
        row = "".join(outputs.picture(one, 72, caption=False) for one in self.value) if self.files else ""
        self._shown.object = f'<div style="display:flex;gap:8px;flex-wrap:wrap">{row}</div>'


class Parts(Entry):
    """A picture and what was found in it, each of a file of its own."""

    def build(self):
        kinds = dict.fromkeys((self.kind.main, *self.kind.beside), values.Image())
        kinds |= {
            part: values.Pose(joints=len(openpose.JOINTS))
            for part, places in self.kind.beside.items()
            if all(place.endswith(".json") for place in places)
        }
        self.parts = {part: Files(kind, part, self.visit) for part, kind in kinds.items()}
        for one in self.parts.values():
            one.changed.append(self.tell)
        says = html.escape(self.kind.describe().partition(", or ")[0])
        says = text(f'<p class="soft small">{says}</p>', width=WIDTH)
        return [self.title(), says, *(one.view for one in self.parts.values())]

    def give(self, **files):
        """Takes a file for each of some parts, as if they had been uploaded."""
        with self.silent():
            for part, file in files.items():
                self.parts[part].give(file)
        self.tell()

    def given(self):
        found = {part: one.files[0] for part, one in self.parts.items() if one.files}
        if self.kind.main not in found:
            return None
        named = (File(part + pathlib.PurePath(file.name).suffix, file.data) for part, file in found.items())
        return tuple(named) or None


class FolderOf(Pictures):
    """The pictures of a folder, uploaded together."""

    def read(self, files):
        return tuple(images.read(self.visit.path(file)) for file in files)


class Film(Files):
    """A clip; videos where they can be read."""

    suffixes = (".gif", ".webp", ".png", *values.clips.VIDEOS)

    def build(self):
        self._shown = text("", style.OUTPUT, margin=0)
        return [*super().build(), self._shown]

    def show(self):
        self._shown.object = outputs.clip(self.value, 20, 150) if self.files else ""


class Drawn(Entry):
    """What is drawn on a picture; `strokes` and `tints` as of `Canvas`."""

    settings = {}

    def build(self):
        self.canvas = Canvas(**{"side": WIDTH - 4, **self.settings})
        self.canvas.changed.append(self.tell)
        if self.base is not None:
            self.base.changed.append(self._rebased)
        return [self.title(), self.canvas.view, self.says()]

    def _rebased(self):
        value = self.base.value if self.base.given() else None
        if value is not None:
            self.canvas.picture(self.under(value if value.ndim == 3 else value[0]))

    def under(self, picture):
        """What of the picture lies under what is drawn."""
        return picture

    def _painted(self):
        """The strokes as a picture [height, width, 4]."""
        kind = values.Scribble(least=0)
        return kind.draw(kind.read(self.canvas.strokes, self.name), self.canvas.size)


class Scribbles(Drawn):
    settings = dict(tints=True)

    def given(self):
        return self.canvas.strokes if len(self.canvas.strokes) >= self.kind.least else None


class Region(Drawn):
    settings = dict(tint="#2f4fa8")

    def given(self):
        if not self.canvas.strokes:
            return None
        return (File("mask.png", png(np.where(self._painted()[..., 3] > 0, np.uint8(255), np.uint8(0)))),)


class Numbered(Drawn):
    """Regions with numbers: each has its colour of the palette."""

    def build(self):
        parts = super().build()
        colours = {str(n): "#%02x%02x%02x" % tuple(labels.PALETTE[n]) for n in range(1, min(self.kind.most, 8) + 1)}
        number = styled(pn.widgets.RadioButtonGroup(label="Number", options=colours, value=colours["1"], margin=(4, 4)))
        number.param.watch(lambda event: setattr(self.canvas.tint, "value", event.new), "value")
        self.canvas.tint.value = colours["1"]
        return [*parts, number]

    def given(self):
        return (File("labels.png", png(self._painted()[..., :3])),) if self.canvas.strokes else None


class Places(Drawn):
    settings = dict(strokes=False)

    def given(self):
        return [stroke["points"][0] for stroke in self.canvas.strokes] or None


class Amount(Entry):
    """A number: a field, and a slider where it has an end on both sides."""

    def build(self):
        kind, integer = self.kind, self.kind.whole
        start = kind.default if kind.default is not None else max(kind.low, min(0, kind.high))
        start, bounded = int(start) if integer else float(start), kind.high - kind.low <= (1000 if integer else 100)
        field = pn.widgets.IntInput if integer else pn.widgets.FloatInput
        name, label = titled(self.name), {"label": "" if bounded else titled(self.name)}
        self._widget = field(
            value=start,
            width=92 if bounded else WIDTH - 20,
            margin=(0, 0, 2, 0),
            align="end" if bounded else "start",
            **label,
        )
        self._slider, parts = None, [styled(self._widget)]
        if bounded:
            slider = pn.widgets.IntSlider if integer else pn.widgets.FloatSlider
            step = 1 if integer else float(f"{(kind.high - kind.low) / 100:.0e}")
            common = dict(label=name, start=kind.low, end=kind.high, step=step, show_value=False)
            self._slider = styled(slider(value=start, width=WIDTH - 130, margin=(0, 14, 0, 4), **common))
            parts = [pn.Row(self._slider, *parts, margin=0)]
            self._slider.param.watch(self._moved, "value")
        self._widget.param.watch(self._moved, "value")
        self._moving = False
        says = kind.doc or f"{kind.low:g} to {kind.high:g}"
        return [*parts, text(f'<p class="soft small">{html.escape(says)}</p>', width=WIDTH)]

    def _moved(self, event):
        """Slider and field follow each other; what is no number equals nothing, not even itself.

        A field that is emptied has None, which no slider takes.
        """
        if not self._moving:
            self._moving = True
            for widget in (self._slider, self._widget):
                if None not in (widget, event.new) and widget is not event.obj:
                    widget.value = event.new
            self._moving = False
            self.tell()

    def set(self, value):
        """Takes a number as if it had been typed."""
        self._widget.value = value

    def given(self):
        return self._widget.value


class Draw(Entry):
    """A seed, and a button for another."""

    def build(self):
        self._widget = pn.widgets.IntInput(
            label=titled(self.name),
            value=self.kind.default or 0,
            start=0,
            end=2**32 - 1,
            width=WIDTH - 130,
            margin=(0, 0, 2, 0),
        )
        other = button("Another", self._other, align="end", width=90)
        return [pn.Row(self.watched(self._widget), other, margin=0)]

    def _other(self, _):
        self._widget.value = int(np.random.default_rng().integers(10_000))

    def given(self):
        return self._widget.value


class OneOf(Entry):
    """One of some words."""

    def build(self):
        options, start = list(self.words()), self.start()
        common = dict(label=titled(self.name), options=options, value=start, width=WIDTH - 20, margin=(0, 0, 2, 0))
        short = len(options) <= FEW and sum(map(len, options)) < 36
        if short:
            widget = self.watched(pn.widgets.RadioButtonGroup(**common))
        elif len(options) > 60:
            widget = self.watched(pn.widgets.AutocompleteInput(**common, case_sensitive=False, min_characters=1))
        else:
            widget = self.watched(pn.widgets.Select(**common))
        self._widget = widget
        doc = getattr(self.kind, "doc", "")
        says = [text(f'<p class="soft small">{html.escape(doc)}</p>', width=WIDTH)] if doc else []
        name = [text(f"<h2>{html.escape(titled(self.name))}</h2>")] if short else []
        return [*name, widget, *says]

    def words(self):
        return self.kind.options

    def start(self):
        return self.kind.default or self.kind.options[0]

    def given(self):
        return self._widget.value or None


class Class(OneOf):
    def words(self):
        return (self.kind.instead, *self.kind.names) if self.kind.instead else self.kind.names

    def start(self):
        return self.kind.names[0] if self.kind.default is None else self.kind.text(self.kind.default)


class Written(Entry):
    """Text; of every kind that nothing else is for, too."""

    rows = 1

    def build(self):
        common = dict(label=titled(self.name), width=WIDTH - 20, margin=(0, 0, 2, 0), max_length=100_000)
        widget = pn.widgets.TextAreaInput(rows=self.rows, **common) if self.rows > 1 else pn.widgets.TextInput(**common)
        self._widget = self.watched(widget)
        return [self._widget, self.says()]

    def given(self):
        return self._widget.value.strip() or None


class Several(Written):
    """Texts, one a line or with commas between them."""

    rows = 4

    def given(self):
        parts = self._widget.value.splitlines()
        if self.kind.commas:
            parts = [part for line in parts for part in line.split(",")]
        return [part.strip() for part in parts if part.strip()] or None


class TextOrPicture(Picture):
    """A text, or a picture."""

    label = "Or a picture"

    def build(self):
        common = dict(label=titled(self.name), placeholder="a text", width=WIDTH - 20, margin=(0, 0, 6, 0))
        self._words, parts = self.watched(pn.widgets.TextInput(**common)), super().build()
        return [self._words, *parts]

    def given(self):
        return self.files or self._words.value.strip() or None


class Strengths(Entry):
    """How strongly each attribute shall show; 0 leaves it."""

    def build(self):
        names = self.kind.names
        step = dict(start=-1.0, end=1.0, step=0.1, value=0.0, width=WIDTH - 30, margin=(0, 0, 2, 0))
        self.sliders = {
            name: self.watched(pn.widgets.FloatSlider(label=titled(name), **step)) for name in names[:SLIDERS]
        }
        says = "from -1, without, to 1, with; 0 leaves it as it is"
        title = text(f'<h2>{html.escape(titled(self.name))}</h2><p class="soft small">{says}</p>', width=WIDTH)
        return [title, *self.sliders.values()]

    def given(self):
        return {name: slider.value for name, slider in self.sliders.items() if slider.value}


class Uploaded(Files):
    """Numbers of a file."""

    def build(self):
        self._shown = text("", margin=0)
        return [*super().build(), self._shown]

    def show(self):
        says = f"{self.files[0].name}: {list(self.value.shape)}" if self.files else ""
        self._shown.object = f'<p class="soft small">{html.escape(says)}</p>'


class Point(Uploaded):
    """A latent: of a file, or drawn from the normal distribution by a seed."""

    def build(self):
        self._drawn = None
        draw = button("Draw one", lambda _: self._draw(), margin=(0, 0, 6, 0))
        return [*super().build(), draw]

    def _draw(self):
        self.files = ()
        self._name()
        self._drawn = np.random.default_rng().normal(size=self.kind.shape).astype(np.float32).round(4).tolist()
        self._shown.object = '<p class="soft small">drawn from the normal distribution</p>'
        self.tell()

    def give(self, *files):
        self._drawn = None
        super().give(*files)

    def given(self):
        return self.files or self._drawn


class Beginning(Uploaded):
    """A latent to begin with: drawn by a seed, the mean of all, or of a file."""

    def build(self):
        self.seed, file = Draw(values.Seed(), "seed", self.visit), pn.Column(*super().build(), margin=0, visible=False)
        self.seed.changed.append(self.tell)
        self._how = styled(
            pn.widgets.RadioButtonGroup(label="How", options=["Draw one", "Their mean", "A file"], margin=(0, 0, 8, 0))
        )

        def chosen(event):
            self.seed.view.visible, file.visible = event.new == "Draw one", event.new == "A file"
            self.tell()

        self._how.param.watch(chosen, "value")
        return [self.title(), self._how, self.seed.view, file]

    def given(self):
        return {"Draw one": self.seed.given(), "Their mean": "mean"}.get(self._how.value, self.files or None)


class CameraFile(Files):
    """Cameras of a file, where the run kept none to go around."""

    suffixes = (".json",)


class Around(Entry):
    """A camera on its way around the scene."""

    fields = {"azimuth": (0, 360, 30), "elevation": (-80, 80, 20), "distance": (0.3, 3, 1), "width": (16, 1024, None)}
    word = "orbit"

    def build(self):
        self.sliders = {}
        for name, (low, high, start) in self.fields.items():
            whole = name in ("width", "frames")
            start = start if start is not None else min(self.kind.rig.size[1], high)
            make = pn.widgets.IntSlider if whole else pn.widgets.FloatSlider
            step = 1 if whole or name != "distance" else 0.05
            widget = make(
                label=titled(name), start=low, end=high, value=start, step=step, width=WIDTH - 30, margin=(0, 0, 2, 0)
            )
            self.sliders[name] = self.watched(widget)
        return [text(f"<h2>{html.escape(titled(self.name))}</h2>"), *self.sliders.values()]

    def given(self):
        return f"{self.word}:" + ",".join(f"{name}={slider.value:g}" for name, slider in self.sliders.items())


class Path(Around):
    fields = {"frames": (2, 240, 30), "elevation": (-80, 80, 20), "distance": (0.3, 3, 1), "width": (16, 1024, None)}


ENTRIES = {
    values.Attributes: Strengths,
    values.Camera: Around,
    values.Cameras: Path,
    values.Choice: OneOf,
    values.Clip: Film,
    values.Folder: FolderOf,
    values.Image: Picture,
    values.Images: Pictures,
    values.Label: Class,
    values.Labels: Numbered,
    values.Latent: Point,
    values.Mask: Region,
    values.Number: Amount,
    values.Points: Places,
    values.Pose: Uploaded,
    values.Prepared: Parts,
    values.Query: TextOrPicture,
    values.Scribble: Scribbles,
    values.Seed: Draw,
    values.Start: Beginning,
    values.Texts: Several,
}
