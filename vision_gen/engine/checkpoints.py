"""Checkpoints: everything a run needs to go on exactly where it was, written in the background."""

import contextlib
import fcntl
import fnmatch
import hashlib
import json
import logging
import math
import os
import pathlib
import shutil
import socket

from etils import epath
from flax import nnx
import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies
import safetensors.numpy

from vision_gen.data.settings import local
from vision_gen.engine import defaults, migrate
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import system as systems
from vision_gen.errors import InputError, NonFiniteError
from vision_gen.pretrained import named as named_tensors
from vision_gen.pretrained import weights as published
from vision_gen.settings import nearest

log = logging.getLogger("vision_gen")
# Models that ship with the package, each a folder that is opened as a run is, and the file of its weights.
ZOO = pathlib.Path(__file__).parent.parent / "zoo"
PACKED = "weights.safetensors"
# Fields that may change from one start of a run to the next, as patterns; the others make the experiment.
FREE_FIELDS = (
    "train.*",
    "parallel.*",
    "evaluations.*",
    "data.dir",
    "data.parts.*.dir",
    "data.skip_unreadable",
    "data.parts.*.skip_unreadable",
    "data.max_pixels",
    "data.parts.*.max_pixels",
    "data.workers",
    *(
        f"players.*.{field}"
        for field in ("learning_rate", "schedule", "decay_start", "falling", "lowest", "warmup", "weight_decay", "decay", "clip")
    ),
)
CHANGES = "changes.json"  # What of them has changed, and at which step.
# Checksums of the files of a checkpoint, and of frozen networks, as `sha256sum` writes and checks them.
SUMS = "sha256sums"
FROZEN, FROZEN_SUMS = "frozen.safetensors", "frozen.sha256sums"
LOCK = "lock"  # Of a workdir that a run is in; it says which.
_STATE, _FIGURES = "state", "metrics"  # The folders of a checkpoint that hold them.


