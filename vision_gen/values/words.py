"""Texts, labels, attributes, scores and tables."""

import csv
import dataclasses
import json
import pathlib
import typing

import numpy as np

from vision_gen.errors import InputError
from vision_gen.values.kind import Kind, Plain, is_path, made, said


@dataclasses.dataclass(frozen=True)
class Text(Plain):
    """Words.

    Attributes:
      encode: function of the text that makes the array which a system is given, [1, tokens] say; without it the text
        is a constant of the compiled program.
    """

    default: str | None = None
    encode: typing.Callable | None = None
    suffixes = (".txt",)
    prints = True

    @property
    def static(self):
        return self.encode is None

    def read(self, value, name):
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{name} must be a text, got {value!r}")
        if self.encode:
            try:
                self.encode(value)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        return value

    def array(self, value):
        return self.encode(value) if self.encode else value

    def value(self, array):
        return str(array)

    def write(self, value, path):
        self.check_path(path)
        made(path).write_text(value + "\n")

    def describe(self):
        return "a text"


@dataclasses.dataclass(frozen=True)
class Texts(Kind):
    """Several texts: a tuple of them. What is made of them is the affair of the tool's fitting.

    Read from a .txt file with one a line, a list, or a text.

    Attributes:
      commas: a text is several with commas between them.
      holds: what each of them must contain.
      doc: what they are for.
    """

    default: str | None = None
    commas: bool = True
    holds: str = ""
    doc: str = ""
    reads = ()

    def read(self, value, name):
        if is_path(value) and str(value).lower().endswith(".txt"):
            try:
                found = pathlib.Path(value).expanduser().read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{name}: {value}: cannot be read ({error}); {self.describe()}") from error
        elif isinstance(value, str):
            found = value.split(",") if self.commas else [value]
        else:
            found = value
        if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
            raise InputError(f"{name} must be {self.describe()}, got {value!r}")
        found = tuple(text.strip() for text in found if text.strip())
        if not found:
            raise InputError(f"{name} must be {self.describe()}, got none")
        for number, text in enumerate(found):
            if self.holds not in text:
                raise InputError(f"{name}: {text!r} has no {self.holds}")
            if text in found[:number]:
                raise InputError(f"{name}: {text!r} is there twice")
        return found

    def opens(self, value):
        return is_path(value) and str(value).lower().endswith(".txt")

    def text(self, value):
        return value if isinstance(value, str) else ",".join(value)

    def describe(self):
        several = "texts with commas between them" if self.commas else "a text"
        holding = f", each with {self.holds}" if self.holds else ""
        return f"{several}, or a .txt file with one a line{holding}{said(self.doc)}"


@dataclasses.dataclass(frozen=True)
class Label(Plain):
    """One of a set of classes, by name or number; the value is its number. The system is given int32 [1].

    Attributes:
      names: of the classes.
      instead: a word that may be given in place of a class; its value is -1.
    """

    names: tuple[str, ...]
    default: int | None = None
    instead: str = ""
    suffixes = (".txt",)
    prints = True

    def read(self, value, name):
        if self.instead and value in (self.instead, -1):
            return -1
        if value in self.names:
            return self.names.index(value)
        if isinstance(value, (int, str, np.integer)) and str(value).isdigit() and int(value) < len(self.names):
            return int(value)
        raise InputError(f"{name} must be {self.describe()}, got {value!r}")

    def array(self, value):
        return np.int32([value])

    def value(self, array):
        return int(np.asarray(array)[0])

    def text(self, value):
        return self.names[value] if value >= 0 else self.instead

    def cells(self, value):
        return {"label": self.names[value]}

    def write(self, value, path):
        self.check_path(path)
        made(path).write_text(self.names[value] + "\n")

    def describe(self):
        shown = ", ".join(self.names[:6]) + (", ..." if len(self.names) > 6 else "")
        instead = f", or {self.instead!r}" if self.instead else ""
        return f"one of {len(self.names)} classes, by name or number: {shown}{instead}"


@dataclasses.dataclass(frozen=True)
class Attributes(Plain):
    """How strongly each of some attributes shall show: float32 [attributes], from -1 to 1, 0 where not named.

    Read from "smile,hat=-1" (a name alone is 1), a dict or an array.

    Attributes:
      names: of the attributes.
      exclusive: groups of names that exclude each other; of a group no more than 1 together can be asked for.
    """

    names: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()
    suffixes = (".json",)
    prints = True

    def read(self, value, name):
        right = f"; it must be {self.describe()}"
        if isinstance(value, str):
            parts = [part.partition("=") for part in value.split(",") if part.strip()]
            value = {key.strip(): number or 1 for key, _, number in parts}
        if not isinstance(value, dict):
            array = np.asarray(value)
            if array.shape != (len(self.names),):
                raise InputError(f"{name} has shape {list(array.shape)}{right}")
            value = dict(zip(self.names, array.tolist()))
        found = np.zeros(len(self.names), np.float32)
        for key, number in value.items():
            if key not in self.names:
                raise InputError(f"{name}: unknown attribute {key!r}{right}")
            try:
                found[self.names.index(key)] = number
            except (TypeError, ValueError):
                raise InputError(f"{name}: {key} is {number!r}{right}") from None
        if not (np.abs(found) <= 1).all():
            raise InputError(f"{name}: strengths are from -1 to 1{right}")
        for group in self.exclusive:
            asked = {key: found[self.names.index(key)] for key in group if found[self.names.index(key)] > 0}
            if sum(asked.values()) > 1 + 1e-6:
                raise InputError(f"{name}: {' and '.join(asked)} exclude each other; of them ask for 1 together at most")
        return found

    def array(self, value):
        return value[None]

    def value(self, array):
        return np.asarray(array[0], np.float32)

    def text(self, value):
        return "\n".join(f"{name}  {number:.3f}" for name, number in zip(self.names, value))

    def cells(self, value):
        return dict(zip(self.names, np.asarray(value, float).tolist()))

    def write(self, value, path):
        self.check_path(path)
        made(path).write_text(json.dumps(self.cells(value), indent=2) + "\n")

    def describe(self):
        return f'attributes "name,name=-0.5,..." from -1 to 1; there are {", ".join(self.names)}'


