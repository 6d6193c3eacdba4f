"""Rounds of debiasing: the steps one after another, recorded so that they can be made again.

A recording is a small JSON file: the classifier, as a run or as the config that trains it, the translator's config,
and of every step what was given and a checksum of what came of it.
"""

import functools
import importlib
import json
import pathlib
import pkgutil
import re

import vision_gen
from vision_gen import configs, data
from vision_gen.engine import checkpoints, recordings, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.studio.debias import steps as step_lib
from vision_gen.values.kind import made as made_folder

FORMAT = 1
BEGUN = "round.json"  # In the folder of a round that has a plan: the plan and the configs.


def translators(experiment):
    """{name: config} of the translators that ship for the data of a classifier's `Experiment`."""
    found = {}
    for module in pkgutil.iter_modules(configs.__path__):
        if module.name.startswith("xploregan_"):
            config = importlib.import_module(f"{configs.__name__}.{module.name}").get_config()
            if (config.data.name, config.data.size) == (experiment.data.name, experiment.data.size):
                found[module.name] = config
    return found


class Round:
    """A round in a folder.

    Args:
      workdir: for runs and made pictures.
      translator: config of an `xploregan.XploreGAN`; None where nothing is translated.
      run: of the classifier; "": it is trained first, by `classifier`.
      classifier: its config, where there is no run.
      progress: function of a label that gives a function of (done, total).
      plan: dict, what JSON can say of the steps to come. In a folder where a round of the same plan and configs was
        begun, and stopped, what was trained is read. None: the folder must be new.

    Raises:
      InputError: the folder has something else in it, or as `steps.check`.

    Attributes:
      translator: as given.
      model: the `use.Model` of the classifier that the round is about.
      source: its training examples; `held_out`: its "test" examples.
      seen: `steps.Look` of the training examples, as last looked at.
      chosen: [n] examples of these, as last selected.
      made: {name: `steps.Made`}.
      looks: {name: `steps.Look` of the held-out examples}: "before", and of every classifier that was retrained.
      models: {name: `use.Model`} of these.
      record: list of {"step", "given", "gave"}.
    """

    def __init__(self, workdir, translator, *, run="", classifier=None, progress=lambda label: None, plan=None):
        self._workdir, self._run, self._progress = pathlib.Path(workdir), run, progress
        self.translator = translator
        self._config = checkpoints.load_config(run) if run else classifier
        about = json.loads(json.dumps(self._about() | {"plan": plan}))
        self._again = plan is not None and _begun(self._workdir) == about
        if not self._again and self._workdir.exists():
            if not self._workdir.is_dir() or any(self._workdir.iterdir()):
                other = ", or one where a round of the same settings was stopped" if plan is not None else ""
                raise InputError(f"{workdir}: a round needs a new folder, or an empty one{other}")
        experiment = Experiment(self._config)
        self.source, self.held_out = (data.open(experiment.data, split) for split in ("train", "test"))
        step_lib.check(experiment, translator, self.source)
        if plan is not None and not self._again:
            made_folder(self._workdir / BEGUN).write_text(json.dumps(about, indent=1), encoding="utf-8")
        self._before = run or str(self._workdir / "before")
        self.model = use.load(run) if run else step_lib.train(classifier, self._before)
        self.seen, self.chosen, self.made, self.record = None, None, {}, []
        self.models = {"before": self.model}
        self.looks = {"before": step_lib.look(self.model, self.held_out, progress=progress("looking"))}

    def do(self, step, **given):
        """Makes a step and records it.

        Args:
          step: "look", "select", "translate", "jitter" or "retrain", the methods of these names.
          given: what JSON can say.

        Returns:
          What the step returns.

        Raises:
          InputError: there is no such step, or as the step.
        """
        if step not in STEPS:
            raise InputError(f"there is no step {step!r}; there are {', '.join(STEPS)}")
        given = json.loads(json.dumps(given))
        for name, value in given.items():
            right, what = GIVEN.get(name, (lambda value: True, ""))
            if value is not None and not right(value) or value is None and step != "select":
                raise InputError(f"{step}: {name} must be {what}, got {value!r}")
        try:
            found = getattr(self, step)(**given)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise InputError(f"step {step!r}: {error}") from error
        self.record.append({"step": step, "given": given, "gave": _digest(found)})
        return found

    def look(self, *, clusters=0, projection="", seed=0):
        """`steps.look` at the training examples."""
        how = dict(clusters=clusters, projection=projection, seed=seed)
        self.seen = step_lib.look(self.model, self.source, **how, progress=self._progress("looking"))
        return self.seen

    def select(self, **conditions):
        """`steps.select` of what was looked at."""
        if self.seen is None:
            raise InputError("select: nothing has been looked at yet")
        self.chosen = step_lib.select(self.seen, **conditions)
        return self.chosen

    def translate(self, *, name="translated", targets="others", each=1, seed=0):
        """`steps.translate` of what was selected, by a translator that is trained unless it is; kept as `name`."""
        self._ready("translate", name)
        translator = self._trained("translate")
        how = dict(targets=targets, each=each, seed=seed, progress=self._progress("painting"))
        return self._kept(name, step_lib.translate(translator, self.source, self.chosen, **how))

    def jitter(self, *, name="jittered", each=1, strength=(0.4, 0.4, 0.4, 0.1), seed=0):
        """`steps.jitter` of what was selected, kept as `name`."""
        self._ready("jitter", name)
        return self._kept(name, step_lib.jitter(self.source, self.chosen, each=each, strength=strength, seed=seed))

    def retrain(self, *, name, made="", share=0.5, steps=0, seed=0):
        """`steps.retrain` with the pictures kept as `made`, or with none; a `steps.Look` at the held-out examples.

        `steps`: of training; 0: as many as the classifier was trained for.
        """
        self._named("retrain", name, self.looks)
        self.models[name] = self._trained("retrain", name=name, made=made, share=share, steps=steps, seed=seed)
        self.looks[name] = step_lib.look(self.models[name], self.held_out, progress=self._progress("looking"))
        return self.looks[name]

    def training(self, step, *, name="", made="", share=0.5, steps=0, seed=0, **_):
        """What a step trains first. That can be done elsewhere before, as in another process: the step then finds it.

        Args:
          step: its name; the others: as given to it.

        Returns:
          (function, its arguments, the run's folder), which can be pickled, or None where nothing is trained.

        Raises:
          InputError: as the step.
        """
        if step == "translate":
            if self.translator is None:
                raise InputError("translate: the round was begun without a translator")
            workdir, config = self._workdir / "translator", checkpoints.config_record(self.translator)
            return _with_config, (step_lib.train_translator, config, self._before, workdir), workdir
        if step != "retrain":
            return None
        if made and made not in self.made:
            raise InputError(f"retrain: there are no pictures {made!r}; there are {', '.join(self.made) or 'none'}")
        folder, workdir = self._workdir / "made" / made if made else "", self._workdir / "retrained" / name
        work = functools.partial(_with_config, made=folder, share=share, steps=steps, seed=seed)
        return work, (step_lib.retrain, checkpoints.config_record(self._config), self._before, workdir), workdir

    def _trained(self, step, **given):
        work, arguments, _ = self.training(step, **given)
        return work(*arguments)

    def board(self):
        """`steps.board` of all classifiers."""
        return step_lib.board(self.looks)

    def _named(self, step, name, taken):
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise InputError(f"{step}: name must be of letters, digits, - and _, got {name!r}")
        if name in taken:
            raise InputError(f"{step}: {name!r} is there already; give it another name")

    def _ready(self, step, name):
        self._named(step, name, self.made)
        if self.chosen is None:
            raise InputError(f"{step}: nothing is selected yet")

    def _kept(self, name, made):
        step_lib.keep(made, self._workdir / "made" / name, again=self._again)
        self.made[name] = made
        return made

    def text(self):
        """The recording, as JSON."""
        return json.dumps(self._about() | {"steps": self.record}, indent=1) + "\n"

    def _about(self):
        return {
            "round": FORMAT,
            "version": vision_gen.__version__,
            "run": self._run,
            "classifier": {} if self._run else checkpoints.config_record(self._config),
            "translator": checkpoints.config_record(self.translator) if self.translator else {},
        }


