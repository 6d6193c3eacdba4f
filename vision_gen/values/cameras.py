"""Cameras, one or along a path: where a scene is looked at from.

Cameras look along -z with y up; intrinsics are as in `ops.rays`.
"""

import dataclasses
import json
import pathlib

import numpy as np

from vision_gen.data import cameras
from vision_gen.errors import InputError
from vision_gen.values.kind import Kind, is_path, made


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A camera.

    Attributes:
      pose: [3, 4] float32, camera to world.
      intrinsics: [8] float32.
      size: (height, width) in pixels.
    """

    pose: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]

    def resized(self, width):
        """The same view, `width` pixels wide."""
        scale = width / self.size[1]
        intrinsics = self.intrinsics.copy()
        intrinsics[:4] *= scale
        return View(self.pose, intrinsics, (max(1, round(self.size[0] * scale)), width))


@dataclasses.dataclass(frozen=True, eq=False)
class Rig:
    """The cameras that a scene was learned from; new ones are placed around them.

    Attributes:
      pose: [views, 3, 4].
      intrinsics: [8], of the first.
      size: (height, width).
      path: "orbit" where they stand around the scene, "spiral" where they stand before it.
    """

    pose: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]
    path: str

    @classmethod
    def kept(cls, record):
        """Of `data.scene.Scene.cameras`, as it was kept with a run; None of None."""
        if record is None:
            return None
        pose, intrinsics = (np.asarray(record[name], np.float32) for name in ("pose", "intrinsics"))
        return cls(pose, intrinsics, tuple(record["size"]), record["path"])

    def view(self, pose):
        """A camera like these at a pose."""
        return View(np.asarray(pose, np.float32), self.intrinsics, self.size)

    def orbit(self, azimuth=0.0, elevation=None, distance=1.0):
        """A camera that looks at the middle of the scene.

        Args:
          azimuth, elevation: in degrees; elevation above the horizon, by default the cameras' mean.
          distance: times the cameras' mean.
        """
        centre, up, first, mean_distance, mean_elevation = self._around()
        turn = np.radians(azimuth)
        tilt = mean_elevation if elevation is None else np.radians(elevation)
        level = np.cos(turn) * first + np.sin(turn) * np.cross(up, first)
        away = np.cos(tilt) * level + np.sin(tilt) * up
        return self.view(cameras.look_at(centre + distance * mean_distance * away, centre, up))

    def circle(self, frames, **place):
        """Cameras all around, [frames]."""
        return [self.orbit(azimuth, **place) for azimuth in np.linspace(0, 360, frames, endpoint=False)]

    def spiral(self, frames):
        """Cameras on a spiral about the mean camera (Mildenhall et al. 2019), [frames]."""
        mean, spread, focus = self._before()
        turns = np.linspace(0, 2 * np.pi, frames, endpoint=False)
        offsets = np.stack([np.cos(turns), -np.sin(turns), -np.sin(turns / 2)], -1) * spread
        places = mean[:, 3] + offsets @ mean[:, :3].T
        return [self.view(cameras.look_at(place, focus, mean[:, 1])) for place in places]

    def _before(self):
        mean, places = cameras.average_pose(self.pose), self.pose[:, :, 3]
        spread = np.percentile(np.abs((places - mean[:, 3]) @ mean[:, :3]), 90, axis=0)
        return mean, spread, mean[:, 3] - mean[:, 2] * 10 * max(spread.max(), 1e-3)

    def _around(self):
        """(centre, up, direction of azimuth 0, mean distance, mean elevation in radians)."""
        places = self.pose[:, :, 3]
        if self.path == "spiral":
            mean, _, centre = self._before()
            up, away = mean[:, 1], mean[:, 3] - centre
            first = away - (away @ up) * up
            return centre, up, first / np.linalg.norm(first), np.linalg.norm(away), 0.0
        centre = cameras.scene_centre(self.pose)
        up = self.pose[:, :, 1].mean(0)
        up = np.eye(3)[np.abs(up).argmax()] * np.sign(up[np.abs(up).argmax()])
        away = places - centre
        distance, height = np.linalg.norm(away, axis=1).mean(), (away @ up).mean()
        return centre, up, np.roll(up, 1), distance, np.arcsin(np.clip(height / distance, -0.999, 0.999))


@dataclasses.dataclass(frozen=True)
class Camera(Kind):
    """One camera, a `View`.

    Read from "orbit:azimuth=30,elevation=20,distance=1,width=400" around the scene, a .json file or dict with
    `transform_matrix` and, unless it shall be the rig's, `fl_x` or `camera_angle_x`, `w` and `h`, or a pose [3, 4] or
    [4, 4]. The system is given a dict: `pixel` [1, height, width, 2], `pose` [1, 3, 4], `intrinsics` [1, 8].

    Attributes:
      rig: of the scene; without one, only cameras that say everything can be read.
    """

    rig: Rig | None = None

    def opens(self, value):
        return _opens(value, ("orbit",))

    def read(self, value, name):
        if isinstance(value, str) and value.partition(":")[0] == "orbit":
            fields = _fields(value, name, ("azimuth", "elevation", "distance", "width"))
            width = fields.pop("width", None)
            return _sized(_needed(self.rig, name).orbit(**fields), width, name)
        if is_path(value):
            record = _json(value, name, self.describe())
            frames = record.get("frames", [record])
            if not isinstance(frames, list) or len(frames) != 1:
                raise InputError(f"{name}: {value} must have one camera in `frames`")
            return _frame(frames[0], self.rig, name, record)
        if isinstance(value, View):
            return value
        return _frame(value if isinstance(value, dict) else {"transform_matrix": value}, self.rig, name)

    def array(self, value):
        return {"pixel": _pixels(value.size), "pose": value.pose[None], "intrinsics": value.intrinsics[None]}

    def describe(self):
        return '"orbit:azimuth=30,elevation=20,distance=1,width=400" or a .json with transform_matrix, fl_x, w, h'


@dataclasses.dataclass(frozen=True)
class Cameras(Kind):
    """Cameras along a path, a tuple of `View`s of one size.

    Read from "orbit:frames=60,elevation=20,distance=1,width=400", "spiral:frames=60,width=400", or a .json file with
    `frames` as nerf_synthetic, instant-ngp and nerfstudio have them. The system is given `pixel`
    [1, height, width, 2], `pose` [1, frames, 3, 4] and `intrinsics` [1, frames, 8].
    """

    rig: Rig | None = None

    def opens(self, value):
        several = value if isinstance(value, (list, tuple)) else [value]
        return any(_opens(one, ("orbit", "spiral") if one is value else ("orbit",)) for one in several)

    def read(self, value, name):
        if isinstance(value, str) and value.partition(":")[0] in ("orbit", "spiral"):
            path = value.partition(":")[0]
            known = ("frames", "width") + (("elevation", "distance") if path == "orbit" else ())
            fields = _fields(value, name, known)
            frames, width = int(fields.pop("frames", 60)), fields.pop("width", None)
            if not 1 <= frames <= 10_000:
                raise InputError(f"{name}: frames must be from 1 to 10000, got {frames}")
            rig = _needed(self.rig, name)
            if path == "spiral" and rig.path != "spiral":
                raise InputError(f"{name}: the run's cameras stand around the scene, and a spiral before it; take orbit")
            views = rig.circle(frames, **fields) if path == "orbit" else rig.spiral(frames)
            return tuple(_sized(view, width, name) for view in views)
        if is_path(value):
            record = _json(value, name, self.describe())
            if not record.get("frames") or not isinstance(record["frames"], list):
                raise InputError(f"{name}: {value} lists no `frames`")
            views = [_frame(frame, self.rig, name, record) for frame in record["frames"]]
        else:
            views = [Camera(self.rig).read(item, name) for item in value]
        if not views or any(view.size != views[0].size for view in views):
            raise InputError(f"{name}: cameras must be at least one, and all of one size")
        return tuple(views)

    def array(self, value):
        stack = lambda part: np.stack([getattr(view, part) for view in value])[None]
        return {"pixel": _pixels(value[0].size), "pose": stack("pose"), "intrinsics": stack("intrinsics")}

    def describe(self):
        return '"orbit:frames=60,elevation=20,width=400", "spiral:frames=60" or a .json with `frames`'


def write_cameras(views, path):
    """Writes cameras as a .json that `Cameras` reads."""
    frames = [
        {
            "transform_matrix": view.pose.tolist(),
            **dict(zip(("fl_x", "fl_y", "cx", "cy"), view.intrinsics[:4].tolist())),
            "h": view.size[0],
            "w": view.size[1],
        }
        for view in views
    ]
    made(path).write_text(json.dumps({"frames": frames}, indent=1) + "\n")


def _opens(value, words):
    return is_path(value) and not (isinstance(value, str) and value.partition(":")[0] in words)


def _pixels(size):
    """Middles of pixels (x, y): [1, height, width, 2]."""
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    return np.float32(np.stack([x, y], -1)[None]) + np.float32(0.5)


def _needed(rig, name):
    if rig is None:
        raise InputError(
            f"{name}: this run kept no cameras to go around; give a .json with transform_matrix, fl_x, w and h"
        )
    return rig


def _sized(view, width, name):
    if width is None:
        return view
    if not 1 <= width <= 16384 or width != int(width):
        raise InputError(f"{name}: width must be an integer from 1 to 16384, got {width:g}")
    return view.resized(int(width))


def _fields(text, name, known):
    """{field: number} of "orbit:azimuth=30,elevation=20"."""
    found = {}
    for part in filter(None, text.partition(":")[2].split(",")):
        field, _, number = part.partition("=")
        if field not in known:
            raise InputError(f"{name}: unknown {field!r} in {text!r}; there are {', '.join(known)}")
        try:
            found[field] = float(number)
            if not np.isfinite(found[field]) or field == "distance" and found[field] <= 0:
                raise ValueError
        except ValueError:
            right = "a number above 0" if field == "distance" else "a number"
            raise InputError(f"{name}: {field} must be {right}, got {number!r}") from None
    return found


def _json(path, name, right):
    try:
        record = json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))  # With a mark of byte order or without.
    except FileNotFoundError:
        raise InputError(f"{name}: {str(path)!r}: no such file; it must be {right}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: {path} is not readable as JSON ({error})") from error
    if not isinstance(record, dict):
        raise InputError(f"{name}: {path} holds no object with transform_matrix or frames")
    cameras.say_unread(record, f"{name}: {path}")
    return record


def _frame(frame, rig, name, shared=()):
    """A `View` of a frame as nerfstudio has it, and of what all share; the rig's intrinsics where neither has any."""
    try:
        record = cameras.of_frame(dict(shared), frame, name)
        pose = np.asarray(record["transform_matrix"], np.float32)
        if pose.shape not in ((3, 4), (4, 4)) or not np.isfinite(pose).all():
            raise ValueError(f"transform_matrix has shape {list(pose.shape)}")
        if not np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-2):
            raise ValueError("the axes of transform_matrix are not orthonormal")
        if not any(field in cameras.LENS or cameras.OTHER_LENS.fullmatch(field) for field in record):
            return _needed(rig, name).view(pose[:3])
        number = lambda k: int(cameras.number(record, k, name, low=0))
        height, width = (number(k) if k in record else _needed(rig, name).size[i] for i, k in enumerate("hw"))
        intrinsics = np.float32(cameras.lens(record, (height, width), name))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as a camera ({error!r})") from error
    return View(pose[:3], intrinsics, (height, width))
