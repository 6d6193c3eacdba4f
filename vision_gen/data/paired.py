"""Two data sets whose examples belong together by name: the same subject in two styles, say.

An example has the arrays of both, named "<part>_<name>": of `parts` called `openmoji` and `twemoji`, `openmoji_colour`,
`openmoji_line` and `twemoji_colour`. Names are compared without the endings of image files.
"""

import pathlib

from vision_gen import data
from vision_gen.data import images, parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts", "allow_unmatched")


def shapes(settings):
    """Those of both parts, as "<part>_<name>"."""
    return parts.joined({name: data.shapes(part) for name, part in parts.read(settings, 2, 2).items()})


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: no name is in both parts, or one is in one only and `allow_unmatched` is False.
    """
    return Paired(parts.opened(parts.read(settings, 2, 2), split), settings)


class Paired(source.Source):
    """In the order of their names."""

    def __init__(self, sources, settings):
        self._sources = sources
        self.shapes = parts.joined({name: part.shapes for name, part in sources.items()})
        self.skipped = parts.skipped(sources)
        numbers = {
            name: numbered([part.name(i) for i in range(len(part))], f"{settings.section}.parts.{name}")
            for name, part in sources.items()
        }
        cure = f"{settings.section}.allow_unmatched=True leaves such out"
        self._names = matched(numbers, settings.section, settings.allow_unmatched, cure)
        self._places = [{part: names[name] for part, names in numbers.items()} for name in self._names]

    def __len__(self):
        return len(self._names)

    def __getitem__(self, index):
        return parts.joined({name: self._sources[name][at] for name, at in self._places[index].items()})

    def name(self, index):
        """What both are called."""
        return self._names[index]


def numbered(names, where):
    """{name without the ending of an image file: its number}.

    Raises:
      InputError: two have one name; `where` says of what.
    """
    found = {}
    for number, name in enumerate(names):
        path = pathlib.PurePosixPath(name)
        stem = str(path.with_suffix("")) if path.suffix.lower() in images.SUFFIXES else name
        if stem in found:
            raise InputError(f"{where}: {names[found[stem]]} and {name} have one name; only one can be paired")
        found[stem] = number
    return found


def matched(sides, where, allow_unmatched=False, cure=""):
    """The names that both sides have, sorted.

    Args:
      sides: {what it is: dict by name}, two.
      where: of what, for messages.
      allow_unmatched: whether names of one side only are left out.
      cure: how they are allowed, for messages.

    Raises:
      InputError: there are none, or others as well which are not allowed.
    """
    first, second = sides
    both = sorted(sides[first].keys() & sides[second].keys())
    alone = []
    for side, other in ((first, second), (second, first)):
        names = sorted(sides[side].keys() - sides[other].keys())
        if names:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            alone.append(f"{len(names)} of {side} without a partner in {other}: {some}")
    if not both or alone and not allow_unmatched:
        raise InputError(f"{where}: {len(both)} pairs, {'; '.join(alone)}{f'. {cure}' if both and cure else ''}")
    return both
