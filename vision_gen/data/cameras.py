"""Cameras around a scene: their lenses, where they are, the middle of what they see, and paths between them.

A pose [3, 4] is camera to world, as in `ops.rays`: columns right, up, back and place.
"""

import logging
import re

import numpy as np

from vision_gen.errors import InputError

log = logging.getLogger("vision_gen")
# Of `camera_model`, those that have no other distortion than k1, k2, p1 and p2.
MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
LENS = (
    "camera_model", "w", "h", "fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "cx", "cy", "k1", "k2", "p1", "p2",
)  # fmt: skip
# Of lenses that are not modelled here: further distortion, fish eyes, panoramas, lines that are read one after another.
OTHER_LENS = re.compile(r"k[3-9]|p[3-9]|s[1-9]|.*fisheye.*|ftheta.*|latlong|equirectangular|rolling_shutter")
# What instant-ngp, nerfstudio and nerf_synthetic write that changes no camera: their poses have `applied_transform` and
# `applied_scale` already, and `scale`, `offset` and `aabb_scale` say where instant-ngp puts its own box.
HARMLESS = (
    "frames", "file_path", "transform_matrix", "rotation", "sharpness", "aabb_scale", "scale", "offset",
    "applied_transform", "applied_scale", "orientation_override", "colmap_im_id", "ply_file_path",
)  # fmt: skip


def lens(record, size, where):
    """A camera's intrinsics as instant-ngp and nerfstudio write them.

    Args:
      record: `fl_x` in pixels or `camera_angle_x` in radians; `fl_y` or `camera_angle_y`, by default as wide as high;
        `cx`, `cy`, by default the middle; distortion `k1`, `k2`, `p1`, `p2`, by default none.
      size: (height, width) in pixels, to which the numbers belong.
      where: the record stands, for messages.

    Returns:
      [8] float: focal lengths, middle, distortion, as in `ops.rays`.

    Raises:
      InputError: a field is no number or of a lens that is not modelled; names it.
    """
    model = record.get("camera_model", MODELS[0])
    if model not in MODELS:
        right = f"it must be one of {', '.join(MODELS)}: undistort the images first"
        raise InputError(f"{where}: `camera_model` is {model!r}; {right}")
    for name, value in record.items():
        if OTHER_LENS.fullmatch(name) and np.any(value):
            wrong = "of a lens that is not modelled; undistort the images first"
            raise InputError(f"{where}: `{name}` is {value!r}, {wrong}")
    height, width = size

    def focal(length, angle, side, default=None):
        if length not in record and angle in record:
            return 0.5 * side / np.tan(0.5 * number(record, angle, where))
        return number(record, length, where, default)

    if not {"fl_x", "camera_angle_x"} & set(record):
        raise InputError(f"{where}: there is neither `fl_x` nor `camera_angle_x`")
    focal_x = focal("fl_x", "camera_angle_x", width)
    focal_y = focal("fl_y", "camera_angle_y", height, focal_x)
    middle = number(record, "cx", where, width / 2), number(record, "cy", where, height / 2)
    distortion = (number(record, name, where, 0.0) for name in ("k1", "k2", "p1", "p2"))
    return np.array([focal_x, focal_y, *middle, *distortion])


def number(record, name, where, default=None):
    """A finite number of a record.

    Raises:
      InputError: it is none, or it is not there and there is no default.
    """
    value = record.get(name, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not np.isfinite(value):
        raise InputError(f"{where}: `{name}` must be a number, got {value!r}")
    return value


def say_unread(record, where):
    """Logs which fields of a file of cameras, and of its first frame, nothing here reads."""
    frames = record.get("frames")
    first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], dict) else {}
    known = lambda name: name in (*LENS, *HARMLESS) or OTHER_LENS.fullmatch(name)
    unread = sorted(name for name in {*record, *first} if not known(name))
    if unread:
        log.info("%s: not read: %s", where, ", ".join(unread))


def look_at(place, target, up):
    """Camera-to-world [3, 4] float32 of a camera at `place` that looks at `target`."""
    unit = lambda v: v / np.linalg.norm(v)
    back = unit(np.asarray(place, float) - target)
    right = unit(np.cross(up, back))
    return np.stack([right, np.cross(back, right), back, place], -1).astype(np.float32)


def average_pose(poses):
    """Mean place and mean axes of cameras [views, 3, 4]: [3, 4]."""
    place = poses[:, :, 3].mean(0)
    return look_at(place, place - poses[:, :, 2].mean(0), poses[:, :, 1].mean(0))


def scene_centre(poses):
    """The point nearest to all optical axes [3], or None where they are almost parallel."""
    forward, place = -poses[:, :, 2].astype(float), poses[:, :, 3].astype(float)
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    total = across.mean(0)
    if np.linalg.eigvalsh(total)[0] < 0.02:
        return None
    return np.linalg.solve(total, (across @ place[:, :, None]).mean(0)[:, 0])


def to_unit_cube(poses):
    """Moves the middle of the scene to the origin and scales the cameras into [-1, 1]^3."""
    poses = poses.copy()
    centre = scene_centre(poses)
    poses[:, :, 3] -= poses[:, :, 3].mean(0) if centre is None else centre
    poses[:, :, 3] /= max(np.abs(poses[:, :, 3]).max(), 1e-9)
    return poses
