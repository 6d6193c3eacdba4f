"""Makes a round of debiasing: trains a classifier on biased data, looks, selects, translates, retrains, and compares.

python -m vision_gen.studio.debias --config=resnet_coloured_digits --translator=xploregan_coloured_digits \\
    --workdir=runs/debias --seeds=3
python -m vision_gen.studio.debias --replay=runs/debias/seed0/recording.json --workdir=runs/again

The examples to train on are painted as those of other clusters of the classifier's features, and the classifier goes
on training with what was painted among them. Beside it, it does so as long without any, and with as many in randomly
drawn colours. A table says how many held-out examples each finds right, and recording.json, in the folder of each
seed, makes the round again.
"""

import pathlib

from absl import flags
import numpy as np

from vision_gen.engine import commands
from vision_gen.errors import InputError

_CONFIG = commands.define_config("config", "The classifier: a file, or the name of one in configs/.")
_TRANSLATOR = commands.define_config("translator", "The translator, an XploreGAN of the same data, likewise.")
_WORKDIR = commands.define_path("workdir", "A new folder for all that is made. The same command goes on with it.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Rounds to make: classifier, translator and draws of each seed from 0 on.", 1)
_EACH = flags.DEFINE_integer("each", 1, "Pictures to make of an example.", 1)
_SHARE = flags.DEFINE_float("share", 0.5, "Of made pictures among the examples of retraining.", 0, 1)
_STEPS = flags.DEFINE_integer("steps", 0, "Of retraining; 0: as many as the classifier was trained for.", 0)
_JITTER = flags.DEFINE_list(
    "jitter", ["0.4", "0.4", "0.4", "0.1"], "Colours drawn at random: brightness, contrast, saturation, hue in turns."
)
_REPLAY = commands.define_path("replay", "Make the steps of this recording again.")


_SELECTS = {
    "replay": (("workdir",), ()),
    "config": (("workdir",), ("translator", "seeds", "each", "share", "steps", "jitter")),
}


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected {argv[1]!r}; fields of the configs are set as --config.train.steps=2000")
    nothing = "give --config=CLASSIFIER --translator=XPLOREGAN --workdir=FOLDER, or --replay=RECORDING; --help says it"
    chosen = commands.chosen(_SELECTS, (), (), nothing)
    from vision_gen.engine import loop
    from vision_gen.studio.debias import rounds

    loop.use_compilation_cache()
    workdir = pathlib.Path(_WORKDIR.value)
    if chosen == "replay":
        again, lines = rounds.replay(_REPLAY.value, workdir, commands.progress)
        print(*lines, commands.columns(again.board()), sep="\n")
        return
    if _TRANSLATOR.value is None:
        raise InputError("--translator is missing: an XploreGAN of the same data, such as xploregan_coloured_digits")
    strength = _strength()
    if not 0 < _SHARE.value < 1:
        raise InputError(f"--share must be above 0 and below 1, got {_SHARE.value}")
    stopped = workdir.is_dir() and all((path / rounds.BEGUN).is_file() for path in workdir.iterdir())
    if workdir.exists() and not stopped:
        raise InputError(f"--workdir must be a new folder, or an empty one, got {workdir}")
    boards = []
    for seed in range(_SEEDS.value):
        done = _round(rounds, seed, workdir / f"seed{seed}", strength)
        boards.append(done.board())
        print(f"seed {seed}", commands.columns(boards[-1]), f"wrote {_write(done, workdir / f'seed{seed}')}", sep="\n")
    if len(boards) > 1:
        of = lambda name, title: [board[name][title] for board in boards]
        for what, measure in (("means", np.mean), ("standard deviations", lambda x: np.std(x, ddof=1))):
            found = {name: {title: measure(of(name, title)) for title in board} for name, board in boards[0].items()}
            print(f"{what} of {len(boards)} seeds", commands.columns(found), sep="\n")


def _strength():
    """What --jitter says, as numbers."""
    try:
        strength = [float(text) for text in _JITTER.value]
    except ValueError:
        strength = []
    if len(strength) != 4 or not all(0 <= number <= 1 for number in strength) or strength[3] > 0.5:
        raise InputError(f"--jitter must be 4 numbers from 0 to 1, the last at most 0.5, got {','.join(_JITTER.value)}")
    return strength


def _round(rounds, seed, workdir, strength):
    """The `Round` of a seed."""
    configs = [config.value.copy_and_resolve_references() for config in (_CONFIG, _TRANSLATOR)]
    for config in configs:
        config.seed = seed
    classifier, translator = configs
    clusters = translator.model.get("clusters")
    if clusters and _EACH.value >= clusters:
        raise InputError(f"--each must be below --translator.model.clusters, {clusters}, got {_EACH.value}")
    plan = dict(each=_EACH.value, share=_SHARE.value, steps=_STEPS.value, jitter=strength)
    done = rounds.Round(workdir, translator, classifier=classifier, progress=commands.progress, plan=plan)
    done.do("look", clusters=translator.model.clusters, seed=seed)
    done.do("select")
    done.do("translate", each=_EACH.value, seed=seed)
    done.do("jitter", each=_EACH.value, strength=strength, seed=seed)
    how = dict(steps=_STEPS.value, seed=seed)
    done.do("retrain", name="plain", **how)
    done.do("retrain", name="jittered", made="jittered", share=_SHARE.value, **how)
    done.do("retrain", name="translated", made="translated", share=_SHARE.value, **how)
    return done


def _write(done, workdir):
    path = workdir / "recording.json"
    path.write_text(done.text(), encoding="utf-8")
    return path
