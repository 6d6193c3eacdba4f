"""People without what says which garment they wear (VITON-HD, Choi et al., CVPR 2021, section 3.1).

`parts` is one data set of people and garments. Its examples have `image` [height, width, 3], a person; `parse` [height,
width, 1], its regions, LIP's labels; `keypoints` [25, 3] float32, OpenPose's: x, y in pixels and a confidence, 0 of a
joint that was not found; and more, which is passed on. To them come `agnostic` [height, width, 3], the person with
torso, arms and neck painted grey, and `parse_agnostic` [height, width, 1], the regions without garment, neck and bare
arms, which are 0 there.
What is painted over is what the released code paints over at a width of 768, and scaled by the width at others. People
in other garments of whom there is no true picture have `unpaired`, 1.
"""

import numpy as np
from PIL import Image, ImageDraw

from vision_gen import data
from vision_gen.data import parts, source
from vision_gen.errors import InputError

FIELDS = ("size", "parts")
WIDTH = 768  # Of pictures for which the lengths below, in pixels, are.
LABELS = 20  # Of LIP.
UPPER, NECK, LEFT_ARM, RIGHT_ARM = (5, 6, 7), 10, 14, 15  # LIP's labels: upper clothes, dress and coat; neck ...
HEAD, LOWER = (4, 13), (9, 12, 16, 17, 18, 19)  # Stay as they are: sunglasses, face; trousers, skirt, legs, shoes.
JOINTS = {
    1: "neck", 2: "right shoulder", 3: "right elbow", 4: "right wrist", 5: "left shoulder", 6: "left elbow",
    7: "left wrist", 9: "right hip", 12: "left hip",
}  # fmt: skip
SHOULDERS = (2, 5)
TORSO = 1.6  # Shoulder widths from shoulders to hips, of a person whose hips were not found.
GREY = 128


def shapes(settings):
    """Those of the part, `agnostic` and `parse_agnostic`."""
    (part,) = parts.read(settings, 1, 1).values()
    found = data.shapes(part)
    for name in ("image", "parse", "keypoints"):
        if name not in found:
            given = f"{part.name} gives {', '.join(found)}"
            raise InputError(f"{part.section}.name: {settings.name} needs {name}, but {given}")
    return completed(found, part)


def completed(found, part):
    """Shapes of an example of a part that gives those `found`."""
    found = found | {"agnostic": found["image"], "parse_agnostic": found["parse"]}
    if part.pairs == "unpaired" and "truth" not in found:
        found["unpaired"] = source.ShapeDtype((), np.dtype(np.int32))
    return found


def open(settings, split):
    """See `shapes`."""
    (fields,) = parts.read(settings, 1, 1).values()
    part = data.open(fields, split)
    return Agnostic(part, completed(part.shapes, fields))


class Agnostic(source.Source):
    """In the part's order."""

    def __init__(self, part, shapes):
        self._part, self.shapes, self.skipped = part, shapes, part.skipped
        self._more = {"unpaired": np.int32(1)} if "unpaired" in shapes else {}

    def __len__(self):
        return len(self._part)

    def __getitem__(self, index):
        found = self._part[index]
        try:
            return found | self._more | hidden(found["image"], found["parse"], found["keypoints"])
        except InputError as error:
            raise InputError(f"{self.name(index)}: {error}") from error

    def name(self, index):
        """The part's."""
        return self._part.name(index)


def hidden(image, parse, keypoints):
    """{"agnostic", "parse_agnostic"} of a person.

    Args:
      image: [height, width, 3] uint8.
      parse: [height, width, 1] uint8.
      keypoints: [25, 3]. Elbows and wrists that were not found hide nothing; the neck is taken to be between the
        shoulders, hips under them. What lies out of the frame hides what is inside of it.

    Raises:
      InputError: as `check`.
    """
    check(parse, keypoints)
    places = found_joints(keypoints)
    return {
        "agnostic": _picture(image, parse[..., 0], places),
        "parse_agnostic": _regions(parse[..., 0], places)[..., None],
    }


