"""Posed views of a scene, what a radiance field is trained on, and what the readers of scenes share.

Cameras as in `ops.rays`.
"""

import dataclasses

import numpy as np
from PIL import Image

from vision_gen.data import cameras, images, source
from vision_gen.data.source import ShapeDtype
from vision_gen.errors import InputError

# What `config.data` says of a scene in files.
FIELDS_OF_FILES = ("dir", "downscale", "rays", "film_frames")
HOLD_EVERY = 8  # Real captures: every so many views are held out.


@dataclasses.dataclass(frozen=True)
class Scene:
    """Views of one size.

    Attributes:
      colour: [views, height, width, 4] uint8, straight alpha.
      pose: [views, 3, 4] float32, camera to world.
      intrinsics: [views, 8] float32.
      names: of the views.
      path: "orbit" around the middle, or "spiral" about the mean camera.
    """

    colour: np.ndarray
    pose: np.ndarray
    intrinsics: np.ndarray
    names: tuple
    path: str = "orbit"

    @property
    def cameras(self):
        """The cameras as they are kept with a run, to place others around them."""
        return {
            "pose": self.pose.tolist(),
            "intrinsics": self.intrinsics[0].tolist(),
            "size": self.colour.shape[1:3],
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
    """What a scene's views are to a run: `Rays` to train on, `Views` otherwise."""
    return Rays(scene, settings) if split == "train" else Views(scene)


class Rays(source.Source):
    """A scene's rays in a random order, in bundles: examples to train on.

    An example has `pixel` [rays, 2], `pose` [rays, 3, 4], `intrinsics` [rays, 8] and `colour`
    [rays, 4] uint8. Every ray of the scene is in one bundle, but for a remainder smaller than one.
    """

    def __init__(self, scene, settings):
        views, self._height, self._width = scene.colour.shape[:3]
        count = views * self._height * self._width
        if settings.rays > count:
            raise InputError(
                f"{settings.section}.rays must be from 1 to the scene's {count}, got {settings.rays}"
            )
        self.shapes = shapes(settings)
        self.cameras = scene.cameras
        self._scene, self._rays = scene, settings.rays
        self._colour = scene.colour.reshape(-1, 4)
        # One division into bundles for all runs; their order is the run's.
        self._shuffled = source.shuffle(count, 0).astype(np.uint32 if count < 2**32 else np.uint64)

    def __len__(self):
        return len(self._shuffled) // self._rays

    def __getitem__(self, index):
        chosen = self._shuffled[index * self._rays : (index + 1) * self._rays].astype(np.int64)
        view, place = np.divmod(chosen, self._height * self._width)
        y, x = np.divmod(place, self._width)
        return {
            "pixel": np.stack([x, y], -1).astype(np.float32) + 0.5,
            "pose": self._scene.pose[view],
            "intrinsics": self._scene.intrinsics[view],
            "colour": self._colour[chosen],
        }

    def name(self, index):
        """The bundle's number."""
        return f"{index:07d}"


class Views(source.Source):
    """A scene's views: `pose` [3, 4], `intrinsics` [8] and `colour` [height, width, 4] uint8."""

    def __init__(self, scene):
        self.scene, self.cameras = scene, scene.cameras
        parts = {"pose": scene.pose, "intrinsics": scene.intrinsics, "colour": scene.colour}
        self.shapes = {name: ShapeDtype(part.shape[1:], part.dtype) for name, part in parts.items()}

    def __len__(self):
        return len(self.scene.names)

    def __getitem__(self, index):
        scene = self.scene
        return {
            "pose": scene.pose[index],
            "intrinsics": scene.intrinsics[index],
            "colour": scene.colour[index],
        }

    def name(self, index):
        """Name of view `index`."""
        return self.scene.names[index]


def checked(colour, poses, intrinsics, names, source, *, keep=None, path="orbit"):
    """A `Scene`, of the views `keep`, after checks of all cameras.

    Raises:
      InputError: a pose is not finite or no camera, or looks away from the scene; names the view.
    """
    poses, intrinsics = np.asarray(poses, np.float32), np.asarray(intrinsics, np.float32)
    for name, pose in zip(names, poses):
        if not np.isfinite(pose).all():
            raise InputError(f"{source}: the pose of {name} is not finite")
        if not np.allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-2):
            raise InputError(f"{source}: the pose of {name} has no orthonormal axes")
    centre = cameras.scene_centre(poses)
    ahead = -poses[:, :, 2]
    towards = ahead.mean(0)[None] if centre is None else centre - poses[:, :, 3]
    facing = (ahead * towards).sum(-1)
    if (facing <= 0).any():
        raise InputError(
            f"{source}: {int((facing <= 0).sum())} of {len(names)} cameras look away from the scene, the "
            f"first: {names[int(facing.argmin())]}; cameras must look along -z with y up (OpenGL)"
        )
    keep = range(len(names)) if keep is None else keep
    keep = list(keep)
    return Scene(colour, poses[keep], intrinsics[keep], tuple(names[i] for i in keep), path)


def read_all(files, downscale):
    """[views, height, width, 4] uint8."""
    views = []
    for file in files:
        image = images.read_rgba(file)
        if downscale > 1:
            height, width = image.shape[:2]
            small = Image.fromarray(image).resize(
                (max(1, width // downscale), max(1, height // downscale)), Image.Resampling.BOX
            )
            image = np.asarray(small)
        if views and image.shape != views[0].shape:
            raise InputError(
                f"{file}: {image.shape[1]} x {image.shape[0]} pixels, but {files[0].name} has "
                f"{views[0].shape[1]} x {views[0].shape[0]}; all views must be of one size"
            )
        views.append(image)
    return np.stack(views)


def held_out(count, split):
    held = range(0, count, HOLD_EVERY)
    keep = [i for i in range(count) if (i in held) != (split == "train")]
    if not keep:
        raise InputError(f"{count} views leave none for {split!r}; every {HOLD_EVERY}th is held out")
    return keep
