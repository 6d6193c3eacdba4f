"""A data set with pictures that were made for it, to train on: `dir` has them as <class>/<name>.png, in its classes.

`parts` is one labelled data set. An epoch has as many examples as both together; `weights`, such as {"real": 1,
"made": 1}, are the shares of both, by default alike. Held-out examples are the data set's own. What else than its
label a made picture would have of the numbers of an example (the bias of biased data) nobody knows: it is -1.
"""

import numpy as np

from vision_gen import data
from vision_gen.data import images, mixed, parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts", "dir", "weights")


def shapes(settings):
    """Those of the part.

    Raises:
      InputError: it is not labelled, or has more than pictures and numbers.
    """
    (part,) = parts.read(settings, 1, 1).values()
    found = data.shapes(part)
    if not {"colour", "label"} <= set(found) or any(
        shape.shape or shape.dtype.kind != "i" for name, shape in found.items() if name != "colour"
    ):
        raise InputError(
            f"{settings.section}.parts must be one data set of colour, label and other whole numbers, but {part.name} "
            f"has {', '.join(f'{name} {shape}' for name, shape in found.items())}"
        )
    return found


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: `dir` has no pictures, or one is of another class or size, or a weight is missing, unknown or too
        small.
    """
    shapes(settings)
    (part,) = parts.opened(parts.read(settings, 1, 1), split).values()
    if split != "train":
        return part
    return mixed.weighed(settings, {"real": part, "made": Made(settings, part)})


class Made(source.Source):
    """Decoded when asked for."""

    def __init__(self, settings, part):
        field, self._folder = f"{settings.section}.dir", settings.folder
        self.shapes, self.classes = part.shapes, part.classes
        self._paths = images.checked(self._folder, field)
        numbers = {name: i for i, name in enumerate(part.classes)}
        for path in self._paths:
            if path.parent.name not in numbers:
                raise InputError(
                    f"{path}: must lie in a folder named as one of the classes, {', '.join(part.classes)}"
                )
        self._label = np.int32([numbers[path.parent.name] for path in self._paths])

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        unknown = {name: shape.dtype.type(-1) for name, shape in self.shapes.items() if name != "colour"}
        colour = images.read(self._paths[index])
        if colour.shape != self.shapes["colour"].shape:
            right = self.shapes["colour"]
            raise InputError(f"{self._paths[index]}: must be {right}, as the real pictures, got {list(colour.shape)}")
        return {**unknown, "colour": colour, "label": self._label[index]}

    def name(self, index):
        """File name from the folder on."""
        return self._paths[index].relative_to(self._folder).as_posix()

    def column(self, name):
        return self._label if name == "label" else super().column(name)
