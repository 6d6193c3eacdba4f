"""What the page of debiasing draws: examples as points, pictures of some, and how classifiers differ."""

import html

from bokeh.events import Tap
from bokeh.models import ColumnDataSource, HoverTool, LassoSelectTool
from bokeh.palettes import Category10_10, Category20_20
from bokeh.plotting import figure
import numpy as np
import panel as pn

from vision_gen.studio import outputs

INK, SOFT, LINE, GROUND = "#1d2330", "#5a6475", "#d9dde5", "#f4f5f8"
# Of what is wrong and right, told apart by those who see no red or green too.
WRONG, RIGHT = "#c2410c", "#1d6fb8"
# Pixels of the page that pictures of a selection take, and how many are shown.
SIDE, MOST = 84, 36
PICTURES = """
.some { display: flex; flex-wrap: wrap; gap: 10px; }
.some figure { width: 84px; margin: 0; }
.some figure img { border-radius: 5px; border: 2px solid var(--line); }
.some figure.wrong img { border-color: #c2410c; }
.some figcaption { font-size: 12px; line-height: 1.25; margin-top: 3px; overflow-wrap: anywhere; color: var(--ink); }
.some figure.wrong figcaption { color: #9a3412; }
.key { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 12.5px; color: var(--soft); align-items: center; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 5px; }
.key i.ring { background: none; border: 2px solid var(--ink); box-sizing: border-box; }
table.board td, table.board th { padding: 5px 18px 5px 0; text-align: left; font-variant-numeric: tabular-nums; }
table.board th { color: var(--soft); font-weight: 600; font-size: 12.5px; }
table.board td.best { font-weight: 650; }
"""


def colours(count):
    """So many colours, as text; those of many repeat."""
    palette = Category10_10 if count <= 10 else Category20_20
    return [palette[number % len(palette)] for number in range(count)]


