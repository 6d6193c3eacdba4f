"""Sketch colorization: where in the reference a point of the sketch looks, and ties that make it look elsewhere."""

from bokeh import events
import numpy as np
import panel as pn

from vision_gen.studio import inputs
from vision_gen.studio.canvas import Canvas
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import button, card, text

SYSTEMS, TOOL, TITLE = ("scft.SCFT",), "translate", "Look and tie"
# Pixels of a picture's longer side on the page; places along each side at which attention is shown.
SIDE, PLACES = 330, 24
TINTS = ("#c81e5a", "#1e78c8", "#2e8b57", "#b8860b", "#7b3fb5", "#d2571e")
SAYS = (
    "Hover a place of the sketch: what it looks at stays bright in the reference. Click it, then the place in the "
    "reference that it shall look at."
)
FINDING = (
    "What places of the sketch look at is being found. Ties can be made already: click the sketch, then the reference."
)


class Ties(inputs.Entry):
    """Places of the sketch that go with places of a reference, chosen by clicking."""

    def build(self):
        self.ties, self.begun = [], None
        self._said = text("", margin=0)
        last = button("Remove the last", lambda _: self.set(self.ties[:-1]))
        self._row = pn.Row(last, button("Remove all", lambda _: self.set([])), margin=0, visible=False)
        return [self.title(), self._said, self._row]

    def set(self, ties):
        """Takes ties, [x, y, x', y', number] each."""
        self.ties, self.begun = ties, None
        self._row.visible = bool(ties)
        several = f"{len(ties)} places are tied" if len(ties) != 1 else "one place is tied"
        self._said.object = (
            f'<p class="soft small">{several if ties else "none yet: click the sketch, then the reference"}</p>'
        )
        self.tell()

    def begin(self, place):
        """Takes the place (x, y) of the sketch that the next tie has."""
        self.begun = place
        self._said.object = '<p class="soft small">now click the place in the reference</p>'

    def given(self):
        return self.ties


class View(ToolPage):
    """Sketch, references and result beside each other."""

    def entry(self, name, kind, base):
        return Ties(kind, name, self.visit) if name == "ties" else super().entry(name, kind, base)

    def layout(self):
        self.sketch, self.references = Canvas(strokes=False, side=SIDE), []
        self._there, self._sheet = pn.FlexBox(margin=0), None
        self.sketch.figure.on_event(events.MouseMove, lambda event: self.hover(self.sketch.place(event)))
        self.sketch.figure.on_event(events.MouseLeave, lambda event: self.hover(None))
        self.sketch.clicked = lambda place: self.click_sketch(place)
        for name in ("sketch", "reference"):
            self.entries[name].changed.insert(0, self._changed_pictures)
        self.entries["ties"].changed.append(self._mark)
        self.entries["ties"].set([])
        places = pn.FlexBox(
            pn.Column(text("<h2>Sketch</h2>"), self.sketch.plain, margin=(0, 20, 14, 0), width=SIDE + 4),
            pn.Column(text("<h2>Reference</h2>"), self._there, margin=(0, 0, 14, 0), width=SIDE + 8),
            margin=0,
        )
        self._says = text("", sizing_mode="stretch_width")
        self._know(None)
        self._pictures = card(self._says, places, margin=(0, 0, 20, 0), sizing_mode="stretch_width")
        results = self.results_part(sizing_mode="stretch_width")
        self._right = pn.Column(results, sizing_mode="stretch_width", margin=0)
        return pn.Row(self.given_part(*self.entries), self._right, sizing_mode="stretch_width", margin=0)

    def _changed_pictures(self):
        sketch, references = self.entries["sketch"], self.entries["reference"]
        self._know(None)
        ties = self.entries["ties"]
        if ties.ties or ties.begun is not None:
            ties.set([])  # They lay on other pictures.
        if sketch.given() and self.sketch.shown is not sketch.value:
            self.sketch.picture(sketch.value)
        pictures = references.value if references.given() else ()
        for number in range(len(self.references) + 1, len(pictures) + 1):
            canvas = Canvas(strokes=False, side=SIDE)
            canvas.clicked = lambda place, number=number: self.click_reference(place, number)
            self.references.append(canvas)
        del self.references[len(pictures) :]
        for canvas, picture in zip(self.references, pictures):
            canvas.veil(None)
            canvas.picture(picture)
        # Figures that were made while they were hidden stay empty. What is as it was is not made anew, which is slow.
        shown = [self._pictures] if sketch.given() and references.given() else []
        for place, parts in (
            (self._there, [c.plain for c in self.references]),
            (self._right, [*shown, self._right[-1]]),
        ):
            if list(place) != parts:
                place.objects = parts

    def show(self, found):
        super().show(found)
        self.look("attention", self._made, self._know)

    def _made(self, fitted, attention, given):
        cells = [self._cells(fitted, number, picture) for number, picture in enumerate(given["reference"], 1)]
        return attention[0], cells, fitted

    def _know(self, attention):
        """Takes what `_made` gives, or None while it is not known, and says so."""
        self.attention = attention
        self._says.object = f'<p class="soft">{SAYS if attention else FINDING}</p>'

    def _cells(self, fitted, number, picture):
        """(y, x) in what is computed, of `PLACES` rows and columns of a reference: along each side on its own."""
        height, width = picture.shape[:2]
        along = (np.arange(PLACES) + 0.5) / PLACES
        y = [fitted.place("reference", (0, at * height), number)[1] for at in along]
        x = [fitted.place("reference", (at * width, 0), number)[0] for at in along]
        return np.float32(y), np.float32(x)

    def looks(self, place):
        """How strongly a place (x, y) of the sketch looks at `PLACES` x `PLACES` places of each reference, 0 to 1."""
        attention, cells, fitted = self.attention
        # Of the sketch's cells, and of those of all references together.
        height, width, below, across = attention.shape
        canvas = fitted.parts[0]["sketch"].shape[1:3]
        side = canvas[0] // height
        x, y = (int(n // side) for n in fitted.place("sketch", place, 1))
        found = attention[min(y, height - 1), min(x, width - 1)].reshape(len(cells), -1, across)
        at = lambda along, most: np.clip(along // side, 0, most - 1).astype(int)
        shares = [one[np.ix_(at(y, one.shape[0]), at(x, across))] for one, (y, x) in zip(found, cells)]
        return [share / max(found.max(), 1e-12) for share in shares]

    def hover(self, place):
        """Shows where a place of the sketch looks; None shows the references alone."""
        if place is None or self.attention is None or len(self.attention[1]) != len(self.references):
            for canvas in self.references:
                canvas.veil(None)
            return
        for canvas, share in zip(self.references, self.looks(place)):
            canvas.veil(share)

    def click_sketch(self, place):
        """A tie begins."""
        self.entries["ties"].begin(place)
        self._mark()

    def click_reference(self, place, number):
        """A tie that was begun is made."""
        ties = self.entries["ties"]
        if ties.begun is not None:
            ties.set([*ties.ties, [*ties.begun, *place, number]])

    def _mark(self):
        """Draws the ends of ties, of each pair in one colour."""
        ties = self.entries["ties"]
        dot = lambda number, place: {"colour": TINTS[number % len(TINTS)], "points": [list(place)], "width": 1}
        here = [dot(number, tie[:2]) for number, tie in enumerate(ties.ties)]
        here += [dot(len(here), ties.begun)] if ties.begun is not None else []
        self.sketch.mark(here)
        for which, canvas in enumerate(self.references, 1):
            canvas.mark([dot(number, tie[2:4]) for number, tie in enumerate(ties.ties) if tie[4] == which])
