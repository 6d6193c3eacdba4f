"""Posed views of a scene: what a radiance field is trained on.

Readers for nerf_synthetic, LLFF and `transforms.json`, and a scene that the package renders itself.
All give a `Scene`; cameras as in `ops.rays`.
"""

import dataclasses
import json
import pathlib

import numpy as np
from PIL import Image

from vision_gen.data import images
from vision_gen.errors import InputError

# What `config.data.name` may be.
NAMES = ("nerf_synthetic", "llff", "transforms", "analytic_scene")
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
        """The cameras as they are kept with a run, to place others around them; see `values.cameras.Rig`."""
        return {
            "pose": self.pose.tolist(),
            "intrinsics": self.intrinsics[0].tolist(),
            "size": self.colour.shape[1:3],
            "path": self.path,
        }

    def part(self, index):
        """The views numbered `index`."""
        names = tuple(self.names[i] for i in index)
        return dataclasses.replace(
            self,
            colour=self.colour[index],
            pose=self.pose[index],
            intrinsics=self.intrinsics[index],
            names=names,
        )


class Rays:
    """A scene's rays in a random order, in bundles: examples to train on.

    An example has `pixel` [rays, 2], `pose` [rays, 3, 4], `intrinsics` [rays, 8] and `colour`
    [rays, 4] uint8. Every ray of the scene is in one bundle, but for a remainder smaller than one.
    """

    def __init__(self, scene, rays, seed=0):
        views, self._height, self._width = scene.colour.shape[:3]
        count = views * self._height * self._width
        if not 1 <= rays <= count:
            raise InputError(f"config.data.rays must be from 1 to the scene's {count}, got {rays}")
        self._scene, self._rays = scene, rays
        self._colour = scene.colour.reshape(-1, 4)
        dtype = np.uint32 if count < 2**32 else np.uint64
        self._order = np.random.default_rng(seed).permutation(count).astype(dtype)

    @property
    def cameras(self):
        """See `Scene.cameras`."""
        return self._scene.cameras

    def __len__(self):
        return len(self._order) // self._rays

    def __getitem__(self, index):
        chosen = self._order[index * self._rays : (index + 1) * self._rays].astype(np.int64)
        view, place = np.divmod(chosen, self._height * self._width)
        y, x = np.divmod(place, self._width)
        return {
            "pixel": np.stack([x, y], -1).astype(np.float32) + 0.5,
            "pose": self._scene.pose[view],
            "intrinsics": self._scene.intrinsics[view],
            "colour": self._colour[chosen],
        }


def example(rays, rng=None):
    """A bundle of `rays` rays as `Rays` gives them; from noise if `rng` is given, else zeros."""
    shapes = {"pixel": (2,), "pose": (3, 4), "intrinsics": (8,)}
    found = {name: np.zeros((rays, *shape), np.float32) for name, shape in shapes.items()}
    found["colour"] = np.zeros((rays, 4), np.uint8)
    if rng is not None:
        place = rng.normal(size=3)
        pose = look_at(4 * place / np.linalg.norm(place), np.zeros(3), np.array([0.0, 0.0, 1.0]))
        found["pose"][:] = pose[:3]
        found["intrinsics"][:, :4] = 100.0, 100.0, 50.0, 50.0
        found["pixel"][:] = rng.uniform(0, 100, (rays, 2))
        found["colour"][:] = rng.integers(0, 256, (rays, 4))
    return found


class Views:
    """A scene's views: `pose` [3, 4], `intrinsics` [8] and `colour` [height, width, 4] uint8."""

    def __init__(self, scene):
        self.scene = scene

    @property
    def cameras(self):
        """See `Scene.cameras`."""
        return self.scene.cameras

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


