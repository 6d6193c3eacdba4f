"""Two data sets side by side that have nothing to do with each other, each in an order of its own.

An example has the arrays of one example of each, named "<part>_<name>": of `parts` called `a` and `b`, `a_colour` and
`b_colour`. An epoch is one of the longer part; the shorter one is run through again and again. Held-out examples pair
the parts in their order; where both are the same data set, with what lies half of it further on.
"""

from vision_gen import data
from vision_gen.data import parts, source

FIELDS = ("size", "parts")


def shapes(settings):
    """Those of both parts, as "<part>_<name>"."""
    return parts.joined({name: data.shapes(part) for name, part in parts.read(settings, 2, 2).items()})


def open(settings, split):
    """See `shapes`."""
    read = parts.read(settings, 2, 2)
    one, other = read.values()
    return Unpaired(parts.opened(read, split), alike=one == other)


class Unpaired(source.Source):
    """Example i + n s is the i-th of the longer part, of n examples, with the (i + s)-th of the other.

    Where both are `alike`, with the (i + s + n / 2)-th.
    """

    def __init__(self, sources, alike=False):
        self._sources = sources
        self._longer = max(sources, key=lambda name: len(sources[name]))
        self.shapes = parts.joined({name: part.shapes for name, part in sources.items()})
        self.skipped = parts.skipped(sources)
        self._apart = len(self) // 2 if alike else 0

    def __len__(self):
        return len(self._sources[self._longer])

    def __getitem__(self, index):
        return parts.joined({name: self._sources[name][at] for name, at in self._places(index).items()})

    def name(self, index):
        """The names of both."""
        return "+".join(self._sources[name].name(at) for name, at in self._places(index).items())

    def order(self, epoch, seed):
        start, stop = epoch * len(self), (epoch + 1) * len(self)
        runs = {
            name: source.endless(len(part), start, stop, seed, number)
            for number, (name, part) in enumerate(self._sources.items())
        }
        places = runs.pop(self._longer)
        (other, wanted), = runs.items()
        return places + len(self) * ((wanted - places - self._apart) % len(self._sources[other]))

    def _places(self, index):
        """{part: number of its example}."""
        shift, place = divmod(int(index), len(self))
        shift += self._apart
        return {
            name: place if name == self._longer else (place + shift) % len(part) for name, part in self._sources.items()
        }
