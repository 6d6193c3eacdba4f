"""People and garments as try-on takes them: a picture and what was found in it, which lies beside it.

In VITON-HD's layout (`data.tryon_folder`) `ROOT/image/ID.jpg` is a person, `ROOT/image-parse/ID.png` its regions, LIP's
labels in a picture with a palette, `ROOT/openpose-json/ID_keypoints.json` its joints, `ROOT/openpose-img/ID_rendered.png`
their picture, which is drawn if it is not there, `ROOT/cloth/ID.jpg` a garment and `ROOT/cloth-mask/ID.jpg` its mask.
"""

import dataclasses
import logging
import pathlib

import numpy as np
import PIL.Image

from vision_gen.data import agnostic, images, openpose, tryon_folder
from vision_gen.errors import InputError
from vision_gen.ops import regions
from vision_gen.values.kind import Kind, finite, is_path
from vision_gen.values.pictures import Image, Mask, pixels

log = logging.getLogger("vision_gen")
PLAIN = 0.95  # Share of a picture's edge that is of one colour, of a ground that a garment can be cut out of.
RATIO = 0.01  # Sizes whose ratios of height and width differ by less are alike.


class Prepared(Kind):
    """A picture with parts beside it: a dict of arrays [height, width, *].

    Read from the picture's path, "PICTURE,part=FILE" for parts that lie elsewhere, or a dict of such and of arrays.
    """

    reads = images.SUFFIXES
    main = ""  # Name of the picture.
    beside: dict = {}  # {part: places, from the folder above the picture's; {} is its name}.
    resampling: dict = {}  # {array: how it is brought to another size}.

    def opens(self, value):
        return super().opens(value) or isinstance(value, dict) and any(is_path(one) for one in value.values())

    def read(self, value, name):
        given = self.given(value, name)
        picture = given[self.main]
        found = {self.main: Image().read(picture, name)}
        for part, places in self.beside.items():
            paths = self._beside(picture, places)
            file = given.get(part, next(filter(pathlib.Path.is_file, paths), None))
            if file is None:
                there = f"no {part} of {picture}: {paths[0]} is not there" if paths else f"{part} is missing"
                cure = f"give it as {picture},{part}=FILE" if is_path(value) else f"give it as {part!r} too"
                found[part] = self.lacking(part, found, f"{name}: {there}", cure)
            else:
                found[part] = self.part(part, file, f"{name}: {part}")
        sizes = {part: found[part].shape[:2] for part in self.resampling if found[part] is not None}
        for part, size in sizes.items():
            if size != sizes[self.main]:
                (height, width), (tall, wide) = size, sizes[self.main]
                raise InputError(f"{name}: {part} has {width} x {height} pixels, but {self.main} {wide} x {tall}")
        return found

    def given(self, value, name):
        """{part: what was given for it}, unread."""
        if is_path(value):
            first, *more = [str(value)] if pathlib.Path(value).exists() else str(value).split(",")
            parts = [tuple(part.strip().partition("=")[::2]) for part in more]
            twice = [part for number, (part, _) in enumerate(parts) if part in dict(parts[:number])]
            if twice:
                raise InputError(f"{name}: {twice[0]} is given twice")
            value = {self.main: first} | dict(parts)
        if not isinstance(value, dict) or self.main not in value:
            raise InputError(f"{name} must be {self.describe()}, got {type(value).__name__}")
        for part, one in value.items():
            if part not in (self.main, *self.beside):
                raise InputError(f"{name}: unknown part {part!r}; there are {', '.join((self.main, *self.beside))}")
            if is_path(one) and not str(one):
                raise InputError(f"{name}: {part} is empty; it must be a file")
        return value

    def _beside(self, picture, places):
        """Where a part may lie."""
        if not is_path(picture):
            return []
        return [pathlib.Path(picture).parent.parent / place.format(pathlib.Path(picture).stem) for place in places]

    def part(self, part, value, name):
        """A checked part."""
        raise NotImplementedError

    def lacking(self, part, found, what, cure):
        """What stands for a part that is nowhere, by those found so far; by default an error: `what` and `cure`."""
        raise InputError(f"{what}; {cure}")

    def resized(self, value, size, name):
        """A value at `size` = (height, width). Raises InputError where that has another ratio."""
        height, width = value[self.main].shape[:2]
        if abs(height * size[1] / (width * size[0]) - 1) > RATIO:
            raise InputError(
                f"{name} has {width} x {height} pixels; it must be of the ratio of {size[1]} x {size[0]}, at which it "
                "is computed: crop it, or fill it up"
            )
        if (height, width) == tuple(size):
            return value
        return value | {part: _resized(value[part], size, how) for part, how in self.resampling.items()}

    def describe(self):
        parts = ", ".join(self.beside)
        return f"a picture with its {parts} beside it as VITON-HD has them, or PICTURE,{next(iter(self.beside))}=FILE"


