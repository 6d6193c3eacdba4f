"""Radiance fields: the scene is turned by dragging, coarse meanwhile and in full afterwards."""

from bokeh import events
import panel as pn

from vision_gen.studio import inputs
from vision_gen.studio.canvas import Canvas
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import card, text

SYSTEMS, TOOL, TITLE = ("nerf.NeRF", "nerf.HashNeRF"), "render", "Orbit"
# Pixels of the picture's longer side on the page; width in pixels that is computed while dragging; degrees a pixel.
SIDE, COARSE, TURN = 520, 48, 0.6


class View(ToolPage):
    """The scene, to be turned."""

    def layout(self):
        self.canvas, self.dragging, self._warm = Canvas(strokes=False, side=SIDE), False, False
        self.canvas.clicked = lambda place: None
        for event, act in ((events.PanStart, self._begin), (events.Pan, self._drag), (events.PanEnd, self._end)):
            self.canvas.figure.on_event(event, act)
        says = "Drag the scene to turn it. The sliders say where the camera is."
        turned = card(text(f'<p class="soft">{says}</p>', width=SIDE), self.canvas.plain, margin=(0, 20, 20, 0))
        right = pn.FlexBox(turned, self.results_part(margin=(0, 0, 20, 0)), margin=0, sizing_mode="stretch_width")
        return pn.Row(self.given_part(*self.entries), right, sizing_mode="stretch_width", margin=0)

    @property
    def camera(self):
        """{field: slider} of the camera; empty where the run kept none to go around."""
        entry = self.entries["camera"]
        return entry.sliders if isinstance(entry, inputs.Around) else {}

    def given(self):
        call, missing = super().given()
        if self.dragging and not missing:
            width = min(COARSE, self.camera["width"].value)
            call.given["camera"] = call.given["camera"].partition("width=")[0] + f"width={width}"
        return call, missing

    def show(self, found):
        super().show(found)
        self.canvas.picture(found["image"])
        if not self._warm and self.camera:
            self._warm = True
            nothing = lambda _: None
            self.visit.threads.do(self._compile, nothing, nothing)

    def _compile(self):
        """Renders a coarse picture for nothing, so that the first drag finds its program compiled."""
        tool, given, options = self.call.read(self.visit.model.tools, self.visit.folder)
        self.visit.model.run(tool, {"camera": given["camera"].resized(COARSE)}, options)

    def _begin(self, event):
        self.dragging, self._last = bool(self.camera), (event.sx, event.sy)

    def _drag(self, event):
        """Turns by what the pointer has moved since."""
        if not self.dragging:
            return
        (x, y), self._last = self._last, (event.sx, event.sy)
        azimuth, elevation = self.camera["azimuth"], self.camera["elevation"]
        azimuth.value = (azimuth.value - TURN * (event.sx - x)) % 360
        elevation.value = min(max(elevation.value + TURN * (event.sy - y), elevation.start), elevation.end)

    def _end(self, event):
        if self.dragging:
            self.dragging = False
            self.ask()
