"""Camera rays.

Cameras look along -z with x to the right and y up (OpenGL, Blender). Intrinsics are eight numbers:
focal lengths `fl_x`, `fl_y` and the principal point `cx`, `cy` in pixels, and OpenCV's distortion
`k1`, `k2`, `p1`, `p2`. Pixel (0, 0) is the upper left corner of the image; the middle of the first
pixel is (0.5, 0.5).
"""

import jax.numpy as jnp

UNDISTORT_STEPS = 8


def camera_rays(pixel, pose, intrinsics):
    """Rays through pixels.

    Args:
      pixel: [..., 2], x to the right and y down, in pixels.
      pose: [..., 3, 4], camera to world.
      intrinsics: [..., 8].

    Returns:
      (origin, direction), [..., 3] each in world units. The direction is as long as the ray's
      way from the camera to the plane at depth 1, so that distances along it are depths.
    """
    focal, centre = intrinsics[..., 0:2], intrinsics[..., 2:4]
    x, y = jnp.moveaxis(undistort((pixel - centre) / focal, intrinsics[..., 4:]), -1, 0)
    local = jnp.stack([x, -y, -jnp.ones_like(x)], -1)
    direction = jnp.einsum("...ij,...j->...i", pose[..., :3], local, precision="highest")
    return jnp.broadcast_to(pose[..., 3], direction.shape), direction


def spherical_pose(theta, phi, radius):
    """Cameras that look at the origin, with z up; `pose_spherical` of the released NeRF.

    Args:
      theta, phi: [...] in degrees, around z and from the horizon; the camera stands above it where phi is NEGATIVE.
      radius: [...], how far from the origin it is.

    Returns:
      [..., 3, 4], camera to world.
    """
    turn, tilt = jnp.radians(theta), jnp.radians(phi)
    c, s, cos, sin = jnp.cos(turn), jnp.sin(turn), jnp.cos(tilt), jnp.sin(tilt)
    right, up = jnp.stack([-c, s, jnp.zeros_like(s)], -1), jnp.stack([s * sin, c * sin, cos], -1)
    back = jnp.stack([s * cos, c * cos, -sin], -1)
    return jnp.stack([right, up, back, back * radius[..., None]], -1)


def distort(point, distortion):
    """OpenCV's radial and tangential distortion of normalised image points [..., 2].

    Args:
      point: [..., 2].
      distortion: [..., 4], k1, k2, p1, p2.
    """
    x, y = point[..., 0], point[..., 1]
    k1, k2, p1, p2 = jnp.moveaxis(distortion, -1, 0)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    return jnp.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ],
        -1,
    )


def undistort(point, distortion):
    """The inverse of `distort`, by fixed-point iteration (what OpenCV's undistortPoints does)."""
    found = point
    for _ in range(UNDISTORT_STEPS):
        found = found + point - distort(found, distortion)
    return found


def ndc(origin, direction, intrinsics, near=1.0):
    """Normalised device coordinates of forward-facing scenes (Mildenhall et al. 2020, appendix C).

    Args:
      origin, direction: [..., 3] in a world whose cameras look along -z.
      intrinsics: [..., 8]; the frustum is that of an image centred on the principal point.
      near: depth of the near plane.

    Returns:
      (origin, direction) such that t = 0 is the near plane and t = 1 infinity.
    """
    origin = origin - ((near + origin[..., 2]) / direction[..., 2])[..., None] * direction
    scale = -intrinsics[..., 0:2] / intrinsics[..., 2:4]
    o, d = origin / origin[..., 2:], direction / direction[..., 2:]
    return (
        jnp.concatenate(
            [scale * o[..., :2], 1 + 2 * near / origin[..., 2:]],
            -1,
        ),
        jnp.concatenate([scale * (d[..., :2] - o[..., :2]), -2 * near / origin[..., 2:]], -1),
    )


def through_box(origin, direction, low, high, near, far):
    """Where rays are inside the box [low, high]^3, cut to depths near to far.

    Args:
      origin, direction: [..., 3].
      low, high, near, far: floats.

    Returns:
      (near, far) [..., 1]; equal for a ray that misses the box.
    """
    safe = jnp.where(jnp.abs(direction) < 1e-9, 1e-9, direction)
    a, b = (low - origin) / safe, (high - origin) / safe
    enter = jnp.maximum(jnp.minimum(a, b).max(-1, keepdims=True), near)
    leave = jnp.minimum(jnp.maximum(a, b).min(-1, keepdims=True), far)
    return enter, jnp.maximum(enter, leave)
