"""Try-on: the person in the garment, and every picture on the way there."""

import dataclasses
import json

import numpy as np
import panel as pn

from vision_gen import data
from vision_gen.data import tryon_folder
from vision_gen.engine.recordings import File
from vision_gen.studio import outputs, style
from vision_gen.studio.canvas import png
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import button, card, text

SYSTEMS, TOOL, TITLE = ("tryon.dress.TryOn", "tryon.synthesis.Synthesis"), "dress", "Step by step"
# Pixels of the page that the longer side of the result takes.
LARGE = 560
# People that are drawn where the run's are: of 100 to train on, so fifteen in "test".
FEW = 100


class View(ToolPage):
    """What is given, what each network makes of it, and the result."""

    side, sides = 236, {"image": LARGE}
    order = ("agnostic", "regions", "warped", "missed", "image")
    # Pictures that are given, of each input.
    given_pictures = {
        "person": {"image": "Person", "parse": "Its regions", "pose": "Its pose"},
        "cloth": {"cloth": "Garment", "mask": "Its mask"},
    }

    def layout(self):
        example = button("A person and a garment of the run's data", lambda _: self.example(), margin=(0, 0, 14, 0))
        self._inputs = text("", style.OUTPUT, margin=0)
        wide = dict(margin=(0, 0, 20, 0), sizing_mode="stretch_width")
        self.titles = {name: f"{number}. {self.title(name)}" for number, name in enumerate(self.order, 1)}
        self._steps = pn.Column(
            card(text("<h3>What is given</h3>", margin=(0, 0, 10, 0)), self._inputs, **wide),
            card(
                text("<h3>On the way</h3>", margin=(0, 0, 10, 0)),
                pn.FlexBox(*map(self.result_part, self.order[:-1]), margin=0),
                **wide,
            ),
            margin=0,
            visible=False,
            sizing_mode="stretch_width",
        )
        self._before, results = text("", style.OUTPUT, margin=(0, 24, 18, 0)), self.results_part("image", **wide)
        results[-1].insert(0, self._before)
        right = pn.Column(self._steps, results, margin=0, sizing_mode="stretch_width")
        left = pn.Column(example, self.given_part(*self.entries), margin=0)
        return pn.Row(left, right, sizing_mode="stretch_width", margin=0)

    def show(self, found):
        super().show(found)
        read = lambda: self.call.read(self.visit.model.tools, self.visit.folder)[1]
        self.visit.threads.do(read, self._show_given, self.said.wrong)

    def _show_given(self, given):
        figures = []
        for name, titles in self.given_pictures.items():
            for part, title in titles.items():
                picture = given[name][part]
                picture = tryon_folder.PALETTE[picture[..., 0]] if part == "parse" else picture
                figures.append(f"<div><h2>{title}</h2>{outputs.picture(picture, self.side, caption=False)}</div>")
        self._inputs.object = f'<div style="display:flex;flex-wrap:wrap;gap:18px 20px">{"".join(figures)}</div>'
        self._before.object = f"<h2>Person</h2>{outputs.picture(given['person']['image'], LARGE)}"
        self._steps.visible = True

    def example(self):
        """Gives a held-out person of the run's data, and the garment of another one."""

        def found():
            source = data.open(few(self.visit.model.experiment.data), "test")
            number = int(np.random.default_rng().integers(len(source)))
            return source[number], source[(number + 1) % len(source)]

        def then(both):
            person, other = both
            points = json.dumps({"people": [{"pose_keypoints_2d": person["keypoints"].ravel().tolist()}]})
            file = lambda name, picture: File(name, png(picture[..., 0] if picture.shape[-1] == 1 else picture))
            with self.entries["cloth"].silent():  # The person, who comes last, tells of both.
                self.entries["cloth"].give(
                    cloth=file("example.png", other["cloth"]), mask=file("example.png", other["cloth_mask"])
                )
            self.entries["person"].give(
                image=file("example.png", person["image"]),
                parse=file("example.png", person["parse"]),
                pose=file("example.png", person["pose"]),
                keypoints=File("example.json", points.encode()),
            )

        self.said.note("A person of the run's data is being read")
        self.visit.threads.do(found, then, self.said.wrong)


def few(settings):
    """Settings of data, but of no more than `FEW` people where these are drawn, which takes long."""
    fewer = lambda fields: {"examples": min(FEW, fields.get("examples", FEW))} if fields["name"] == "mannequins" else {}
    parts = {name: fields | fewer(fields) for name, fields in settings.parts.items()}
    return dataclasses.replace(settings, parts=parts)
