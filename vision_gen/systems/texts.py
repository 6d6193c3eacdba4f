"""Texts that tools of systems with captions are given, as numbers."""

import functools

from vision_gen.engine import facts as facts_lib
from vision_gen.errors import InputError


class Encoder:
    """Function of a text that gives its tokens [1, length] int32; the tokenizer is read when it is needed first.

    Args:
      experiment: of the run whose captions it is for.
      facts: of its data; see `engine.facts`.
    """

    def __init__(self, experiment, facts):
        self._experiment, self._facts = experiment, facts

    @functools.cached_property
    def _tokenizer(self):
        tokenizer = facts_lib.tokenizer(self._facts, self._experiment.data)
        check_vocabulary(self._experiment, tokenizer)
        return tokenizer

    def __call__(self, text):
        """Raises `InputError` where a text is empty, or too long and not to be cut."""
        settings = self._experiment.data
        return self._tokenizer.encode(text, settings.text_length, cut=settings.cut_texts)[None]


def check_vocabulary(experiment, tokenizer):
    """Refuses a tokenizer with more tokens than `config.model.vocabulary` has room for."""
    vocabulary = experiment.model.vocabulary
    if tokenizer.size > vocabulary:
        raise InputError(f"config.model.vocabulary is {vocabulary}, but {tokenizer.origin} has {tokenizer.size} tokens")
