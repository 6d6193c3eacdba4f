"""What the engine knows of a system: its players, its turns, its samples."""

import dataclasses
import importlib

from flax import nnx
import jax

from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Player:
    """A part of the parameters that plays for a loss of its own.

    Attributes:
      name: names the loss method, `<name>_loss`, and the section `config.players.<name>`.
      modules: attributes of the system whose parameters it moves; by default the one called
        `name`. Players with the same modules share one optimizer state, that of the first.
      own_forward: its turn runs `forward` again with the parameters as they are by then, instead
        of reading the step's shared one (regularisers that act every k-th step want this).
    """

    name: str
    modules: tuple[str, ...] = ()
    own_forward: bool = False

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


class System(nnx.Module):
    """A published system: networks, the players that train them, their losses, its samples.

    A subclass has `players`, `columns`, a constructor `(config, *, rngs)` that builds its networks
    as attributes, `forward`, a `<name>_loss` for each player, `sample`, `evaluate`, and `tools` with their methods.
    Attributes with parameters that are no player's are frozen.

    Batches are dicts of arrays with a leading batch axis as the data pipeline makes them (images
    uint8). `keys` [batch] holds one random key for each example.
    """

    players: tuple = ()
    # What `sample` returns, in the order of the sheet.
    columns: tuple = ()
    # Examples that are evaluated at a time, over all devices; at least one on each.
    evaluation_batch: int = 32

    @classmethod
    def frozen(cls, config):
        """Published weights of networks that are no player's: {attribute: nested dict of arrays}.

        Read when a run begins; its checkpoints hold them from then on.
        """
        return {}

    def forward(self, batch, keys):
        """Runs once a step; every player's loss reads what it returns (a tree of arrays)."""
        raise NotImplementedError

    def sample(self, batch, keys):
        """Named images [batch, height, width, 1 or 3] in [-1, 1]: columns of the sample sheet."""
        raise NotImplementedError

    def evaluate(self, batch, keys):
        """Named figures [batch] for held-out examples, baselines included; NaN is left out."""
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
    def units(cls, config):
        """What throughput is counted in: a name and how many of them an example is."""
        return "images", 1

    @classmethod
    def figures(cls, model, source):
        """Pictures that explain a trained system: {name: [height, width, 3] uint8}.

        An array [frames, height, width, 3] is a film.

        Args:
          model: an `engine.use.Model`.
          source: held-out examples.
        """
        return {}


def players_of(system):
    """The players of a system or its class, in order, names turned into `Player`s."""
    return tuple(Player(p) if isinstance(p, str) else p for p in system.players)


def load_class(name):
    """The System class called `module.Class` in `vision_gen.systems`, or by a full path.

    Raises:
      ValueError: there is no such class.
    """
    module, _, attribute = name.rpartition(".")
    for path in (f"vision_gen.systems.{module}", module):
        try:
            return getattr(importlib.import_module(path), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or not path.startswith(error.name):
                raise
        except (AttributeError, ValueError):
            break
    raise InputError(
        f'config.system is {name!r}; it must name a class as "module.Class" in vision_gen.systems, '
        'such as "scft.SCFT"'
    )


def build(config):
    """The system that `config` describes, with weights drawn from `config.seed`.

    Returns:
      (graphdef, params, rest): static structure and two nested dicts of arrays; `params` by
      attribute of the system.
    """
    system = load_class(config.system)(config, rngs=nnx.Rngs(config.seed))
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