def check(parse, keypoints):
    """Refuses a parse map and keypoints of which `hidden` could make nothing.

    Raises:
      InputError: a shoulder was not found, or there are other labels than LIP's.
    """
    if parse.max() >= LABELS:
        raise InputError(f"parse has the label {parse.max()}; LIP's are 0 to {LABELS - 1}")
    places = found_joints(keypoints)
    lost = [JOINTS[number] for number in SHOULDERS if number not in places]
    if lost:
        raise InputError(f"keypoints: {', '.join(lost)} not found; without it nobody knows where the torso is")


def found_joints(keypoints):
    """{number: (x, y)} of the joints of `JOINTS` that were found: those not at (0, 0), of a confidence above 0."""
    return {
        number: keypoints[number, :2].astype(np.float64)
        for number in JOINTS
        if keypoints[number, :2].any() and keypoints[number, 2] > 0
    }


def out_of_frame(keypoints, size):
    """Names of the joints that were found, but not in a picture of `size` = (height, width)."""
    places = found_joints(keypoints).items()
    return [JOINTS[number] for number, place in places if not (0 <= place).all() or not (place < size[::-1]).all()]


def _disc(draw, place, x, y, colour):
    draw.ellipse((place[0] - x, place[1] - y, place[0] + x, place[1] + y), colour, colour)


def _line(draw, places, width, colour):
    draw.line([tuple(place) for place in places], colour, width=max(1, round(width)))


def _regions(parse, places):
    """`parse_agnostic` [height, width]."""
    unit = 10 * parse.shape[1] / WIDTH
    found = np.where(np.isin(parse, (*UPPER, NECK)), 0, parse).astype(np.uint8)
    # Each arm with what may lie over it of the other shoulder; hands stay.
    for label, joints in ((LEFT_ARM, (2, 5, 6, 7)), (RIGHT_ARM, (5, 2, 3, 4))):
        mask = Image.new("L", parse.shape[::-1])
        draw, before = ImageDraw.Draw(mask), joints[0]
        for joint in joints[1:]:
            if joint not in places:
                continue
            _line(draw, (places[before], places[joint]), 10 * unit, "white")
            radius = unit * (4 if joint == joints[-1] else 15)
            _disc(draw, places[joint], radius, radius, "white")
            before = joint
        found[(np.asarray(mask) > 0) & (parse == label)] = 0
    return found


def _picture(image, parse, places):
    """`agnostic` [height, width, 3]."""
    unit, grey, places = 20 * parse.shape[1] / WIDTH, (GREY,) * 3, dict(places)
    across = np.linalg.norm(places[5] - places[2])
    if 9 not in places or 12 not in places:
        for hip, shoulder in ((9, 2), (12, 5)):
            places[hip] = places[shoulder] + [0, TORSO * across]
    middle = (places[9] + places[12]) / 2  # Hips as far apart as shoulders.
    apart = max(np.linalg.norm(places[12] - places[9]), 1e-6)
    for hip in (9, 12):
        places[hip] = middle + (places[hip] - middle) / apart * across
    painted = Image.fromarray(image)
    draw = ImageDraw.Draw(painted)
    _line(draw, (places[2], places[5]), 10 * unit, grey)
    for shoulder in (2, 5):
        _disc(draw, places[shoulder], 5 * unit, 5 * unit, grey)
    for joint in (3, 4, 6, 7):
        if joint in places and joint - 1 in places:
            _line(draw, (places[joint - 1], places[joint]), 10 * unit, grey)
            _disc(draw, places[joint], 5 * unit, 5 * unit, grey)
    for hip in (9, 12):
        _disc(draw, places[hip], 3 * unit, 6 * unit, grey)
    for pair, width in (((2, 9), 6), ((5, 12), 6), ((9, 12), 12)):
        _line(draw, (places[pair[0]], places[pair[1]]), width * unit, grey)
    draw.polygon([tuple(places[joint]) for joint in (2, 5, 12, 9)], grey, grey)
    x, y = places.get(1, (places[2] + places[5]) / 2)
    draw.rectangle((x - 7 * unit, y - 7 * unit, x + 7 * unit, y + 7 * unit), grey, grey)
    return np.where(np.isin(parse, (*HEAD, *LOWER))[..., None], image, np.asarray(painted))
