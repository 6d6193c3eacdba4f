"""What every kind of value can do.

A value has three forms: what a person gives (a path, an array, text on a command line), the checked value that
`read` makes of it, and the array with a leading batch axis that a system's method computes with.
"""

import json
import os
import pathlib
import tempfile

import numpy as np

from vision_gen.errors import InputError


class Kind:
    """A kind of value; its instances are frozen dataclasses.

    Attributes:
      suffixes: of the files that `write` makes, the usual one first; "" is a folder.
      reads: suffixes of the files that hold one value, which a folder can be full of.
      default: of an option; None has to be given.
      static: the system's method is given the value itself, as a constant of its compiled program, not an array.
      prints: a result is short enough to be shown where no file is asked for.
    """

    suffixes = ()
    reads = ()
    default = None
    static = False
    prints = False

    def read(self, value, name):
        """The checked value of what a person gives.

        Args:
          value: what was given.
          name: of the input, for messages.

        Raises:
          InputError: names the input, what was found and what would be right.
        """
        raise NotImplementedError

    def opens(self, value):
        """Would `read` open a file for a value? So it is told what never may: what a stranger's request holds.

        Text and paths do, unless a kind knows better.
        """
        return is_path(value) or isinstance(value, (list, tuple)) and any(is_path(one) for one in value)

    def array(self, value):
        """What a system's method is given for a value: an array [1, ...] or a dict of such."""
        raise NotImplementedError

    def value(self, array):
        """The value of a system's result [1, ...], as numpy."""
        raise NotImplementedError

    def write(self, value, path):
        """Writes a value to a file, making its folder. Errors as of `check_path`."""
        raise NotImplementedError

    def describe(self):
        """One line of help: what may be given, or what is made."""
        raise NotImplementedError

    def text(self, value):
        """A value as lines for a terminal."""
        return str(value)

    def cells(self, value):
        """A value that `prints` as {column: cell} of a table with a row a value."""
        return {"value": value}

    def check_path(self, path, name="--output"):
        """Refuses a file that `write` could not make, before anything is computed.

        Args:
          path: where the value shall go.
          name: what the path was given as, for messages.

        Raises:
          InputError: its suffix is none of `suffixes`, or its folder cannot be written.
        """
        path = pathlib.Path(path)
        if path.is_dir() and "" not in self.suffixes:
            right = str(path / f"NAME{self.suffixes[0]}")
            raise InputError(f"{name}: {str(path)!r} is a folder, but one file is written; {right!r}, say")
        if path.suffix.lower() not in self.suffixes:
            can = ", ".join(suffix or "a folder" for suffix in self.suffixes)
            found = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
            raise InputError(f"{name}: {str(path)!r} {found}; {type(self).__name__} is written as {can}")
        if path.is_dir() != (path.suffix == "") and path.exists():
            raise InputError(f"{name}: {str(path)!r} is {'a folder' if path.is_dir() else 'a file'}")
        check_folder(path if path.suffix == "" else path.parent, name)


def check_folder(folder, name):
    """Refuses a folder that can be neither written nor made.

    Raises:
      InputError: names it.
    """
    folder = pathlib.Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{name}: {str(folder)!r} is a file, not a folder")
    try:  # Permissions alone do not tell: /sys, a full disk.
        tempfile.TemporaryDirectory(dir=folder).cleanup()
    except OSError as error:
        raise InputError(f"{name}: the folder {str(folder)!r} cannot be written ({error.strerror})") from error


def said(doc):
    """What a kind is for, behind what it is."""
    return f": {doc}" if doc else ""


def made(path):
    """A path as a `pathlib.Path` whose folder exists."""
    path = pathlib.Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def is_path(value):
    """Is a value text or a path?"""
    return isinstance(value, (str, os.PathLike))


# Of files that `array_of` reads.
NUMBER_FILES = (".npy", ".json", ".csv")


class Plain(Kind):
    """A kind that is never read from a file."""

    def opens(self, value):
        return False


class Numbers(Kind):
    """A kind that is read by `array_of`: of text only that which ends like a file of numbers is a path."""

    def opens(self, value):
        return is_path(value) and pathlib.Path(value).suffix.lower() in NUMBER_FILES


def array_of(value, name, right):
    """Numbers as an array: of a .npy, .json or .csv file, a nested list, or an array.

    Args:
      value: what was given; text that names no such file is read as numbers: "1,2 3,4" is two rows.
      name: of the input.
      right: what would be right, for messages.
    """
    try:
        if is_path(value):
            path = pathlib.Path(value)
            suffix = path.suffix.lower()
            if suffix == ".npy":
                return np.load(path, allow_pickle=False)
            if suffix == ".json":
                value = json.loads(path.read_text())
            elif suffix == ".csv":
                return np.loadtxt(path, delimiter=",", ndmin=2)
            else:
                value = [[float(part) for part in row.split(",")] for row in str(value).split()]
        found = np.asarray(value)
        if found.dtype.kind not in "iuf":
            raise ValueError(f"found {found.dtype}")
        return found
    except FileNotFoundError:
        raise InputError(f"{name}: {str(value)!r}: no such file; {right}") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{name}: {_short(value)} cannot be read as numbers ({error}); {right}") from error


def write_numbers(array, path):
    """Numbers as .npy, .json or (one row an item) .csv, by the suffix."""
    path, array = made(path), np.asarray(array)
    if path.suffix.lower() == ".npy":
        np.save(path, array)
    elif path.suffix.lower() == ".csv":
        np.savetxt(path, array.reshape(len(array), -1), delimiter=",", fmt="%.9g")
    else:
        path.write_text(json.dumps(array.tolist()) + "\n")


def finite(array, name):
    """An array as float32, refused where it is not finite."""
    array = np.asarray(array, np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{name}: has a number that is not finite")
    return array


def _short(value):
    text = repr(value)
    return text if len(text) < 60 else f"{text[:56]} ..."
