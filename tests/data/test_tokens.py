"""Texts become the numbers that they should, whatever the tokenizer is of."""

import gzip
import json
import random

import numpy as np
import pytest

from vision_gen.data import tokens
from vision_gen.errors import InputError
from vision_gen.pretrained import weights

TEXTS = ["a cat with round glasses", "a dog with a red hat", "two cats, and a dog"] * 3


@pytest.fixture(scope="module")
def learned():
    return tokens.learn(TEXTS, 300)


@pytest.mark.skipif(
    not weights.is_here(tokens.CLIP_VOCABULARY),
    reason="CLIP's vocabulary is not here; pip install --no-deps open_clip_torch",
)
def test_clips_ids_are_the_published_ones():
    found = tokens.clip()
    assert found.size == tokens.CLIP_SIZE
    ids = found.encode("A  photo of a cat", 77)
    assert ids.tolist() == [49406, 320, 1125, 539, 320, 2368, 49407] + [0] * 70
    assert found.text(ids) == "a photo of a cat"


def test_clips_vocabulary_is_made_of_letters_words_ends_and_pairs(tmp_path, monkeypatch):
    """Of a file in the published form with three pairs: 256 letters, as many that end a word, pairs, start and end."""
    path = tmp_path / "vocabulary.gz"
    path.write_bytes(gzip.compress("#version\nc a\nca t</w>\nt h\n".encode()))
    monkeypatch.setattr(weights, "find", lambda name: path)
    tokens.clip.cache_clear()
    try:
        found = tokens.clip()
    finally:
        tokens.clip.cache_clear()
    letter = lambda x: ord(x) - ord("!")  # "!" is the first.
    assert found.size == 256 + 256 + 3 + 2
    assert found.ids("Cat") == [515, 513, 516]
    assert found.ids("ca t") == [515, letter("c"), 256 + letter("a"), 256 + letter("t"), 516]
    assert found.ids("the") == [515, 514, 256 + letter("e"), 516]
    assert found.ids("it's 12") == [
        515, letter("i"), 256 + letter("t"), letter("'"), 256 + letter("s"), 256 + letter("1"), 256 + letter("2"), 516,
    ]  # fmt: skip
    assert found.text(found.ids("A cat &amp; the dog")) == "a cat & the dog"


def test_a_learned_vocabulary_is_the_same_again_and_says_every_text(learned):
    assert learned.size <= 300 and learned.json() == tokens.learn(TEXTS, 300).json()
    ids = learned.ids("A  Cat with glasses")
    assert ids[0] == learned.size - 2 and ids[-1] == learned.size - 1 == max(ids)
    assert len(ids) == 6  # Words that it knows are one token each.
    assert learned.text(ids) == "a cat with glasses"
    assert learned.text(learned.ids("Größe 7, 猫!")) == "größe 7, 猫!"


def test_merges_are_left_out_by_chance(learned):
    for text in TEXTS:
        whole = learned.ids(text)
        assert learned.ids(text, dropout=1e-12, rng=random.Random(0)) == whole
        letters = learned.ids(text, dropout=1.0, rng=random.Random(0))
        # A space before every word, and nothing merged.
        assert len(letters) == 3 + len(text.encode()) and learned.text(letters) == learned.text(whole)
        half = [learned.ids(text, dropout=0.5, rng=random.Random(seed)) for seed in (1, 1)]
        assert half[0] == half[1] and len(whole) <= len(half[0]) <= len(letters)


def test_files_of_the_library_are_read_with_and_without_start_and_end(learned, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(learned.json())
    again = tokens.find(str(path))
    assert again.ids("a red dog") == learned.ids("a red dog") and again.size == learned.size
    record = json.loads(learned.json())
    count = len(record["model"]["vocab"])
    record["model"]["vocab"] |= {tokens.START: count, tokens.END: count + 1}
    own = tokens.from_json(json.dumps(record))
    assert own.size == learned.size and own.ids("a red dog") == learned.ids("a red dog")
    record["truncation"] = dict(direction="Right", max_length=2, strategy="LongestFirst", stride=0)
    assert tokens.from_json(json.dumps(record)).ids("a red dog") == learned.ids("a red dog")
    # An end that is not the highest number is none that CLIP would find.
    record["model"]["vocab"] |= {tokens.END: count, tokens.START: count + 1}
    assert tokens.from_json(json.dumps(record)).size == count + 4


def test_texts_are_padded_and_cut_only_where_asked(learned):
    ids = learned.ids("a dog with a red hat")
    np.testing.assert_array_equal(learned.encode("a dog with a red hat", 10), ids + [0] * (10 - len(ids)))
    with pytest.raises(InputError, match=f"'a dog with a red hat' has {len(ids)} tokens, .* at most 5"):
        learned.encode("a dog with a red hat", 5)
    np.testing.assert_array_equal(learned.encode("a dog with a red hat", 5, cut=True), [*ids[:4], ids[-1]])
    with pytest.raises(InputError, match="the text '' has no words"):
        learned.encode("  ", 5)


@pytest.mark.parametrize("spec", ["", "bert", "learned", "learned:257", "learned:many", "missing.json"])
def test_what_names_no_tokenizer_is_refused(spec):
    with pytest.raises(InputError, match="config.data.tokenizer.* tokenizer.json"):
        tokens.check(spec, "config.data.tokenizer")


def test_what_is_no_file_of_the_library_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="x.json: not a file of the tokenizers library"):
        tokens.find(str(tmp_path / "x.json"))
