"""Scenes in the layout of the nerf_synthetic data set (Mildenhall et al. 2020)."""

import pathlib

from vision_gen.data import scene, transforms
from vision_gen.errors import InputError

FIELDS = scene.FIELDS_OF_FILES
shapes = scene.shapes
example = scene.example


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(read(settings.folder, split, settings.downscale), split, settings)


def read(folder, split, downscale=1):
    """The views of a split.

    Args:
      folder: has `transforms_train.json`, `transforms_val.json` and `transforms_test.json`.
      split: "train", "val" or "test".
      downscale: views are reduced by this factor, by area.

    Raises:
      InputError: a file is missing or says nothing that is a camera; names it.
    """
    path = pathlib.Path(folder) / f"transforms_{split}.json"
    record = transforms.read_json(path)
    frames = transforms.frames_of(record, path)
    files = [_existing(path.parent / f"{frame['file_path']}", path) for frame in frames]
    colour = scene.read_all(files, downscale)
    poses = transforms.poses_of(frames, path)
    intrinsics = transforms.intrinsics_of(record, frames, colour.shape[1:3], downscale, path)
    return scene.checked(colour, poses, intrinsics, [f.name for f in files], path)


def _existing(path, source):
    """nerf_synthetic leaves the suffix out."""
    for candidate in (path, path.with_name(path.name + ".png")):
        if candidate.is_file():
            return candidate
    raise InputError(f"{source}: image {path}.png is missing")
