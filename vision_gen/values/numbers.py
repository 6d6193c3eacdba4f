"""Numbers, choices, seeds, latents, points and poses."""

import dataclasses
import json
import pathlib

import numpy as np

from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file
from vision_gen.values.kind import Kind, Numbers, Plain, array_of, finite, is_path, made, said, write_numbers


@dataclasses.dataclass(frozen=True)
class Number(Plain):
    """A number from `low` to `high`, both included; with `whole`, an integer.

    `doc` says what it is for. With `static` the system is given the number itself, as for the length of an array.
    """

    low: float
    high: float
    default: float | None = None
    whole: bool = False
    doc: str = ""
    static: bool = False
    suffixes = (".json",)
    prints = True

    def read(self, value, name):
        right = f"must be {dataclasses.replace(self, doc='').describe()}"
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value)
            found = int(number) if self.whole else number
            if found != number or not self.low <= found <= self.high:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{name} {right}, got {value!r}") from None
        return found

    def array(self, value):
        if self.static:
            return value
        return np.int32([value]) if self.whole else np.float32([value])

    def value(self, array):
        found = np.asarray(array).reshape(-1)[0]
        return int(found) if self.whole else float(found)

    def write(self, value, path):
        self.check_path(path)
        write_numbers(value, path)

    def describe(self):
        return f"{'an integer' if self.whole else 'a number'} from {self.low:g} to {self.high:g}" + said(self.doc)


@dataclasses.dataclass(frozen=True)
class Choice(Plain):
    """One of some words. `doc` says what it is for."""

    options: tuple[str, ...]
    default: str | None = None
    doc: str = ""
    static = True

    def read(self, value, name):
        if value not in self.options:
            raise InputError(f"{name} must be one of {', '.join(self.options)}, got {value!r}")
        return value

    def array(self, value):
        return value

    def describe(self):
        return " | ".join(self.options) + said(self.doc)


@dataclasses.dataclass(frozen=True)
class Shares(Numbers):
    """How much each of several things counts: numbers from 0 on, not all 0. The system is given [1, n], of sum 1.

    Without any, [1, 0], all count alike. `doc` says what they are of.
    """

    default: tuple = ()
    doc: str = ""

    def read(self, value, name):
        right = dataclasses.replace(self, doc="").describe()
        row = [value] if isinstance(value, (int, float)) else value
        found = finite(array_of(row, name, f"it must be {right}").reshape(-1), name)
        if (found < 0).any() or not found.any():
            raise InputError(f"{name} must be {right}, got {value!r}")
        return tuple(found.tolist())

    def array(self, value):
        found = np.float32(value)[None]
        return found / max(found.sum(), 1e-30)

    def describe(self):
        return 'numbers "3,1" from 0 on, not all 0' + said(self.doc)


@dataclasses.dataclass(frozen=True)
class Seed(Plain):
    """What random draws start from: an integer from 0 to 2^32 - 1. The system is given uint32 [1]."""

    default: int | None = 0

    def read(self, value, name):
        try:
            seed = int(str(value))
            if not 0 <= seed < 2**32:
                raise ValueError
        except ValueError:
            raise InputError(f"{name} must be {self.describe()}, got {value!r}") from None
        return seed

    def array(self, value):
        return np.uint32([value])

    def describe(self):
        return "an integer from 0 to 4294967295"


@dataclasses.dataclass(frozen=True)
class Latent(Numbers):
    """A point of a latent space: a float32 array of a shape, of a .npy or .json file or an array."""

    shape: tuple[int, ...]
    suffixes = (".npy", ".json")
    reads = suffixes

    def read(self, value, name):
        array = array_of(value, name, f"it must be {self.describe()}")
        if array.shape != tuple(self.shape):
            raise InputError(f"{name} has shape {list(array.shape)}; it must be {list(self.shape)}")
        return finite(array, name)

    def array(self, value):
        return value[None]

    def value(self, array):
        return np.asarray(array[0], np.float32)

    def write(self, value, path):
        self.check_path(path)
        write_numbers(value, path)

    def describe(self):
        return f"numbers of shape {list(self.shape)} (npy, json)"


@dataclasses.dataclass(frozen=True)
class Start(Kind):
    """A latent of a generator for each of its layers, float32 [layers, size]; or the seed that one is drawn from; or
    "mean", their mean.

    Read from a .npy, .json or .pt file (also of [1, layers, size], as StyleCLIP has them, or of one w for all layers)
    or an array. The system is given a dict: `latent` [1, layers, size], `seed` uint32 [1], and which of them counts,
    `drawn` and `mean`, bool [1].
    """

    shape: tuple[int, int]
    reads = (".npy", ".json", ".pt")

    def opens(self, value):
        return is_path(value) and pathlib.Path(value).suffix.lower() in self.reads

    def read(self, value, name):
        right = f"it must be {self.describe()}"
        if isinstance(value, str) and value == "mean":
            return value
        if isinstance(value, (int, np.integer)) or isinstance(value, str) and value.isdigit():
            return Seed().read(value, name)
        if is_path(value) and not self.opens(value):
            raise InputError(f"{name}: {str(value)!r}: {right}")
        torch = is_path(value) and pathlib.Path(value).suffix.lower() == ".pt"
        array = array_of(torch_file.read(value) if torch else value, name, right)
        layers, size = self.shape
        if array.shape in ((1, layers, size), (1, size)):
            array = array[0]
        if array.shape not in ((layers, size), (size,)):
            raise InputError(f"{name} has shape {list(array.shape)}; {right}")
        return np.broadcast_to(finite(array, name), (layers, size))

    def array(self, value):
        given = isinstance(value, np.ndarray)
        return {
            "latent": value[None] if given else np.zeros((1, *self.shape), np.float32),
            "seed": np.uint32([value if isinstance(value, int) else 0]),
            "drawn": np.array([isinstance(value, int)]),
            "mean": np.array([isinstance(value, str)]),
        }

    def describe(self):
        layers, size = self.shape
        return f'numbers of shape [{layers}, {size}] or [{size}] (npy, json, pt), a seed to draw them from, or "mean"'


