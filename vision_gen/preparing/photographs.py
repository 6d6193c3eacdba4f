"""Photographs of people and garments made ready for try-on, in VITON-HD's layout.

Of a person: the picture in the right shape, a mask of the person, joints, regions; of a garment: the picture and its
mask. Each step is a file, so that a person can see it, correct it and hand it in for the automatic one; the steps that
stand on it are then made again.
"""

import dataclasses
import logging
import os
import pathlib

import numpy as np
import PIL.Image

from vision_gen.data import agnostic, openpose, tryon_folder
from vision_gen.errors import InputError
from vision_gen.preparing import models, rough
from vision_gen.values.kind import is_path, made
from vision_gen.values.people import BILINEAR, NEAREST, RATIO, Garment, Person, Prepared, given_mask
from vision_gen.values.pictures import save

log = logging.getLogger("vision_gen")
SEEN = 0.5  # How likely a joint must be seen to count as found.
ABOVE = 0.03  # Share of a picture's height that is left above the head where it is cut.
TALLEST = 4096  # Pixels.
THIGHS = 0.75  # How far below the hips it is cut of somebody who is seen from afar, in lengths of the torso,
WIDEST = 0.9  # how much of its width the person may have,
AFAR = 0.8  # and the share of the largest part below which that is so.
HIPS = (9, 12)
# MediaPipe's landmark for each of OpenPose's joints, or the two that it is between; small toes MediaPipe has not.
OF_LANDMARKS = {
    "Nose": 0, "Neck": (11, 12), "RShoulder": 12, "RElbow": 14, "RWrist": 16, "LShoulder": 11, "LElbow": 13,
    "LWrist": 15, "MidHip": (23, 24), "RHip": 24, "RKnee": 26, "RAnkle": 28, "LHip": 23, "LKnee": 25, "LAnkle": 27,
    "REye": 5, "LEye": 2, "REar": 8, "LEar": 7, "LBigToe": 31, "LHeel": 29, "RBigToe": 32, "RHeel": 30,
}  # fmt: skip


