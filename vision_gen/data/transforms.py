"""Scenes described by a `transforms.json` of instant-ngp or nerfstudio."""

import json
import pathlib

import numpy as np

from vision_gen.data import cameras, scene
from vision_gen.errors import InputError

FIELDS = scene.FIELDS_OF_FILES
shapes = scene.shapes
example = scene.example


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(read(settings.folder, split, settings.downscale), split, settings)


def read(folder, split, downscale=1):
    """The views of a split.

    Every eighth view is held out, for "val" and "test" alike. Cameras are moved and scaled so that
    they surround the origin and fit into the unit cube [-1, 1]^3.

    Args, errors: as `nerf_synthetic.read`.
    """
    path = pathlib.Path(folder) / "transforms.json"
    record = read_json(path)
    frames = frames_of(record, path)
    missing = [f["file_path"] for f in frames if not (path.parent / f["file_path"]).is_file()]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of {len(frames)} images are missing, the first: {missing[0]}"
        )
    files = [path.parent / frame["file_path"] for frame in frames]
    poses = poses_of(frames, path)
    keep = scene.held_out(len(files), split)
    colour = scene.read_all([files[i] for i in keep], downscale)
    intrinsics = intrinsics_of(record, frames, colour.shape[1:3], downscale, path)
    poses = cameras.to_unit_cube(poses)
    return scene.checked(colour, poses, intrinsics, [f.name for f in files], path, keep=keep)


def read_json(path):
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error


def frames_of(record, path):
    """The views that a record of the file `path` lists, each with `file_path` and `transform_matrix`."""
    frames = record.get("frames") if isinstance(record, dict) else None
    if not frames:
        raise InputError(f"{path}: lists no images (`frames`)")
    for index, frame in enumerate(frames):
        if not {"file_path", "transform_matrix"} <= set(frame):
            raise InputError(f"{path}: frame {index} needs `file_path` and `transform_matrix`")
    cameras.say_unread(record, path)
    return frames


def poses_of(frames, path):
    """Their `transform_matrix`: [views, 3, 4]."""
    poses = np.zeros((len(frames), 3, 4))
    for pose, frame in zip(poses, frames):
        matrix = np.asarray(frame["transform_matrix"], float)
        if matrix.shape not in ((4, 4), (3, 4)):
            raise InputError(
                f"{path}: transform_matrix of {frame['file_path']} has shape {matrix.shape}, not (4, 4)"
            )
        pose[:] = matrix[:3]
    return poses


def intrinsics_of(record, frames, size, downscale, path):
    """Intrinsics [views, 8] for the views as they were read.

    Args:
      record: of the file `path`: what its frames do not say themselves.
      frames: of `frames_of`.
      size: (height, width) of the views, which are reduced by `downscale`. A file that names a size, `h` and `w`, has
        its numbers for that.
    """
    found = np.zeros((len(frames), 8))
    for row, frame in zip(found, frames):
        given = {**record, **frame}
        named = [cameras.number(given, name, path, n * downscale) for name, n in zip("hw", size)]
        row[:] = cameras.lens(given, named, path)
        row[:4] *= np.tile([size[1] / named[1], size[0] / named[0]], 2)
    return found
