"""Where a run's weights come from at its start: `config.init`, for trained and frozen networks alike.

`config.init.<attribute>` is one of: the name of published weights ("vgg19"; see `pretrained.weights`); a file that the system has a
reader for; a run or an entry of the zoo, whose network of the same name, or of the one after a colon ("runs/x:generator"), is
taken as it is used, with averaged parameters and running statistics. Patterns in `config.init.allow` name tensors that may
be missing or unused; anything else of the kind is an error.
"""

import dataclasses
import pathlib

from flax import nnx
from ml_collections import ConfigDict

from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import experiment as experiments
from vision_gen.engine import facts as facts_lib
from vision_gen.engine import packed
from vision_gen.engine import system as systems
from vision_gen.errors import InputError
from vision_gen.pretrained import named
from vision_gen.pretrained import weights as published
from vision_gen.settings import nearest

HINT = " (config.init.allow names what may be missing or unused)"


def with_origins(experiment, workdir=None):
    """The experiment with `config.origin`: of the runs that `config.init` names, what their networks are built of and by
    which tokens they read texts.

    It stands in the run's config.json, so that the run still opens when the others are gone.

    Args:
      experiment: an `experiment.Experiment`.
      workdir: of the run, where there is one; if it has a checkpoint already, it has them.

    Raises:
      InputError: a run that is named cannot be read.
    """
    if workdir is not None and ckpt.finished(workdir / "checkpoints"):
        found = ckpt.load_config(workdir).get("origin", {})
    else:
        found = {name: _origin(name, source) for name, source in experiment.init.items() if _run(source)}
    if not found:
        return experiment
    config = experiment.config.copy_and_resolve_references()
    with config.unlocked():
        config.origin = ConfigDict(found)
    return experiments.Experiment(config)


def load(experiment):
    """The tensors that `config.init` names.

    Args:
      experiment: an `experiment.Experiment`, from `with_origins`.

    Returns:
      (tensors, lines): {attribute: {name in the network, such as "down/0/kernel": float32 array}}, without those that
      keep their start; and for the log what was read, and what kept its start and why.

    Raises:
      InputError: something is not there or does not fit; names it.
    """
    if not experiment.init:
        return {}, []
    system = nnx.eval_shape(lambda: systems.made(experiment, 0))
    found, lines = {}, []
    for attribute, source in experiment.init.items():
        if not hasattr(system, attribute):
            raise InputError(f"config.init.{attribute} is {source!r}, but with these settings there is no such network")
        network = getattr(system, attribute)
        try:
            tensors = _read(experiment, attribute, source, network)
        except InputError as error:
            raise InputError(f"config.init.{attribute}: {error}") from error
        adapt = lambda name, value, like, attribute=attribute: experiment.system.adapt(attribute, name, value, like)
        try:
            found[attribute], notes = named.fit(tensors, network, adapt=adapt, allow=experiment.allow, hint=HINT)
        except InputError as error:
            raise InputError(f"config.init.{attribute}: {error}{_others(experiment, attribute, source)}") from error
        lines.append(f"{attribute}: {len(found[attribute])} tensors of {tensors.origin}")
        lines += [f"{attribute}: {note}" for note in notes]
    return found, lines


def _run(source):
    """(folder of a run, network in it or "") where a source names a run, else None."""
    folder, _, attribute = source.partition(":")
    path = ckpt.folder(folder)
    return (path, attribute) if (path / "config.json").is_file() or path.parent == ckpt.ZOO else None


def _origin(name, source):
    path, attribute = _run(source)
    config = ckpt.load_config(path)
    tokenizer = facts_lib.load(path, None).get("tokenizer") if (path / facts_lib.NAME).is_file() else None
    return dict(
        run=source.partition(":")[0],
        attribute=attribute or name,
        system=config.system,
        model=config.model.to_dict(),
        data=config.data.to_dict(),
        **({"tokenizer": tokenizer} if tokenizer else {}),
    )


def _others(experiment, attribute, source):
    """What to say where weights of a run of the same system do not fit: the fields by which its network is another."""
    path, other = _run(source) or (None, "")
    run = experiments.Experiment(ckpt.load_config(path)) if path and not other else None
    if run is None or run.system is not experiment.system:
        return ""
    value = lambda of, section, name: getattr(getattr(of, section), name)

    def shapes(*fields):
        config = experiment.config.copy_and_resolve_references()
        for section, name in fields:
            config[section][name] = value(run, section, name)
        changed = experiments.Experiment(config)
        system = nnx.eval_shape(lambda: systems.made(changed, 0))
        return {name: leaf.shape for name, leaf in named.flat(getattr(system, attribute)).items()}

    fields = [("data", "size"), *(("model", field.name) for field in dataclasses.fields(experiment.model))]
    different = [field for field in fields if value(run, *field) != value(experiment, *field)]
    ours = shapes()
    told = [f"{'.'.join(f)}={value(run, *f)} (here {value(experiment, *f)})" for f in different if shapes(f) != ours]
    return f"; it was trained with {', '.join(f'config.{text}' for text in told)}" if told else ""


def _read(experiment, attribute, source, network):
    """A `named.Named` of one source."""
    if _run(source):
        return _of_run(source, attribute)
    reader = experiment.system.readers.get(attribute)
    if source in published.FILES:
        path = published.find(source)
    elif pathlib.Path(source).expanduser().is_dir():
        raise InputError(f"{source!r} is a folder without a run: there is no config.json in it")
    elif "/" in source or "." in source or pathlib.Path(source).exists():
        path = pathlib.Path(source).expanduser()
    else:
        raise InputError(f"{source!r} is neither a file nor a run, nor published weights{nearest(source, published.FILES)}")
    if reader is None:
        raise InputError(f"no published format of this network is read; give a run instead of {source!r}")
    file = path if path.exists() else pathlib.Path(str(path).rpartition(":")[0])  # Behind a colon: how to read it.
    if not file.is_file():
        raise InputError(f"{path}: no such file")
    found = reader(path, network)
    found.origin = f"{found.origin} (SHA-256 {published.checksum(file)[:16]}...)"
    return found


def _of_run(source, name):
    """A network of another run, as that run uses it."""
    path, attribute = _run(source)
    attribute = attribute or name
    config = ckpt.load_config(path)
    if ckpt.is_packed(path):
        raw = packed.read(path)
        step = raw["step"]
    else:
        manager = ckpt.Checkpoints(path, experiments.Experiment(config), read_only=True)
        try:
            step = manager.chosen("best")
            raw = manager.raw(step)
        finally:
            manager.close()
    tensors = {}
    for part in ("params", "rest", "ema", "ema_rest"):  # Averages replace what they are of.
        for full, value in raw.items():
            if full.startswith(f"{part}/{attribute}/"):
                tensors[full.removeprefix(f"{part}/{attribute}/")] = value
    if not tensors:
        known = sorted({full.split("/")[1] for full in raw if full.startswith("params/")})
        raise InputError(f"the run {str(path)!r} has no network {attribute!r}{nearest(attribute, known)}")
    return named.Named(f"{attribute} of {source.partition(':')[0]} (checkpoint of step {step})", tensors)
