"""Captions of the faces in `avatar_faces`, made from their traits: "a smiling person with long blond hair and round
glasses".

What is said of a face, in which words and in which order follow from its split and number. A face with one of
`avatar_faces.COMBINATIONS`, which no face of training has, is called by it.
"""

import random
import re

from vision_gen.data import avatar_faces

COUNT = 6  # Captions of a face.
MOST = 5  # Attributes that a caption names.

_NOUNS = ("person", "face", "character", "cartoon person", "avatar")
_STYLES = {
    "short hair": "short {} hair",
    "quiff": "a {} quiff|{} hair in a quiff",
    "mohawk": "a {} mohawk",
    "bun": "a {} bun|{} hair in a bun",
    "spiky hair": "spiky {} hair",
    "shaggy hair": "shaggy {} hair|messy {} hair",
    "bob": "a {} bob|{} hair in a bob",
    "straight hair": "long {} hair|long straight {} hair",
    "wavy hair": "wavy {} hair|long wavy {} hair",
    "curly hair": "curly {} hair|{} curls",
    "afro": "a {} afro",
    "dreadlocks": "{} dreadlocks",
    "braids": "{} braids|braided {} hair",
}
_COLOURS = {"blond": "blond|blonde", "red": "red|ginger", "grey": "grey|gray"}
_GLASSES = {
    "none": "without glasses|no glasses",
    "square": "square glasses|rectangular glasses",
    "round": "round glasses",
    "sunglasses": "sunglasses|dark glasses",
}
_FACIAL_HAIR = {
    "none": "without a beard|no beard|a clean-shaven chin",
    "moustache": "a {} moustache|a curled {} moustache",
    "thin beard": "a thin {} beard|a light {} beard",
    "full beard": "a full {} beard",
    "long beard": "a long {} beard",
}
_HATS = {
    "hat": "a {} hat",
    "turban": "a {} turban",
    "beanie": "a {} beanie",
    "cat hat": "a {} cat hat",
    "winter hat": "a {} winter hat",
}
_CLOTHES = {
    "hoodie": "a {} hoodie",
    "shirt": "a {} shirt|a {} T-shirt",
    "v-neck": "a {} v-neck|a {} v-neck shirt",
    "sweater with collar": "a {} sweater with a collar|a {} jumper with a collar",
    "overall": "a {} overall|{} dungarees",
    "blazer": "a {} blazer|a {} jacket",
    "printed shirt": "a {} shirt with a print|a {} printed shirt",
}
_MOUTHS = {
    "smiling": "smiling",
    "laughing": "laughing|grinning",
    "serious": "serious",
    "sad": "sad|unhappy",
    "shouting": "shouting|screaming",
    "tongue out": "with the tongue out|a tongue sticking out",
    "grimacing": "grimacing|with clenched teeth",
}
_EYES = {
    "open": "open eyes",
    "wide": "wide eyes|surprised eyes",
    "closed": "closed eyes",
    "laughing": "laughing eyes",
    "winking": "winking|one eye winking",
    "hearts": "hearts for eyes|heart eyes",
}
_SKIN = {"pale": "pale skin|light skin", "tan": "tanned skin", "brown": "brown skin", "dark": "dark skin"}


def _spaced(text):
    """With one space between words, and "an" where it is to be."""
    return re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()))


def _asked(words, colours=("",), verbs=("with",)):
    """Sentences that ask for a trait in the words of captions, one for each noun; words and colours take turns."""
    words = [
        part if part.startswith("without ") else f"{verb} {part}" for part in words.split("|") for verb in verbs
    ]
    turns = ((noun, words[i % len(words)].format(colours[i % len(colours)])) for i, noun in enumerate(_NOUNS))
    return tuple(_spaced(f"a {noun} {said}") for noun, said in turns)


def _hat_colours(hat):
    """Those that training has."""
    known = lambda colour: not avatar_faces.combinations({"top": hat, "hat_colour": colour})
    return [colour for colour in avatar_faces.TRAITS["hat_colour"] if colour != "none" and known(colour)]


# What a face can be asked about and by which words, as many of each value: {name: {value: texts}}; see `answers`.
# Captions seldom name a hat without its colour, so hats are asked for in several.
ASKED = {
    "hair_colour": {
        colour: _asked("{} hair", _COLOURS.get(colour, colour).split("|"))
        for colour in avatar_faces.TRAITS["hair_colour"]
        if colour != "none"
    },
    "glasses": {value: _asked(words) for value, words in _GLASSES.items()},
    "facial_hair": {value: _asked(words) for value, words in _FACIAL_HAIR.items()},
    "hat": {
        "none": _asked("without a hat"),
        **{hat: _asked(words, _hat_colours(hat), ("wearing", "in")) for hat, words in _HATS.items()},
    },
    "clothing_colour": {
        colour: _asked("{} clothes", (colour,), ("wearing", "in")) for colour in avatar_faces.TRAITS["clothing_colour"]
    },
}


def answers(traits):
    """Which of the values of each of `ASKED` a face with {trait: value} has: {name: its number, or -1}."""
    found = dict(traits, hat=traits["top"] if traits["top"] in _HATS else "none")
    return {name: list(values).index(found[name]) if found[name] in values else -1 for name, values in ASKED.items()}


def captions(split, number, traits):
    """The `COUNT` captions of a face; arguments as of `told`."""
    return tuple(text for text, _ in told(split, number, traits))