@dataclasses.dataclass(frozen=True)
class Scores(Kind):
    """Classes and their probabilities: {name: probability}, the likeliest first. A result only.

    Attributes:
      names: of the classes; without any they are numbered.
    """

    names: tuple[str, ...] = ()
    suffixes = (".json", ".csv")
    prints = True

    def value(self, array):
        array = np.asarray(array[0], float)
        names = self.names or tuple(map(str, range(len(array))))
        return {names[i]: float(array[i]) for i in np.argsort(-array, kind="stable")}

    def text(self, value):
        best = list(value.items())[:5]
        width = max(len(name) for name, _ in best)
        return "\n".join(f"{name:<{width}}  {number:.4f}" for name, number in best)

    def cells(self, value):
        names = self.names or sorted(value, key=int)
        return {"best": next(iter(value)), **{name: value[name] for name in names}}

    def write(self, value, path):
        self.check_path(path)
        if str(path).lower().endswith(".csv"):
            write_rows(path, [("class", "probability"), *value.items()])
        else:
            made(path).write_text(json.dumps(value, indent=2) + "\n")

    def describe(self):
        return "classes and their probabilities (json, csv)"


@dataclasses.dataclass(frozen=True)
class Traits(Kind):
    """The values of several traits and their probabilities, the likeliest first: {trait: {value: probability}}.

    A result only. The system gives the probabilities of all values of all traits, [1, answers].

    Attributes:
      answers: "trait=value" of each.
    """

    answers: tuple[str, ...]
    suffixes = (".json", ".csv")
    prints = True

    def value(self, array):
        found = {}
        for answer, share in sorted(zip(self.answers, np.asarray(array[0], float).tolist()), key=lambda pair: -pair[1]):
            trait, _, name = answer.partition("=")
            found.setdefault(trait, {})[name] = share
        return {trait: found[trait] for trait in dict.fromkeys(answer.partition("=")[0] for answer in self.answers)}

    def text(self, value):
        best = {trait: next(iter(shares.items())) for trait, shares in value.items()}
        width, wide = max(map(len, best)), max(len(name) for name, _ in best.values())
        return "\n".join(f"{trait:<{width}}  {name:<{wide}}  {share:.4f}" for trait, (name, share) in best.items())

    def cells(self, value):
        return {trait: next(iter(shares)) for trait, shares in value.items()}

    def write(self, value, path):
        self.check_path(path)
        if str(path).lower().endswith(".csv"):
            rows = [(trait, *pair) for trait, shares in value.items() for pair in shares.items()]
            write_rows(path, [("trait", "value", "probability"), *rows])
        else:
            made(path).write_text(json.dumps(value, indent=2) + "\n")

    def describe(self):
        return "traits, their values and the probabilities of these (json, csv)"


@dataclasses.dataclass(frozen=True)
class Table(Kind):
    """Figures by name, {name: number}. A result only.

    The system gives a dict of arrays [1] or [1, n].
    """

    suffixes = (".json", ".csv")
    prints = True

    def value(self, array):
        return {name: np.asarray(part)[0].tolist() for name, part in array.items()}

    def text(self, value):
        width = max(map(len, value))
        return "\n".join(f"{name:<{width}}  {number}" for name, number in value.items())

    def cells(self, value):
        return value

    def write(self, value, path):
        self.check_path(path)
        if str(path).lower().endswith(".csv"):
            write_rows(path, [(name, *np.ravel(number)) for name, number in value.items()])
        else:
            made(path).write_text(json.dumps(value, indent=2) + "\n")

    def describe(self):
        return "a table of figures (json, csv)"


@dataclasses.dataclass(frozen=True)
class Ranking(Kind):
    """What was found and how well it fits, {name: number}, the best first. A result only.

    Attributes:
      names: of all that was looked at.
      most: how many are given.
    """

    names: tuple[str, ...] = ()
    most: int = 10
    suffixes = (".json", ".csv")
    prints = True

    def value(self, array):
        array = np.asarray(array[0], float)
        return {self.names[i]: float(array[i]) for i in np.flip(np.argsort(array, kind="stable"))[: self.most]}

    def text(self, value):
        return "\n".join(f"{number:7.4f}  {name}" for name, number in value.items())

    def cells(self, value):
        return {"best": next(iter(value)), "similarity": next(iter(value.values()))}

    def write(self, value, path):
        self.check_path(path)
        if str(path).lower().endswith(".csv"):
            write_rows(path, [("found", "similarity"), *value.items()])
        else:
            made(path).write_text(json.dumps(value, indent=2) + "\n")

    def describe(self):
        return "what was found, the best first (json, csv)"


def write_rows(path, rows):
    """Writes rows as a .csv file."""
    # Names of files may be of another encoding.
    with open(made(path), "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows(rows)
