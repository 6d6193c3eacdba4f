"""Checkpoints: everything a run needs to go on exactly where it was, written in the background."""

import fnmatch
import json
import math
import pathlib

from etils import epath
import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies
import safetensors.numpy

from vision_gen.engine import defaults, migrate
from vision_gen.engine import state as states
from vision_gen.errors import InputError
from vision_gen.settings import nearest

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
    "data.workers",
    *(
        f"players.*.{field}"
        for field in ("learning_rate", "schedule", "decay_start", "warmup", "weight_decay", "decay", "clip")
    ),
)
CHANGES = "changes.json"  # What of them has changed, and at which step.


class Checkpoints:
    """The checkpoints of a workdir.

    Each holds the state (step, parameters, running statistics, averages, optimizer states) and the validation figures
    of that step; which examples come next follows from the step (`examples_seen`).
    Written to a temporary name and renamed when complete, so that a checkpoint that can be seen
    is whole. What no player moves is not in them: it is written once, to `frozen.safetensors`.

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
        self._frozen_path = pathlib.Path(workdir) / "frozen.safetensors"
        self._manager = ocp.CheckpointManager(
            epath.Path(self.folder),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=None if read_only else keep,
                best_fn=figure,
                best_mode=train.best_mode,
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
            ),
            item_handlers={"state": ocp.StandardCheckpointHandler()},
        )

    def steps(self):
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def best(self):
        """The step whose validation figure is best, or None without any; one that is not a number never is."""
        best = self._manager.best_step()
        return None if best is None or math.isnan(self._figure(self._manager.metrics(best))) else best

    def _figure(self, metrics):
        return metrics.get(self._experiment.train.best_metric, math.nan)

    def chosen(self, which):
        """The step of a checkpoint called "best", "last" or by its number.

        Raises:
          InputError: there is none, or not this one.
        """
        steps = self.steps()
        if not steps:
            raise InputError(f"{self.folder.parent} has no finished checkpoint yet")
        if which in ("last", "best"):
            best = self.best() if which == "best" else None
            return steps[-1] if best is None else best
        if str(which).isdigit() and int(which) in steps:
            return int(which)
        raise InputError(f'checkpoint must be "best", "last" or one of the steps {steps}, got {which!r}')

    def save(self, step, state, metrics=None):
        """Starts to write a checkpoint; returns when the state has been copied out.

        Raises:
          InputError: this or the one before could not be written (a full disk, say); finished
            checkpoints are as they were.
        """
        kept, frozen = states.split(self._experiment, state)
        items = ocp.args.Composite(state=ocp.args.StandardSave(named(kept)))
        with self._explained():
            if frozen and not self._frozen_path.exists():
                write_tensors(self._frozen_path, states.flat(frozen))
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
            restored = states.flat(self._manager.restore(step, args=items)["state"])
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
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        metadata = self._metadata(step)
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), metadata)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        found = states.flat(jax.device_get(self._manager.restore(step, args=args)["state"]))
        if self._frozen_path.exists():
            for name, value in safetensors.numpy.load_file(self._frozen_path).items():
                attribute, _, rest = name.partition("/")
                part, _, rest = rest.partition("/")
                found[f"{part}/{attribute}/{rest}"] = value
        return found

    def _read_frozen(self, frozen):
        """{name in the state: array} of the frozen networks, where `frozen` says that they lie."""
        saved = safetensors.numpy.load_file(self._frozen_path)
        found = {}
        for name, like in states.flat(frozen).items():
            attribute, part, rest = name.split("/", 2)
            if name not in saved or saved[name].shape != _raw(like).shape:
                raise InputError(f"{self._frozen_path}: {name} is {'of another shape' if name in saved else 'not there'}; it is of another run")
            found[f"{part}/{attribute}/{rest}"] = jax.device_put(saved[name], like.sharding)
        return found

    def close(self):
        with self._explained():
            self._manager.close()

    def _metadata(self, step):
        metadata = self._manager.item_metadata(step)["state"]
        return getattr(metadata, "tree", metadata)

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
        raise InputError(
            f"could not write a checkpoint below {self._folder} ({_root_cause(error)}); finished "
            f"checkpoints are intact: steps {steps or 'none'}. When that is mended, start again to "
            "go on from the last"
        ) from error


def finished(folder):
    """Steps of the finished checkpoints in a folder, ascending; it need not be there."""
    return sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit())


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


def write_tensors(path, tensors):
    """A safetensors file, by process 0, renamed when it is whole."""
    whole = lambda x: x if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True)
    host = {name: np.asarray(whole(_raw(x))) for name, x in tensors.items()}
    if jax.process_index() == 0:
        part = path.with_suffix(".part")
        part.write_bytes(safetensors.numpy.save(host))  # `save_file` would let nobody else read it.
        part.replace(path)


def folder(workdir):
    """The folder of a run as it was given; of `zoo/NAME`, unless there is such a folder here, the zoo's entry."""
    path = pathlib.Path(workdir).expanduser()
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

    Returns:
      What differs from the run's last start and may: {field: (what it was, what it is)}, "absent" for what was or is
      not there; {} of a new run.

    Raises:
      InputError: `workdir` holds another experiment; names the fields that differ.
    """
    workdir = pathlib.Path(workdir)
    if is_packed(workdir):
        raise InputError(
            f"workdir {str(workdir)!r} is an entry of the zoo, which cannot be trained on; choose another --workdir, "
            "and --config.init.NETWORK=zoo/NAME to begin with its weights"
        )
    if (workdir / "config.json").exists():
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
    if workdir.exists() and not workdir.is_dir():
        raise InputError(f"workdir {str(workdir)!r} is a file; it must be a folder")
    if (workdir / "checkpoints").exists():
        raise InputError(
            f"workdir {str(workdir)!r} has checkpoints but no config.json; choose another --workdir"
        )
    return {}


def claim(workdir, experiment, changed=(), step=0):
    """Makes `workdir` this experiment's: writes its config.json and, if something has changed, its changes.json.

    Args:
      changed: what `refuse_another` returned.
      step: of the checkpoint from which the run goes on.

    Raises:
      InputError: it cannot be written.
    """
    workdir = pathlib.Path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            if changed:
                more = [{"step": step, "field": name, "was": was, "is": now} for name, (was, now) in changed.items()]
                _write_json(workdir / CHANGES, [*changes(workdir), *more])
            write_config(workdir, experiment.config)
    except OSError as error:
        raise InputError(f"cannot write to workdir {str(workdir)!r} ({error.strerror})") from error


def _write_json(path, record):
    part = path.with_name(f"{path.name}.part")  # Other processes may be reading the old one.
    part.write_text(json.dumps(record, indent=2) + "\n")
    part.replace(path)


def changes(workdir):
    """What has changed of a run's config since it began: [{"step", "field", "was", "is"}], in order."""
    path = pathlib.Path(workdir) / CHANGES
    try:
        return json.loads(path.read_text()) if path.exists() else []
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from error


