"""Forward-facing captures with `poses_bounds.npy` (Mildenhall et al. 2019)."""

import pathlib

import numpy as np

from vision_gen.data import cameras, images, scene
from vision_gen.errors import InputError

FIELDS = scene.FIELDS_OF_FILES
shapes = scene.shapes
example = scene.example


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(read(settings.folder, split, settings.downscale), split, settings)


def read(folder, split, downscale=4):
    """The views of a split.

    Poses are recentred and scaled so that the nearest depth is 1 / 0.75; every eighth view is held
    out, for "val" and "test" alike.

    Args:
      downscale: reads `images_N` where there is one, and reduces `images` otherwise.

    Args, errors: otherwise as `nerf_synthetic.read`.
    """
    folder = pathlib.Path(folder)
    path = folder / "poses_bounds.npy"
    try:
        record = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if record.ndim != 2 or record.shape[1] != 17:
        raise InputError(f"{path}: shape is {record.shape}; it must be [views, 17]")
    ready = folder / f"images_{downscale}"
    source = ready if downscale > 1 and ready.is_dir() else folder / "images"
    files = images.find(source)
    if len(files) != len(record):
        raise InputError(f"{path}: {len(record)} poses for {len(files)} images in {source}")
    matrix = record[:, :15].reshape(-1, 3, 5)
    # Axes are down, right, back; ours right, up, back.
    poses = np.stack([matrix[:, :, 1], -matrix[:, :, 0], matrix[:, :, 2], matrix[:, :, 3]], -1)
    scale = 1 / (0.75 * record[:, 15:].min())
    poses[:, :, 3] *= scale
    mean = cameras.average_pose(poses)
    turn = mean[:, :3].T
    poses = np.concatenate([turn @ poses[:, :, :3], turn @ (poses[:, :, 3:] - mean[:, 3:])], -1)
    keep = scene.held_out(len(files), split)
    colour = scene.read_all([files[i] for i in keep], 1 if source == ready else downscale)
    height, width = colour.shape[1:3]
    focal = matrix[:, 2, 4] * width / matrix[:, 1, 4]
    middle = np.tile([width / 2, height / 2, 0, 0, 0, 0], (len(files), 1))
    intrinsics = np.concatenate([focal[:, None], focal[:, None], middle], 1)
    return scene.checked(
        colour, poses, intrinsics, [f.name for f in files], path, keep=keep, path="spiral"
    )
