"""What is known of the data that a run was trained on, kept with the run so that its tools need no data."""

import json
import pathlib

import jax

from vision_gen import data
from vision_gen.data import tokens
from vision_gen.engine import checkpoints as ckpt
from vision_gen.errors import InputError

NAME = "facts.json"


def of_source(source):
    """Facts of a training source: `classes`, names in order, or (); `cameras` of a scene, or None.

    Of captions also `tokenizer`, as `tokens.Tokenizer.json` has it; of CLIP's vocabulary, which is found by its name,
    None.
    """
    found = {"classes": tuple(getattr(source, "classes", ())), "cameras": getattr(source, "cameras", None)}
    if hasattr(source, "tokenizer"):
        found["tokenizer"] = None if source.tokenizer.published else source.tokenizer.json()
    return found


def check(source, trained, section):
    """Refuses a source whose classes or tokens are not those that a run was trained on.

    Args:
      source: a `data.Source`.
      trained: facts of what the run was trained on.
      section: where the source is described, such as "config.evaluations.other".

    Raises:
      InputError: names both.
    """
    if tuple(source.classes) != tuple(trained["classes"]):
        known = list(trained["classes"])
        raise InputError(f"{section} has the classes {list(source.classes)}, but the run those of {known}")
    if of_source(source).get("tokenizer") != trained.get("tokenizer"):
        raise InputError(
            f"{section}: its captions are numbered by {source.tokenizer.origin}, which is not the vocabulary that the "
            "run has learned; its own training examples must be the same, or config.data.tokenizer a file"
        )


def check_number_of_classes(classes, experiment):
    """Refuses data with another number of classes than `config.model.classes`.

    Args:
      classes: names of the data's.
      experiment: an `experiment.Experiment`.

    Raises:
      InputError: says both.
    """
    if len(classes) != experiment.model.classes:
        raise InputError(
            f"config.model.classes is {experiment.model.classes}, but the data has {len(classes)}: "
            f"{', '.join(classes[:12])}"
        )


def keep(workdir, source):
    """Writes the facts of a run's training source into its folder."""
    if not jax.process_index():
        write(workdir, of_source(source))


def write(workdir, facts):
    """Writes facts into a folder.

    Raises:
      InputError: that is not possible.
    """
    path = pathlib.Path(workdir) / NAME
    part = path.with_name(f"{NAME}.part")
    try:
        part.write_text(json.dumps(facts, indent=1) + "\n")
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror})") from error


def load(workdir, experiment):
    """The facts that a run has kept.

    Runs from before facts were kept have those of their data set, where it can be opened.
    """
    path = ckpt.folder(workdir) / NAME
    try:
        found = json.loads(path.read_text())
        return {**found, "classes": tuple(found["classes"]), "cameras": found["cameras"]}
    except FileNotFoundError:
        return of_data(experiment)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not readable as a run's facts ({error!r})") from error


def of_data(experiment):
    """The facts of the data set of `experiment.data`, where it has some and can be opened; otherwise none."""
    try:
        shapes, classes = data.shapes(experiment.data), data.classes(experiment.data)
        if classes is not None:  # As of faces that would be drawn first.
            return {"classes": tuple(classes), "cameras": None}
        if {"label", "pose"} & set(shapes) or "tokens" in shapes and tokens.learned(experiment.data.tokenizer):
            return of_source(data.open(experiment.data, "train"))
    except InputError:
        pass
    return {"classes": (), "cameras": None}