def examples_seen(workdir, experiment, step):
    """How many examples a run has trained on by a step, whatever its batch size was on the way."""
    seen = begun = 0
    for change in changes(workdir):
        if change["field"] == "train.batch_size":
            until = max(begun, min(change["step"], step))
            seen, begun = seen + (until - begun) * change["was"], until
    return seen + (step - begun) * experiment.train.batch_size


def write_config(folder, config):
    """Writes a run's config.json."""
    _write_json(folder / "config.json", {"format": migrate.FORMAT, **json.loads(config.to_json())})


def load_config(workdir):
    """The resolved config of a run.

    Raises:
      InputError: `workdir` holds none.
    """
    path = folder(workdir) / "config.json"
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        if path.parent.parent == ZOO:
            known = [f"zoo/{entry.parent.name}" for entry in ZOO.glob(f"*/{path.name}")]
            name = f"zoo/{path.parent.name}"
            raise InputError(f"there is no {name!r}{nearest(name, known)}") from None
        raise InputError(
            f"workdir {str(workdir)!r} holds no run: there is no {path.name} in it"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    try:
        return _filled(migrate.config(record))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not the config of a run: {error!r}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _filled(record):
    """A config with the fields that the engine, the data or the system did not have yet when the run was made."""
    sections = {name: record[name] for name in ("data", "model", "init", "evaluations", "parallel")}
    players = {name: defaults.player(**player) for name, player in record["players"].items()}
    config = defaults.experiment(
        record["system"], seed=record["seed"], dtype=record["dtype"], players=players, **sections, **record["train"]
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
