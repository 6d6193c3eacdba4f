"""Texts as numbers: CLIP's published byte pairs, the JSON files of the `tokenizers` library, and byte pairs learned
from captions.

What every tokenizer has in common: a text begins with a start and ends with an end, whose number is the highest of all,
as CLIP finds it by that; texts are padded with 0.
"""

import functools
import gzip
import html
import json
import pathlib
import re

import numpy as np

from vision_gen.errors import InputError
from vision_gen.pretrained import weights

START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_VOCABULARY = "clip-vocabulary"  # Of `pretrained.weights.FILES`.
CLIP_SIZE = 49_408
# A text in lower case is divided into words by these, in this order.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
LEAST = 258  # Of a learned vocabulary: all bytes, start and end.


class Tokenizer:
    """A tokenizer of any origin.

    Args:
      inner: a `tokenizers.Tokenizer`. Where END is the last of its tokens, that and START are its own; otherwise they
        are put behind all of them.
      origin: for messages.

    Attributes:
      origin: as given.
      size: how many tokens there are; the end has the number `size - 1`.
      published: it is found by its name.
    """

    def __init__(self, inner, origin, published=False):
        self._inner, self.origin, self.published = inner, origin, published
        inner.no_truncation()  # A file may ask for both.
        inner.no_padding()
        count = inner.get_vocab_size()
        own = inner.token_to_id(END) == count - 1 and inner.token_to_id(START) is not None
        self.size = count if own else count + 2
        self._start = inner.token_to_id(START) if own else count

    def ids(self, text, *, dropout=0.0, rng=None):
        """The numbers of a text, start and end included.

        Args:
          text: any.
          dropout: chance that a merge of two parts of a word is left out (BPE-dropout, Provilkov et al., ACL 2020), by
            draws of `rng`, a `random.Random`; the library's own draws cannot be repeated.

        Raises:
          InputError: it is empty.
        """
        text = html.unescape(html.unescape(text)).strip()
        found = self._dropped(text, dropout, rng) if dropout else self._inner.encode(text, add_special_tokens=False).ids
        if not found:
            raise InputError(f"the text {text!r} has no words")
        return [self._start, *found, self.size - 1]

    def check_dropout(self, where):
        """Refuses a tokenizer without byte pairs, or one whose words do not begin as letters; `where` is the field."""
        model = self._model
        marked = model.get("continuing_subword_prefix") or model.get("byte_fallback")
        if model["type"] != "BPE" or marked or self._inner.pre_tokenizer is None:
            raise InputError(f"{where} must be 0: {self.origin} is no tokenizer of byte pairs")

    @functools.cached_property
    def _model(self):
        return json.loads(self._inner.to_str())["model"]

    @functools.cached_property
    def _ranks(self):
        """{two parts: when they are merged}."""
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in self._model["merges"])
        return {tuple(pair): rank for rank, pair in enumerate(pairs)}

    def _dropped(self, text, rate, rng):
        """The numbers of a text without start and end, each word of merges that are not left out."""
        text = self._inner.normalizer.normalize_str(text) if self._inner.normalizer else text
        number, unknown, ids = self._inner.token_to_id, self._model.get("unk_token"), []
        unknown, end = unknown and number(unknown), self._model.get("end_of_word_suffix") or ""
        for word, _ in self._inner.pre_tokenizer.pre_tokenize_str(text):
            parts = [*word[:-1], word[-1] + end]
            while True:
                pairs = [(self._ranks.get(pair, len(self._ranks)), at) for at, pair in enumerate(zip(parts, parts[1:]))]
                kept = [pair for pair in pairs if pair[0] < len(self._ranks) and rng.random() >= rate]
                if not kept:
                    break
                _, at = min(kept)
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            ids += [unknown if number(part) is None else number(part) for part in parts]
        return [found for found in ids if found is not None]  # The library, too, leaves out what it has no token for.

    def encode(self, text, length, *, cut=False):
        """The numbers of a text, [length] int32.

        Args:
          text: any.
          length: tokens, start and end included.
          cut: leave out what is too long; the end stays.

        Raises:
          InputError: it is empty, or too long and not to be cut.
        """
        ids = self.ids(text)
        if len(ids) > length:
            if not cut:
                raise InputError(
                    f"the text {_short(text)} has {len(ids)} tokens, start and end included; at most {length} are read"
                )
        return padded(ids, length)

    def text(self, ids):
        """The words of numbers, up to the first end; what training did with them (lower case) is not undone."""
        ids = [int(i) for i in ids]
        ids = ids[: ids.index(self.size - 1)] if self.size - 1 in ids else ids
        return self._inner.decode([i for i in ids if i != self._start], skip_special_tokens=False).strip()

    def json(self):
        """The `tokenizers` file that it is, for `from_json`."""
        return self._inner.to_str()


