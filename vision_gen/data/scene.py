"""Posed views of a scene, what a radiance field is trained on, and what the readers of scenes share.

Cameras as in `ops.rays`.
"""

import dataclasses
import logging
import pathlib
import re

import numpy as np
from PIL import Image

from vision_gen.data import cameras, images, source
from vision_gen.data.source import ShapeDtype
from vision_gen.errors import InputError

# What `config.data` says of a scene in files.
FIELDS_OF_FILES = ("dir", "downscale", "rays", "views", "film_frames", "max_pixels")
HOLD_EVERY = 8  # Real captures: every so many views are held out.


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What the views show.

    Attributes:
      colour: [views, height, width, 4] uint8, straight alpha; smaller ones are in the upper left corner.
      mask: [views, height, width] bool, the pixels that take part, or None: all.
      sizes: [views] (height, width) of each view; by default all of it.
    """

    colour: np.ndarray
    mask: np.ndarray | None = None
    sizes: tuple = ()

    def __post_init__(self):
        if not self.sizes:
            object.__setattr__(self, "sizes", (self.colour.shape[1:3],) * len(self.colour))

    def only(self, keep):
        """Those of the views `keep`."""
        mask = None if self.mask is None else self.mask[keep]
        return Pictures(self.colour[keep], mask, tuple(self.sizes[i] for i in keep))


@dataclasses.dataclass(frozen=True)
class Scene:
    """Views.

    Attributes:
      pictures: what they show.
      pose: [views, 3, 4] float32, camera to world.
      intrinsics: [views, 8] float32.
      names: of the views.
      path: "orbit" around the middle, or "spiral" about the mean camera.
    """

    pictures: Pictures
    pose: np.ndarray
    intrinsics: np.ndarray
    names: tuple
    path: str = "orbit"

    @property
    def colour(self):
        return self.pictures.colour

    @property
    def cameras(self):
        """The cameras as they are kept with a run, to place others around them."""
        return {
            "pose": self.pose.tolist(),
            "intrinsics": self.intrinsics[0].tolist(),
            "size": self.pictures.sizes[0],
            "path": self.path,
        }


def shapes(settings):
    """Of a bundle of rays; see `Rays`."""
    floats = {"pixel": (2,), "pose": (3, 4), "intrinsics": (8,)}
    found = {name: ShapeDtype((settings.rays, *shape), np.dtype(np.float32)) for name, shape in floats.items()}
    return found | {"colour": ShapeDtype((settings.rays, 4), np.dtype(np.uint8))}


def example(settings, rng=None):
    """A bundle of rays of a camera at a random place that looks at the origin, from noise; zeros without `rng`."""
    found = source.noise(shapes(settings), rng)
    if rng is not None:
        place = rng.normal(size=3)
        up = np.array([0.0, 0.0, 1.0])
        found["pose"][:] = cameras.look_at(4 * place / np.linalg.norm(place), np.zeros(3), up)
        found["intrinsics"][:] = 100.0, 100.0, 50.0, 50.0, 0.0, 0.0, 0.0, 0.0
        found["pixel"][:] = rng.uniform(0, 100, found["pixel"].shape)
    return found


def of_split(scene, split, settings):
    """What a scene's views are to a run: `Rays` of those that `settings` chooses to train on, `Views` otherwise."""
    return Rays(chosen(scene, settings), settings) if split == "train" else Views(scene)


