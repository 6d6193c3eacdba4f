"""OpenPose's key points of a body, BODY_25: its files, and the picture that it renders of them."""

import json

import numpy as np

from vision_gen.errors import InputError

JOINTS = (
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
    "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel",
)  # fmt: skip
# In the order in which they are drawn, each in the colour of its second joint.
LIMBS = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18),
    (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
)  # fmt: skip
COLOURS = np.array([
    (255, 0, 85), (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (255, 0, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (255, 0, 170),
    (170, 0, 255), (255, 0, 255), (85, 0, 255), (0, 0, 255), (0, 0, 255), (0, 0, 255), (0, 255, 255), (0, 255, 255),
    (0, 255, 255),
])  # fmt: skip
SURE = 0.05  # Less sure points are not drawn.


def picture(keypoints, size):
    """What OpenPose renders of a body alone, over black: [height, width, 3] uint8, with soft edges.

    Args:
      keypoints: [25, 3], x and y in pixels of `size`, and confidence.
      size: (height, width).
    """
    height, width = size
    made = np.zeros((height, width, 3), np.float32)
    thick, radius = min(size) / 120, min(size) / 100
    seen = keypoints[:, 2] > SURE

    def blend(centre, along, half, colour):
        """An ellipse: `half` its half length along a direction, and across it."""
        reach = max(half) + 1
        left, top = (max(0, int(n - reach)) for n in centre)
        part = made[top : int(centre[1] + reach) + 2, left : int(centre[0] + reach) + 2]
        if not part.size:
            return
        x = np.arange(left, left + part.shape[1]) - centre[0]
        y = np.arange(top, top + part.shape[0])[:, None] - centre[1]
        u, v = x * along[0] + y * along[1], y * along[0] - x * along[1]
        place = np.hypot(u / half[0], v / half[1])
        slope = np.hypot(u / half[0] ** 2, v / half[1] ** 2)
        inside = np.clip((1 - place) * place / np.maximum(slope, 1e-9) + 0.5, place < 0.5, 1)  # Of a pixel's width.
        part += (colour - part) * (0.6 * inside[..., None])

    for one, other in LIMBS:
        if seen[one] and seen[other]:
            a, b = keypoints[one, :2], keypoints[other, :2]
            length = max(float(np.hypot(*(b - a))), 1e-6)
            blend((a + b) / 2, (b - a) / length, (max(length / 2, thick), thick), COLOURS[other])
    for joint in np.flatnonzero(seen):
        blend(keypoints[joint, :2], (1, 0), (radius, radius), COLOURS[joint])
    return np.uint8(np.clip(made + 0.5, 0, 255))


def read(path):
    """The key points [25, 3] float32 of the first person in a file of OpenPose's; how many people it has.

    Raises:
      InputError: it is no such file, has nobody in it, or points that are not in pixels; names it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
        people = [person["pose_keypoints_2d"] for person in record["people"]]
        with np.errstate(over="ignore"):  # Said below.
            points = np.array(people[:1], np.float32)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected OpenPose's key points") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f'{path}: must be {{"people": [{{"pose_keypoints_2d": [...]}}]}}, got {what}') from error
    if not len(people):
        raise InputError(f"{path}: nobody is in it; it must have the key points of one person")
    if points.shape != (1, 75):
        count = points.size // 3
        raise InputError(
            f"{path}: has {count} points; it must have the {len(JOINTS)} of BODY_25, x, y and confidence each"
        )
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a number of it is not finite")
    points = points.reshape(25, 3)
    seen = points[points[:, 2] > 0, :2]
    if len(seen) > 1 and np.ptp(seen, axis=0).max() <= 1:
        raise InputError(f"{path}: all points lie within one pixel; x and y must be in pixels of the picture")
    return points, len(people)


def text(keypoints):
    """A file of OpenPose's of one person's key points [25, 3]."""
    numbers = [round(float(n), 4) for n in np.ravel(keypoints)]
    return json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": numbers}]})