def padded(ids, length):
    """Numbers of a text, [length] int32; of a longer one the beginning and the end."""
    ids = [*ids[: length - 1], ids[-1]] if len(ids) > length else ids
    return np.int32(ids + [0] * (length - len(ids)))


def _short(text):
    return repr(text if len(text) < 60 else f"{text[:56]} ...")


def check(spec, where):
    """Refuses what names no tokenizer.

    Args:
      spec: "clip", "learned:N" with the number of tokens, or the path of a JSON file.
      where: of the field, for messages.

    Raises:
      InputError: it is none of these.
    """
    right = f'"clip", "learned:N" with N tokens, at least {LEAST}, or a tokenizer.json'
    learned = re.fullmatch(r"learned:(\d+)", spec)
    if learned and int(learned[1]) >= LEAST or spec == "clip":
        return
    if not spec.endswith(".json"):
        raise InputError(f"{where} must be {right}, got {spec!r}")
    if not pathlib.Path(spec).expanduser().is_file():
        raise InputError(f"{where}: {spec!r}: no such file; it must be {right}")


def learned(spec):
    """How many tokens "learned:N" asks for; None of other tokenizers."""
    return int(spec.partition(":")[2]) if spec.startswith("learned:") else None


def find(spec):
    """The `Tokenizer` "clip" or of a file; see `check`.

    Raises:
      InputError: CLIP's vocabulary is nowhere to be had, or the file is none of the `tokenizers` library.
    """
    return clip() if spec == "clip" else from_json(_read(spec), spec)


def _read(path):
    try:
        return pathlib.Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


@functools.lru_cache(maxsize=4)
def from_json(text, origin="the run's tokenizer"):
    """The `Tokenizer` that `Tokenizer.json` or the `tokenizers` library has written."""
    from tokenizers import Tokenizer as Inner  # Here and below: it is not needed without texts.

    try:
        return Tokenizer(Inner.from_str(text), origin)
    except Exception as error:  # The library raises Exception.
        raise InputError(f"{origin}: not a file of the tokenizers library ({error})") from None


@functools.cache
def clip():
    """CLIP's `Tokenizer`, of `bpe_simple_vocab_16e6.txt.gz` (its first line says what it is, and it has more pairs than
    are used). Raises as `weights.find`.
    """
    path = weights.find(CLIP_VOCABULARY)
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : CLIP_SIZE - 2 * 256 - 2 + 1] if line]
    letters = list(_letters().values())
    names = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges), START, END]
    return Tokenizer(
        _byte_pairs({name: number for number, name in enumerate(names)}, merges), "CLIP's vocabulary", published=True
    )


def _letters():
    """A printable letter for each byte, in CLIP's order: those that are printable first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def _byte_pairs(vocabulary, merges):
    """A `tokenizers.Tokenizer` of CLIP's kind: lower case, words apart, each with "</w>" at its end."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    found = Tokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    found.normalizer = _lower_case()
    found.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    found.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    return found


def _lower_case():
    from tokenizers import Regex, normalizers

    return normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])


def learn(texts, size):
    """A `Tokenizer` of byte pairs that come often in texts, a space before each word being a part of it.

    Args:
      texts: in an order that decides nothing.
      size: tokens at most, start and end included; fewer where the texts have no more pairs.
    """
    from tokenizers import Tokenizer as Inner
    from tokenizers import decoders, models, pre_tokenizers, trainers

    found = Inner(models.BPE())
    found.normalizer = _lower_case()
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size - 2, initial_alphabet=alphabet, min_frequency=2, show_progress=False)
    found.train_from_iterator(texts, trainer)
    return Tokenizer(found, f"{size} tokens learned from the captions")
