"""StyleCLIP's mapper: a picture before and after the change that it was trained for."""

from vision_gen.studio.views import styleclip

SYSTEMS, TOOL, TITLE = ("styleclip.mapper.Mapper",), "edit", "Change as trained"


class View(styleclip.View):
    """Before and after; there is nothing to be measured first."""

    below, says = ("strength",), ""