class Checkpoints:
    """The checkpoints of a workdir.

    Each holds the state (step, parameters, running statistics, averages, optimizer states) and the validation figures
    of that step; which examples come next follows from the step (`examples_seen`).
    Written to a temporary name with checksums and renamed when complete, so that a checkpoint that can be seen
    is whole; `damage` says whether it still is. What no player moves is not in them: it is written once, to
    `frozen.safetensors`, or not at all where an installed package carries it, which is read again.

    Args:
      workdir: the run's folder.
      experiment: an `experiment.Experiment`.
    """

    def __init__(self, workdir, experiment, *, read_only=False):
        self._experiment = experiment
        train = experiment.train
        self.folder = pathlib.Path(workdir).absolute() / "checkpoints"
        worst = math.inf if train.best_mode == "min" else -math.inf

        def figure(metrics):
            value = self._figure(metrics)
            return worst if math.isnan(value) else value

        keep = policies.AnyPreservationPolicy(
            [
                policies.LatestN(max(train.keep, 1)),
                policies.BestN(
                    get_metric_fn=figure,
                    reverse=train.best_mode == "min",
                    n=1,
                    keep_checkpoints_without_metrics=False,
                ),
            ]
        )
        self._frozen_path, self._frozen_sums = self.folder.parent / FROZEN, self.folder.parent / FROZEN_SUMS
        # All processes must answer alike, before one of them writes.
        self._frozen_there = bool(finished(self.folder)) and self._frozen_path.exists() and self._frozen_sums.exists()
        self._manager = ocp.CheckpointManager(
            epath.Path(self.folder),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=None if read_only else keep,
                best_fn=figure,
                best_mode=train.best_mode,
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
                lightweight_initialize=read_only,  # Figures that cannot be read are no error before they are needed.
                async_options=ocp.AsyncOptions(post_finalization_callback=self._write_sums),
            ),
            item_handlers={_STATE: ocp.StandardCheckpointHandler()},
        )

    def steps(self):
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def best(self):
        """The step whose validation figure is best, or None without any; one that is not a number never is."""
        return next(iter(self._ranked()), None)

    def _ranked(self):
        """Steps with a validation figure, the best first; of equal ones the later."""
        known = [step for step in self.steps() if not self._unranked(step)]
        figures = {step: self._figure(_figures(self.folder / str(step))) for step in known}
        sign = 1 if self._experiment.train.best_mode == "min" else -1
        return sorted((s for s in figures if not math.isnan(figures[s])), key=lambda s: (sign * figures[s], -s))

    def _unranked(self, step):
        """What is wrong with the validation figures of a step, so that it might be the best; or None."""
        return damage(self.folder / str(step), (_FIGURES,))

    def _figure(self, metrics):
        return metrics.get(self._experiment.train.best_metric, math.nan)

    def chosen(self, which):
        """The step of a checkpoint called "best", "last" or by its number.

        Where the best or last is damaged, that is logged, and the next best, or the one before, taken.

        Raises:
          InputError: there is none, or not this one, or it is damaged.
        """
        steps = self.steps()
        if not steps:
            raise InputError(f"{self.folder.parent} has no finished checkpoint yet")
        if which in ("last", "best"):
            first = [] if which == "last" else [*filter(self._unranked, steps), *self._ranked()]
            steps = [*first, *(step for step in reversed(steps) if step not in first)]
        elif str(which).isdigit() and int(which) in steps:
            steps = [int(which)]
        else:
            raise InputError(f'checkpoint must be "best", "last" or one of the steps {steps}, got {which!r}')
        damaged = {}
        for step in steps:
            if not (why := damage(self.folder / str(step))):
                for other, found in damaged.items():
                    path = self.folder / str(other)
                    log.warning("checkpoint %s is damaged (%s); that of step %d is taken", path, found, step)
                return step
            damaged[step] = why
        raise _none_whole(self.folder, damaged)

    def save(self, step, state, metrics=None):
        """Starts to write a checkpoint; returns when the state has been copied out.

        Raises:
          InputError: this or the one before could not be written (a full disk, say); finished
            checkpoints are as they were.
          NonFiniteError: a parameter, running statistic or average is not finite; nothing is written.
        """
        kept, frozen = states.split(self._experiment, state)
        _check_finite(step, kept)
        items = ocp.args.Composite(state=ocp.args.StandardSave(named(kept)))
        with self._explained():
            if frozen and not self._frozen_there:
                names = {name: states.flat({name: tree}) for name, tree in frozen.items()}
                apart = [tensors for name, tensors in names.items() if not tensors.keys() <= carried(self._experiment, name).keys()]
                write_tensors(self._frozen_path, {name: x for tensors in apart for name, x in tensors.items()})
                if jax.process_index() == 0:
                    _write_sums(self._frozen_sums, [self._frozen_path])
                self._frozen_there = True
            self._manager.save(step, args=items, metrics=metrics, force=True)

    def wait(self):
        """Returns when everything is on disk. Raises as `save` does."""
        with self._explained():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def restore(self, step, state):
        """A checkpoint's state in the shapes and shardings of `state`.

        Args:
          step: one of `steps()`.
          state: a state of the same experiment, arrays or ShapeDtypeStructs with shardings.

        Raises:
          InputError: the checkpoint is of another system or config; names the first parameter
            that differs.
        """
        kept, frozen = states.split(self._experiment, state)
        target = named(kept)
        whole = states.flat(target)
        found = self._shapes(step)
        old = frozen and not self._frozen_path.exists()  # Of 0.1, in the checkpoint itself.
        if old:
            whole |= states.flat(named({part: {n: f[part] for n, f in frozen.items() if f[part]} for part in ("params", "rest")}))
        if not old and found == {name: tuple(x.shape) for name, x in whole.items()}:
            abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), target)
            items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            restored = states.flat(self._restored(step, items))
        else:
            chosen = migrate.names(found, whole)
            there = {name: found[old] for name, old in chosen.items()}
            unknown = {name: found[name] for name in found.keys() - set(chosen.values()) if name.startswith(("params/", "rest/"))}
            self._check(step, there | unknown, whole)
            raw = self.raw(step)
            restored = {name: jax.device_put(raw[old], whole[name].sharding) for name, old in chosen.items()}
        if frozen and not old:
            restored |= self._read_frozen(frozen)
        names, likes = leaf_names(state), jax.tree.leaves(state)
        leaves = [typed(restored[name], like) for name, like in zip(names, likes, strict=True)]
        return jax.tree.unflatten(jax.tree.structure(state), leaves)

    def raw(self, step):
        """Everything in a checkpoint's state as numpy, {name: array}, and the frozen networks."""
        args = ocp.args.Composite(state=ocp.args.StandardRestore(_here(self._metadata(step))))
        found = states.flat(jax.device_get(self._restored(step, args)))
        if self._frozen_path.exists():
            found |= {in_state(name): value for name, value in self._saved_frozen().items()}
        return found

    def _read_frozen(self, frozen):
        """{name in the state: array} of the frozen networks, where `frozen` says that they lie."""
        saved, found = self._saved_frozen(), {}
        for name, like in states.flat(frozen).items():
            if name not in saved or saved[name].shape != _raw(like).shape:
                raise InputError(f"{self._frozen_path}: {name} is {'of another shape' if name in saved else 'not there'}; it is of another run")
            found[in_state(name)] = jax.device_put(saved[name], like.sharding)
        return found

    def _saved_frozen(self):
        """What `frozen.safetensors` holds, and what packages carry that it does not."""
        try:
            if why := _differing(self._frozen_sums):
                raise ValueError(why)
            found = safetensors.numpy.load_file(self._frozen_path)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            what = f"the frozen networks of {self.folder.parent} are damaged ({error})"
            raise InputError(f"{what}; put back a copy") from error
        there = {name.partition("/")[0] for name in found}
        for attribute in self._experiment.init.keys() - there:
            found |= carried(self._experiment, attribute)
        return found

    def close(self):
        with self._explained():
            self._manager.close()

    def _write_sums(self):
        """Called by Orbax when everything of a checkpoint has been written, before it is renamed."""
        if jax.process_index() == 0:
            for folder in self.folder.glob("*.orbax-checkpoint-tmp*"):
                _write_sums(folder / SUMS, sorted(path for path in folder.glob("*/**/*") if path.is_file()))

    def _restored(self, step, items):
        return self._manager.restore(step, args=items)[_STATE]

    def _metadata(self, step):
        metadata = self._manager.item_metadata(step)[_STATE]
        return metadata.tree if hasattr(metadata, "tree") else dict(metadata)

    def _shapes(self, step):
        return {name: tuple(x.shape) for name, x in states.flat(self._metadata(step)).items()}

    def _check(self, step, found, target):
        expected = {name: tuple(x.shape) for name, x in target.items()}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                there, here = (
                    "absent" if s is None else f"of shape {list(s)}"
                    for s in (found.get(name), expected.get(name))
                )
                raise InputError(
                    f"checkpoint {self.folder / str(step)} is of another system or config: "
                    f"{name} is {there} in it and {here} in this one"
                )

    def _explained(self):
        return _Explained(self.folder)


