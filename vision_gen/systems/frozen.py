"""Networks that a system uses as somebody else trained them: of a run, or of published weights (`config.init`)."""

from vision_gen.errors import InputError
from vision_gen.nets import clip as nets


def of_kind(experiment, attribute, kind, right, rngs):
    """The network of the run that `config.init.<attribute>` names.

    Args:
      kind: its class.
      right: what that is, for messages.

    Raises:
      InputError: it is of another class.
    """
    found, origin = experiment.network(attribute, rngs=rngs), experiment.origin[attribute]
    if not isinstance(found, kind):
        raise InputError(
            f"config.init.{attribute} must be {right}, got {origin.run}: {origin.attribute} of {origin.system}"
        )
    return found


def clip(experiment, rngs, **settings):
    """The CLIP of a run, or one of the sizes of `config.model.clip_preset`; `settings` of the latter's network."""
    if "clip" not in experiment.origin:
        return nets.CLIP(nets.PRESETS[experiment.model.clip_preset], **settings, rngs=rngs)
    return of_kind(experiment, "clip", nets.CLIP, "the network of a clip.CLIP (runs/x:network)", rngs)
