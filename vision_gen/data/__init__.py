"""Where examples come from.

A data set is one module here, or one of your own, with `FIELDS`, the fields of `Settings` that it reads besides `name`
and `workers`; `shapes(settings)`, {name: ShapeDtype} of an example to train on, without reading any; and
`open(settings, split)`, which gives a `Source`; where everybody gets the same examples also `LICENCE`, whose they are
and under which licence. See docs/data.md.
"""

import dataclasses
import importlib
import pkgutil

import numpy as np

from vision_gen.data import settings as reader
from vision_gen.data.settings import Settings
from vision_gen.data.source import SPLITS, ShapeDtype, Source, fingerprint, noise, stack
from vision_gen.errors import InputError


def open(settings, split):
    """The source that `settings` describes.

    Args:
      settings: a `Settings`.
      split: "train", "val" or "test".

    Raises:
      InputError: a field is wrong or not read by this data set, or the data cannot be read.
    """
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}, got {split!r}")
    source = _module(settings).open(settings, split)
    if not len(source):
        raise InputError(f"{settings.section}: {settings.name} has no examples in {split!r}")
    given = {name: ShapeDtype(np.shape(value), np.asarray(value).dtype) for name, value in source[0].items()}
    if given != source.shapes:
        show = lambda shapes: ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(
            f"{settings.section}.name: {settings.name} declares {show(source.shapes)}, but gives {show(given)}"
        )
    return source


def shapes(settings):
    """{name: ShapeDtype} of an example to train on, without reading any. Raises as `open`."""
    return _module(settings).shapes(settings)


def classes(settings):
    """Names of what `label` counts, () without labels, of data that says so without being opened; otherwise None."""
    return getattr(_module(settings), "classes", lambda _: None)(settings)


def licence(settings):
    """Whose the examples are and under which licence, one line; "" where the data set does not say."""
    if settings.parts:
        found = [licence(reader.read(fields, settings.section)) for fields in settings.parts.values()]
    else:
        found = [getattr(_find(settings), "LICENCE", "")]
    return "; ".join(dict.fromkeys(found)) if all(found) else ""


def asked(settings):
    """What examples can be asked about in words, {name: {value: texts}}: `ASKED` of a data set, or of its one part."""
    if len(settings.parts) == 1:
        (fields,) = settings.parts.values()
        return asked(reader.read(fields, settings.section))
    return getattr(_find(settings), "ASKED", {})


def kinds(settings):
    """(traits, attributes) of faces, as `faces.Faces` takes them, without reading any; of other data two {}."""
    return getattr(_module(settings), "kinds", lambda _: ({}, {}))(settings)


def example(settings, rng=None, classes=1):
    """An example to train on as `settings` describes it, without reading any.

    Args:
      settings: a `Settings`.
      rng: a `numpy.random.Generator` to draw it from: noise, random labels below `classes`; of a scene, a camera at a
        random place that looks at the origin. By default all zeros.
    """
    module = _module(settings)
    if hasattr(module, "example"):
        return module.example(settings, rng)
    return noise(module.shapes(settings), rng, classes)


def evaluation(settings, overrides, section="config.evaluations"):
    """What another evaluation set is read by.

    Args:
      settings: of the run.
      overrides: {field: value}, and `split`, which is "test" by default. Of the run's fields the others are kept; where
        `name` is another data set, only `size`, `labels` and `attributes`, if that reads them.
      section: where `overrides` stand, for messages.

    Returns:
      (settings, split), for `open`.
    """
    overrides = dict(overrides)
    split = overrides.pop("split", "test")
    if split not in SPLITS:
        raise InputError(f"{section}.split must be one of {SPLITS}, got {split!r}")
    kept = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Settings)}
    made = reader.read(overrides, section)
    if made.name != settings.name and "name" in overrides:
        fields = _find(made).FIELDS
        kept = {name: kept[name] for name in ("size", "labels", "attributes") if name in fields}
    return reader.read(kept | overrides, section), split


def only_read(fields, section="config.data"):
    """The fields that their data set reads, of {field: value}: what older runs have set besides changed nothing."""
    found = _find(reader.read(fields, section))
    return {name: value for name, value in fields.items() if name in (*found.FIELDS, "name", "workers")}


def _module(settings):
    """The module of a data set, which reads every field that is set."""
    found = _find(settings)
    for field in dataclasses.fields(Settings):
        default = field.default_factory() if field.default is dataclasses.MISSING else field.default
        value = getattr(settings, field.name)
        if value != default and field.name not in (*found.FIELDS, "name", "workers"):
            inside = [f"{settings.section}.parts.{part}.name" for part in settings.parts] if field.name == "parts" else ()
            cure = f", or set {inside[0]} in place of {settings.section}.name" if inside else ""
            raise InputError(
                f"{settings.section}.{field.name} is {value!r}, but {settings.name} does not read it; it reads "
                f"{', '.join(sorted(found.FIELDS))}. Leave it at {default!r}{cure}"
            )
    return found


def _find(settings):
    name, colon, _ = settings.name.partition(":")
    found = None
    for path in (f"{__name__}.{name}", name) if all(part.isidentifier() for part in name.split(".")) else ():
        try:
            found = importlib.import_module(path)
            break
        except ModuleNotFoundError as error:
            if not f"{path}.".startswith(f"{error.name}."):  # One that the module itself imports.
                raise
    if not hasattr(found, "FIELDS") or bool(colon) != ("name" in found.FIELDS):
        known = [f'"{name}"' for name in _names() if name != "tfds"]
        raise InputError(
            f'{settings.section}.name must be one of {", ".join(known)}, "tfds:NAME" or the full path of a module of '
            f"your own, got {settings.name!r}"
        )
    return found


def _names():
    """Of the data sets here."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in modules if hasattr(importlib.import_module(f"{__name__}.{name}"), "FIELDS")]
