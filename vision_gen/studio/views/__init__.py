"""Views of certain systems, on top of the page that every tool has. They may know their system by name.

A view is a module with SYSTEMS, names of systems' classes as configs have them, TOOL, the name of a tool, TITLE, and
View, a `page.ToolPage` of that tool with more to see and to do. Where it has `fits`, that says of a model whether it
has the view.
"""

import importlib


def of(model):
    """The modules of the views that a `use.Model` has."""
    found = (importlib.import_module(f"vision_gen.studio.views.{name}") for name in VIEWS)
    fits = lambda view: model.config.system in view.SYSTEMS and getattr(view, "fits", lambda model: True)(model)
    return list(filter(fits, found))


VIEWS = ("scft", "hints", "edges", "nerf", "classifier", "stylegan2", "mapper", "styleclip", "tryon", "clip", "debias")
