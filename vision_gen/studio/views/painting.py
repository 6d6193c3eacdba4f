"""What views have in common in which a picture is painted on, stroke after stroke, and the result follows."""

import panel as pn

from vision_gen.engine.recordings import File
from vision_gen.studio import inputs
from vision_gen.studio.canvas import png
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import button, card, text

# Pixels of the longer side of the picture, and of the result, on the page: both and what is given are 1,440 wide.
SIDE = 400
# How far from a stroke colours change, where one goes on from the result and has not said it.
REACH = 0.2


class Strokes(inputs.Scribbles):
    """A large picture to paint on."""

    settings = dict(tints=True, side=SIDE)
    width = SIDE + 10


class Painting(ToolPage):
    """The picture that is painted on, beside the result."""

    # The input that is painted; what is said of it.
    drawn, says = "", ""
    side = SIDE

    def entry(self, name, kind, base):
        return Strokes(kind, name, self.visit, base) if name == self.drawn else super().entry(name, kind, base)

    @property
    def canvas(self):
        """The `canvas.Canvas` that is painted on."""
        return self.entries[self.drawn].canvas

    def layout(self):
        others = [name for name in self.entries if name != self.drawn]
        onward = button("Go on from the result", lambda _: self.onward())
        paint = card(
            text(f'<p class="soft">{self.says}</p>', width=SIDE),
            *self.above(),
            self.entries[self.drawn].view,
            onward,
            margin=(0, 20, 20, 0),
        )
        results = self.results_part(margin=(0, 0, 20, 0), width=SIDE + 68)  # Without a width it would take a whole row.
        right = pn.FlexBox(paint, results, margin=0, sizing_mode="stretch_width")
        return pn.Row(self.given_part(*others), right, sizing_mode="stretch_width", margin=0)

    def above(self):
        """Parts above the picture."""
        return []

    def onward(self):
        """Takes the result in the place of the picture; strokes begin anew, and change what is near them alone."""
        if self.results:
            result = next(iter(self.results.values()))
            reach = self.entries.get("reach")
            if reach is not None and not reach.given():
                reach.set(REACH)
            self.canvas.set([])
            self.entries["image"].give(File("result.png", png(result)))