def _check_finite(step, state):
    """Raises NonFiniteError, with its name, where a network in a state has diverged."""
    networks = {part: value for part, value in state.items() if part not in ("step", "optimizers")}
    floats = {name: x for name, x in states.flat(named(networks)).items() if jnp.issubdtype(x.dtype, jnp.inexact)}
    bad = [name for name, finite in jax.device_get(_finite(floats)).items() if not finite]
    if bad:
        more = f" (nor are {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise NonFiniteError(
            f"step {step}: {bad[0]} is not finite{more}, so that it was not saved. The checkpoints before are intact; "
            "a lower learning rate or a clip of the player often helps"
        )


@jax.jit
def _finite(tensors):
    return {name: jnp.isfinite(x).all() for name, x in tensors.items()}


class SaveError(InputError):
    """A checkpoint could not be written."""


class _Explained:
    """Turns a failure to write into one clear error."""

    def __init__(self, folder):
        self._folder = folder

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None or isinstance(error, (InputError, KeyboardInterrupt, SystemExit)):
            return False
        steps = finished(self._folder)
        raise SaveError(
            f"could not write a checkpoint below {self._folder} ({_root_cause(error)}); finished "
            f"checkpoints are intact: steps {steps or 'none'}. When that is mended, start again to "
            "go on from the last"
        ) from error


def finished(folder):
    """Steps of the finished checkpoints in a folder, ascending; it need not be there."""
    return sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit())


def whole(workdir):
    """Finished checkpoints of a run, in search of damaged ones; of those before the last, only figures are looked at.

    Returns:
      (steps that are whole, ascending, {step: what is wrong} of the others).

    Raises:
      InputError: there are some, but none is whole.
    """
    folder, found, damaged = pathlib.Path(workdir).absolute() / "checkpoints", [], {}
    for step in reversed(finished(folder)):
        why = damage(folder / str(step), (_FIGURES,) if found else (_STATE, _FIGURES))
        damaged |= {step: why} if why else {}
        found += [] if why else [step]
    if damaged and not found:
        raise _none_whole(folder, damaged)
    return found[::-1], damaged


