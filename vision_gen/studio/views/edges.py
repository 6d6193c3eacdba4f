"""Enhancement of edges: a line along an edge that colours run over, and the picture whose colours end there."""

from vision_gen.studio.views.painting import Painting

SYSTEMS, TOOL, TITLE = ("edges.Edges",), "enhance", "Draw along edges"


class View(Painting):
    """Lines along edges; their colour counts for nothing."""

    drawn = "scribbles"
    says = "Draw along an edge that colours run over. A grey picture is coloured first: go on from that, and mend it."
