"""StyleGAN2: two pictures, one with layers of the other, moved along what the generator's own weights suggest."""

import panel as pn

from vision_gen.nets.latent_mapper import LEVELS
from vision_gen.studio import inputs, style
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import button, card, text

SYSTEMS, TOOL, TITLE = ("stylegan2.StyleGAN2",), "mix_two", "Mix layers"
TITLES = {"coarse": "Poses, shapes", "medium": "Features", "fine": "Colours"}


class Layers(inputs.Entry):
    """A range of layers: the option that has its first one. It begins at layer a and ends before layer b.

    Attributes:
      slider: its value is (a, b).
    """

    def build(self):
        self._count = int(self.kind.high) + 1
        self.slider = self.watched(
            pn.widgets.IntRangeSlider(
                label="Layers",
                start=0,
                end=self._count,
                value=(0, self._count),
                show_value=False,
                bar_color=style.ACCENT,
                width=inputs.WIDTH - 40,
                margin=(0, 0, 6, 8),
            )  # fmt: skip
        )
        self._says = text("", margin=0)
        levels = {"None": slice(0, 0)} | {TITLES[name]: part for name, part in LEVELS.items()} | {"All": slice(None)}
        ranges = {name: part.indices(self._count)[:2] for name, part in levels.items()}
        buttons = [
            button(name, lambda _, part=part: setattr(self.slider, "value", part), margin=(0, 6, 6, 0))
            for name, part in ranges.items()
            if name == "None" or part[0] < part[1]
        ]
        self.slider.param.watch(lambda _: self._say(), "value")
        self._say()
        return [self.slider, self._says, pn.FlexBox(*buttons, margin=(4, 0, 0, 0))]

    def _say(self):
        first, end = self.slider.value
        found = f"layers {first} to {end - 1}" if end - first > 1 else f"layer {first}" if end > first else "none"
        self._says.object = f'<p class="soft small">{found} of 0 to {self._count - 1}</p>'

    def given(self):
        first, end = self.slider.value
        return first if end > first else self._count - 1

    @property
    def last(self):
        """The last layer; before the first one where there is none."""
        first, end = self.slider.value
        return end - 1 if end > first else 0


class Last(inputs.Entry):
    """The option that has the last layer of a `Layers`."""

    layers = None

    def build(self):
        return []

    def given(self):
        return self.layers.last


class View(ToolPage):
    """The two, and the mixture between them."""

    side = 264
    titles = {"of_seed": "Of the seed", "image": "Mixed", "of_other": "Of the other"}
    ranges = {"first": "last", "moved_first": "moved_last"}

    def entry(self, name, kind, base):
        if name in self.ranges:
            made = Layers(kind, name, self.visit)
            made.slider.value = (kind.default, self.tool.options[self.ranges[name]].default + 1)
            return made
        if name in self.ranges.values():
            return Last(kind, name, self.visit)
        return super().entry(name, kind, base)

    def layout(self):
        for first, last in self.ranges.items():
            self.entries[last].layers = self.entries[first]
        part = lambda title, says, *names: card(
            text(f'<h3>{title}</h3><p class="soft">{says}</p>', margin=(0, 0, 14, 0), width=inputs.WIDTH),
            *(self.entries[name].view for name in names),
            width=inputs.WIDTH + 44,
            margin=(0, 20, 20, 0),
        )
        mix = part("Layers of the other", "Early layers are poses and shapes, late ones colours.", "first")
        says = "Directions that the generator's weights suggest, the strongest first."
        move = part("A direction", says, "reach", "number", "moved_first")
        below = pn.FlexBox(mix, move, margin=0, sizing_mode="stretch_width")
        results = self.results_part(*self.titles, sizing_mode="stretch_width", margin=(0, 20, 20, 0))
        taken = {*self.ranges, *self.ranges.values(), "reach", "number"}
        left = self.given_part(*(name for name in self.entries if name not in taken))
        return pn.Row(left, pn.Column(results, below, margin=0, sizing_mode="stretch_width"), margin=0,
                      sizing_mode="stretch_width")  # fmt: skip