def _none_whole(folder, damaged):
    (step, why), *more = damaged.items()
    others = f"; nor are those of the steps {sorted(step for step, _ in more)}" if more else ""
    return InputError(f"checkpoint {folder / str(step)} is damaged ({why}){others}")


def set_apart(workdir, damaged):
    """Moves damaged checkpoints of a run, {step: what is wrong}, to its folder `damaged`; returns lines that say so."""
    parallel_lib.barrier("damaged")  # All have looked.
    lines = []
    for step, why in damaged.items():
        target = pathlib.Path(workdir, "damaged", str(step))
        lines.append(f"the checkpoint of step {step} is damaged ({why}) and lies in {target} now")
        if jax.process_index() == 0:
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            pathlib.Path(workdir, "checkpoints", str(step)).rename(target)
    parallel_lib.barrier("set apart")
    return lines


def damage(checkpoint, parts=(_STATE, _FIGURES)):
    """What is wrong with a finished checkpoint, or None.

    Args:
      checkpoint: its folder.
      parts: its folders whose checksums are compared; the state of a checkpoint from before there were any is read.
    """
    try:
        for name in ("_CHECKPOINT_METADATA", f"{_FIGURES}/metrics"):
            if (checkpoint / name).exists() and not isinstance(json.loads((checkpoint / name).read_bytes()), dict):
                return f"{name} is no record"
        if _STATE in parts and not (checkpoint / SUMS).exists():
            return _unreadable(checkpoint / _STATE)
        return _differing(checkpoint / SUMS, parts)
    except (OSError, ValueError) as error:
        return str(error)


def _here(metadata):
    """Shapes of a state's metadata, on one device of this process."""
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), metadata)


def _unreadable(state):
    """What is wrong with a state without checksums, or None: it is read."""
    handler = ocp.StandardCheckpointHandler()
    try:
        metadata = handler.metadata(state)
        handler.restore(state, args=ocp.args.StandardRestore(_here(getattr(metadata, "tree", metadata))))
    except Exception as error:  # Orbax and TensorStore raise many kinds.
        return f"it cannot be read: {_root_cause(error)}"
    finally:
        handler.close()


def _figures(checkpoint):
    """The validation figures of a checkpoint; {} without any."""
    path = checkpoint / _FIGURES / "metrics"
    return json.loads(path.read_text()) if path.exists() else {}


def _write_sums(path, files):
    path.write_text("".join(f"{_sum(file)}  {file.relative_to(path.parent)}\n" for file in files))


def _differing(sums, parts=None):
    """What is wrong with the files whose checksums stand in a file, of these folders beside it; or None."""
    for line in sums.read_text().splitlines() if sums.exists() else ():
        digest, _, name = line.partition("  ")
        if parts is None or name.split("/")[0] in parts:
            file = sums.parent / name
            if not file.is_file():
                return f"{name} is missing"
            if _sum(file) != digest:
                return f"{name} is not what was written"


def _sum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _root_cause(error):
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)


def named(tree):
    """The same tree with list indices as strings and random keys as integers, as they are on disk."""
    if isinstance(tree, dict):
        return {str(k): named(v) for k, v in tree.items()}
    if jax.tree_util.all_leaves([tree]):
        return _raw(tree)
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): _raw(leaf) for path, leaf in leaves}


def leaf_names(tree):
    """Names of a tree's leaves as they are on disk, in the order of `jax.tree.leaves`: "10" comes behind "9"."""
    leaves, structure = jax.tree.flatten(tree)
    found = states.flat(named(jax.tree.unflatten(structure, [np.int32(number) for number in range(len(leaves))])))
    return sorted(found, key=found.get)


def _raw(x):
    """A random key as the integers that it is of, an array or its shape."""
    if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return x
    if isinstance(x, jax.Array):
        return jax.random.key_data(x)
    data = jax.eval_shape(jax.random.key_data, x)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=x.sharding)


def typed(x, like):
    """The inverse of `_raw`."""
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return x
    return jax.random.wrap_key_data(x, impl=jax.random.key_impl(like))


def carried(experiment, attribute):
    """{name as in `frozen.safetensors`: array} of a frozen network that a package carries; {} of others."""
    source = experiment.init.get(attribute, "")
    moved = any(attribute in player.modules for player, _ in experiment.players.values())
    if moved or source not in published.FILES or published.FILES[source].url:
        return {}
    network = getattr(nnx.eval_shape(lambda: systems.made(experiment, 0)), attribute)
    read = experiment.system.readers[attribute](published.find(source), network)
    params = states.flat(nnx.to_pure_dict(nnx.state(network, nnx.Param)))
    tensors, _ = named_tensors.fit(read, network, allow=experiment.allow)
    return {f"{attribute}/{'params' if name in params else 'rest'}/{name}": x for name, x in tensors.items()}


