"""Faces that python-avatars (MIT; drawings by Pablo Stanley) draws, by tables of traits with their probabilities.

A face is a function of its split and number alone, so a set of any length begins alike. Traits say what is seen: hair
under a hat has no colour, eyes behind sunglasses are hidden. Run as a module, this draws every so manyth face of a
split as PNG bytes on standard output.
"""

import random

from vision_gen.data import images, workers

# {value: (weight, drawings of python_avatars, one of which is taken)}; what 64 pixels do not tell apart is one value.
_HAIR = {
    "bald": (5, "NONE"),
    "short hair": (9, "SHORT_FLAT SHORT_ROUND CAESAR"),
    "quiff": (6, "QUIFF POMPADOUR"),
    "mohawk": (4, "MOHAWK"),
    "bun": (5, "BUN"),
    "spiky hair": (5, "SHORT_DREADS_2"),
    "shaggy hair": (6, "SHAGGY MOWGLI"),
    "bob": (6, "BOB"),
    "straight hair": (9, "STRAIGHT_STRAND STRAIGHT_1 LONG_NOT_TOO_LONG"),
    "wavy hair": (8, "BIG_HAIR CURVY"),
    "curly hair": (6, "CURLY"),
    "afro": (5, "FRO"),
    "dreadlocks": (5, "DREADS"),
    "braids": (6, "TWIST_LONG_HAIR CORNROWS"),
}
_HATS = {
    "hat": (3, "HAT"),
    "turban": (3, "TURBAN"),
    "beanie": (3, "WINTER_HAT_3"),
    "cat hat": (3, "WINTER_HAT_4"),
    "winter hat": (3, "WINTER_HAT_1 WINTER_HAT_2"),
}
# Colours that differ in lightness or hue from each other, and those of hair from those of skin.
_HAIR_COLOURS = {
    "black": (1, "#1A1718"),
    "brown": (1, "#5A3018"),
    "blond": (1, "#F0CF55"),
    "red": (1, "#C93305"),
    "grey": (1, "#A9A9B4"),
    "pink": (1, "#EE7CA6"),
}
_FABRIC_COLOURS = {
    "black": (1, "#262E33"),
    "blue": (1, "#3B7DD8"),
    "green": (1, "#3DAA5C"),
    "red": (1, "#E0403A"),
    "yellow": (1, "#F4C430"),
    "purple": (1, "#8A5CC2"),
    "pink": (1, "#F7A8C4"),
}
# What is drawn for each trait, independently of the others.
_DRAWN = {
    "hair_colour": _HAIR_COLOURS,
    "top": _HAIR | _HATS,
    "hat_colour": _FABRIC_COLOURS,
    "skin": {"pale": (1, "#FFDBB4"), "tan": (1, "#E3A678"), "brown": (1, "#B5713F"), "dark": (1, "#7D4E37")},
    "eyes": {
        "open": (6, "DEFAULT"),
        "wide": (3, "SURPRISED"),
        "closed": (2, "CLOSED"),
        "laughing": (2, "HAPPY"),
        "winking": (3, "WINK"),
        "hearts": (2, "HEART"),
    },
    "eyebrows": {
        "level": (2, "DEFAULT_NATURAL"),
        "angry": (1, "ANGRY_NATURAL"),
        "raised": (1, "RAISED_EXCITED_NATURAL"),
        "worried": (1, "SAD_CONCERNED_NATURAL"),
    },
    "glasses": {
        "none": (4, "NONE"),
        "square": (2, "PRESCRIPTION_2"),
        "round": (2, "ROUND"),
        "sunglasses": (2, "SUNGLASSES"),
    },
    "mouth": {
        "smiling": (1, "TWINKLE"),
        "laughing": (1, "SMILE"),
        "serious": (1, "SERIOUS"),
        "sad": (1, "SAD"),
        "shouting": (1, "SCREAM_OPEN"),
        "tongue out": (1, "TONGUE"),
        "grimacing": (1, "GRIMACE"),
    },
    "facial_hair": {
        "none": (6, "NONE"),
        "moustache": (1, "MOUSTACHE_FANCY"),
        "thin beard": (1, "BEARD_LIGHT"),
        "full beard": (1, "BEARD_MEDIUM"),
        "long beard": (1, "BEARD_MAGESTIC"),
    },
    "clothing": {
        "hoodie": (1, "HOODIE"),
        "shirt": (1, "SHIRT_CREW_NECK"),
        "v-neck": (1, "SHIRT_V_NECK"),
        "sweater with collar": (1, "COLLAR_SWEATER"),
        "overall": (1, "OVERALL"),
        "blazer": (1, "BLAZER_SHIRT"),
        "printed shirt": (1, "GRAPHIC_SHIRT"),
    },
    "clothing_colour": _FABRIC_COLOURS,
    "background": {"white": (1, "#FFFFFF"), "blue": (1, "#D6E9F8"), "green": (1, "#DDF3DC"), "lilac": (1, "#E8E0F6")},
}
_PRINTS = "BAT BEAR DIAMOND PIZZA SKULL"
# Every trait of a face and its values; hair on the face has the colour of that on the head.
TRAITS = {name: tuple(table) for name, table in _DRAWN.items()} | {
    "hair_colour": (*_HAIR_COLOURS, "none"),
    "hat_colour": (*_FABRIC_COLOURS, "none"),
    "eyes": (*_DRAWN["eyes"], "hidden"),
    "eyebrows": (*_DRAWN["eyebrows"], "hidden"),
    "facial_hair_colour": (*_HAIR_COLOURS, "none"),
}
# Binary attributes as CelebA's, by its names where it has them: {name: (trait, values of which it is true)}.
ATTRIBUTES = {
    "Bald": ("top", ("bald",)),
    "Black_Hair": ("hair_colour", ("black",)),
    "Blond_Hair": ("hair_colour", ("blond",)),
    "Brown_Hair": ("hair_colour", ("brown",)),
    "Gray_Hair": ("hair_colour", ("grey",)),
    "Red_Hair": ("hair_colour", ("red",)),
    "Pink_Hair": ("hair_colour", ("pink",)),
    "Straight_Hair": ("top", ("bob", "straight hair")),
    "Wavy_Hair": ("top", ("wavy hair",)),
    "Curly_Hair": ("top", ("curly hair", "afro")),
    "Braided_Hair": ("top", ("dreadlocks", "braids")),
    "Long_Hair": ("top", ("straight hair", "wavy hair", "dreadlocks", "braids")),
    "Mohawk": ("top", ("mohawk",)),
    "Wearing_Hat": ("top", tuple(_HATS)),
    "Pale_Skin": ("skin", ("pale",)),
    "Tan_Skin": ("skin", ("tan",)),
    "Brown_Skin": ("skin", ("brown",)),
    "Dark_Skin": ("skin", ("dark",)),
    "Eyeglasses": ("glasses", ("square", "round", "sunglasses")),
    "Round_Glasses": ("glasses", ("round",)),
    "Sunglasses": ("glasses", ("sunglasses",)),
    "Wide_Eyes": ("eyes", ("wide",)),
    "Closed_Eyes": ("eyes", ("closed", "laughing")),
    "Winking": ("eyes", ("winking",)),
    "Heart_Eyes": ("eyes", ("hearts",)),
    "Angry_Eyebrows": ("eyebrows", ("angry",)),
    "Raised_Eyebrows": ("eyebrows", ("raised",)),
    "Worried_Eyebrows": ("eyebrows", ("worried",)),
    "Smiling": ("mouth", ("smiling", "laughing")),
    "Mouth_Slightly_Open": ("mouth", ("laughing", "shouting", "tongue out")),
    "Sad_Mouth": ("mouth", ("sad",)),
    "Tongue_Out": ("mouth", ("tongue out",)),
    "Grimacing": ("mouth", ("grimacing",)),
    "No_Beard": ("facial_hair", ("none", "moustache")),
    "Mustache": ("facial_hair", ("moustache",)),
    "Long_Beard": ("facial_hair", ("long beard",)),
    "Hoodie": ("clothing", ("hoodie",)),
    "Overall": ("clothing", ("overall",)),
    "Blazer": ("clothing", ("blazer",)),
    "Printed_Shirt": ("clothing", ("printed shirt",)),
    **{f"{colour.title()}_Clothing": ("clothing_colour", (colour,)) for colour in _FABRIC_COLOURS},
}
# Seen in the test split only, in every second face of it, one after the other.
COMBINATIONS = {
    "green hoodie, red hair": {"clothing": "hoodie", "clothing_colour": "green", "hair_colour": "red"},
    "yellow overall": {"clothing": "overall", "clothing_colour": "yellow"},
    "purple blazer": {"clothing": "blazer", "clothing_colour": "purple"},
    "red v-neck": {"clothing": "v-neck", "clothing_colour": "red"},
    "blue printed shirt": {"clothing": "printed shirt", "clothing_colour": "blue"},
    "pink hair, black clothes": {"hair_colour": "pink", "clothing_colour": "black"},
    "blond hair, pink clothes": {"hair_colour": "blond", "clothing_colour": "pink"},
    "grey mohawk": {"hair_colour": "grey", "top": "mohawk"},
    "red dreadlocks": {"hair_colour": "red", "top": "dreadlocks"},
    "blond afro": {"hair_colour": "blond", "top": "afro"},
    "pink bun": {"hair_colour": "pink", "top": "bun"},
    "black bob": {"hair_colour": "black", "top": "bob"},
    "brown spiky hair": {"hair_colour": "brown", "top": "spiky hair"},
    "blond moustache": {"facial_hair_colour": "blond", "facial_hair": "moustache"},
    "bald, heart eyes": {"top": "bald", "eyes": "hearts"},
    "bald, round glasses": {"top": "bald", "glasses": "round"},
    "turban, sunglasses": {"top": "turban", "glasses": "sunglasses"},
    "beanie, long beard": {"top": "beanie", "facial_hair": "long beard"},
    "cat hat, tongue out": {"top": "cat hat", "mouth": "tongue out"},
    "yellow hat": {"top": "hat", "hat_colour": "yellow"},
    "sunglasses, grimacing": {"glasses": "sunglasses", "mouth": "grimacing"},
    "round glasses, winking": {"glasses": "round", "eyes": "winking"},
    "wide eyes, laughing": {"eyes": "wide", "mouth": "laughing"},
    "long beard, blazer": {"facial_hair": "long beard", "clothing": "blazer"},
    "full beard, shouting": {"facial_hair": "full beard", "mouth": "shouting"},
}
_SQUARE = 'viewBox="4 4 256 256"'  # Of the drawing's 264 x 280: all of hair and hats, and what is seen of clothes.


