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
    return scene.of_split(read(settings.folder, split, settings.downscale, settings.max_pixels), split, settings)


def read(folder, split, downscale=4, max_pixels=images.MAX_PIXELS):
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
    except Exception as error:  # NumPy raises many kinds.
        raise InputError(f"{path}: cannot be read ({error})") from error
    if record.ndim != 2 or record.shape[1] != 17 or record.dtype.kind not in "fiu":
        raise InputError(f"{path}: {record.dtype} {list(record.shape)}; it must be numbers [views, 17]")
    ready = folder / f"images_{downscale}"
    source = ready if downscale > 1 and ready.is_dir() else folder / "images"
    files = images.find(source)
    if len(files) != len(record):
        raise InputError(f"{path}: {len(record)} poses for {len(files)} images in {source}")
    usual = np.median(record[:, 15])
    for file, row in zip(files, record):
        height, width, focal, near, far = (*row[4:15:5], *row[15:])
        if not ((np.abs(row) < 1e12).all() and min(height, width, focal) > 0):
            found = f"height {height:g}, width {width:g}, focal length {focal:g}, bounds {near:g} and {far:g}"
            raise InputError(f"{path}: the row of {file.name} must be finite, and of a camera; it has {found}")
        # Below a millionth of the far bound it is a point in the lens, and the scene would be scaled by that.
        if near <= 0 or not 1e-6 * far < near <= far or near < 1e-3 * usual:
            raise InputError(
                f"{path}: {file.name} sees from {near:g} to {far:g}, the median view from {usual:g}; bounds must be "
                "above 0, near before far: points at the camera are errors of the reconstruction"
            )
    matrix = record[:, :15].reshape(-1, 3, 5)
    # Axes are down, right, back; ours right, up, back.
    poses = np.stack([matrix[:, :, 1], -matrix[:, :, 0], matrix[:, :, 2], matrix[:, :, 3]], -1)
    names = [file.name for file in files]
    scene.check_poses(poses, names, path)
    scale = 1 / (0.75 * record[:, 15].min())
    poses[:, :, 3] *= scale
    mean = cameras.average_pose(poses)
    turn = mean[:, :3].T
    poses = np.concatenate([turn @ poses[:, :, :3], turn @ (poses[:, :, 3:] - mean[:, 3:])], -1)
    keep = scene.held_out(len(files), split)
    views = scene.read_all([files[i] for i in keep], 1 if source == ready else downscale, max_pixels)
    intrinsics = np.zeros((len(keep), 8))
    for row, i, size in zip(intrinsics, keep, views.sizes):
        scene.check_shape(matrix[i, :2, 4], size, f"{path}: width and height", files[i].name)
        row[:4] = *[matrix[i, 2, 4] * size[1] / matrix[i, 1, 4]] * 2, size[1] / 2, size[0] / 2
    return scene.checked(views, poses, intrinsics, names, path, keep=keep, path="spiral")