def in_state(name):
    """The name in a state of what `frozen.safetensors` calls "attribute/params/..."."""
    attribute, part, rest = name.split("/", 2)
    return f"{part}/{attribute}/{rest}"


def write_tensors(path, tensors, metadata=None):
    """A safetensors file, by process 0, renamed when it is whole."""
    whole = lambda x: x if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True)
    host = {name: np.asarray(whole(_raw(x))) for name, x in tensors.items()}
    if jax.process_index() == 0:
        part = path.with_suffix(".part")
        part.write_bytes(safetensors.numpy.save(host, metadata))  # `save_file` would let nobody else read it.
        part.replace(path)


def folder(workdir):
    """The folder of a run as it was given; of `zoo/NAME`, unless there is such a folder here, the zoo's entry.

    Raises:
      InputError: what was given is empty.
    """
    if not str(workdir):
        raise InputError("--workdir is empty; it must be a folder")
    path = local(str(workdir), "--workdir")
    return ZOO / path.name if path.parent == pathlib.Path("zoo") and not path.exists() else path


def is_packed(workdir):
    """Is it an entry of the zoo, or a copy of one, which can be used but not trained on?"""
    path = folder(workdir)
    return path.resolve().parent == ZOO.resolve() or (path / PACKED).exists()


def results(workdir):
    """Where the evaluation of a run writes: its folder; of an entry of the zoo, `runs/zoo/NAME`."""
    path = folder(workdir)
    return pathlib.Path("runs", "zoo", path.name) if is_packed(workdir) else path


def refuse_another(workdir, experiment):
    """Refuses a folder that holds another experiment; changes nothing.

    A start that finished no checkpoint leaves nothing that another experiment could spoil. Hidden files and logs, to
    which a user may send what a run prints, may lie in a new run's folder; other files may not.

    Returns:
      What differs from the run's last start and may: {field: (what it was, what it is)}, "absent" for what was or is
      not there; {} of a new run.

    Raises:
      InputError: `workdir` holds another experiment (names the fields that differ), or files that are no run's.
    """
    workdir = pathlib.Path(workdir)
    if is_packed(workdir):
        raise InputError(
            f"workdir {str(workdir)!r} is an entry of the zoo, which cannot be trained on; choose another --workdir, "
            "and --config.init.NETWORK=zoo/NAME to begin with its weights"
        )
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"workdir {str(workdir)!r} is a file; it must be a folder")
    if not finished(workdir / "checkpoints"):
        _refuse_files(workdir)
        return {}
    if not (workdir / "config.json").exists():
        raise InputError(f"workdir {str(workdir)!r} has checkpoints but no config.json; choose another --workdir")
    changes(workdir)  # They can be read.
    old = dict(fields(load_config(workdir)))
    new = dict(fields(experiment.config))
    different = {
        name: (old.get(name, "absent"), new.get(name, "absent"))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }
    refused = [
        f"config.{name} is {was!r} there and {now!r} here"
        for name, (was, now) in different.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in FREE_FIELDS)
    ]
    if refused:
        raise InputError(
            f"workdir {str(workdir)!r} holds another experiment: {'; '.join(refused[:5])}. "
            "Choose another --workdir"
        )
    return different


def _refuse_files(workdir):
    """Refuses a folder with files in which no run has begun: that leaves `LOCK`, or before there was one a log."""
    found = sorted(path.name for path in workdir.glob("*"))
    others = [n for n in found if not n.startswith(".") and not n.endswith((".log", ".out", ".err", ".txt"))]
    if others and not {LOCK, "train.log"} & set(found):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise InputError(
            f"workdir {str(workdir)!r} holds files that are no run's ({others[0]}{more}); choose another --workdir, "
            "new or empty"
        )