def chosen(scene, settings):
    """The views of a scene that `settings.views` numbers, in that order; all where it numbers none.

    Raises:
      InputError: there is no view of a number, or there are two, or a number is given twice.
    """
    if not settings.views:
        return scene
    field, there = f"{settings.section}.views", {}
    for place, name in enumerate(scene.names):
        if digits := re.search(r"(\d+)$", pathlib.PurePath(name).stem):
            there.setdefault(int(digits[1]), []).append(place)
    keep = []
    for number in settings.views:
        if len(there.get(number, ())) != 1:
            numbers = ", ".join(map(str, sorted(there))) or "none"
            wrong = f"two views have it: {scene.names[there[number][0]]}" if number in there else f"there are {numbers}"
            raise InputError(f"{field}: no one view to train on ends in {number}; {wrong}")
        keep += there[number]
    if len(set(keep)) < len(keep):
        raise InputError(f"{field} numbers a view twice: {list(settings.views)}")
    return dataclasses.replace(
        scene,
        pictures=scene.pictures.only(keep),
        pose=scene.pose[keep],
        intrinsics=scene.intrinsics[keep],
        names=tuple(scene.names[i] for i in keep),
    )


class Rays(source.Source):
    """A scene's rays in a random order, in bundles: examples to train on.

    An example has `pixel` [rays, 2], `pose` [rays, 3, 4], `intrinsics` [rays, 8] and `colour`
    [rays, 4] uint8. Every ray of the scene that is not masked is in one bundle, but for a remainder smaller than one.
    """

    def __init__(self, scene, settings):
        views, self._height, self._width = scene.colour.shape[:3]
        mask = scene.pictures.mask
        count = views * self._height * self._width if mask is None else int(mask.sum())
        if settings.rays > count:
            raise InputError(
                f"{settings.section}.rays must be from 1 to the scene's {count}, got {settings.rays}"
            )
        self.shapes = shapes(settings)
        self.cameras = scene.cameras
        self.scene, self._rays = scene, settings.rays
        self._colour = scene.colour.reshape(-1, 4)
        # One division into bundles for all runs; their order is the run's.
        shuffled = source.shuffle(count, 0)
        shuffled = shuffled if mask is None else np.flatnonzero(mask)[shuffled]
        self._shuffled = shuffled.astype(np.uint32 if self._colour.size < 2**34 else np.uint64)

    def __len__(self):
        return len(self._shuffled) // self._rays

    def __getitem__(self, index):
        chosen = self._shuffled[index * self._rays : (index + 1) * self._rays].astype(np.int64)
        view, place = np.divmod(chosen, self._height * self._width)
        y, x = np.divmod(place, self._width)
        return {
            "pixel": np.stack([x, y], -1).astype(np.float32) + 0.5,
            "pose": self.scene.pose[view],
            "intrinsics": self.scene.intrinsics[view],
            "colour": self._colour[chosen],
        }

    def name(self, index):
        """The bundle's number."""
        return f"{index:07d}"


class Views(source.Source):
    """A scene's views: `pose` [3, 4], `intrinsics` [8] and `colour` [height, width, 4] uint8.

    If any are masked, or of several sizes, also `mask` [height, width, 1] bool: the pixels that count.
    """

    def __init__(self, scene):
        self.scene, self.cameras = scene, scene.cameras
        self._parts = {"pose": scene.pose, "intrinsics": scene.intrinsics, "colour": scene.colour}
        if scene.pictures.mask is not None:
            self._parts["mask"] = scene.pictures.mask[..., None]
        self.shapes = {name: ShapeDtype(part.shape[1:], part.dtype) for name, part in self._parts.items()}

    def __len__(self):
        return len(self.scene.names)

    def __getitem__(self, index):
        return {name: part[index] for name, part in self._parts.items()}

    def name(self, index):
        """Name of view `index`."""
        return self.scene.names[index]


def check_poses(poses, names, source):
    """Raises InputError where a pose of [views, 3, 4] is not finite or no camera; names the view."""
    for name, pose in zip(names, poses):
        if not (np.abs(pose) < 1e12).all():
            raise InputError(f"{source}: the pose of {name} is not finite, or beyond all bounds")
        if not np.allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-2):
            raise InputError(f"{source}: the pose of {name} has no orthonormal axes")


