"""Texts that tools of systems with captions are given, as numbers."""

import dataclasses
import functools

from vision_gen.data import tokens
from vision_gen.errors import InputError
from vision_gen.nets import clip


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Function of a text that gives its tokens [1, length] int32; the tokenizer is read when it is needed first.

    Attributes:
      tokenizer: as its run has kept it, or None.
      name: of the tokenizer, where there is none.
      length: of a text.
      cut: longer texts are cut, and not refused.
      vocabulary: tokens that there is room for.
    """

    tokenizer: str | None
    name: str
    length: int
    cut: bool
    vocabulary: int

    @functools.cached_property
    def _tokenizer(self):
        found = tokens.from_json(self.tokenizer) if self.tokenizer else tokens.find(self.name)
        check_vocabulary(self.vocabulary, found)
        return found

    def __call__(self, text):
        """Raises `InputError` where a text is empty, or too long and not to be cut."""
        return self._tokenizer.encode(text, self.length, cut=self.cut)[None]


def encoder(experiment, facts):
    """The `Encoder` of a run with captions, whose `facts` are as of `engine.facts`."""
    data = experiment.data
    return Encoder(facts.get("tokenizer"), data.tokenizer, data.text_length, data.cut_texts, experiment.model.vocabulary)


def clip_encoder(experiment, cut=False):
    """The `Encoder` of the CLIP that an experiment uses, as `frozen.clip` has it; `cut` as of `Encoder`."""
    if "clip" not in experiment.origin:
        sizes = clip.PRESETS[experiment.model.clip_preset]
        return Encoder(None, "clip", sizes.length, cut, sizes.vocabulary)
    origin = experiment.origin["clip"]
    data = origin.data
    return Encoder(origin.get("tokenizer"), data.tokenizer, data.text_length, cut, origin.model.vocabulary)


def check_vocabulary(vocabulary, tokenizer):
    """Refuses a tokenizer with more tokens than `vocabulary`, of `config.model`, has room for."""
    if tokenizer.size > vocabulary:
        raise InputError(f"config.model.vocabulary is {vocabulary}, but {tokenizer.origin} has {tokenizer.size} tokens")
