"""Classifiers: where the decision on a picture looks, by attention rollout or Grad-CAM."""

import panel as pn

from vision_gen.studio.canvas import Canvas
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import card, text

SYSTEMS = "classifier.Classifier", "resnet_classifier.ResNetClassifier"
TOOL, TITLE = "classify", "Look at the decision"
# Pixels of the picture's side on the page.
SIDE = 340
SAYS = "The picture as the network takes it: what the decision looks at stays as it is, the rest fades."


class View(ToolPage):
    """The picture with what is looked at, beside the scores."""

    def layout(self):
        self.canvas = Canvas(strokes=False, side=SIDE)
        self.canvas.clicked = lambda place: None
        self._left = pn.Column(margin=0)
        self._looks = card(text(f'<p class="soft">{SAYS}</p>', width=SIDE), self.canvas.plain, margin=(0, 20, 20, 0))
        results = self.results_part(sizing_mode="stretch_width")
        return pn.Row(self.given_part(*self.entries), self._left, results, sizing_mode="stretch_width", margin=0)

    def show(self, found):
        super().show(found)
        self.look(self.visit.model.columns[1], self._made, self._looked)

    def _made(self, fitted, share, given):
        return self.tool.inputs["image"].value(fitted.parts[0]["image"]), share[0]

    def _looked(self, found):
        picture, share = found
        self.canvas.picture(picture)
        self.canvas.veil(share)
        self._left.objects = [self._looks]