@contextlib.contextmanager
def locked(workdir):
    """Keeps other runs out of a workdir, also where this process is killed; one that was made for nothing is removed.

    Raises:
      InputError: another run is in it, or it cannot be written.
    """
    workdir = pathlib.Path(workdir)
    if jax.process_index():
        yield
        return
    new = not workdir.exists()
    cannot = lambda error: InputError(f"cannot write to workdir {str(workdir)!r} ({error.strerror})")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = open(workdir / LOCK, "ab+", buffering=0)
    except OSError as error:
        raise cannot(error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().decode()
            raise InputError(
                f"workdir {str(workdir)!r} is in use by another run ({other}); choose another --workdir, or wait"
            ) from None
        except OSError as error:
            log.warning("%s cannot be locked (%s); no other run must use it at the same time", workdir, error.strerror)
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        except OSError as error:
            raise cannot(error) from error
        try:
            yield
        finally:
            if new and os.listdir(workdir) == [LOCK]:
                shutil.rmtree(workdir)


def claim(workdir, experiment, changed=(), step=0):
    """Makes `workdir` this experiment's: writes its config.json and, if something has changed, its changes.json.

    To be called when nothing can fail any more that may be wrong with what was given.

    Args:
      changed: what `refuse_another` returned.
      step: of the checkpoint from which the run goes on; 0 of a new run.

    Raises:
      InputError: it cannot be written.
    """
    workdir = pathlib.Path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            if changed:
                _write_json(workdir / CHANGES, [*changes(workdir), *_records(changed, step)])
            for name in () if step else (CHANGES, FROZEN, FROZEN_SUMS):
                (workdir / name).unlink(missing_ok=True)  # Of a start that finished no checkpoint.
            write_config(workdir, experiment.config)
    except OSError as error:
        raise InputError(f"cannot write to workdir {str(workdir)!r} ({error.strerror})") from error


def _records(changed, step):
    return [{"step": step, "field": name, "was": was, "is": now} for name, (was, now) in dict(changed).items()]


def _write_json(path, record):
    part = path.with_name(f"{path.name}.part")  # Other processes may be reading the old one.
    part.write_text(json.dumps(record, indent=2) + "\n")
    part.replace(path)


def changes(workdir):
    """What has changed of a run's config since it began: [{"step", "field", "was", "is"}], in order."""
    path = pathlib.Path(workdir) / CHANGES
    try:
        found = json.loads(path.read_text()) if path.exists() else []
        if any(set(change) != {"step", "field", "was", "is"} for change in found):
            raise ValueError("a change needs step, field, was and is")
        return found
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} has no changes as a run writes them ({error!r}); move it away") from error


def examples_seen(workdir, experiment, step, changed=()):
    """How many examples a run has trained on by a step, whatever its batch size was on the way.

    `changed`, from `refuse_another`, is what has changed at that step and is not recorded yet.
    """
    seen = begun = 0
    for change in [*changes(workdir), *_records(changed, step)] if step else ():
        if change["field"] == "train.batch_size":
            until = max(begun, min(change["step"], step))
            seen, begun = seen + (until - begun) * change["was"], until
    return seen + (step - begun) * experiment.train.batch_size


def write_config(folder, config):
    """Writes a run's config.json."""
    _write_json(folder / "config.json", config_record(config))


def config_record(config):
    """A config as a dict for JSON, of which `config_of` makes it again."""
    return {"format": migrate.FORMAT, **json.loads(config.to_json())}


def load_config(workdir):
    """The resolved config of a run.

    Raises:
      InputError: `workdir` holds none.
    """
    path = folder(workdir) / "config.json"
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        if path.parent.parent == ZOO:
            known, name = [entry.parent.name for entry in ZOO.glob(f"*/{path.name}")], path.parent.name
            raise InputError(f"the zoo has no {name!r}{nearest(name, known, every=True)}") from None
        raise InputError(
            f"workdir {str(workdir)!r} holds no run: there is no {path.name} in it"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} is not the config of a run: it is a {type(record).__name__}, no object")
    try:
        return config_of(record)
    except KeyError as error:
        raise InputError(f"{path} is not the config of a run: there is no {error}") from error
    except (TypeError, AttributeError) as error:
        raise InputError(f"{path} is not the config of a run: {error!r}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def config_of(record):
    """A config of its `config_record`, with the fields that the engine, the data or the system did not have yet then."""
    record = migrate.config(record)
    sections = {name: record[name] for name in ("data", "model", "players", "init", "evaluations", "parallel")}
    config = defaults.experiment(
        record["system"], seed=record["seed"], dtype=record["dtype"], **sections, **record["train"]
    )
    if "origin" in record:
        with config.unlocked():
            config.origin = ConfigDict(record["origin"])
    return config


def fields(config, prefix=""):
    """Yields (dotted name, value) of every field of a config."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value
