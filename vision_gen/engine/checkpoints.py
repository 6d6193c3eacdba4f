"""Checkpoints: everything a run needs to go on exactly where it was, written in the background."""

import json
import pathlib

from etils import epath
import grain
import jax
from ml_collections import ConfigDict
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from vision_gen.engine import defaults
from vision_gen.errors import InputError

# Fields that may change from one start of a run to the next; the others make the experiment.
FREE_FIELDS = (
    "train.steps",
    "train.log_every",
    "train.sample_every",
    "train.sample_images",
    "train.eval_every",
    "train.eval_images",
    "train.checkpoint_every",
    "train.keep",
    "train.profile_at",
    "parallel.",
    "data.dir",
    "data.workers",
)


class Checkpoints:
    """The checkpoints of a workdir.

    Each holds one composite item: the state (step, parameters, running statistics, averages,
    optimizer states), the data iterator's position, and the validation figures of that step.
    Written to a temporary name and renamed when complete, so that a checkpoint that can be seen
    is whole.

    Args:
      workdir: the run's folder.
      config: reads `train.keep`, `train.best_metric`, `train.best_mode`.
    """

    def __init__(self, workdir, config, *, read_only=False):
        train = config.train
        if train.best_mode not in ("min", "max"):
            raise InputError(
                f'config.train.best_mode must be "min" or "max", got {train.best_mode!r}'
            )
        figure = lambda metrics: metrics[train.best_metric]
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
        self.folder = pathlib.Path(workdir).absolute() / "checkpoints"
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
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "data": grain.checkpoint.CheckpointHandler(),
            },
        )

    def steps(self):
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._manager.all_steps())

    def best(self):
        """The step whose validation figure is best, or None without any."""
        return self._manager.best_step()

    def save(self, step, state, data, metrics=None):
        """Starts to write a checkpoint; returns when the state has been copied out.

        Raises:
          InputError: this or the one before could not be written (a full disk, say); finished
            checkpoints are as they were.
        """
        items = dict(state=ocp.args.StandardSave(named(state)))
        if data is not None:
            items["data"] = grain.checkpoint.CheckpointSave(data)
        with self._explained():
            self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics, force=True)

    def wait(self):
        """Returns when everything is on disk. Raises as `save` does."""
        with self._explained():
            self._manager.wait_until_finished()
            self._manager.check_for_errors()

    def restore(self, step, state, data=None):
        """A checkpoint's state in the shapes and shardings of `state`; sets `data`'s position.

        Args:
          step: one of `steps()`.
          state: a state of the same experiment, arrays or ShapeDtypeStructs with shardings.
          data: the training iterator, or None.

        Raises:
          InputError: the checkpoint is of another system or config; names the first parameter
            that differs.
        """
        target = named(state)
        self._check(step, target)
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), target
        )
        items = dict(state=ocp.args.StandardRestore(abstract))
        if data is not None:
            items["data"] = grain.checkpoint.CheckpointRestore(data)
        restored = self._manager.restore(step, args=ocp.args.Composite(**items))["state"]
        return jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(restored))

    def close(self):
        with self._explained():
            self._manager.close()

    def _check(self, step, target):
        metadata = self._manager.item_metadata(step)["state"]
        shape = lambda x: tuple(x.shape)
        found = {name: shape(x) for name, x in _flat(getattr(metadata, "tree", metadata))}
        expected = {name: shape(x) for name, x in _flat(target)}
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
        finished = sorted(int(p.name) for p in self._folder.glob("*") if p.name.isdigit())
        raise InputError(
            f"could not write a checkpoint below {self._folder} ({_root_cause(error)}); finished "
            f"checkpoints are intact: steps {finished or 'none'}. When that is mended, start again to "
            "go on from the last"
        ) from error


def _root_cause(error):
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)


def named(tree):
    """The same tree with list indices as strings, as they are named on disk."""
    if isinstance(tree, dict):
        return {str(k): named(v) for k, v in tree.items()}
    if jax.tree_util.all_leaves([tree]):
        return tree
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _flat(tree):
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [("/".join(str(getattr(k, "key", k)) for k in path), leaf) for path, leaf in leaves]


def claim(workdir, config):
    """Makes `workdir` this experiment's, or checks that it is already.

    Raises:
      InputError: it holds another experiment; names the fields that differ.
    """
    workdir = pathlib.Path(workdir)
    path = workdir / "config.json"
    if path.exists():
        old = dict(fields(load_config(workdir)))
        new = dict(fields(config))
        different = [
            f"config.{name} is {old.get(name, 'absent')!r} there and {new.get(name, 'absent')!r} here"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name) and not name.startswith(FREE_FIELDS)
        ]
        if different:
            raise InputError(
                f"workdir {str(workdir)!r} holds another experiment: {'; '.join(different[:5])}. "
                "Choose another --workdir"
            )
    elif workdir.exists() and not workdir.is_dir():
        raise InputError(f"workdir {str(workdir)!r} is a file; it must be a folder")
    elif (workdir / "checkpoints").exists():
        raise InputError(
            f"workdir {str(workdir)!r} has checkpoints but no config.json; choose another --workdir"
        )
    if jax.process_index() == 0:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            part = workdir / "config.json.part"  # Other processes may be reading the old one.
            part.write_text(config.to_json(indent=2) + "\n")
            part.replace(path)
        except OSError as error:
            raise InputError(f"cannot write to workdir {str(workdir)!r} ({error.strerror})") from error


def load_config(workdir):
    """The resolved config of a run.

    Raises:
      InputError: `workdir` holds none.
    """
    path = pathlib.Path(workdir) / "config.json"
    try:
        config = ConfigDict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise InputError(
            f"workdir {str(workdir)!r} holds no run: there is no {path.name} in it"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    # Fields that the engine did not have yet when the run was made.
    full = defaults.experiment(
        config.system, data=config.data, model=config.model, players=config.players, **config.train
    )
    config.data, config.train = full.data, full.train
    return config


def fields(config, prefix=""):
    """Yields (dotted name, value) of every field of a config."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, list(value) if isinstance(value, tuple) else value
