"""Pictures with captions: another data set whose captions become `tokens` by a tokenizer.

`parts` is one data set that describes its pictures: `avatars`, `openmoji`, `twemoji`, `caption_folder`,
`coco_captions`, `webdataset`, or "tfds:NAME" with captions. Where a picture has several captions, training takes one
after the other, epoch by epoch, and held-out examples have the first. A vocabulary "learned:N" is of the captions of
"train". With `text_dropout` training sees words cut otherwise each time, by the epoch and the example's number.

Held-out examples also have the caption as `text` [bytes] uint8, UTF-8 with zeros behind it, and where the data set says
what it can be asked about (`ASKED`), for each of that `ask_NAME` [values, texts, tokens] and `is_NAME`, the number of
the right value or -1. Where the data set has traits and says which of them a caption names, also `named` [traits] bool.
"""

import dataclasses
import logging
import random

import numpy as np

from vision_gen import data
from vision_gen.data import parts, source, tokens
from vision_gen.data import settings as reader
from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
FIELDS = ("size", "parts", "tokenizer", "text_length", "cut_texts", "text_dropout", "only_new")
SHOWN = 240  # Bytes of a caption in `text`.


def shapes(settings):
    """Those of the part, and `tokens` [text_length] int32.

    Raises:
      InputError: the tokenizer is none, or the length leaves no room for a word.
    """
    (part,) = parts.read(settings, 1, 1).values()
    tokens.check(settings.tokenizer, f"{settings.section}.tokenizer")
    if settings.text_length < 3:
        raise InputError(
            f"{settings.section}.text_length must be at least 3, a start, a word and an end, got {settings.text_length}"
        )
    return data.shapes(part) | {"tokens": source.ShapeDtype((settings.text_length,), np.dtype(np.int32))}


def open(settings, split):
    """See `shapes`.

    Raises:
      InputError: the part has no captions, or one is empty or too long; names it.
    """
    shapes(settings)
    (part,) = parts.read(settings, 1, 1).values()
    if settings.only_new:
        part = reader.read(dataclasses.asdict(part) | {"only_new": True}, part.section)
    opened = data.open(part, split)
    if getattr(opened, "captions", None) is None:
        raise InputError(f"{part.section}.name: {part.name} has no captions; docs/data.md says which data sets have")
    return Captioned(opened, settings, split)


_LEARNED = {}  # Tokenizers, by the part and how many tokens they have: each split needs that of "train".


def _tokenizer(settings, texts=None):
    """The tokenizer that settings ask for; one that is learned of texts, or of all of the part's "train"."""
    if not tokens.learned(settings.tokenizer):
        return tokens.find(settings.tokenizer)
    (part,) = parts.read(settings, 1, 1).values()
    key = repr(part), settings.tokenizer
    if texts is not None or key not in _LEARNED:
        texts = _texts(data.open(part, "train")) if texts is None else texts
        _LEARNED[key] = tokens.learn((text for of_one in texts for text in of_one), tokens.learned(settings.tokenizer))
    return _LEARNED[key]


def _texts(part, first=False):
    """The captions of all examples, or the first of each."""
    return [part.captions(index)[: 1 if first else None] for index in range(len(part))]


class Captioned(source.Source):
    """All captions are made numbers of when it is opened.

    Attributes:
      tokenizer: a `tokens.Tokenizer`.
      cut: how many captions were cut.
    """

    def __init__(self, part, settings, split):
        self._part, self._held_out = part, split != "train"
        self.classes, self.traits, self.skipped = part.classes, part.traits, part.skipped
        self.shapes = part.shapes | shapes(settings)
        texts = _texts(part, self._held_out)
        self.tokenizer = _tokenizer(settings, None if self._held_out else texts)
        self._number(texts, settings)
        self._dropout = 0.0 if self._held_out else settings.text_dropout
        if self._dropout:
            self.tokenizer.check_dropout(f"{settings.section}.text_dropout")
        if self._held_out:
            self._asked = {name: self._questions(values, settings) for name, values in data.asked(settings).items()}
            spec = lambda shape, dtype: source.ShapeDtype(shape, np.dtype(dtype))
            self.shapes |= {"text": spec((SHOWN,), np.uint8)}
            self.shapes |= {f"ask_{name}": spec(ask.shape, np.int32) for name, ask in self._asked.items()}
            self.shapes |= {f"is_{name}": spec((), np.int32) for name in self._asked}
            if "traits" in part.shapes:
                self.shapes |= {"named": spec(part.shapes["traits"].shape, bool)}

    def _number(self, texts, settings):
        """All captions as numbers, and where those of each example begin."""
        length, found, self._starts, self.cut = settings.text_length, [], [0], 0
        for index, captions in enumerate(texts):
            for text in captions:
                where = f"{settings.section}: the caption of {self._part.name(index)}"
                try:
                    ids = self.tokenizer.ids(text)
                except InputError as error:
                    raise InputError(f"{where}: {error}") from None
                if len(ids) > length and not settings.cut_texts:
                    raise InputError(
                        f"{where} has {len(ids)} tokens, start and end included: {text!r}; {settings.section}."
                        f"text_length is {length}, and {settings.section}.cut_texts=True cuts what is longer"
                    )
                self.cut += len(ids) > length
                found.append(tokens.padded(ids, length))
            self._starts.append(len(found))
        self._tokens = np.stack(found).astype(np.uint16 if self.tokenizer.size <= 2**16 else np.int32)
        if self.cut:
            log.warning("%d of %d captions were cut to %d tokens", self.cut, len(found), length)

    def _questions(self, values, settings):
        encode = lambda text: self.tokenizer.encode(text, settings.text_length, cut=settings.cut_texts)
        return np.stack([[encode(text) for text in texts] for texts in values.values()])

    def __len__(self):
        return len(self._part)

    def order(self, epoch, seed):
        """As the part has it; each epoch has the next caption of every example."""
        return self._part.order(epoch, seed) + epoch * len(self)

    def __getitem__(self, index):
        epoch, index = divmod(int(index), len(self))
        first, last = self._starts[index : index + 2]
        number = epoch % (last - first)
        ids = self._tokens[first + number].astype(np.int32)
        found = self._part[index] | {"tokens": self._dropped(ids, epoch, index, number) if self._dropout else ids}
        if self._held_out:
            written = np.frombuffer(self.caption(index).encode()[:SHOWN], np.uint8)
            found["text"] = np.pad(written, (0, SHOWN - len(written)))
            for name, answer in self._part.answers(index).items() if self._asked else ():
                found |= {f"ask_{name}": self._asked[name], f"is_{name}": np.int32(answer)}
            if "named" in self.shapes:
                found["named"] = self._part.named(index)[0]
        return found

    def _dropped(self, whole, epoch, index, number):
        """The tokens of caption `number` with merges left out; where these are too many, `whole`."""
        rng = random.Random(f"dropout {epoch} {index}")
        ids = self.tokenizer.ids(self._part.captions(index)[number], dropout=self._dropout, rng=rng)
        return whole if len(ids) > len(whole) else tokens.padded(ids, len(whole))

    def caption(self, index):
        """The caption of a held-out example; of one to train on the first."""
        return self._part.captions(index)[0]

    def name(self, index):
        """As the part has it."""
        return self._part.name(index)

    def column(self, name):
        if name in self._part.shapes:
            return self._part.column(name)
        return self._tokens[self._starts[:-1]].astype(np.int32) if name == "tokens" else super().column(name)


def written(text):
    """The texts that are `text` [..., bytes] uint8 in examples, whole letters only."""
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in np.asarray(text)]
