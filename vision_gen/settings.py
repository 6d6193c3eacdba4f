"""Typed settings: frozen dataclasses, and the sections of a config that fill them.

A dataclass states each field once, with its type, default and a comment; the section of a config is made from it
(`section`) and read back through it (`read`), where every value is checked.
"""

import abc
import ast
import contextlib
import dataclasses
import difflib
import functools
import inspect
import math
import re
import types
import typing

from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, for `typing.Annotated`: `low` <= value <= `high`, or < where `below`."""

    low: float = -math.inf
    high: float = math.inf
    below: bool = False

    def __str__(self):
        show = lambda number: str(number) if isinstance(number, int) else f"{number:g}"
        parts = [f"at least {show(self.low)}"] if self.low > -math.inf else []
        if self.high < math.inf:
            parts.append(f"{'below' if self.below else 'at most'} {show(self.high)}")
        return " and ".join(parts)


Count = typing.Annotated[int, Range(1)]
CountOrNone = typing.Annotated[int, Range(0)]
NotNegative = typing.Annotated[float, Range(0)]
Share = typing.Annotated[float, Range(0, 1)]
Seed = typing.Annotated[int, Range(0, 2**32 - 1)]  # Of JAX's draws, which take no more of it.


def section(cls, values, name):
    """A locked section of a config: every field of a dataclass, `values` in place of defaults.

    Fields of several types (a size that is a number or a pair) can be set on the command line in each.

    Args:
      cls: a frozen dataclass of settings.
      values: {field: value}.
      name: of the section, such as "config.model", for messages.

    Raises:
      InputError: as `read`.
    """
    made = read(cls, values, name)
    found = ConfigDict()
    for field in dataclasses.fields(cls):
        value, union = getattr(made, field.name), _union(cls, field.name)
        if isinstance(value, dict):
            found[field.name] = ConfigDict(value)
        else:
            found[field.name] = config_dict.FieldReference(value, field_type=union) if union else value
    return found.lock()


def read(cls, values, name):
    """An instance of a dataclass of settings from a section of a config.

    Fields that `values` lacks have their defaults, as in runs from before a field existed.

    Args:
      cls: a frozen dataclass; its annotations may be bool, int, float, str, dict, tuple, `typing.Literal`, unions of
        these and `typing.Annotated` with a `Range`.
      values: a mapping of fields, such as a ConfigDict.
      name: of the section, such as "config.model", for messages.

    Raises:
      InputError: a field is unknown, missing or of a wrong value; names it, and the nearest known one.
    """
    hints = _hints(cls)
    values = dict(values.items())
    for field in values:
        if field not in hints:
            raise InputError(f"{name}.{field} is unknown{nearest(field, hints)}")
    found = {}
    for field in dataclasses.fields(cls):
        if field.name in values:
            found[field.name] = _checked(values[field.name], hints[field.name], f"{name}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{name}.{field.name} is missing")
    try:
        return cls(**found)
    except InputError as error:  # Of a `__post_init__`, which knows no name of its section.
        raise InputError(f"{name}.{error}") from None


def described(cls):
    """{field: what it is} of a dataclass of settings: its comment in the source and its choices, or else its type."""
    sources = "".join(inspect.getsource(base) for base in reversed(cls.__mro__) if dataclasses.is_dataclass(base))
    comments = dict(re.findall(r"^    (\w+): .*?  # (.+)$", sources, re.M))
    found = {name: comments.get(name) or _named(hint) for name, hint in _hints(cls).items()}
    for name, hint in _hints(cls).items():
        if typing.get_origin(hint) is typing.Literal and name in comments:
            found[name] += f" ({', '.join(map(repr, typing.get_args(hint)))})"
    return found


def nearest(field, known, every=False):
    """What to say of an unknown name: "; did you mean ...", or which there are; with `every` both."""
    close = difflib.get_close_matches(field, known, 1, 0.5)
    meant, there = f"; did you mean {close[0]!r}?" if close else "", f"; there are {', '.join(sorted(known))}"
    return there + meant if every else meant or there


@functools.cache
def _hints(cls):
    return typing.get_type_hints(cls, include_extras=True)


def _members(hint):
    """The types that a hint allows: itself, or those of a union."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _checked(value, hint, name):
    for member in _members(hint):
        limit = None
        if typing.get_origin(member) is typing.Annotated:
            member, limit = typing.get_args(member)
        fits, converted = _convert(value, member)
        if not fits:
            continue
        if limit and not (limit.low <= converted and (converted < limit.high or not limit.below and converted == limit.high)):
            raise InputError(f"{name} must be {limit}, got {value!r}")
        return converted
    raise InputError(f"{name} must be {_named(hint)}, got {value!r}")


def _convert(value, kind):
    """(whether `value` is of a type, the value in it)."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return value in arguments, value
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number, float(value) if number else value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if (origin or kind) is tuple:
        if not isinstance(value, (tuple, list)):
            return False, value
        value = tuple(value)
        if not arguments:
            return True, value
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        parts = [_convert(v, k) for v, k in zip(value, inner)]
        return len(value) == len(inner) and all(ok for ok, _ in parts), tuple(v for _, v in parts)
    if (origin or kind) is dict:
        whole = hasattr(value, "items")
        return whole, _plain_dict(value) if whole else value
    return isinstance(value, kind), value


def _plain_dict(value):
    return {k: _plain_dict(v) if hasattr(v, "items") else v for k, v in value.items()}


def _named(hint):
    names = []
    for member in _members(hint):
        limit = ""
        if typing.get_origin(member) is typing.Annotated:
            member, limit = typing.get_args(member)
            limit = f" {limit}"
        if typing.get_origin(member) is typing.Literal:
            names.append("one of " + ", ".join(map(repr, typing.get_args(member))))
        elif (typing.get_origin(member) or member) is tuple:
            inner = typing.get_args(member)
            names.append(f"{len(inner)} numbers" if inner and inner[-1] is not Ellipsis else "numbers")
        else:
            names.append({bool: "True or False", int: "an integer", float: "a number", str: "text"}.get(member, "a section") + limit)
    return " or ".join(names)


@functools.cache
def _union(cls, field):
    """A type of which all members of a field's union are; None where the field has one type."""
    members = []
    for member in _members(_hints(cls)[field]):
        if typing.get_origin(member) is typing.Annotated:
            member = typing.get_args(member)[0]
        members.append(typing.get_origin(member) or member)
    if len(members) == 1:
        return None
    union = abc.ABCMeta(f"{cls.__name__}_{field}", (), {})
    for member in members:
        union.register(member)
    config_flags.register_flag_parser_for_type(union, _LiteralParser(union, _named(_hints(cls)[field])))
    return union


class _LiteralParser(flags.ArgumentParser):
    """Numbers and tuples as Python writes them; anything else is text.

    Args:
      union: the type that they must be of.
      right: what that is, for messages.
    """

    def __init__(self, union, right):
        self._union, self._right = union, right

    def parse(self, argument):
        found = argument
        if isinstance(argument, str):
            with contextlib.suppress(SyntaxError, ValueError):
                found = ast.literal_eval(argument)
        if not isinstance(found, self._union):
            raise ValueError(f"it must be {self._right}")
        return found

    def flag_type(self):
        return "a value"
