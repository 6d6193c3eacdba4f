"""The parts of a combination of data sets, each a section of `config.data.parts`."""

from vision_gen import data
from vision_gen.data import settings as reader
from vision_gen.errors import InputError


def read(settings, least, most=None):
    """The settings of the parts: {name: Settings}. Parts that say no `size` have the combination's.

    Args:
      settings: of the combination.
      least, most: how many parts there may be.

    Raises:
      InputError: there are too few or too many, or one is no section or has a wrong field.
    """
    section = f"{settings.section}.parts"
    if not least <= len(settings.parts) <= (most or len(settings.parts)):
        many = {1: "one data set", 2: "two data sets"}[least] + ("" if most == least else " or more")
        given = sorted(settings.parts) or "none"
        raise InputError(f"{section} must be {many} by name for {settings.name}, got {given}")
    for name, values in settings.parts.items():
        if not hasattr(values, "items"):
            raise InputError(f"{section}.{name} must be a section of the fields of a data set, got {values!r}")
    return {
        name: reader.read({"size": settings.size, **values}, f"{section}.{name}")
        for name, values in settings.parts.items()
    }


def opened(parts, split):
    """The sources of parts that `read` gave, by name."""
    return {name: data.open(part, split) for name, part in parts.items()}


def one(settings, *names):
    """The settings of the one part, whose examples have the arrays `names`, and their shapes.

    Raises:
      InputError: as `read`, or an array is missing.
    """
    (part,) = read(settings, 1, 1).values()
    found = data.shapes(part)
    for name in names:
        if name not in found:
            hint = f"; {part.section}.labels=True adds labels" if not part.labels else ""
            given = f"{part.name} gives {', '.join(found)}{hint}"
            raise InputError(f"{part.section}.name: {settings.name} needs {name}, but {given}")
    return part, found


def joined(examples):
    """Dicts by part as one, arrays named "<part>_<name>"."""
    return {f"{part}_{name}": value for part, example in examples.items() for name, value in example.items()}


def skipped(sources):
    """Files that any part left out."""
    return [path for source in sources.values() for path in source.skipped]
