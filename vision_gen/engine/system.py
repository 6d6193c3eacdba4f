"""What the engine knows of a system: its players, its turns, its samples."""

import dataclasses
import importlib
from typing import Literal

from flax import nnx
import jax

from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Player:
    """A part of the parameters that plays for a loss of its own.

    Attributes:
      name: names the loss method, `<name>_loss`, and the section `config.players.<name>`.
      modules: attributes of the system whose parameters it moves; by default the one called
        `name`. Players with the same modules share the optimizer's moments; each has its own rate, schedule,
        clip and weight decay.
      forward: what its loss reads. "shared": the step's one forward pass; "own": `forward` runs again, with the
        parameters as they are by then and with draws of its own; "none": the loss gets None.
      lazy: a regulariser that belongs to the loss of another player of the same modules, but is computed every k-th
        step only, k being `config.players.<name>.every` (Karras et al. 2020, appendix B): its loss is multiplied by k, and
        the rates and betas of the optimizer that they share are corrected for the additional moves.
      turn: name of the player in whose turn, and by whose loss, it moves: it has no loss of its own, but its own rate,
        moments and averages.
      joins: name of a player before it, of the same modules, whose loss is the sum of both at every k-th step, k being
        `config.players.<name>.every`: one gradient, clipped together, and one move of the optimizer. Its section says no
        more than when (`defaults.Joined`). It is computed at once, whatever `config.train.accumulate` is.
    """

    name: str
    modules: tuple[str, ...] = ()
    forward: Literal["shared", "own", "none"] = "shared"
    lazy: bool = False
    turn: str = ""
    joins: str = ""

    def __post_init__(self):
        object.__setattr__(self, "modules", self.modules or (self.name,))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Now:
    """When in a run, and the draws of this step.

    Attributes:
      keys: [batch], one random key for each example.
      step: of the run, int32, from 0.
      progress: `step` over the run's steps, float32 in [0, 1).
    """

    keys: jax.Array
    step: jax.Array
    progress: jax.Array


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Of a system that has nothing to set."""


class System(nnx.Module):
    """A published system: networks, the players that train them, their losses, its samples.

    A subclass has `Settings`, `players`, `needs`, `columns`, a constructor `(experiment, *, rngs)` that builds its
    networks as attributes, `forward`, a `<name>_loss` for each player, `sample`, `evaluate`, and `tools` with their methods.
    Attributes with parameters that are no player's are frozen: the engine changes neither their parameters nor their running
    statistics, and writes them once a run.

    Batches are dicts of arrays with a leading batch axis as the data pipeline makes them (images
    uint8). `keys` [batch] holds one random key for each example.
    """

    # What it is called on a page: what it is for, and whose it is. Without, the name of its class is.
    title: str = ""
    # `config.model`: a frozen dataclass, every field with a default.
    Settings: type = NoSettings
    # In the order in which they move; a name stands for `Player(name)`. Without any, there is nothing to train.
    players: tuple = ()
    # Readers of published files by attribute: function (path, network) -> `pretrained.named.Named`.
    readers: dict = {}
    # Arrays that it reads of an example to train on, {name: shape}, None for a length that may be any.
    needs: dict = {}
    # Published formats that networks are written in: {attribute: {format: `pretrained.named.Writer`}}.
    writers: dict = {}
    # Pictures that `sample` returns, in the order of the sheet; what else it returns is for `captions`.
    columns: tuple = ()
    # What `summarise` returns; see `figures_of_set`.
    set_figures: tuple = ()
    # Figures that `protocol` gives.
    protocol_figures: tuple = ()
    # One phrase for each figure, by its name, that `metrics.phrases` has none for.
    explained: dict = {}
    # One phrase for each of the pictures of `figures`, by its name, and for the sheet, "samples".
    legends: dict = {}
    # Examples that are evaluated at a time, over all devices; at least one on each.
    evaluation_batch: int = 32

    @classmethod
    def default_init(cls, settings):
        """Where weights come from that `config.init` does not say: {attribute: source}.

        Args:
          settings: of the system.
        """
        return {}

    @classmethod
    def adapt(cls, attribute, name, value, like):
        """Fits a tensor of other weights that has another shape than the network's.

        Args:
          attribute: of the system.
          name: of the tensor in it, such as "head/kernel".
          value: the tensor that was read.
          like: the network's.

        Returns:
          (value or None to keep the network's own start, why), or None: it does not fit.
        """
        return None

    @classmethod
    def check(cls, experiment, source):
        """Refuses what does not agree between the settings and the data, before any long work starts.

        Args:
          experiment: an `engine.experiment.Experiment`.
          source: the training examples.

        Raises:
          InputError: names the field.
        """

    @classmethod
    def prepare(cls, experiment, source, weights):
        """What a run finds out of its data before its first step, and keeps in its state: more of `weights`.

        Args:
          experiment: an `engine.experiment.Experiment`.
          source: the training examples.
          weights: what `config.init` names, {attribute: {name: array}}.

        Returns:
          The same of other attributes, parameters or running state.
        """
        return {}

    @classmethod
    def export_notes(cls, experiment):
        """What published formats of its networks leave to those who use them: lines for the log."""
        return ()

    @classmethod
    def migrate(cls, record):
        """The config of a run of version 0.1, a nested dict, in today's fields."""
        return record

    def forward(self, batch, now):
        """Runs once a step; every player's loss reads what it returns (a tree of arrays).

        Args:
          batch: from the data pipeline.
          now: a `Now`.
        """
        raise NotImplementedError

    def watched(self):
        """Numbers of the running state after a step, which stand in the log beside the losses: {name: scalar}."""
        return {}

    def sample(self, batch, keys):
        """Named images [batch, height, width, 1 or 3] in [-1, 1], which `shown` makes the sample sheet of."""
        raise NotImplementedError

    @classmethod
    def shown(cls, experiment, sample, classes):
        """The sample sheet, a row an example: `columns` of `sample`, unless it depends on the settings or the data.

        Args:
          experiment: an `engine.experiment.Experiment`.
          sample, classes: as of `captions`.

        Returns:
          {name: images [rows, height, width, 1 or 3] in [-1, 1]}.
        """
        return {name: sample[name] for name in cls.columns}

    @classmethod
    def captions(cls, sample, classes):
        """Texts under pictures of the sample sheet: {column: [batch] texts}.

        Args:
          sample: what `sample` returned, numpy.
          classes: names of the data's classes, by label; () if it has none.
        """
        return {}

    def evaluate(self, batch, keys):
        """Named arrays [batch, ...] for held-out examples.

        Floats [batch] are figures, baselines included: their mean is reported, NaN is left out. Everything else is
        for `summarise` and `figures` alone.
        """
        raise NotImplementedError

    @classmethod
    def figures_of_set(cls, experiment, returned=()):
        """Names of what `summarise` returns: `set_figures`, unless it depends on the settings or the data.

        Args:
          experiment: an `engine.experiment.Experiment`.
          returned: names of what `evaluate` returns.
        """
        return cls.set_figures

    @classmethod
    def summarise(cls, values, classes):
        """Figures of a whole set, which are no means over its examples: {name: float}, the names `figures_of_set`.

        Args:
          values: what `evaluate` returned for every example, once each and in order: {name: [examples, ...]}, numpy.
          classes: names of the data's classes, by label; () if it has none.
        """
        return {}

    @classmethod
    def protocol(cls, names, model, source, real, extractor, progress):
        """Figures of a published protocol that takes long, only those that are asked for by name.

        Args:
          names: of `protocol_figures`.
          model: an `engine.use.Model`.
          source: held-out examples.
          real: the training examples.
          extractor: a `metrics.extract.Extractor`, for distances.
          progress: function of a label that gives a function of (done, total).

        Returns:
          {name: {"mean", "what", "images", ...}}, as they stand in `metrics.json`.
        """
        raise NotImplementedError

    @classmethod
    def tools(cls, experiment, facts):
        """What a trained system can be asked to do, the main thing first: a sequence of `engine.tools.Tool`.

        Args:
          experiment: the run's settings.
          facts: what is known of the data, such as `classes`; see `engine.facts`.
        """
        return ()

    @classmethod
    def units(cls, experiment):
        """What throughput is counted in: a name and how many of them an example is."""
        return "images", 1

    @classmethod
    def figures(cls, model, source, values):
        """Pictures that explain a trained system: {name: [height, width, 3] uint8}.

        An array [frames, height, width, 3] is a film.

        Args:
          model: an `engine.use.Model`.
          source: held-out examples.
          values: as of `summarise`; {} where the system's own figures were not asked for.
        """
        return {}


def players_of(cls):
    """The players of a system's class, in order, names turned into `Player`s."""
    return tuple(Player(p) if isinstance(p, str) else p for p in cls.players)


def networks(cls):
    """Attributes whose weights `config.init` can set: the players' modules and those with readers, in order."""
    moved = [module for player in players_of(cls) for module in player.modules]
    return tuple(dict.fromkeys([*moved, *cls.readers]))


def load_class(name):
    """The System class called `module.Class` in `vision_gen.systems`, or by a full path.

    Raises:
      InputError: there is no such class.
    """
    module, _, attribute = name.rpartition(".")
    for path in (f"vision_gen.systems.{module}", module) if module else ():
        try:
            found = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name is None or not path.startswith(error.name):
                raise
        else:
            cls = getattr(found, attribute, None)
            if isinstance(cls, type) and issubclass(cls, System):
                return cls
            break
    raise InputError(
        f'config.system is {name!r}; it must name a class as "module.Class" in vision_gen.systems, '
        'such as "scft.SCFT"'
    )


def made(experiment, seed):
    """The system of an experiment, with weights drawn from a seed.

    Raises:
      InputError: its networks cannot be built of these settings.
    """
    try:
        return experiment.system(experiment, rngs=nnx.Rngs(seed))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"config.model: {error}") from error


