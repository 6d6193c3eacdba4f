"""Runs of version 0.1: their configs in today's fields, their checkpoints under today's names."""

import math

from vision_gen import data
from vision_gen.engine import system as systems
from vision_gen.errors import InputError

FORMAT = 2  # Of config.json and checkpoints; those of 0.1 have no number.


def config(record):
    """The config of a run of any version, a nested dict, in today's fields.

    Raises:
      InputError: its system or data set is not known any more, or its version not yet.
    """
    record = dict(record)
    version = record.pop("format", 1)
    if version > FORMAT:
        raise InputError(f"it is of format {version}, of a later version of this package; up to {FORMAT} are read")
    if version == FORMAT:
        return record
    record = systems.load_class(record["system"]).migrate(record)
    batch_size = record["train"]["batch_size"]
    record["players"] = {name: _player(player, batch_size) for name, player in record["players"].items()}
    record["data"] = data.only_read(record["data"])
    return {"init": {}, "evaluations": {}, **record}


def _player(player, batch_size):
    """Averages had a decay a step, and all parameters decayed."""
    player = dict(player)
    decay = player.pop("ema")
    half_life = batch_size * math.log(0.5) / math.log(decay) if decay else 0.0
    # (1 + step) / (10 + step) at first: nine steps' decay is a half-life of 0.077 of the steps so far.
    return {**player, "decay": "all", "ema_half_life": half_life, "ema_ramp": 0.077}


def names(found, expected):
    """Under which names a checkpoint of 0.1 holds the state.

    Args:
      found: names in the checkpoint.
      expected: names of the state today.

    Returns:
      {expected name: name in the checkpoint}, as far as there is one.
    """
    found = sorted(found)
    chosen = {}
    for name in expected:
        part, _, rest = name.partition("/")
        if name in found:
            chosen[name] = name
        elif part == "ema":  # Under the player's name first.
            chosen |= {name: old for old in found if old.startswith("ema/") and old.partition("/")[2].partition("/")[2] == rest}
        elif part == "ema_rest":  # Running statistics had no averages.
            chosen |= {name: old for old in [f"rest/{rest}"] if old in found}
        elif part == "optimizers":  # Inside a chain of optax.
            key, _, leaf = rest.partition("/")
            ending = [old for old in found if old.startswith(f"optimizers/{key}/") and old.endswith(leaf)]
            if ending:
                chosen[name] = ending[0]
    return chosen
