"""Judges: classifiers that were trained on real images, in a run or the zoo, and say what those of a system show."""

import jax.numpy as jnp

from vision_gen.errors import InputError
from vision_gen.ops import resample
from vision_gen.systems import classifier


def look(judge, images):
    """A judge's logits [batch, classes] and features [batch, width] of images [batch, height, width, 3], float32."""
    side = judge.grid * judge.patch
    logits, inside = judge(resample.resize(images, (side, side)), intermediates=True)
    return logits.astype(jnp.float32), inside["pooled"].astype(jnp.float32)


def of_label(experiment, label):
    """(start, stop) of those of the judge's logits that are of this experiment's classes.

    Args:
      experiment: an `engine.experiment.Experiment`.
      label: which trait of faces they are; `config.data.label`.

    Raises:
      InputError: `config.init.judge` is no classifier of them.
    """
    origin, number = experiment.origin["judge"], experiment.model.classes
    of = traits(origin)
    trait = label if "label" not in of else "label"
    chosen = of.get(trait, slice(0, 0))
    found = f"{origin.attribute} of {origin.system}, {chosen.stop - chosen.start} classes"
    right = f"network of classifier.Classifier, {number} classes"
    if found != right:
        several = f" of {trait!r}, which is config.data.label; it judges {', '.join(of)}" if len(of) > 1 else ""
        raise InputError(f"config.init.judge must be {right} (runs/x:network), got {origin.run}: {found}{several}")
    return chosen.start, chosen.stop


def traits(origin):
    """Where a judge's logits of each trait are, {trait: slice}; {} of what is no classifier.

    `origin` is its `config.origin`.
    """
    return classifier.places(origin.model) if origin.system == "classifier.Classifier" else {}
