"""Networks that a system uses as somebody else trained them: of a run, or of published weights (`config.init`)."""

import dataclasses

from vision_gen.data import tokens
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


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Function of a text that gives its tokens [1, length] int32; the tokenizer is read when it is needed first.

    Attributes:
      tokenizer: as its run has kept it, or None.
      name: of the tokenizer, where there is none.
      length: of a text.
      cut: longer texts are cut, and not refused.
    """

    tokenizer: str | None
    name: str
    length: int
    cut: bool = False

    def __call__(self, text):
        found = tokens.from_json(self.tokenizer) if self.tokenizer else tokens.find(self.name)
        return found.encode(text, self.length, cut=self.cut)[None]


def clip_encoder(experiment, cut=False):
    """The `Encoder` of the experiment's CLIP, as `clip` has it."""
    if "clip" not in experiment.origin:
        return Encoder(None, "clip", nets.PRESETS[experiment.model.clip_preset].length, cut)
    origin = experiment.origin["clip"]
    return Encoder(origin.get("tokenizer"), origin.data.tokenizer, origin.data.text_length, cut)