def combinations(traits):
    """Names of the `COMBINATIONS` that a face has, by its traits {name: value}."""
    return [name for name, pair in COMBINATIONS.items() if pair.items() <= traits.items()]


def face(split, number):
    """The traits of a face, and its drawing.

    Args:
      split: "train", "val" or "test".
      number: from 0.

    Returns:
      ({trait: value}, the keyword arguments of `python_avatars.Avatar` as text).
    """
    rng = random.Random(f"avatars {split} {number}")
    wanted = split == "test" and number % 2 and list(COMBINATIONS)[number // 2 % len(COMBINATIONS)]
    while True:
        drawn = {name: _drawn(rng, table) for name, table in _DRAWN.items()}
        if wanted:
            drawn |= {name: value for name, value in COMBINATIONS[wanted].items() if name in drawn}
        traits = _seen(drawn)
        found = combinations(traits)
        if wanted in found or not (wanted or found):
            break
    part = {name: rng.choice(table[drawn[name]][1].split()) for name, table in _DRAWN.items()}
    hidden = {name: "NONE" if name == "eyebrows" else "DEFAULT" for name in traits if traits[name] == "hidden"}
    return traits, part | hidden | {"print": rng.choice(_PRINTS.split())}


def _drawn(rng, table):
    return rng.choices(list(table), [weight for weight, _ in table.values()])[0]


def _seen(drawn):
    """The traits that are seen of those drawn."""
    seen = dict(drawn, facial_hair_colour=drawn["hair_colour"])
    if drawn["top"] == "bald" or drawn["top"] in _HATS:
        seen["hair_colour"] = "none"
    if drawn["top"] not in _HATS:
        seen["hat_colour"] = "none"
    if drawn["facial_hair"] == "none":
        seen["facial_hair_colour"] = "none"
    if drawn["glasses"] == "sunglasses":
        seen["eyes"] = "hidden"
    if drawn["glasses"] == "sunglasses" or drawn["top"] in ("beanie", "cat hat"):
        seen["eyebrows"] = "hidden"
    return seen


def render(drawing, hat, size):
    """PNG bytes of a face, `size` x `size`, RGB.

    Args:
      drawing: from `face`.
      hat: whether its top is one.
      size: pixels.
    """
    import python_avatars as avatars

    svg = avatars.Avatar(
        style=avatars.AvatarStyle.TRANSPARENT,
        top=(avatars.HatType if hat else avatars.HairType)[drawing["top"]],
        hat_color=drawing["hat_colour"],
        eyebrows=avatars.EyebrowType[drawing["eyebrows"]],
        eyes=avatars.EyeType[drawing["eyes"]],
        mouth=avatars.MouthType[drawing["mouth"]],
        facial_hair=avatars.FacialHairType[drawing["facial_hair"]],
        skin_color=drawing["skin"],
        hair_color=drawing["hair_colour"],
        facial_hair_color=drawing["hair_colour"],
        accessory=avatars.AccessoryType[drawing["glasses"]],
        clothing=avatars.ClothingType[drawing["clothing"]],
        clothing_color=drawing["clothing_colour"],
        shirt_graphic=avatars.ClothingGraphic[drawing["print"]],
    ).render()
    svg = svg.replace('width="264px" height="280px" viewBox="0 0 264 280"', _SQUARE, 1)
    return images.rasterise(svg, size, drawing["background"])


def rendered(split, count, size):
    """The first faces of a split in order, drawn on all cores: yields (traits, PNG bytes).

    Args:
      split: "train", "val" or "test".
      count: how many.
      size: pixels.
    """
    for number, png in enumerate(workers.results(__name__, count, split, size)):
        yield face(split, number)[0], png


def _drawn_face(number, split, size):
    traits, drawing = face(split, number)
    return render(drawing, traits["top"] in _HATS, int(size))


if __name__ == "__main__":
    workers.serve(_drawn_face)
