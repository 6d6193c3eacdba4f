"""Tensors of a file under the names of a network of ours, each accounted for, and back.

A layout says both ways what a published format calls a network's tensors and how it lays them out:
{our name: (theirs, one or a list, `Turn`)}.
"""

from collections.abc import Callable
import dataclasses
import fnmatch
import functools

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.errors import InputError


@dataclasses.dataclass
class Named:
    """What a reader makes of a file.

    Attributes:
      origin: of the tensors, for messages.
      tensors: {our name, such as "down/0/kernel": array}, parameters and running statistics alike.
      sources: {our name: the file's}, also of those that the file lacks.
      unused: names in the file that mean nothing to the network.
      notes: what was left aside on purpose, for the log.
    """

    origin: str
    tensors: dict
    sources: dict = dataclasses.field(default_factory=dict)
    unused: tuple = ()
    notes: tuple = ()


@dataclasses.dataclass(frozen=True)
class Turn:
    """How a tensor is laid out in a file, the same to the last bit there and back.

    Attributes:
      read: function of the file's arrays that gives ours.
      write: function of ours that gives a sequence of the file's.
    """

    read: Callable
    write: Callable


def permuted(*axes):
    """The `Turn` of an array whose axes the file has in another order; `axes` of `np.transpose`, from its to ours."""
    return Turn(lambda x: x.transpose(axes), lambda x: [x.transpose(np.argsort(axes))])


SAME = Turn(lambda x: x, lambda x: [x])
FIRST = Turn(lambda x: x[0], lambda x: [x[None]])  # The file's has an axis of one in front.
# As torch has them: linear maps (out, in); convolutions (out, in, h, w), to (h, w, in, out); and transposed ones
# (in, out, h, w), to (h, w, out, in).
LINEAR, CONV = permuted(1, 0), permuted(2, 3, 1, 0)


@dataclasses.dataclass(frozen=True)
class Writer:
    """How a network is written in a published format; see `engine.system.System.writers`.

    Attributes:
      file: what the file is called there; "{step}" stands for the step.
      write: function (path, network, about) that writes it, and beside it what belongs to it. `about` is a dict of the
        `step` of the network's weights and of the facts of its data (`engine.facts`). Raises InputError where the
        format cannot say what the network is, by the name of the setting.
      suffixes: of files by other names; without any it is called `file`.
    """

    file: str
    write: Callable
    suffixes: tuple = ()


class Translation:
    """Collects a network's tensors from a file's.

    Args:
      origin: the file's path.
      state: {name: array}.
    """

    def __init__(self, origin, state):
        self._origin, self._state = str(origin), state
        self._left = dict.fromkeys(state)
        self._tensors, self._sources, self._notes = {}, {}, []

    def __contains__(self, name):
        return name in self._state

    def put(self, ours, names, make=None):
        """Our tensor from one of the file's or several.

        Args:
          ours: its name in the network.
          names: the file's, one or a list.
          make: function of their arrays, float32; by default the one as it is.

        Raises:
          InputError: they are there, but are no finite floats, or `make` cannot use them.
        """
        names = [names] if isinstance(names, str) else list(names)
        absent = [name for name in names if name not in self._state]
        self._sources[ours] = (absent or names)[0]
        if absent:
            return
        for name in names:
            self._left.pop(name, None)
        arrays = [self._floats(name) for name in names]
        try:
            self._tensors[ours] = make(*arrays) if make else arrays[0]
        except (ValueError, IndexError) as error:
            raise InputError(f"{self._origin}: {names[0]} has shape {list(arrays[0].shape)}, which is not that of {ours} ({error})") from None

    def _floats(self, name):
        value = np.asarray(self._state[name])
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise InputError(f"{self._origin}: {name} is of {value.dtype}; weights must be floats")
        value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            raise InputError(f"{self._origin}: {name} has numbers that are not finite")
        return value

    def ignore(self, pattern, why):
        """Leaves names that match a pattern aside, for a reason that the log gives."""
        found = fnmatch.filter(self._left, pattern)
        for name in found:
            del self._left[name]
        if found:
            self._notes.append(f"{found[0]}{f' and {len(found) - 1} more' * (len(found) > 1)} not used: {why}")

    def result(self):
        """The `Named` of what was put."""
        return Named(self._origin, self._tensors, self._sources, tuple(self._left), tuple(self._notes))