class Points:
    """Examples as points of a plane, which are chosen with a lasso or by clicking.

    Args:
      chosen: function of indices, of those that a visitor has chosen.

    Attributes:
      view: what the page shows.
    """

    def __init__(self, chosen):
        self._chosen, self._setting = chosen, False
        self._source = ColumnDataSource({name: [] for name in ("x", "y", "fill", "line", "ring", "size", "says")})
        lasso = LassoSelectTool(continuous=False)
        self.figure = figure(
            width=620, height=520, tools=[lasso, "box_select", "tap", "pan", "wheel_zoom", "reset"],
            active_drag=lasso, active_scroll="wheel_zoom", toolbar_location="above", outline_line_color=LINE,
            match_aspect=True,
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.figure.axis.visible = self.figure.grid.visible = False
        dots = self.figure.scatter(
            "x", "y", size="size", fill_color="fill", line_color="line", line_width=1.6, fill_alpha=0.85,
            nonselection_fill_alpha=0.2, nonselection_line_alpha="ring", source=self._source,
        )  # fmt: skip
        self.figure.add_tools(HoverTool(renderers=[dots], tooltips="@says", limit=3))
        self._source.selected.on_change("indices", self._from_browser)
        self.view = pn.pane.Bokeh(self.figure, margin=0)

    def _from_browser(self, attribute, old, new):
        if not self._setting:
            self._chosen(list(new))

    def show(self, places, fill, wrong, says):
        """Shows points at `places` [n, 2], their colours, those that are `wrong` [n] with a ring, and a text each."""
        self._source.data = {
            "x": places[:, 0],
            "y": places[:, 1],
            "fill": fill,
            "line": [INK if one else colour for one, colour in zip(wrong, fill)],
            "ring": np.where(wrong, 0.9, 0.2),
            "size": np.where(wrong, 10, 6),
            "says": says,
        }

    def select(self, indices):
        """Shows which are chosen."""
        self._setting = True
        self._source.selected.indices = [int(index) for index in indices]
        self._setting = False


def key(names, fill, more=""):
    """Which colour is what, as HTML, and a line of text."""
    parts = [
        f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>' for name, colour in zip(names, fill)
    ]
    rest = f'<p class="soft small" style="margin-top:8px">{html.escape(more)}</p>' if more else ""
    return f'<div class="key">{"".join(parts)}<span><i class="ring"></i>misclassified</span></div>{rest}'


def pictures(some, captions, wrong=None, more=0):
    """Pictures [height, width, 3] with captions, as HTML; `more` are not shown."""
    found = []
    for number, (picture, caption) in enumerate(zip(some, captions)):
        kind = "wrong" if wrong is not None and wrong[number] else ""
        image = outputs.picture(picture, SIDE - 4, caption=False).partition(">")[2].removesuffix("</figure>")
        found.append(f'<figure class="{kind}">{image}<figcaption>{html.escape(caption)}</figcaption></figure>')
    rest = f'<p class="soft small" style="margin-top:8px">and {more:,} more</p>' if more > 0 else ""
    return f'<div class="some">{"".join(found)}</div>{rest}'


def board(figures):
    """Figures of classifiers, {name: {figure: share}}, as HTML; the best of each figure stands out."""
    titles = list(dict.fromkeys(title for row in figures.values() for title in row))
    best = {title: max(row.get(title, -1) for row in figures.values()) for title in titles}
    head = "".join(f"<th>{html.escape(title.replace('_', ' '))}</th>" for title in titles)
    rows = []
    for name, row in figures.items():
        found = [f"<td>{html.escape(name)}</td>"]
        for title in titles:
            kind = ' class="best"' if row.get(title) == best[title] else ""
            found.append(f"<td{kind}>{100 * row[title]:.1f}%</td>" if title in row else "<td></td>")
        rows.append(f"<tr>{''.join(found)}</tr>")
    return f'<table class="board"><tr><th>classifier</th>{head}</tr>{"".join(rows)}</table>'


class Mosaic:
    """How two classifiers differ by class and bias: a field each, large where there are many examples.

    Args:
      chosen: function of (class, bias), of the field that was clicked.

    Attributes:
      view: what the page shows.
    """

    def __init__(self, chosen):
        self._chosen, self._size = chosen, (0, 0)
        self._source = ColumnDataSource({name: [] for name in ("x", "y", "side", "fill", "text", "ink")})
        self.figure = figure(
            x_range=[], y_range=[], tools=[], toolbar_location=None, outline_line_color=LINE, x_axis_location="above",
            width=520, height=460,
        )  # fmt: skip
        self.figure.rect("x", "y", "side", "side", fill_color="fill", line_color="#ffffff", source=self._source)
        self.figure.text(
            "x", "y", "text", text_color="ink", text_align="center", text_baseline="middle", text_font_size="11px",
            source=self._source,
        )  # fmt: skip
        self.figure.grid.visible = False
        for axis in self.figure.axis:
            axis.axis_line_color = axis.major_tick_line_color = None
            axis.major_label_text_color, axis.axis_label_text_color = INK, SOFT
        self.figure.xaxis.axis_label, self.figure.yaxis.axis_label = "bias", "class"
        self.figure.xaxis.major_label_orientation = 0.7
        self.figure.on_event(Tap, self._tapped)
        self.view = pn.pane.Bokeh(self.figure, margin=0)

    def show(self, count, change, classes, biases):
        """Shows `steps.mosaic`: [classes, biases] examples, and change of the share of right ones."""
        self._size = count.shape
        self.figure.x_range.factors, self.figure.y_range.factors = list(biases), list(classes)[::-1]
        of = [(i, j) for i in range(len(classes)) for j in range(len(biases)) if count[i, j]]
        most = max(count.max(), 1)
        points = lambda value: f"{100 * value:+.0f}" if round(100 * value) else "0"
        self._source.data = {
            "x": [biases[j] for _, j in of],
            "y": [classes[i] for i, _ in of],
            "side": [0.35 + 0.6 * (count[at] / most) ** 0.5 for at in of],
            "fill": [_shade(change[at]) for at in of],
            "text": [points(change[at]) for at in of],
            "ink": ["#ffffff" if abs(change[at]) > 0.75 else INK for at in of],
        }

    def _tapped(self, event):
        classes, biases = self._size
        row, column = classes - 1 - int(event.y), int(event.x)
        if 0 <= row < classes and 0 <= column < biases and event.x >= 0 and event.y >= 0:
            self._chosen(row, column)


def _shade(change):
    """Of blue where a share rises by up to 1, of orange where it falls."""
    end = np.array([int(part, 16) for part in (lambda c: (c[1:3], c[3:5], c[5:]))(RIGHT if change > 0 else WRONG)])
    found = np.uint8(np.round(238 + min(1, abs(change)) ** 0.7 * (end - 238)))
    return "#%02x%02x%02x" % tuple(found)