def build(experiment, only=None):
    """The system of an experiment, with weights drawn from its seed.

    Args:
      experiment: an `experiment.Experiment`.
      only: attributes; it is made without the others that have weights or statistics.

    Returns:
      (graphdef, params, rest): static structure and two nested dicts of arrays; `params` by
      attribute of the system.

    Raises:
      InputError: its networks cannot be built of these settings.
    """
    system = made(experiment, experiment.seed)
    if only is not None:
        for name in {path[0] for path, _ in nnx.to_flat_state(nnx.state(system))} - set(only):
            delattr(system, name)
    graphdef, params, rest = nnx.split(system, nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(rest)


def run(graphdef, params, rest, method, *args, dtype=None):
    """Calls a method of the system; returns its result and the non-parameter state afterwards.

    Args:
      method: name of the method.
      dtype: parameters are cast to it, and layers compute in the dtype of their parameters.
    """
    if dtype is not None:
        params = jax.tree.map(lambda p: p.astype(dtype), params)
    # Without copy=True a module with BatchNorm inside jax.vjp raises TraceContextError.
    system = nnx.merge(graphdef, params, rest, copy=True)
    out = getattr(system, method)(*args)
    return out, nnx.to_pure_dict(nnx.state(system, nnx.Not(nnx.Param)))
