"""StyleCLIP: a picture before and after a change that two texts describe, and how strong that is."""

import dataclasses

import panel as pn

from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import card, text

SYSTEMS, TOOL, TITLE = ("styleclip.editing.StyleCLIP", "styleclip.mapper.Mapper"), "steer", "Change by a text"
STRONG = 10
SAYS = (
    "The first text measures what each channel of the generator does to what CLIP sees: minutes, more with more "
    "pictures. That is kept, and every further text and strength is done at once."
)


class View(ToolPage):
    """Before and after beside each other, with what says how far below them."""

    side = 400
    titles = {"before": "Before", "image": "After"}
    below, says = ("strength", "threshold"), SAYS

    def entry(self, name, kind, base):
        if name == "strength":  # As far as a slider goes.
            kind = dataclasses.replace(kind, low=-STRONG, high=STRONG)
        return super().entry(name, kind, base)

    def layout(self):
        note = [card(text(f'<p class="soft">{self.says}</p>', margin=0), margin=(0, 20, 20, 0))] if self.says else []
        others = (name for name in self.tool.outputs if name not in self.titles)
        results = self.results_part(*self.titles, *others, sizing_mode="stretch_width", margin=(0, 20, 20, 0))
        far = card(
            pn.FlexBox(*(pn.Row(self.entries[name].view, margin=(0, 40, 0, 0)) for name in self.below), margin=0),
            margin=(0, 20, 20, 0),
            sizing_mode="stretch_width",
        )
        left = self.given_part(*(name for name in self.entries if name not in self.below))
        right = pn.Column(results, far, *note, margin=0, sizing_mode="stretch_width")
        return pn.Row(left, right, sizing_mode="stretch_width", margin=0)

    def show(self, found):
        self.live.value = self.live.value or not self.results  # What takes long is done.
        super().show(found)