def _resized(array, size, how):
    squeezed = array[..., 0] if array.shape[-1] == 1 else array
    found = np.asarray(PIL.Image.fromarray(squeezed).resize(size[::-1], how))
    return found.reshape(*size, array.shape[-1])


def given_mask(value, name, inside):
    """A mask that somebody has made, [height, width, 1] uint8, 255 inside. Raises InputError where nothing is."""
    mask = Mask().read(value, name)
    if not mask.any():
        raise InputError(f"{name} is black everywhere; the {inside} must be white")
    return np.uint8(255 * mask)[..., None]


BILINEAR, NEAREST = PIL.Image.Resampling.BILINEAR, PIL.Image.Resampling.NEAREST


@dataclasses.dataclass(frozen=True)
class Person(Prepared):
    """A person: image and pose [height, width, 3], parse [height, width, 1] uint8, keypoints [25, 3] float32.

    The system is given a dict of these but the keypoints, and of what `data.agnostic.hidden` makes of them, [1, ...].
    """

    main = "image"
    beside = {
        "parse": [f"{folder}/{{}}.png" for folder in tryon_folder.PARSES],
        "keypoints": [f"{folder}/{{}}_keypoints.json" for folder in tryon_folder.POINTS],
        "pose": [f"{folder}/{{}}_rendered.png" for folder in tryon_folder.POSES],
    }
    resampling = {"image": BILINEAR, "pose": BILINEAR, "parse": NEAREST}

    def read(self, value, name):
        found = super().read(value, name)
        try:
            agnostic.check(found["parse"], found["keypoints"])
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        there = agnostic.found_joints(found["keypoints"])
        lost = [joint for number, joint in agnostic.JOINTS.items() if number not in there]
        if lost:
            log.warning("%s: %s not found; what lies around them stays as it is", name, ", ".join(lost))
        outside = agnostic.out_of_frame(found["keypoints"], found["image"].shape[:2])
        if outside:
            log.warning("%s: %s out of the picture; used as they are", name, ", ".join(outside))
        return found

    def part(self, part, value, name):
        if part == "pose":
            return Image().read(value, name)
        if part == "parse":
            return tryon_folder.read_labels(value)[..., None] if is_path(value) else pixels(value, name, (1,), "a path")
        if is_path(value):
            points, people = openpose.read(pathlib.Path(value))
            if people > 1:
                log.warning("%s: %s has %d people; the first is taken", name, value, people)
            return points
        array = np.asarray(value, np.float32)
        if array.shape != (25, 3):
            raise InputError(f"{name} has shape {list(array.shape)}; BODY_25's points are [25, 3], x, y and confidence")
        return finite(array, name)

    def lacking(self, part, found, what, cure):
        if part != "pose":
            return super().lacking(part, found, what, f"{cure}, or make it by vision-gen prepare person=PICTURE")
        return openpose.picture(found["keypoints"], found["image"].shape[:2])

    def resized(self, value, size, name):
        height, width = value["image"].shape[:2]
        scale = np.float32([size[1] / width, size[0] / height, 1])
        return super().resized(value, size, name) | {"keypoints": value["keypoints"] * scale}

    def array(self, value):
        made = value | agnostic.hidden(*(value[part] for part in ("image", "parse", "keypoints")))
        return {part: array[None] for part, array in made.items() if part != "keypoints"}


@dataclasses.dataclass(frozen=True)
class Garment(Prepared):
    """A garment that lies flat: cloth [height, width, 3] and mask [height, width, 1] uint8, 255 inside.

    Without a mask it is cut out of its ground, if that is of one colour.

    The system is given {"cloth", "cloth_mask"}, [1, ...].
    """

    main = "cloth"
    beside = {"mask": ("cloth-mask/{}.jpg", "cloth-mask/{}.png")}
    resampling = {"cloth": BILINEAR, "mask": NEAREST}

    def part(self, part, value, name):
        return given_mask(value, name, "garment")

    def lacking(self, part, found, what, cure):
        mask, plain = regions.on_plain_ground(found["cloth"])
        if plain < PLAIN or not mask.any():
            why = f"of its edge {plain:.0%} are of one colour" if plain < PLAIN else "it is of the ground's colour"
            raise InputError(f"{what}, and it cannot be cut out of its ground: {why}; {cure}")
        log.warning("%s; cut out of its ground, which is of one colour. See that it is right; or %s", what, cure)
        return np.uint8(255 * mask)[..., None]

    def array(self, value):
        return {"cloth": value["cloth"][None], "cloth_mask": value["mask"][None]}

