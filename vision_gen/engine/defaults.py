"""Every field that the engine reads, with the value it has unless a config says otherwise."""

import dataclasses
from typing import Annotated, Literal

from ml_collections import ConfigDict

from vision_gen import settings
from vision_gen.data.settings import Settings as Data
from vision_gen.engine import system as systems
from vision_gen.settings import Count, CountOrNone, NotNegative, Range, Share


@dataclasses.dataclass(frozen=True)
class Player:
    """`config.players.<name>`: how a player learns. Adam as the GAN papers use it."""

    learning_rate: NotNegative
    optimizer: str = "adam"  # "adam" (of b1, b2, epsilon), or any of optax: "sgd(momentum=0.9)".
    b1: Annotated[float, Range(0, 1, below=True)] = 0.5
    b2: Annotated[float, Range(0, 1, below=True)] = 0.999
    epsilon: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0  # Decoupled (AdamW): times the rate.
    decay: Literal["weights", "all"] = "weights"  # What decays: no biases, no normalisations; or everything.
    schedule: Literal["constant", "linear", "cosine", "exponential"] = "constant"
    decay_start: Share = 0.5  # Share of the run after which "linear" decays.
    warmup: CountOrNone = 0  # Steps of the run.
    clip: NotNegative = 0.0  # Largest global norm of the gradient; 0 is off.
    every: CountOrNone = 1  # Acts every so many steps; 0: never.
    shrink: Count = 1  # Acts on every so manyth example of the batch.
    ema_half_life: NotNegative = 0.0  # Of the moving average of its parameters, in examples; 0 keeps none.
    ema_ramp: NotNegative = 0.05  # At first the half-life is this share of the examples seen; 0: never.


@dataclasses.dataclass(frozen=True)
class Train:
    """`config.train`."""

    batch_size: Count = 16  # Over all devices.
    steps: Count = 10000
    accumulate: Count = 1  # Parts that a batch is computed in, to save memory.
    log_every: Count = 50
    sample_every: CountOrNone = 500
    eval_every: CountOrNone = 1000  # Validation; also when a checkpoint is due.
    eval_images: Count = 256  # Of the validation split, at most.
    checkpoint_every: Count = 1000
    keep: CountOrNone = 2  # Checkpoints, besides the best.
    best_metric: str = "psnr"
    best_mode: Literal["max", "min"] = "max"
    sample_images: CountOrNone = 6
    profile_at: CountOrNone = 0  # Step at which a profile of a few steps is taken; 0 takes none.


@dataclasses.dataclass(frozen=True)
class Parallel:
    """`config.parallel`."""

    style: Literal["jit", "shard_map", "pmap"] = "jit"
    fsdp: Count = 1  # Devices that share one copy of parameters and optimizer state.
    processes: CountOrNone = 1  # 1; the number of processes; or 0 to ask the cluster.
    process: CountOrNone = 0
    coordinator: str = ""  # host:port of process 0; empty: ask the cluster.
    timeout: Count = 60  # Seconds without a sign of life after which a process counts as lost.


@dataclasses.dataclass(frozen=True)
class Run:
    """The fields of a config that are in no section."""

    system: str
    seed: CountOrNone = 0
    dtype: Literal["float32", "bfloat16"] = "float32"  # Of the computation.


def player(learning_rate, **overrides):
    """Settings of one player: `config.players.<name>`."""
    return settings.section(Player, dict(overrides, learning_rate=learning_rate), "config.players.*")


def experiment(system, *, data=(), model=(), players=(), init=(), evaluations=(), seed=0, dtype="float32", parallel=(), **train):
    """An experiment: the engine's defaults and the system's own around what differs.

    Args:
      system: "module.Class" in vision_gen.systems.
      data: fields of `config.data` that differ from `data.Settings`.
      model: fields of `config.model` that differ from the system's `Settings`.
      players: {name: player(...)}.
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
    config.players = ConfigDict(dict(players))
    config.init = ConfigDict(dict.fromkeys(systems.networks(cls), "") | dict(allow=()) | dict(init))
    config.evaluations = ConfigDict(dict(evaluations))
    config.train = settings.section(Train, train, "config.train")
    config.parallel = settings.section(Parallel, dict(parallel), "config.parallel")
    return config.lock()
