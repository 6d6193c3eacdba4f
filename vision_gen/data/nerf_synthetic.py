"""Scenes in the layout of the nerf_synthetic data set (Mildenhall et al. 2020)."""

import pathlib

from vision_gen.data import images, scene, transforms

FIELDS = scene.FIELDS_OF_FILES
shapes = scene.shapes
example = scene.example


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(read(settings.folder, split, settings.downscale, settings.max_pixels), split, settings)


def read(folder, split, downscale=1, max_pixels=images.MAX_PIXELS):
    """The views of a split.

    Args:
      folder: has `transforms_train.json`, `transforms_val.json` and `transforms_test.json`.
      split: "train", "val" or "test".
      downscale: views are reduced by this factor, by area.
      max_pixels: of a view, at most.

    Raises:
      InputError: a file is missing or says nothing that is a camera; names it.
    """
    path = pathlib.Path(folder) / f"transforms_{split}.json"
    record = transforms.read_json(path)
    frames = transforms.frames_of(record, path)
    files = transforms.files_of(frames, path)
    views = scene.read_all(files, downscale, max_pixels, transforms.masks_of(frames, path))
    poses = transforms.poses_of(frames, path)
    intrinsics = transforms.intrinsics_of(record, frames, views.sizes, downscale, path)
    return scene.checked(views, poses, intrinsics, [f.name for f in files], path)