def read(origin, state, layout):
    """A `Translation` of a file's tensors {name: array}, with all that a layout names put."""
    file = Translation(origin, state)
    for ours, (names, turn) in layout.items():
        file.put(ours, names, functools.partial(_there_and_back, turn))
    return file


def _there_and_back(turn, *arrays):
    """What a `Turn` makes of a file's arrays; they may be as many numbers as it takes and still be laid out otherwise."""
    found = turn.read(*arrays)
    for array, back in zip(arrays, turn.write(found), strict=True):
        if array.shape != back.shape:
            raise ValueError(f"it would be {list(back.shape)}")
    return found


def written(network, layout):
    """A network's tensors as a layout has them, {name: array}; what the layout has beyond the network's is left out.

    Raises:
      KeyError: the layout has no name for a tensor of the network.
    """
    found = {}
    for ours, value in flat(network).items():
        names, turn = layout[ours]
        theirs = turn.write(np.asarray(value))
        whole = (np.asarray(value, order="C") for value in theirs)
        found |= zip([names] if isinstance(names, str) else names, whole, strict=True)
    return found


def flat(network):
    """{name: shape} of a network's parameters and running statistics."""
    state = nnx.to_pure_dict(nnx.state(network, (nnx.Param, nnx.BatchStat)))
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {"/".join(str(k.key) for k in path): leaf for path, leaf in leaves}


def fit(found, network, *, adapt=lambda name, value, like: None, allow=(), hint=""):
    """A file's tensors in a network's shapes.

    Args:
      found: a `Named`.
      network: the module they are for; may be abstract (`nnx.eval_shape`).
      adapt: function (name, value, like) of a tensor of another shape; see `engine.system.System.adapt`.
      allow: patterns of names, ours or the file's, that may be missing or unused.
      hint: how to allow more, for the end of messages.

    Returns:
      (tensors, notes): {name: float32 array}, without those that keep their start; and lines for the log.

    Raises:
      InputError: a tensor is missing, of another shape, or unused; names it.
    """
    expected, tensors, notes = flat(network), {}, list(found.notes)
    allowed = lambda *names: any(fnmatch.fnmatch(n, pattern) for n in names for pattern in allow)
    for name, like in expected.items():
        source = found.sources.get(name, name)
        if name not in found.tensors:
            if not allowed(name, source):
                raise InputError(
                    f"{found.origin}: no weight {source!r}; is it of another architecture?{hint}"
                )
            notes.append(f"{name} kept its start: it is not there")
            continue
        value = found.tensors[name]
        if tuple(value.shape) != tuple(like.shape):
            adapted = adapt(name, value, like)
            if adapted is None:
                raise InputError(
                    f"{found.origin}: {source} has shape {list(value.shape)}, the network's {name} {list(like.shape)}"
                )
            value, why = adapted
            notes.append(f"{name} {why}")
            if value is None:
                continue
        tensors[name] = jnp.asarray(value, jnp.float32)
    unused = [*found.unused, *(found.sources.get(n, n) for n in found.tensors if n not in expected)]
    refused = [name for name in unused if not allowed(name)]
    if refused:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise InputError(
            f"{found.origin}: has weights that the network has not: {refused[0]!r}{more}{hint}"
        )
    if unused:
        notes.append(f"{unused[0]}{f' and {len(unused) - 1} more' * (len(unused) > 1)} left out, as allowed")
    return tensors, notes


def put(network, tensors):
    """Sets a network's tensors from {name: array}."""
    state = nnx.state(network, (nnx.Param, nnx.BatchStat))
    pure = nnx.to_pure_dict(state)

    def one(path, leaf):
        return tensors.get("/".join(str(k.key) for k in path), leaf)

    nnx.replace_by_pure_dict(state, jax.tree_util.tree_map_with_path(one, pure))
    nnx.update(network, state)
    return network


def load(reader, path, network, **settings):
    """`network` with the weights of a file; see `fit` for settings and errors."""
    return put(network, fit(reader(path, network), network, **settings)[0])