def prepare(folder, person=None, cloth=None, *, split="test", height=1024, at=None):
    """Makes a photograph of a person, one of a garment, or both ready for try-on.

    Args:
      folder: where to: `folder/split` in VITON-HD's layout, and of both a line of `folder/split_pairs.txt`.
      person: path of a picture, or "PICTURE,mask=FILE,keypoints=FILE,parse=FILE" with parts that somebody has made.
      cloth: path of a picture of a garment that lies flat, or "PICTURE,mask=FILE".
      split: "train" or "test".
      height: of the pictures to be, in pixels, a multiple of 4 up to 4096; they are three quarters as wide.
      at: {"pose", "cutout" or "parser": file} of models that no installed package carries; see `preparing.models`.

    Returns:
      Paths: for each photograph the picture that `dress` takes, and a sheet of the steps, to be looked at.

    Raises:
      InputError: a file is broken, nobody is in the picture, a shoulder is not found, or a model is not at hand; says
        which, and which package carries it.
    """
    if person is None and cloth is None:
        raise InputError("give person=PICTURE, cloth=PICTURE or both")
    if not 4 <= height <= TALLEST or height % 4:
        raise InputError(f"height must be a multiple of 4 up to {TALLEST}; the width is three quarters; got {height}")
    place = pathlib.Path(folder).absolute()
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{folder}: cannot be written; {there} is no folder that files can be put into")
    at = {kind: file for kind, file in (at or {}).items() if file}
    steps = [kind(value, at) for kind, value in ((_Person, person), (_Flat, cloth)) if value is not None]
    for kind in at:
        if not any(kind in one.wanted for one in steps):
            raise InputError(f"--{kind} is given, but nothing is to be found by it")
    folder, found = pathlib.Path(folder), []
    pairs = folder / f"{split}_pairs.txt"
    lines = tryon_folder.pair_lines(pairs) if len(steps) == 2 and pairs.exists() else []
    for one in steps:
        found += one.write(folder / split, (height, height // 4 * 3))
    if len(steps) == 2:
        person, garment = (f"{one.name}.jpg" for one in steps)
        lines = [line for line in lines if line.split()[:1] != [person]]  # Each person once.
        pairs.write_text("\n".join([*lines, f"{person} {garment}", ""]), encoding="utf-8")
    return found


def body_25(landmarks, size):
    """OpenPose's keypoints [25, 3] of MediaPipe's landmarks [33, 3]; 0 of what is not seen or out of the picture."""
    found = np.zeros((len(openpose.JOINTS), 3), np.float32)
    for joint, landmark in OF_LANDMARKS.items():
        parts = landmarks[np.atleast_1d(landmark)]
        (x, y), sure = parts[:, :2].mean(0), parts[:, 2].min()
        if sure >= SEEN and 0 <= x < size[1] and 0 <= y < size[0]:
            found[openpose.JOINTS.index(joint)] = x, y, sure
    return found


def window(mask, points, size):
    """The part of a picture of a person that has the ratio of `size`: (left, top, right, bottom).

    It is the largest that there is, in whose middle the person is, with the head. But of somebody who is seen from afar
    it reaches from the head to the thighs, as in VITON-HD's pictures.

    Args:
      mask: [height, width] bool, the person.
      points: [25, 3], OpenPose's.
      size: (height, width).
    """
    height, width = mask.shape
    tall, wide = min(height, width * size[0] / size[1]), min(width, height * size[1] / size[0])
    if not mask.any():
        mask = np.ones_like(mask)
    head, there = np.flatnonzero(mask.any(1))[0], agnostic.found_joints(points)
    if {*agnostic.SHOULDERS, *HIPS} <= set(there):
        shoulders, hips = (np.mean([there[joint][1] for joint in pair]) for pair in (agnostic.SHOULDERS, HIPS))
        thighs = hips + THIGHS * (hips - shoulders)
        columns = np.flatnonzero(mask[: max(int(thighs), head + 1)].any(0))
        near = max((thighs - head) / (1 - ABOVE), (np.ptp(columns) + 1) / WIDEST * size[0] / size[1])
        if near < AFAR * tall:
            tall, wide = near, near * size[1] / size[0]
    if tall >= height * (1 - RATIO) and wide >= width * (1 - RATIO):
        return 0, 0, width, height
    left = np.clip(np.nonzero(mask)[1].mean() - wide / 2, 0, width - wide)
    top = np.clip(head - ABOVE * tall, 0, height - tall)
    return left, top, min(left + wide, width), min(top + tall, height)


@dataclasses.dataclass(frozen=True)
class Photograph(Prepared):
    """A picture with parts that somebody has made; those that are not given are None."""

    def lacking(self, part, found, what, cure):
        return None

    def describe(self):
        return f"a picture, or {','.join(['PICTURE', *(f'{part}=FILE' for part in self.beside)])}"


@dataclasses.dataclass(frozen=True)
class OfPerson(Photograph):
    """Of somebody who stands upright."""

    main = "image"
    beside = {"mask": (), "keypoints": (), "parse": ()}
    resampling = {"image": PIL.Image.Resampling.LANCZOS, "mask": BILINEAR, "parse": NEAREST}

    def part(self, part, value, name):
        if part == "mask":
            return given_mask(value, name, "person")
        return Person().part(part, value, name)


@dataclasses.dataclass(frozen=True)
class OfGarment(Photograph):
    """Of a garment that lies flat."""

    main = "cloth"
    beside = {"mask": ()}
    resampling = {"cloth": PIL.Image.Resampling.LANCZOS, "mask": NEAREST}

    def part(self, part, value, name):
        return Garment().part(part, value, name)


class _Step:
    """A photograph on its way.

    Attributes:
      path: of it.
      name: of the files that are made of it.
      found: its picture, and parts; None are those that are still to be found.
      changed: the picture is no longer as it was read.
      wanted: {kind: file or None} of the models that find them.
    """

    kind: Photograph
    what = ""  # Of the command line.
    finds: dict = {}  # {part: kind of model}.

    def __init__(self, value, at):
        if not is_path(value):
            raise InputError(f"{self.what} must be the path of {self.kind.describe()}, got {type(value).__name__}")
        self.path = pathlib.Path(self.kind.given(value, self.what)[self.kind.main])
        self.name = "_".join(self.path.stem.split())  # In a pairs file spaces stand between names.
        self.found, self.changed = self.kind.read(value, self.what), False
        lost = {part: kind for part, kind in self.finds.items() if self.found[part] is None}
        self.wanted = {kind: models.find(kind, at.get(kind)) for kind in lost.values()}
        for part, kind in lost.items():
            if self.wanted[kind] is None:
                self.without_model(part, kind)

    def without_model(self, part, kind):
        """What is done where there is no model for a part."""
        why = f"no {part} of {self.path}, and {models.missing(kind)}"
        raise InputError(f"{self.what}: {why}; or give it as {self.path},{part}=FILE")

    def cut(self, part, box, size):
        """Brings a part to `size`, from a box of the photograph."""
        array = self.found[part]
        picture = PIL.Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
        array = np.asarray(picture.resize(size[::-1], self.kind.resampling[part], box))
        self.found[part], self.changed = array.reshape(*size, -1), True

    def saved(self, folder, sheet):
        """Writes the picture, unless it is the very file that was read, which would only lose by it, and a sheet of
        pictures; returns their paths."""
        picture = folder / self.kind.main / f"{self.name}.jpg"
        if self.changed or not (picture.exists() and picture.samefile(self.path)):
            save(self.found[self.kind.main], picture)
        shown = folder / "seen" / f"{self.name}_{self.what}.jpg"
        save(np.concatenate(sheet, 1), shown)
        return [picture, shown]


class _Person(_Step):
    kind, what = OfPerson(), "person"
    finds = {"mask": "pose", "keypoints": "pose", "parse": "parser"}

    def without_model(self, part, kind):
        if part != "parse":  # For want of a parser there is `rough`.
            super().without_model(part, kind)

    def write(self, folder, size):
        """Finds what is lost, and writes all."""
        found = self.found
        if "pose" in self.wanted:
            self._look(models.load(self.wanted["pose"]))
        self._frame(size)
        points, mask, image = found["keypoints"], found["mask"], found["image"]
        there = agnostic.found_joints(points)
        lost = [joint for number, joint in agnostic.JOINTS.items() if number not in there]
        needed = [agnostic.JOINTS[number] for number in agnostic.SHOULDERS if number not in there]
        if needed:
            raise InputError(f"person: {self.path}: {', '.join(needed)} not found; give {self.path},keypoints=FILE")
        if lost:
            log.warning("%s: %s not found", self.path, ", ".join(lost))
        outside = agnostic.out_of_frame(points, size)
        if outside:
            log.warning("%s: %s out of what is cut of the picture", self.path, ", ".join(outside))
        parse = found["parse"]
        if parse is None and self.wanted["parser"]:
            parse = rough.with_neck(models.parsed(models.load(self.wanted["parser"]), image), points)[..., None]
        elif parse is None:
            log.warning("%s: there is no parser; its regions are guessed from joints and colours: see them", self.path)
            parse = rough.regions(image, mask[..., 0] / 255, points)[..., None]
        pose, name = openpose.picture(points, size), self.name
        save(mask, folder / "person-mask" / f"{name}.png")
        tryon_folder.save(parse[..., 0], folder / "image-parse" / f"{name}.png", tryon_folder.PALETTE)
        save(pose, folder / "openpose-img" / f"{name}_rendered.png")
        made(folder / "openpose-json" / f"{name}_keypoints.json").write_text(openpose.text(points))
        over = lambda layer: np.where(layer.any(-1, keepdims=True), image // 3 + layer // 3 * 2, image)
        regions = over(tryon_folder.PALETTE[parse[..., 0]])
        kept = agnostic.hidden(image, parse, points)["agnostic"]
        sheet = [image, np.where(mask >= 128, image, np.uint8(255)), over(pose), regions, kept]
        return self.saved(folder, sheet)

    def _frame(self, size):
        """Cuts everything to `size`."""
        mask, points = self.found["mask"][..., 0] >= 128, self.found["keypoints"]
        box = left, top, right, bottom = window(mask, points, size)
        if (mask.shape, box) == (size, (0, 0, size[1], size[0])):
            return
        for part in self.kind.resampling:
            if self.found[part] is not None:
                self.cut(part, box, size)
        there = (points[:, 2:] > 0) & points[:, :2].any(-1, keepdims=True)
        scale = np.float32([size[1] / (right - left), size[0] / (bottom - top), 1])
        self.found["keypoints"] = (points - np.float32([left, top, 0])) * scale * there

    def _look(self, model):
        """Finds mask and keypoints."""
        try:
            landmarks, mask = models.pose(model, self.found["image"])
        except InputError as error:
            raise InputError(f"person: {self.path}: {error}") from error
        found = {"mask": np.uint8(255 * mask)[..., None], "keypoints": body_25(landmarks, mask.shape)}
        self.found |= {part: value for part, value in found.items() if self.found[part] is None}


class _Flat(_Step):
    kind, what = OfGarment(), "cloth"
    finds = {"mask": "cutout"}

    def without_model(self, part, kind):
        cure = f"give it as {self.path},mask=FILE, or a model: {models.INSTALL[kind]}, or --cutout=FILE"
        self.found[part] = Garment().lacking(part, self.found, f"cloth: no mask of {self.path}", cure)

    def write(self, folder, size):
        """Finds the mask if it is lost, fills up to the ratio with the colour of the edge, and writes all."""
        if self.found["mask"] is None:
            share = models.cutout(models.load(self.wanted["cutout"]), self.found["cloth"])
            if not share.any() or not np.ptp(self.found["cloth"]):  # U2-Net finds something in plain white as well.
                raise InputError(f"cloth: nothing is found in {self.path}; give it as {self.path},mask=FILE")
            self.found["mask"] = np.where(share >= 0.5, np.uint8(255), np.uint8(0))[..., None]
        height, width = self.found["mask"].shape[:2]
        if (height, width) != size:
            if abs(height * size[1] / (width * size[0]) - 1) > RATIO:
                larger = round(width * size[0] / size[1]), round(height * size[1] / size[0])
                self._fill_up(max(height, larger[0]), max(width, larger[1]))
            self.cut("cloth", None, size)
            self.cut("mask", None, size)
        cloth, mask = self.found["cloth"], self.found["mask"]
        save(mask, folder / "cloth-mask" / f"{self.name}.png")
        sheet = [cloth, np.where(mask > 0, cloth, np.uint8([255, 0, 255]))]
        return self.saved(folder, sheet)

    def _fill_up(self, height, width):
        cloth = self.found["cloth"]
        edge = np.concatenate([cloth[0], cloth[-1], cloth[:, 0], cloth[:, -1]])
        at = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip((height, width), cloth.shape))
        wide = {part: np.zeros((height, width, array.shape[-1]), np.uint8) for part, array in self.found.items()}
        wide["cloth"][:] = np.median(edge, 0)
        for part, array in wide.items():
            array[at] = self.found[part]
        self.found = wide