def open_scene(config, split):
    """The source that `config.data` describes: `Rays` to train on, `Views` otherwise.

    Args:
      config: reads `data.name` (one of `NAMES`), `data.dir`, `data.downscale`, `data.rays`, for "analytic_scene" `data.size`, and `seed`.
      split: "train", "val" or "test".
    """
    data = config.data
    if data.name == "analytic_scene":
        scene = analytic_scene(split, data.size)
    else:
        folder = pathlib.Path(data.dir)
        if not data.dir or not folder.is_dir():
            raise InputError(f"config.data.dir: {data.dir!r} is not a folder; {data.name} needs one")
        if data.downscale < 1:
            raise InputError(f"config.data.downscale must be at least 1, got {data.downscale}")
        reader = {"nerf_synthetic": nerf_synthetic, "llff": llff, "transforms": transforms}
        scene = reader[data.name](folder, split, data.downscale)
    return Rays(scene, data.rays, config.seed) if split == "train" else Views(scene)


def nerf_synthetic(folder, split, downscale=1):
    """A scene in the layout of the nerf_synthetic data set.

    Args:
      folder: has `transforms_train.json`, `transforms_val.json` and `transforms_test.json`.
      split: "train", "val" or "test".
      downscale: views are reduced by this factor, by area.
    """
    path = pathlib.Path(folder) / f"transforms_{split}.json"
    record = _json(path)
    frames = _frames(record, path)
    files = [_existing(path.parent / f"{frame['file_path']}", path) for frame in frames]
    colour = _read_all(files, downscale)
    poses = _poses(frames, path)
    height, width = colour.shape[1:3]
    focal = 0.5 * width / np.tan(0.5 * _number(record, "camera_angle_x", path))
    intrinsics = np.tile([focal, focal, width / 2, height / 2, 0, 0, 0, 0], (len(files), 1))
    return checked(colour, poses, intrinsics, [f.name for f in files], path)


def transforms(folder, split, downscale=1):
    """A scene described by a `transforms.json` of instant-ngp or nerfstudio.

    Every eighth view is held out, for "val" and "test" alike. Cameras are moved and scaled so that
    they surround the origin and fit into the unit cube [-1, 1]^3.

    Args, errors: as `nerf_synthetic`.
    """
    path = pathlib.Path(folder) / "transforms.json"
    record = _json(path)
    frames = _frames(record, path)
    missing = [f["file_path"] for f in frames if not (path.parent / f["file_path"]).is_file()]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of {len(frames)} images are missing, the first: {missing[0]}"
        )
    files = [path.parent / frame["file_path"] for frame in frames]
    poses = _poses(frames, path)
    sizes = [(_number(f, "w", path, record), _number(f, "h", path, record)) for f in frames]
    names = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")
    intrinsics = np.zeros((len(frames), 8))
    for row, frame, (width, height) in zip(intrinsics, frames, sizes):
        angle = frame.get("camera_angle_x", record.get("camera_angle_x"))
        defaults = {"cx": width / 2, "cy": height / 2, **dict.fromkeys(names[4:], 0.0)}
        if angle is not None:
            defaults["fl_x"] = 0.5 * width / np.tan(0.5 * angle)
        defaults |= record
        defaults.setdefault("fl_y", _number(frame, "fl_x", path, defaults))
        row[:] = [_number(frame, name, path, defaults) for name in names]
    keep = _held_out(len(files), split)
    colour = _read_all([files[i] for i in keep], downscale)
    # The file's intrinsics are for the size that it names.
    height, width = colour.shape[1:3]
    scale = np.array([[width / w, height / h] * 2 + [1] * 4 for w, h in sizes])
    poses = _to_unit_cube(poses)
    return checked(
        colour, poses, intrinsics * scale, [f.name for f in files], path, keep=keep
    )


