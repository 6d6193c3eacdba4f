"""Scenes described by a `transforms.json` of instant-ngp or nerfstudio."""

import json
import logging
import pathlib

import numpy as np

from vision_gen.data import cameras, images, scene, source
from vision_gen.errors import InputError

FIELDS = scene.FIELDS_OF_FILES
shapes = scene.shapes
example = scene.example


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(read(settings.folder, split, settings.downscale, settings.max_pixels), split, settings)


def read(folder, split, downscale=1, max_pixels=images.MAX_PIXELS):
    """The views of a split.

    Those that the file names in `train_filenames`, `val_filenames` and `test_filenames`; without such, every eighth
    view is held out, for "val" and "test" alike. Cameras are moved and scaled so that they surround the origin and fit
    into the unit cube [-1, 1]^3.

    Args, errors: as `nerf_synthetic.read`.
    """
    path = pathlib.Path(folder) / "transforms.json"
    record = read_json(path)
    frames = frames_of(record, path, [f"{name}_filenames" for name in source.SPLITS])
    files = files_of(frames, path)
    names = [file.name for file in files]
    poses = poses_of(frames, path)
    scene.check_poses(poses, names, path)
    keep = _declared(record, frames, split, path) or scene.held_out(len(files), split)
    views = scene.read_all([files[i] for i in keep], downscale, max_pixels, masks_of([frames[i] for i in keep], path))
    intrinsics = intrinsics_of(record, [frames[i] for i in keep], views.sizes, downscale, path)
    poses = cameras.to_unit_cube(poses)
    return scene.checked(views, poses, intrinsics, names, path, keep=keep)


def _declared(record, frames, split, path):
    """Numbers of the frames that the file declares to be of a split, or None where it declares no splits."""
    lists = {name: record[f"{name}_filenames"] for name in source.SPLITS if f"{name}_filenames" in record}
    if not lists:
        return None
    # Of captures the held-out views are both, unless they are declared apart.
    alike = ("train",) if split == "train" else (split, "val", "test")
    chosen = next((name for name in alike if name in lists), None)
    if chosen is None:
        raise InputError(f"{path}: has {', '.join(f'`{name}_filenames`' for name in lists)}, but none of {split!r}")
    places = {_slashes(frame["file_path"]): number for number, frame in enumerate(frames)}
    found = {}
    for name, listed in lists.items():
        if not isinstance(listed, list) or not all(isinstance(file, str) for file in listed):
            raise InputError(f"{path}: `{name}_filenames` must be a list of names of files, got {str(listed)[:60]}")
        unknown = [file for file in listed if _slashes(file) not in places]
        if unknown:
            raise InputError(f"{path}: `{name}_filenames` has {unknown[0]!r}, which is the `file_path` of no frame")
        found[name] = sorted({places[_slashes(file)] for file in listed})
    if not found[chosen]:
        raise InputError(f"{path}: `{chosen}_filenames` is empty")
    both = set(found.get("train", ())) & set(found[chosen])
    if both and chosen != "train":
        of = f"of {len(found[chosen])} views of {split!r} it has {len(both)} trained on"
        images.say_once(f"{path}: {of}", logging.WARNING)
    return found[chosen]


def _slashes(name):
    """A name of a file as others may have written it: Windows, or from the current folder on."""
    return pathlib.PurePosixPath(name.replace("\\", "/")).as_posix()


def read_json(path):
    """What a JSON file holds."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # With or without a mark of byte order.
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error


def frames_of(record, path, also=()):
    """The views that a record of the file `path` lists, each with `file_path` and `transform_matrix`.

    `also`: further fields that are read, besides those of cameras.
    """
    frames = record.get("frames") if isinstance(record, dict) else None
    if not frames or not isinstance(frames, list):
        raise InputError(f"{path}: lists no images (`frames`)")
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict) or not {"file_path", "transform_matrix"} <= set(frame):
            raise InputError(f"{path}: frame {index} needs `file_path` and `transform_matrix`")
        for name in ("file_path", "mask_path"):
            if not isinstance(frame.get(name, ""), str):
                raise InputError(f"{path}: `{name}` of frame {index} must be the name of a file, got {frame[name]!r}")
    cameras.say_unread(record, path, also)
    return frames


def files_of(frames, path):
    """The images of frames of the file `path`; one named without suffix may have any.

    Raises:
      InputError: some are missing; counts them and names the first.
    """
    found = [_existing(path.parent, frame["file_path"]) for frame in frames]
    missing = [frame["file_path"] for frame, file in zip(frames, found) if file is None]
    if missing:
        raise InputError(f"{path}: {len(missing)} of {len(frames)} images are missing, the first: {missing[0]}")
    return found


def masks_of(frames, path):
    """The files of `mask_path`, None for frames without."""
    found = [_existing(path.parent, frame["mask_path"]) if "mask_path" in frame else None for frame in frames]
    for frame, file in zip(frames, found):
        if file is None and "mask_path" in frame:
            raise InputError(f"{path}: the mask {frame['mask_path']} of {frame['file_path']} is missing")
    return found


def _existing(folder, name):
    for given in (name, _slashes(name)):
        for suffix in ("", *images.SUFFIXES, *map(str.upper, images.SUFFIXES)):
            if (folder / (given + suffix)).is_file():
                return folder / (given + suffix)
    return None


def poses_of(frames, path):
    """Their `transform_matrix`: [views, 3, 4]."""
    poses = np.zeros((len(frames), 3, 4))
    for pose, frame in zip(poses, frames):
        where = f"{path}: transform_matrix of {frame['file_path']}"
        try:
            matrix = np.asarray(frame["transform_matrix"], float)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{where} is no matrix of numbers (4, 4)") from None
        if matrix.shape not in ((4, 4), (3, 4)):
            raise InputError(f"{where} has shape {matrix.shape}, not (4, 4)")
        if not np.allclose(matrix[3:], [0, 0, 0, 1], atol=1e-3):
            raise InputError(f"{where} has the last row {matrix[3].tolist()}; it must be 0, 0, 0, 1")
        pose[:] = matrix[:3]
    return poses


def intrinsics_of(record, frames, sizes, downscale, path):
    """Intrinsics [views, 8] for the views as they were read.

    Args:
      record: of the file `path`: what its frames do not say themselves.
      frames: of `frames_of`.
      sizes: (height, width) of each view, which are reduced by `downscale`. A file that names a size, `h` and `w`, has
        its numbers for that.
    """
    found = np.zeros((len(frames), 8))
    for row, frame, size in zip(found, frames, sizes):
        given = cameras.of_frame(record, frame, path)
        named = [cameras.number(given, name, path, n * downscale, low=0) for name, n in zip("hw", size)]
        scene.check_shape(named, size, f"{path}: `w` and `h`", frame["file_path"])
        row[:] = cameras.lens(given, named, path)
        row[:4] *= np.tile([size[1] / named[1], size[0] / named[0]], 2)
    return found
