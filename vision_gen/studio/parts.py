"""Small parts that pages are made of, in the studio's style."""

import html

import bokeh.models
import panel as pn

from vision_gen.studio import style


def styled(part, *more):
    """A part of Panel, and the parts that it is made of, with the studio's style sheet."""
    for one in part.select(lambda one: hasattr(one, "stylesheets")):
        one.stylesheets = [style.SHEET, *more]
    return part


def button(name, clicked, *, primary=False, **settings):
    """A button that calls `clicked(event)`."""
    kind = "primary" if primary else "default"
    made = pn.widgets.Button(label=name, button_type=kind, **{"margin": (4, 4), **settings})
    made.on_click(clicked)
    return styled(made)


def text(content, *more, **settings):
    """HTML, which must have been escaped."""
    return styled(pn.pane.HTML(content, **{"margin": (0, 0, 6, 0), **settings}), *more)


def card(*parts, **settings):
    """Parts on a white card."""
    return pn.Column(*parts, stylesheets=[style.CARD], **settings)


class Checkbox(pn.widgets.Checkbox):
    """A box to be ticked, also by its label: Bokeh's own, without this, has text beside it that takes no click."""

    _widget_type, _rename = bokeh.models.CheckboxGroup, {"label": "labels"}

    def _process_param_change(self, msg):
        found = super()._process_param_change(msg)
        if "labels" in found:
            found["labels"] = [found["labels"]]
        if "active" in found:
            found["active"] = [0] * bool(found["active"])
        return found

    def _process_property_change(self, msg):
        found = super()._process_property_change(msg)
        return found | {"value": bool(found["value"])} if "value" in found else found


class Busy:
    """How far something is that a button has begun, what is said of it, and a button that stops it.

    Args:
      stopped: function of nothing that is called when it shall stop.

    Attributes:
      view: to be shown beside the button.
      said: a `Said`.
      bar: the progress; it is seen while something runs.
      stop: the button; whoever begins what can be stopped shows it.
    """

    def __init__(self, stopped):
        self.said = Said()
        self.bar = pn.indicators.Progress(value=0, max=100, visible=False, width=260, margin=(10, 8))
        self.stop = button("Stop", lambda _: stopped(), visible=False, width=80)
        row = pn.Row(self.bar, self.stop, margin=0)
        self.view = pn.Column(row, self.said.view, margin=0, sizing_mode="stretch_width")

    def begin(self, says, stops=False):
        """Shows that something runs, and whether it can be stopped."""
        self.said.note(says)
        self.bar.value, self.bar.visible = -1, True
        self.stop.visible, self.stop.disabled = stops, False

    def end(self):
        """Shows that nothing runs."""
        self.said.note("")
        self.bar.visible = self.stop.visible = False

    def show(self, done, total):
        """Shows how far it is; a full bar is not, as something follows what is done."""
        self.bar.value = round(100 * done / total) if 0 < done < total else -1


class Said:
    """A line that tells what is wrong, or what is still to be given; `view` is to be shown."""

    def __init__(self):
        self.view = text("", style.SAID, visible=False, sizing_mode="stretch_width")

    def wrong(self, message):
        """Tells what is wrong."""
        self._say("wrong", message, "alert")

    def note(self, message):
        """Tells something, or with an empty text nothing."""
        self._say("note", message, "status")

    def _say(self, kind, message, role):
        self.view.object = f'<div class="said {kind}" role="{role}">{html.escape(message)}</div>'
        self.view.visible = bool(message)

    @property
    def message(self):
        """What is told, as text; empty if nothing is."""
        return html.unescape(self.view.object.partition(">")[2].removesuffix("</div>")) if self.view.visible else ""
