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
