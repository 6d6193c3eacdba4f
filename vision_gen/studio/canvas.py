"""A picture that is drawn on: strokes with Bokeh's freehand tool, dots and points with a click."""

import io

from bokeh import events
from bokeh.models import ColumnDataSource, FreehandDrawTool, Range1d
from bokeh.plotting import figure
import numpy as np
import panel as pn
import PIL.Image

from vision_gen.studio.parts import button, styled

# Pixels of the page that the longer side of a picture takes, and places of a stroke that are nearer are one.
SIDE, NEAR = 420, 0.75


class Canvas:
    """A picture with strokes on it.

    Args:
      strokes: strokes are drawn, and dots by clicking; otherwise points alone.
      tint: colour that drawing begins with.
      width: of the brush, in pixels of the picture; None: a fiftieth of the longer side.
      tints: the visitor chooses colours.

    Attributes:
      view: what the page shows.
      strokes: list of {"colour", "points", "width"} as `values.Scribble` reads them.
      shown: the picture that lies under the strokes, and size, its (height, width).
      figure: the Bokeh figure, for events; plain: the figure alone, as a part of the page.
      clicked: function of a place that is called in the place of drawing a dot, or None.
    """

    def __init__(self, *, strokes=True, tint="#c83200", width=None, tints=False, side=SIDE, size=(256, 256)):
        self.strokes, self.changed = [], []
        self._done, self._undone, self._drawing, self._side = [[]], [], False, side
        self._lines = ColumnDataSource({"xs": [], "ys": [], "tint": [], "width": [], "thick": []})
        self._dots = ColumnDataSource({"x": [], "y": [], "tint": [], "thick": []})
        self._image = ColumnDataSource({"image": [], "w": [], "h": []})
        self._veil = ColumnDataSource({"image": [], "w": [], "h": []})
        self._fixed_width, self._shape = width, size
        self.figure = figure(
            toolbar_location=None,
            tools=[],
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
            min_border=1,
            outline_line_color="#d9dde5",
        )
        self.figure.axis.visible = self.figure.grid.visible = False
        self.figure.image_rgba("image", x=0, y=0, dw="w", dh="h", source=self._image)
        self.figure.image_rgba("image", x=0, y=0, dw="w", dh="h", source=self._veil)
        drawn = self.figure.multi_line(
            "xs", "ys", color="tint", line_width="thick", line_cap="round", line_join="round", source=self._lines
        )
        self.figure.scatter(
            "x", "y", size="thick", fill_color="tint", line_color="#ffffff", line_width=1, source=self._dots
        )
        self.tool = None
        if strokes:
            self.tool = FreehandDrawTool(renderers=[drawn])
            self.figure.add_tools(self.tool)
            self.figure.toolbar.active_drag = self.tool
            self._lines.on_change("data", self._from_browser)
        self.figure.on_event(events.Tap, self._tapped)
        self.brush = styled(pn.widgets.IntSlider(label="Brush (pixels)", start=1, end=64, value=8, width=190))
        self.tint = styled(pn.widgets.ColorPicker(label="Colour", value=tint, width=80))
        self.eraser = styled(pn.widgets.Toggle(label="Eraser", width=80))
        self.undo = button("Undo", lambda _: self._step(self._done, self._undone))
        self.redo = button("Redo", lambda _: self._step(self._undone, self._done))
        self.clear = button("Clear", lambda _: self.set([]))
        for widget in (self.brush, self.tint):
            widget.param.watch(lambda _: self._prepare(), "value")
        self.picture(np.full((*size, 3), 255, np.uint8))
        row = [self.undo, self.redo, *([self.eraser] if strokes else []), self.clear]
        choice = [*([self.tint] if tints else []), *([self.brush] if strokes else [])]
        self.plain, self.clicked = pn.pane.Bokeh(self.figure, margin=(2, 0)), None
        self.view = pn.Column(self.plain, pn.Row(*row, margin=0), pn.Row(*choice, margin=0), margin=0)

    def picture(self, picture):
        """Lays a picture [height, width, 3] uint8 under the strokes; those of a picture of another size go."""
        self.shown = picture
        height, width = picture.shape[:2]
        if (height, width) != self._shape:
            self.strokes, self._done, self._undone = [], [[]], []
        self._shape = height, width
        self._scale = self._side / max(height, width)
        shown = picture
        if self._scale < 1:
            size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
            shown = np.asarray(PIL.Image.fromarray(picture).resize(size, PIL.Image.Resampling.LANCZOS))
        opaque = np.full((*shown.shape[:2], 4), 255, np.uint8)
        opaque[..., :3] = shown
        flat = np.ascontiguousarray(opaque[::-1]).view(np.uint32)[..., 0]
        self._image.data = {"image": [flat], "w": [width], "h": [height]}
        self.figure.x_range.end, self.figure.y_range.end = width, height
        self.figure.frame_width = max(1, round(width * self._scale))
        self.figure.frame_height = max(1, round(height * self._scale))
        longest = max(height, width)
        end, value = max(2, longest // 4), self._fixed_width or max(1, longest // 50)
        self.brush.param.update(end=max(end, value), value=value)
        self._prepare()
        self._draw()

    def veil(self, share):
        """Lets the picture fade where a share [rows, columns] of 0 to 1 is small; None takes the veil away."""
        if share is None:
            if self._veil.data["image"]:
                self._veil.data = {"image": [], "w": [], "h": []}
            return
        height, width = self._shape
        faded = PIL.Image.fromarray(np.uint8(225 * (1 - np.clip(share, 0, 1))))
        faded = np.asarray(faded.resize((4 * share.shape[1], 4 * share.shape[0]), PIL.Image.Resampling.BICUBIC))
        white = np.full((*faded.shape, 4), 255, np.uint8)
        white[..., 3] = faded
        flat = np.ascontiguousarray(white[::-1]).view(np.uint32)[..., 0]
        self._veil.data = {"image": [flat], "w": [width], "h": [height]}

    def mark(self, strokes):
        """Shows strokes that are not drawn by hand, and cannot be taken back."""
        self.strokes = list(strokes)
        self._draw()

    @property
    def size(self):
        """(height, width) of the picture."""
        return self._shape

    def set(self, strokes):
        """Takes strokes in the place of those there are; that can be undone."""
        self.strokes = list(strokes)
        self._done.append(self.strokes)
        self._undone.clear()
        self._draw()
        self._tell()

    def place(self, event):
        """(x, y) of an event in pixels of the picture, or None beside it."""
        height, width = self._shape
        if event.x is None or not (0 <= event.x <= width and 0 <= event.y <= height):
            return None
        return round(float(event.x), 2), round(float(height - event.y), 2)

    def _step(self, here, there):
        if len(here) > (here is self._done):
            there.append(here.pop())
            self.strokes = self._done[-1]
            self._draw()
            self._tell()

    def _tell(self):
        for function in self.changed:
            function()

    def _prepare(self):
        """What a stroke that begins now is given."""
        if self.tool:
            width = self.brush.value
            self.tool.default_overrides = {"tint": self.tint.value, "width": width, "thick": width * self._scale}

    def _tapped(self, event):
        place = self.place(event)
        if place is None:
            return
        if self.clicked is not None:
            self.clicked(place)
        else:
            self._add({"colour": self.tint.value, "points": [list(place)], "width": self.brush.value})

    def _add(self, stroke):
        if self.eraser.value:
            left = [one for one in self.strokes if not _touch(one, stroke)]
            self.set(left) if len(left) < len(self.strokes) else self._draw()
        else:
            self.set([*self.strokes, stroke])

    def _from_browser(self, attribute, old, new):
        """A stroke was drawn: it is the last one, and its ends are (x, y) from the lower left corner."""
        known = sum(len(stroke["points"]) > 1 for stroke in self.strokes)
        if self._drawing or len(new["xs"]) <= known:
            return
        height = self._shape[0]
        points = np.stack([np.asarray(new["xs"][-1], float), height - np.asarray(new["ys"][-1], float)], -1)
        kept = [points[0]]
        for point in points[1:]:
            if np.abs(point - kept[-1]).max() >= NEAR:
                kept.append(point)
        points = np.round(kept, 1).tolist()
        self._add({"colour": self.tint.value, "points": points, "width": self.brush.value})

    def _draw(self):
        self._drawing = True
        height, lines = self._shape[0], [stroke for stroke in self.strokes if len(stroke["points"]) > 1]
        self._lines.data = {
            "xs": [[x for x, _ in stroke["points"]] for stroke in lines],
            "ys": [[height - y for _, y in stroke["points"]] for stroke in lines],
            "tint": [stroke["colour"] for stroke in lines],
            "width": [stroke["width"] for stroke in lines],
            "thick": [stroke["width"] * self._scale for stroke in lines],
        }
        dots = [stroke for stroke in self.strokes if len(stroke["points"]) == 1]
        self._dots.data = {
            "x": [stroke["points"][0][0] for stroke in dots],
            "y": [height - stroke["points"][0][1] for stroke in dots],
            "tint": [stroke["colour"] for stroke in dots],
            "thick": [max(7, stroke["width"] * self._scale) for stroke in dots],
        }
        self._drawing = False
        self.undo.disabled, self.redo.disabled = len(self._done) < 2, not self._undone
        self.clear.disabled = not self.strokes


def _touch(one, other):
    """Do two strokes come within their widths of each other?"""
    apart = _along(one)[:, None] - _along(other)[None]
    return np.hypot(*np.moveaxis(apart, -1, 0)).min() <= (one["width"] + other["width"]) / 2


def _along(stroke, step=2.0):
    """Places along a stroke, [places, 2], no farther from each other than `step` pixels."""
    points = np.asarray(stroke["points"], float)
    parts = [points[:1]]
    for before, after in zip(points, points[1:]):
        count = max(1, int(np.ceil(np.hypot(*(after - before)) / step)))
        parts.append(np.linspace(before, after, count + 1)[1:])
    return np.concatenate(parts)


def png(picture):
    """Bytes of a PNG of [height, width] or [..., 3 or 4] uint8."""
    out = io.BytesIO()
    PIL.Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()