@dataclasses.dataclass(frozen=True)
class Points(Numbers):
    """Places on a picture: float32 [points, 2], x and y in pixels from its left upper corner.

    Read from "12,30 40.5,8", a .csv, .json or .npy file, or an array. The middle of the first pixel is (0.5, 0.5).
    """

    suffixes = (".csv", ".json", ".npy")
    reads = suffixes

    def read(self, value, name):
        array = array_of(value, name, f"it must be {self.describe()}")
        if array.ndim != 2 or array.shape[1] != 2 or not len(array):
            raise InputError(f"{name} has shape {list(array.shape)}; points are [points, 2], x and y")
        return finite(array, name)

    def array(self, value):
        return value[None]

    def value(self, array):
        return np.asarray(array[0], np.float32)

    def write(self, value, path):
        self.check_path(path)
        write_numbers(value, path)

    def describe(self):
        return 'points "x,y x,y ..." in pixels (or csv, json, npy)'


@dataclasses.dataclass(frozen=True)
class Ties(Numbers):
    """Places of one picture that go with places of another: a tuple of (x, y, x', y', number), pixels as of `Points`.

    Read from "x,y,x',y' ..." with a fifth number where the other input is several pictures, saying which, from 1; from
    a .csv, .json or .npy file, or an array; empty is none. The system is given float32 [1, ties, 5].

    Attributes:
      first, second: names of the inputs that x, y and x', y' lie on.
    """

    first: str
    second: str
    default = ()
    suffixes = (".csv", ".json", ".npy")

    def read(self, value, name):
        right = f"it must be {self.describe()}"
        array = array_of(value, name, right)
        if not array.size:
            return ()
        if array.ndim != 2 or array.shape[1] not in (4, 5):
            raise InputError(f"{name} has shape {list(array.shape)}; {right}")
        array = np.concatenate([finite(array, name), np.ones((len(array), 5 - array.shape[1]), np.float32)], 1)
        for tie in array:
            if tie[4] < 1 or tie[4] != round(float(tie[4])):
                raise InputError(f"{name}: {self.second} {tie[4]:g}: they are numbered from 1")
        return tuple(map(tuple, array.tolist()))

    def array(self, value):
        return np.float32(value).reshape(1, -1, 5)

    def text(self, value):
        return " ".join(",".join(f"{number:g}" for number in tie) for tie in value)

    def describe(self):
        places = "x,y,x',y'"
        return f'"{places} {places} ..." or csv, json, npy: x,y on {self.first} is like x\',y\' on {self.second}'


@dataclasses.dataclass(frozen=True)
class Pose(Kind):
    """The joints of a person: float32 [joints, 3], x and y in pixels and confidence, 0 where a joint is not seen.

    Read from the JSON of OpenPose (`people[0].pose_keypoints_2d`) or an array [joints, 3].
    """

    joints: int = 18
    suffixes = (".json",)
    reads = suffixes

    def read(self, value, name):
        if is_path(value):
            value = self._openpose(value, name)
        array = array_of(value, name, f"it must be {self.describe()}")
        if array.shape != (self.joints, 3):
            raise InputError(f"{name} has shape {list(array.shape)}; it must be [{self.joints}, 3]: x, y, confidence")
        return finite(array, name)

    def _openpose(self, path, name):
        right = f"it must be {self.describe()}"
        try:
            people = json.loads(pathlib.Path(path).read_text())["people"]
            if len(people) != 1:
                raise InputError(f"{name}: {path} shows {len(people)} people; it must be one")
            return np.asarray(people[0]["pose_keypoints_2d"], float).reshape(-1, 3)
        except InputError:
            raise
        except FileNotFoundError:
            raise InputError(f"{name}: {str(path)!r}: no such file; {right}") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{name}: {path} cannot be read ({error!r}); {right}") from error

    def array(self, value):
        return value[None]

    def value(self, array):
        return np.asarray(array[0], np.float32)

    def write(self, value, path):
        self.check_path(path)
        flat = np.asarray(value, float).reshape(-1).tolist()
        made(path).write_text(json.dumps({"people": [{"pose_keypoints_2d": flat}]}) + "\n")

    def describe(self):
        return f"{self.joints} joints of one person (OpenPose's JSON)"
