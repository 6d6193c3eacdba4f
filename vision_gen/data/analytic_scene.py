"""A scene that needs no file: spheres on a chequered slab, traced exactly."""

import numpy as np

from vision_gen.data import cameras, scene

FIELDS = ("size", "rays", "views", "film_frames")
LICENCE = "Views: rendered by vision_gen, Apache-2.0"
shapes = scene.shapes
example = scene.example

# (Centre, radius, colour, shininess) of spheres above a checked slab.
_SPHERES = (
    ((0.0, 0.0, 0.25), 0.55, (0.85, 0.25, 0.2), 40.0),
    ((0.7, 0.35, -0.1), 0.3, (0.2, 0.45, 0.85), 12.0),
    ((-0.55, 0.6, -0.15), 0.25, (0.95, 0.8, 0.2), 80.0),
    ((-0.4, -0.75, -0.2), 0.2, (0.3, 0.75, 0.35), 20.0),
)
_SLAB = (-1.0, -1.0, -0.55), (1.0, 1.0, -0.4)
_LIGHT = np.array([0.4, -0.5, 0.77])
_SPLIT_SIZES = {"train": 60, "val": 8, "test": 16}


def open(settings, split):
    """See `scene.Rays` and `scene.Views`."""
    return scene.of_split(render(split, settings.resolution), split, settings)


def render(split, size, *, oversample=2):
    """The views of a split, lit by Lambert and Blinn and Phong.

    Args:
      split: "train" (60 views), "val" (8) or "test" (16), from places of their own.
      size: pixels of a square, or (height, width).
      oversample: rays a pixel along each side.

    Returns:
      A `Scene` within [-1.2, 1.2]^3, cameras at distance 4, transparent around it.
    """
    rng = np.random.default_rng(list(_SPLIT_SIZES).index(split))
    height, width = np.broadcast_to(size, 2).tolist()
    count = _SPLIT_SIZES[split]
    # A golden spiral over the upper half of a sphere, jittered.
    turn = np.arange(count) * 2.39996 + rng.uniform(0, 6.28)
    above = np.clip((np.arange(count) + rng.uniform(0, 1, count)) / count, 0.08, 0.92)
    ring = np.sqrt(1 - above**2)
    places = 4 * np.stack([ring * np.cos(turn), ring * np.sin(turn), above], -1)
    poses = np.stack([cameras.look_at(p, np.zeros(3), np.array([0.0, 0.0, 1.0])) for p in places])
    focal = 0.5 * width * oversample / np.tan(0.35)
    axis = lambda pixels: (np.arange(pixels * oversample) + 0.5 - pixels * oversample / 2) / focal
    x, y = np.meshgrid(axis(width), -axis(height))
    local = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3)
    views = []
    for pose in poses:
        colour = _trace(pose[:, 3].astype(float), local @ pose[:, :3].T.astype(float))
        colour = colour.reshape(height, oversample, width, oversample, 4)
        alpha = colour[..., 3:].mean((1, 3))
        rgb = (colour[..., :3] * colour[..., 3:]).mean((1, 3)) / np.maximum(alpha, 1e-9)
        views.append(np.concatenate([rgb, alpha], -1))
    intrinsics = np.tile([focal / oversample] * 2 + [width / 2, height / 2] + [0] * 4, (count, 1))
    colour = np.uint8(np.clip(np.stack(views) * 255 + 0.5, 0, 255))
    names = [f"{split}_{i}" for i in range(count)]
    return scene.checked(scene.Pictures(colour), poses, intrinsics, names, "analytic_scene")


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