def _begun(workdir):
    """What a folder says of the round that was begun in it, or None."""
    try:
        return json.loads((workdir / BEGUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _with_config(train, record, *arguments, **how):
    """Calls a function of `steps` with a config as JSON has it; a ConfigDict cannot be pickled."""
    return train(checkpoints.config_of(record), *arguments, **how)


STEPS = ("look", "select", "translate", "jitter", "retrain")


def _whole(least):
    return (lambda value: type(value) is int and value >= least), f"a whole number from {least} on"


def _shares(value):
    return isinstance(value, list) and all(type(one) in (int, float) and 0 <= one <= 1 for one in value)


# What steps are given, of whatever a person may have written into a recording; the steps themselves check the rest.
_TEXT = (lambda value: isinstance(value, str)), "a text"
GIVEN = {
    **{name: _whole(0) for name in ("clusters", "seed", "steps")},
    **{name: _TEXT for name in ("name", "made", "projection")},
    "each": _whole(1),
    "share": ((lambda value: _shares([value])), "a number from 0 to 1"),
    "strength": ((lambda value: _shares(value) and len(value) == 4), "4 numbers from 0 to 1"),
    "wrong": ((lambda value: isinstance(value, bool)), "true or false"),
    "indices": ((lambda value: isinstance(value, list) and all(type(one) is int for one in value)), "whole numbers"),
    "targets": ((lambda value: type(value) is int or value == "others"), 'a cluster, or "others"'),
}


def _digest(found):
    """A checksum of what a step gave."""
    if isinstance(found, step_lib.Look):
        found = [found.predicted, found.clusters if found.clusters is not None else []]
    if isinstance(found, step_lib.Made):
        found = [found.pictures, found.label]
    return recordings.digest(found)


def replay(path, workdir, progress=lambda label: None):
    """Makes the steps of a recording again.

    Args:
      path: of the recording.
      workdir: a new folder.
      progress: as of `Round`.

    Returns:
      (the `Round`, lines: of every step whether it gave the same to the last bit).

    Raises:
      InputError: the recording cannot be read, or a step is wrong; names it.
    """
    try:
        record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if "recording" in record:
            raise ValueError("calls of tools: python eval.py --replay")
        if record["round"] != FORMAT:
            raise ValueError(f"its format is {record['round']!r}, not {FORMAT}")
        config = lambda fields: checkpoints.config_of(fields) if fields else None
        classifier, translator, run = config(record["classifier"]), config(record["translator"]), str(record["run"])
        made = [(str(step["step"]), dict(step["given"]), str(step["gave"])) for step in record["steps"]]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a recording is a JSON file that a round has written") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: is no recording of a round that can be read ({why})") from error
    again = Round(workdir, translator, run=run, classifier=classifier, progress=progress)
    lines = []
    for number, (step, given, before) in enumerate(made, 1):
        try:
            again.do(step, **given)
        except InputError as error:
            raise InputError(f"{path}: step {number}: {error}") from error
        same = "the same" if again.record[-1]["gave"] == before else "differs"
        lines.append(" ".join([str(number), step, *([given["name"]] if "name" in given else [])]) + f": {same}")
    return again, lines