def llff(folder, split, downscale=4):
    """A forward-facing capture with `poses_bounds.npy` (Mildenhall et al. 2019).

    Poses are recentred and scaled so that the nearest depth is 1 / 0.75; every eighth view is held
    out, for "val" and "test" alike.

    Args:
      downscale: reads `images_N` where there is one, and reduces `images` otherwise.

    Args, errors: otherwise as `nerf_synthetic`.
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
    mean = average_pose(poses)
    turn = mean[:, :3].T
    poses = np.concatenate([turn @ poses[:, :, :3], turn @ (poses[:, :, 3:] - mean[:, 3:])], -1)
    keep = _held_out(len(files), split)
    colour = _read_all([files[i] for i in keep], 1 if source == ready else downscale)
    height, width = colour.shape[1:3]
    focal = matrix[:, 2, 4] * width / matrix[:, 1, 4]
    middle = np.tile([width / 2, height / 2, 0, 0, 0, 0], (len(files), 1))
    intrinsics = np.concatenate([focal[:, None], focal[:, None], middle], 1)
    return checked(
        colour, poses, intrinsics, [f.name for f in files], path, keep=keep, path="spiral"
    )


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
    centre = scene_centre(poses)
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


def _json(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from error


def _frames(record, path):
    frames = record.get("frames") if isinstance(record, dict) else None
    if not frames:
        raise InputError(f"{path}: lists no images (`frames`)")
    for index, frame in enumerate(frames):
        if not {"file_path", "transform_matrix"} <= set(frame):
            raise InputError(f"{path}: frame {index} needs `file_path` and `transform_matrix`")
    return frames


def _poses(frames, path):
    poses = np.zeros((len(frames), 3, 4))
    for pose, frame in zip(poses, frames):
        matrix = np.asarray(frame["transform_matrix"], float)
        if matrix.shape not in ((4, 4), (3, 4)):
            raise InputError(
                f"{path}: transform_matrix of {frame['file_path']} has shape {matrix.shape}, not (4, 4)"
            )
        pose[:] = matrix[:3]
    return poses


def _number(record, name, path, fallback=None):
    value = record.get(name, (fallback or {}).get(name))
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        raise InputError(f"{path}: `{name}` must be a number, got {value!r}")
    return value


def _existing(path, source):
    """nerf_synthetic leaves the suffix out."""
    for candidate in (path, path.with_name(path.name + ".png")):
        if candidate.is_file():
            return candidate
    raise InputError(f"{source}: image {path}.png is missing")


def _read_all(files, downscale):
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


def _held_out(count, split):
    held = range(0, count, HOLD_EVERY)
    keep = [i for i in range(count) if (i in held) != (split == "train")]
    if not keep:
        raise InputError(f"{count} views leave none for {split!r}; every {HOLD_EVERY}th is held out")
    return keep


def _to_unit_cube(poses):
    """Moves the middle of the scene to the origin and scales the cameras into [-1, 1]^3."""
    poses = poses.copy()
    centre = scene_centre(poses)
    poses[:, :, 3] -= poses[:, :, 3].mean(0) if centre is None else centre
    poses[:, :, 3] /= max(np.abs(poses[:, :, 3]).max(), 1e-9)
    return poses


# The scene that needs no file: (centre, radius, colour, shininess) of spheres above a checked slab.
_SPHERES = (
    ((0.0, 0.0, 0.25), 0.55, (0.85, 0.25, 0.2), 40.0),
    ((0.7, 0.35, -0.1), 0.3, (0.2, 0.45, 0.85), 12.0),
    ((-0.55, 0.6, -0.15), 0.25, (0.95, 0.8, 0.2), 80.0),
    ((-0.4, -0.75, -0.2), 0.2, (0.3, 0.75, 0.35), 20.0),
)
_SLAB = (-1.0, -1.0, -0.55), (1.0, 1.0, -0.4)
_LIGHT = np.array([0.4, -0.5, 0.77])
_SPLIT_SIZES = {"train": 60, "val": 8, "test": 16}


def analytic_scene(split, size, *, oversample=2):
    """Spheres on a chequered slab, with Lambert and Blinn-Phong light: traced exactly, no file.

    Args:
      split: "train" (60 views), "val" (8) or "test" (16), from places of their own.
      size: pixels along a side.
      oversample: rays a pixel along each side.

    Returns:
      A `Scene` within [-1.2, 1.2]^3, cameras at distance 4, transparent around it.
    """
    rng = np.random.default_rng(list(_SPLIT_SIZES).index(split))
    count = _SPLIT_SIZES[split]
    # A golden spiral over the upper half of a sphere, jittered.
    turn = np.arange(count) * 2.39996 + rng.uniform(0, 6.28)
    height = np.clip((np.arange(count) + rng.uniform(0, 1, count)) / count, 0.08, 0.92)
    ring = np.sqrt(1 - height**2)
    places = 4 * np.stack([ring * np.cos(turn), ring * np.sin(turn), height], -1)
    poses = np.stack([look_at(p, np.zeros(3), np.array([0.0, 0.0, 1.0])) for p in places])
    fine = size * oversample
    focal = 0.5 * fine / np.tan(0.35)
    axis = (np.arange(fine) + 0.5 - fine / 2) / focal
    x, y = np.meshgrid(axis, -axis)
    local = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3)
    views = []
    for pose in poses:
        colour = _trace(pose[:, 3].astype(float), local @ pose[:, :3].T.astype(float))
        colour = colour.reshape(size, oversample, size, oversample, 4)
        alpha = colour[..., 3:].mean((1, 3))
        rgb = (colour[..., :3] * colour[..., 3:]).mean((1, 3)) / np.maximum(alpha, 1e-9)
        views.append(np.concatenate([rgb, alpha], -1))
    intrinsics = np.tile([focal / oversample] * 2 + [size / 2] * 2 + [0] * 4, (count, 1))
    colour = np.uint8(np.clip(np.stack(views) * 255 + 0.5, 0, 255))
    names = [f"{split}_{i}" for i in range(count)]
    return checked(colour, poses, intrinsics, names, "analytic_scene")


def _trace(origin, direction):
    """Colours [rays, 4] in [0, 1] along rays from one place."""
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    best = np.full(len(direction), np.inf)
    normal = np.zeros_like(direction)
    albedo = np.zeros_like(direction)
    shine = np.ones(len(direction))
    for centre, radius, colour, shininess in _SPHERES:
        offset = origin - np.asarray(centre)
        half = direction @ offset
        inside = half**2 - (offset @ offset - radius**2)
        t = np.where(inside > 0, -half - np.sqrt(np.maximum(inside, 0)), np.inf)
        hit = (t > 0) & (t < best)
        point = offset + np.where(hit, t, 0)[:, None] * direction
        best = np.where(hit, t, best)
        normal[hit], albedo[hit], shine[hit] = point[hit] / radius, colour, shininess
    low, high = map(np.asarray, _SLAB)
    safe = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    a, b = (low - origin) / safe, (high - origin) / safe
    enter, leave = np.minimum(a, b), np.maximum(a, b)
    t = enter.max(-1)
    hit = (t > 0) & (t < leave.min(-1)) & (t < best)
    point = origin + np.where(hit, t, 0)[:, None] * direction
    axis = enter.argmax(-1)
    face = -np.sign(direction)[np.arange(len(axis)), axis]
    normal[hit] = (np.eye(3)[axis] * face[:, None])[hit]
    check = np.floor((point + 1e-3) * 2.5).sum(-1).astype(int) % 2
    albedo[hit] = np.where(check[:, None] == 0, (0.9, 0.9, 0.88), (0.25, 0.3, 0.35))[hit]
    shine[hit] = 10.0
    best = np.where(hit, t, best)
    half = _LIGHT - direction
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    lit = np.clip(normal @ _LIGHT, 0, 1)
    gloss = np.clip((normal * half).sum(-1), 0, 1) ** shine * (lit > 0)
    colour = np.clip(albedo * (0.25 + 0.7 * lit)[:, None] + 0.35 * gloss[:, None], 0, 1)
    return np.concatenate([colour, np.isfinite(best)[:, None]], -1)