def told(split, number, traits):
    """The `COUNT` captions of a face, and of each the traits whose value it says: (text, frozenset) each.

    Args:
      split: "train", "val" or "test".
      number: in its split.
      traits: {trait: value}.
    """
    rng = random.Random(f"captions {split} {number}")
    wanted = avatar_faces.combinations(traits)
    said = {trait for name in wanted for trait in avatar_faces.COMBINATIONS[name]}
    return tuple(_caption(rng, traits, said) for _ in range(COUNT))


def _caption(rng, traits, said):
    """One caption and the traits that it says; `said` are those that it names in any case."""
    pick = lambda words: rng.choice(words.split("|"))
    colour = lambda trait: pick(_COLOURS.get(traits[trait], traits[trait]) if "hair" in trait else traits[trait])

    def whole(words, of, trait, only):
        """Words for trait `of` with the colour `trait`, with `only` one of both where nobody asked for them; both."""
        words = pick(words)
        plain = only and rng.random() < 0.25
        return " ".join(words.format("" if plain else colour(trait)).split()), (of,) if plain else (of, trait)

    # Of each attribute: where it stands in a sentence, the words, and the traits that they say; `free` where it need
    # not be told in full.
    attributes, top = {}, traits["top"]
    free = lambda *names: not said.intersection(names)
    if top == "bald":
        attributes["top"] = "before", "bald", ("top",)
    elif top in _HATS:
        attributes["hat_colour"] = "wearing", *whole(_HATS[top], "top", "hat_colour", free("top", "hat_colour"))
    elif free("top", "hair_colour") and rng.random() < 0.5:
        attributes["top"] = "with", f"{colour('hair_colour')} hair", ("hair_colour",)
    else:
        attributes["top"] = "with", *whole(_STYLES[top], "top", "hair_colour", free("top", "hair_colour"))
    if top not in _HATS and rng.random() < 0.15 and free("top"):
        attributes["hat_colour"] = "last", "without a hat", ()  # No hat is no value of a trait.
    attributes["glasses"] = *_placed(pick(_GLASSES[traits["glasses"]])), ("glasses",)
    beard = _FACIAL_HAIR[traits["facial_hair"]]
    if traits["facial_hair"] == "none":
        attributes["facial_hair"] = *_placed(pick(beard)), ("facial_hair",)
    else:
        coloured = free("facial_hair_colour") and rng.random() < 0.5
        attributes["facial_hair"] = (
            "with",
            " ".join(pick(beard).format("" if coloured else colour("facial_hair_colour")).split()),
            ("facial_hair",) if coloured else ("facial_hair", "facial_hair_colour"),
        )
    if free("clothing") and rng.random() < 0.3:
        attributes["clothing"] = "wearing", f"{colour('clothing_colour')} clothes", ("clothing_colour",)
    else:
        attributes["clothing"] = (
            "wearing",
            *whole(_CLOTHES[traits["clothing"]], "clothing", "clothing_colour", free("clothing", "clothing_colour")),
        )
    mouth = pick(_MOUTHS[traits["mouth"]])
    attributes["mouth"] = ("last" if mouth.startswith("with ") else "with" if " " in mouth else "before"), mouth, ("mouth",)
    if traits["eyes"] != "hidden":
        eyes = pick(_EYES[traits["eyes"]])
        attributes["eyes"] = ("with" if "eye" in eyes else "before"), eyes, ("eyes",)
    attributes["skin"] = "with", pick(_SKIN[traits["skin"]]), ("skin",)
    background = f"{rng.choice(['on', 'in front of'])} a {traits['background']} background"
    attributes["background"] = "last", background, ("background",)
    # Colours are told with what has them.
    of = {"hair_colour": "top", "clothing_colour": "clothing", "facial_hair_colour": "facial_hair"}
    told = {of.get(trait, trait) for trait in said} | ({"hat_colour"} if "top" in said and top in _HATS else set())
    first = [name for name in attributes if name in told]  # Not in the order of a set, which is none.
    # What people look at first is said more often.
    weights = {"top": 3, "hat_colour": 3, "glasses": 3, "facial_hair": 3, "clothing": 3, "mouth": 2}
    others = [name for name in attributes if name not in told]
    others.sort(key=lambda name: rng.random() ** (1 / weights.get(name, 1)), reverse=True)
    count = max(len(first), rng.randint(1, MOST) if not said else MOST)
    chosen = [*first, *others][:count]
    rng.shuffle(chosen)
    parts = [attributes[name] for name in chosen]
    text = _spaced(_sentence(rng, [part[:2] for part in parts]))
    return text, frozenset(trait for _, _, traits in parts for trait in traits)


def _placed(words):
    """Where words stand that may say that there is none of something."""
    return ("last" if words.startswith("without ") else "with"), words


def _sentence(rng, parts):
    at = lambda place: [words for where, words in parts if where == place]
    noun = rng.choice(_NOUNS)
    form = rng.randrange(4)
    if form == 0:  # A list.
        return ", ".join([noun, *(words for _, words in parts)])
    name = " ".join([*at("before"), noun])
    name = f"a {name}"
    if form == 1:
        name = f"a {rng.choice(['drawing', 'picture', 'portrait'])} of {name}"
    joined = lambda words: " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    with_, wearing = at("with"), at("wearing")
    if form == 2 and wearing:  # Both by one word.
        with_, wearing = [*with_, *wearing], []
    text = name + (f" with {joined(with_)}" if with_ else "")
    text += (f" {rng.choice(['wearing', 'in'])} {joined(wearing)}") if wearing else ""
    return " ".join([text, *at("last")])
