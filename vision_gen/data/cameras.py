"""Cameras around a scene: their lenses, where they are, the middle of what they see, and paths between them.

A pose [3, 4] is camera to world, as in `ops.rays`: columns right, up, back and place.
"""

import re

import numpy as np

from vision_gen.data import images
from vision_gen.errors import InputError

# Of `camera_model`, those that have no other distortion than k1, k2, p1 and p2.
MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
FOCAL = {"fl_x": "x", "camera_angle_x": "x", "fl_y": "y", "camera_angle_y": "y"}  # And the axis that they are of.
LENS = ("camera_model", "w", "h", *FOCAL, "cx", "cy", "k1", "k2", "p1", "p2")
# Of lenses that are not modelled here: further distortion, fish eyes, panoramas, lines that are read one after another.
OTHER_LENS = re.compile(
    r"k[3-9]|p[3-9]|s[1-9]|distortion.*|.*fisheye.*|ftheta.*|latlong|equirectangular|rolling_shutter"
)
# What instant-ngp, nerfstudio and nerf_synthetic write that changes no camera: their poses have `applied_transform` and
# `applied_scale` already, and `scale`, `offset` and `aabb_scale` say where instant-ngp puts its own box.
HARMLESS = (
    "frames", "file_path", "mask_path", "transform_matrix", "rotation", "sharpness", "aabb_scale", "scale", "offset",
    "applied_transform", "applied_scale", "orientation_override", "colmap_im_id", "ply_file_path",
)  # fmt: skip


def lens(record, size, where):
    """A camera's intrinsics as instant-ngp and nerfstudio write them.

    Args:
      record: `fl_x` in pixels or `camera_angle_x` in radians, `fl_y` or `camera_angle_y`, of one axis at least, by
        default alike in both; `cx`, `cy`, by default the middle; distortion `k1`, `k2`, `p1`, `p2`, by default none.
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

    def focal(axis, side):
        if f"fl_{axis}" not in record and f"camera_angle_{axis}" in record:
            return 0.5 * side / np.tan(0.5 * number(record, f"camera_angle_{axis}", where, low=0, high=np.pi))
        return number(record, f"fl_{axis}", where, low=0)

    axes = {FOCAL[name] for name in record if name in FOCAL}
    if not axes:
        raise InputError(f"{where}: there is neither `fl_x` nor `camera_angle_x`, nor one of them for y")
    found = {axis: focal(axis, {"x": width, "y": height}[axis]) for axis in axes}
    focal_x, focal_y = (found.get(axis, found[min(axes)]) for axis in "xy")
    middle = number(record, "cx", where, width / 2), number(record, "cy", where, height / 2)
    distortion = (number(record, name, where, 0.0) for name in ("k1", "k2", "p1", "p2"))
    return np.array([focal_x, focal_y, *middle, *distortion])


def of_frame(record, frame, where):
    """A camera's fields, those of its own frame before those of the file.

    Raises:
      InputError: frame and file speak of other axes of the focal length, so that half of it would be the file's.
    """
    own, shared = ({FOCAL[name] for name in fields if name in FOCAL} for fields in (frame, record))
    if own and shared - own:
        name, (axis,), (other,) = frame.get("file_path", "a frame"), own, shared - own
        wrong = f"{name} has a focal length or angle of {axis}, the file one of {other}"
        raise InputError(f"{where}: {wrong}; give both in the frame")
    return {name: value for name, value in record.items() if not (own and name in FOCAL)} | frame


def number(record, name, where, default=None, *, low=-np.inf, high=np.inf):
    """A number of a record, below 1e12, above `low` and below `high`.

    Raises:
      InputError: it is none, or it is not there and there is no default.
    """
    value = record.get(name, default)
    between = "" if low == -np.inf else f" above {low:g}" + (f" and below {high:g}" if high < np.inf else "")
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
    if not right or not low < value < high:
        raise InputError(f"{where}: `{name}` must be a number{between}, got {value!r}")
    return value


def say_unread(record, where, also=()):
    """Logs, once, which fields of a file of cameras, and of its first frame, are read neither here nor `also`."""
    frames = record.get("frames")
    first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], dict) else {}
    known = lambda name: name in (*LENS, *HARMLESS, *also) or OTHER_LENS.fullmatch(name)
    unread = sorted(name for name in {*record, *first} if not known(name))
    if unread:
        images.say_once(f"{where}: not read: {', '.join(unread)}")


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