def checked(pictures, poses, intrinsics, names, source, *, keep=None, path="orbit"):
    """A `Scene` of the views `keep`, whose `pictures` and `intrinsics` these are, after checks of all cameras.

    Views that are masked altogether are left out.

    Raises:
      InputError: a pose is not finite or no camera, or looks away from what almost all others look at; names the view.
    """
    check_poses(poses, names, source)
    poses, intrinsics = np.asarray(poses, np.float32), np.asarray(intrinsics, np.float32)
    centre = cameras.scene_centre(poses)
    ahead = -poses[:, :, 2]
    towards = ahead.mean(0)[None] if centre is None else centre - poses[:, :, 3]
    facing = (ahead * towards).sum(-1) / np.maximum(np.linalg.norm(towards, axis=-1), 1e-9)
    away = facing <= 0
    if away.any():
        found = f"{int(away.sum())} of {len(names)} cameras look away from the scene, the first: {names[away.argmax()]}"
        right = "cameras must look along -z with y up (OpenGL)"
        # In a room some look outward, or all; around a thing all look at it.
        if (facing > 0.9).mean() > 0.75:
            raise InputError(f"{source}: {found}; {right}")
        images.say_once(f"{source}: {found}, as in a room; around a thing, {right}", logging.WARNING)
    keep = np.arange(len(names)) if keep is None else np.array(keep)
    if pictures.mask is not None:
        seen = pictures.mask.any((1, 2))
        if not seen.any():
            raise InputError(f"{source}: masks leave no pixel of any view; what is black in a mask takes no part")
        if not seen.all():
            images.say_once(f"{source}: {(~seen).sum()} view(s) masked altogether are left out")
            pictures, intrinsics, keep = pictures.only(np.flatnonzero(seen)), intrinsics[seen], keep[seen]
    return Scene(pictures, poses[keep], intrinsics, tuple(names[i] for i in keep), path)


def check_shape(named, size, what, view):
    """Raises InputError where a size [height, width] that a file names is not of the shape of its image of `size`."""
    if abs(size[1] * named[0] / named[1] - size[0]) > 1:
        raise InputError(
            f"{what} are {named[1]:g} x {named[0]:g}, but {view} has {size[1]} x {size[0]} pixels as it is stored, of "
            "which poses and cameras must be"
        )


def read_all(files, downscale, max_pixels, masks=None):
    """`Pictures` of image files, as they are stored: poses know nothing of EXIF.

    Args:
      files: paths.
      downscale: they are reduced by this factor, by area.
      max_pixels: of an image, at most.
      masks: of each the path of an image whose black pixels take no part, or None.
    """
    views, parts = [], []
    for file, masked in zip(files, masks or [None] * len(files)):
        view = images.read_rgba(file, upright=False, max_pixels=max_pixels)
        part = True
        if masked:
            part = images.read_rgb(masked).any(-1)
            if part.shape != view.shape[:2]:
                found, right = (f"{shape[1]} x {shape[0]}" for shape in (part.shape, view.shape))
                raise InputError(f"{masked}: {found} pixels, but its image {file.name} has {right}")
            part = _reduced(np.uint8(part) * 255, downscale) == 255
        views.append(_reduced(view, downscale))
        parts.append(part)
    sizes = tuple(view.shape[:2] for view in views)
    if len(set(sizes)) == 1 and all(part is True for part in parts):
        return Pictures(np.stack(views))
    shape = (len(views), *np.max(sizes, 0))
    colour, mask = np.zeros((*shape, 4), np.uint8), np.zeros(shape, bool)
    for i, (height, width) in enumerate(sizes):
        colour[i, :height, :width], mask[i, :height, :width] = views[i], parts[i]
    return Pictures(colour, mask, sizes)


def _reduced(image, factor):
    """[height, width, ...] uint8, each side divided by `factor`."""
    if factor == 1:
        return image
    height, width = (max(1, side // factor) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def held_out(count, split):
    held = range(0, count, HOLD_EVERY)
    keep = [i for i in range(count) if (i in held) != (split == "train")]
    if not keep:
        raise InputError(f"{count} views leave none for {split!r}; every {HOLD_EVERY}th is held out")
    return keep
