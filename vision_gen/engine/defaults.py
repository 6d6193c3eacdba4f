"""Every field that the engine reads, with the value it has unless a config says otherwise."""

import dataclasses
from typing import Annotated, Literal

from ml_collections import ConfigDict

from vision_gen import settings
from vision_gen.data.settings import Settings as Data
from vision_gen.engine import system as systems
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Seed, Share


@dataclasses.dataclass(frozen=True)
class Player:
    """`config.players.<name>`: how a player learns. Adam as the GAN papers use it."""

    learning_rate: NotNegative  # At its highest: after the warmup, before the schedule lowers it.
    optimizer: str = "adam"  # "adam" (of b1, b2, epsilon), "ranger", or any of optax: "sgd(momentum=0.9)".
    b1: Annotated[float, Range(0, 1, below=True)] = 0.5  # Of Adam: decay of the mean of gradients (momentum).
    b2: Annotated[float, Range(0, 1, below=True)] = 0.999  # Of Adam: decay of the mean of their squares.
    epsilon: NotNegative = 1e-8  # Of Adam: added to what a step is divided by.
    weight_decay: NotNegative = 0.0  # Each step weights shrink by this times the learning rate (AdamW).
    decay: Literal["weights", "all", "gradient"] = "weights"  # "weights": no biases, norms; "gradient": all, by L2.
    schedule: Literal["constant", "linear", "halving", "cosine", "exponential"] = "constant"  # How the rate falls.
    decay_start: Share = 0.5  # Of "linear" and "halving": share of the run before it falls.
    halvings: Count = 9  # Of "halving": how often the rate is halved, after equal parts of the rest of the run.
    falling: CountOrNone = 0  # Of "cosine": steps in which the rate falls, with those of the warmup; 0: all.
    lowest: Share = 0.0  # Of "cosine" and "exponential": share of the rate that the run ends with; 0 of the latter: a tenth.
    warmup: CountOrNone = 0  # Steps in which the rate rises from 0.
    clip: NotNegative = 0.0  # A gradient that is longer (norm over all parameters) is cut to this; 0: never.
    every: CountOrNone = 1  # The player learns at one in so many steps; 0: never.
    shrink: Count = 1  # Costly losses: the player learns from one in so many examples of a batch.
    ema_half_life: NotNegative = 0.0  # Use a moving average of weights, of this half-life in examples; 0: none.
    ema_ramp: NotNegative = 0.05  # The half-life is at most this share of the examples seen so far; 0: no limit.


@dataclasses.dataclass(frozen=True)
class Joined:
    """`config.players.<name>` of a player that joins another (`system.Player.joins`), whose move it shares."""

    every: CountOrNone = 1  # Its loss is added at one in so many steps; 0: never.
    shrink: Count = 1  # Costly losses: it is of one in so many examples of a batch.


@dataclasses.dataclass(frozen=True)
class Train:
    """`config.train`."""

    batch_size: Count = 16  # Examples a step, of all devices together.
    steps: Count = 10000  # Of the whole run.
    accumulate: Count = 1  # A batch is computed in so many parts, to save memory.
    log_every: Count = 50  # Steps between progress lines.
    sample_every: CountOrNone = 500  # Steps between sample sheets; 0: none.
    eval_every: CountOrNone = 1000  # Steps between validations; checkpoints have one too. 0: only those.
    eval_images: Count = 256  # Examples of a validation, at most.
    checkpoint_every: Count = 1000  # Steps between checkpoints, from which a run goes on and which are used.
    keep: CountOrNone = 2  # The last so many checkpoints stay, and the best.
    best_metric: str = "psnr"  # The validation figure by which a checkpoint is the best.
    best_mode: Literal["max", "min"] = "max"  # Whether the best is the largest or the smallest.
    sample_images: CountOrNone = 6  # Rows of a sample sheet.
    profile_at: CountOrNone = 0  # First of five steps that are profiled for TensorBoard; 0: none.


@dataclasses.dataclass(frozen=True)
class Parallel:
    """`config.parallel`."""

    style: Literal["jit", "shard_map", "pmap"] = "jit"  # How devices share the work; the same numbers.
    fsdp: Count = 1  # Devices that hold a share each of parameters and optimizer state, to save memory.
    processes: CountOrNone = 1  # Of the run, one a host; 0: as the cluster says. docs/multihost.md.
    process: CountOrNone = 0  # This one's number, from 0.
    coordinator: str = ""  # host:port of process 0; empty: as the cluster says.
    timeout: Count = 60  # Seconds without a sign of another process after which it counts as lost.


@dataclasses.dataclass(frozen=True)
class Run:
    """The fields of a config that are in no section."""

    system: str  # "module.Class" in vision_gen.systems, or its full path.
    seed: Seed = 0  # Of first weights, the order of the data and all that is random.
    dtype: Literal["float32", "bfloat16"] = "float32"  # Of the computation; parameters are float32.


def player(learning_rate, **overrides):
    """Settings of one player: `config.players.<name>`."""
    return settings.section(Player, dict(overrides, learning_rate=learning_rate), "config.players.*")


def sections(cls):
    """What the sections of the players of a system's class are of: {name: `Player` or `Joined`}."""
    return {player.name: Joined if player.joins else Player for player in systems.players_of(cls)}


def experiment(system, *, data=(), model=(), players=(), init=(), evaluations=(), seed=0, dtype="float32", parallel=(), **train):
    """An experiment: the engine's defaults and the system's own around what differs.

    Args:
      system: "module.Class" in vision_gen.systems.
      data: fields of `config.data` that differ from `data.Settings`.
      model: fields of `config.model` that differ from the system's `Settings`.
      players: {name: player(...)}, or fields as a dict; of a player that joins another, those of `Joined`.
      init: {attribute of the system: where its weights come from}; see `engine.weights`.
      evaluations: {name: fields of `config.data` that differ, and `split`}: further sets for evaluation.
      seed, dtype, parallel, **train: the same of the run, of `config.parallel` and of `config.train`.

    Returns:
      A ConfigDict whose sections are locked: an unknown field is refused, also when it is set later.

    Raises:
      InputError: a field is unknown or of a wrong value, with the nearest known one.
    """
    cls = systems.load_class(system)
    config = ConfigDict(dict(system=system, seed=seed, dtype=dtype))
    config.data = settings.section(Data, dict(data), "config.data")
    config.model = settings.section(cls.Settings, dict(model), "config.model")
    kinds = sections(cls)
    config.players = ConfigDict({
        name: settings.section(kinds.get(name, Player), given, f"config.players.{name}")
        for name, given in dict(players).items()
    })
    config.init = ConfigDict(dict.fromkeys(systems.networks(cls), "") | dict(allow=()) | dict(init))
    config.evaluations = ConfigDict(dict(evaluations))
    config.train = settings.section(Train, train, "config.train")
    config.parallel = settings.section(Parallel, dict(parallel), "config.parallel")
    return config.lock()
