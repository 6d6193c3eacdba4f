"""Cameras around a scene: where they are, the middle of what they see, and paths between them.

A pose [3, 4] is camera to world, as in `ops.rays`: columns right, up, back and place.
"""

import numpy as np


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
