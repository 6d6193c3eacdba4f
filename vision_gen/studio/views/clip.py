"""CLIP: the pictures of a folder that a text describes."""

import html

from vision_gen.data import images
from vision_gen.studio import outputs, style
from vision_gen.studio.page import ToolPage
from vision_gen.studio.parts import text

SYSTEMS, TOOL, TITLE = ("clip.CLIP",), "search", "Look for pictures"
# Pixels of the page that the longer side of a picture takes.
SIDE = 150


class View(ToolPage):
    """The pictures that are found, the best first, above their names."""

    def layout(self):
        self._pictures = text("", style.OUTPUT, margin=(0, 0, 18, 0))
        return super().layout()

    def results_part(self, *names, **settings):
        part = super().results_part(*names, **settings)
        part.insert(len(part) - 1, self._pictures)
        return part

    def show(self, found):
        super().show(found)

        def read():
            paths = self.call.read(self.visit.model.tools, self.visit.folder)[1]["folder"]
            return [(name, share, images.read(paths[name])) for name, share in found["found"].items()]

        self.visit.threads.do(read, self._show, self.said.wrong)

    def _show(self, found):
        figures = (
            f"<div>{outputs.picture(picture, SIDE, caption=False)}"
            f'<p class="soft small">{html.escape(name)}<br>{share:.3f}</p></div>'
            for name, share, picture in found
        )
        self._pictures.object = f'<div style="display:flex;flex-wrap:wrap;gap:14px">{"".join(figures)}</div>'
