"""Two sets of labelled images side by side, of which one knows attributes and the other classes: of StarGAN on both.

`parts` are two data sets, `attributes` and `classes`, each in an order of its own, as of `unpaired`. An example has
`colour` and its `attributes` of the one, and `other_colour` with its class, `label`, of the other.
"""

from vision_gen import data
from vision_gen.data import parts, unpaired
from vision_gen.errors import InputError

FIELDS = ("size", "parts")
# {part: {array of it: what it is called}}.
ARRAYS = {
    "attributes": {"colour": "colour", "attributes": "attributes"},
    "classes": {"colour": "other_colour", "label": "label"},
}


def shapes(settings):
    """Those of the images and labels of both.

    Raises:
      InputError: a part is missing or has no such labels, or images of another size.
    """
    read, found = parts.read(settings, 2, 2), {}
    if read.keys() != ARRAYS.keys():
        raise InputError(f"{settings.section}.parts must be {' and '.join(ARRAYS)} for joint, got {sorted(read)}")
    for part, names in ARRAYS.items():
        given, section = data.shapes(read[part]), read[part].section
        for name, called in names.items():
            if name not in given:
                hint = "" if read[part].labels else f"; {section}.labels=True adds labels, of data that has some"
                gives = f"{read[part].name} gives {', '.join(given)}{hint}"
                raise InputError(f"{section}.name: joint needs {name} of it, but {gives}")
            found[called] = given[name]
        if read[part].resolution != settings.resolution:
            right = f"{settings.section}.size, {settings.size}"
            raise InputError(f"{section}.size must be {right}, as the parts are of one size, got {read[part].size}")
    return found


def classes(settings):
    """Those of the part of that name, where that knows them."""
    return data.classes(parts.read(settings, 2, 2)["classes"])


def open(settings, split):
    """See `shapes`."""
    found = shapes(settings)
    return Joint(parts.opened(parts.read(settings, 2, 2), split), found)


class Joint(unpaired.Unpaired):
    """As `unpaired.Unpaired`; `classes` are those of the part of that name."""

    def __init__(self, sources, shapes):
        super().__init__(sources)
        self.shapes, self.classes = shapes, sources["classes"].classes

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return {
            called: found[f"{part}_{name}"] for part, names in ARRAYS.items() for name, called in names.items()
        }
