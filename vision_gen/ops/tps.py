"""Thin-plate splines (Bookstein 1989): smooth warps given by a few control points.

A spline f: R^2 -> R^2 with f(control_k) = target_k and least bending energy is

    f(p) = A [1, p] + sum_k w_k U(|p - control_k|),   U(r) = r^2 log r^2.

Positions are (x, y) in [-1, 1], as `grid_sample` reads them.
"""

import jax.numpy as jnp

from vision_gen.ops import random, resample


def _kernel(points, control):
    square = jnp.sum((points[..., :, None, :] - control[..., None, :, :]) ** 2, -1)
    return square * jnp.log(jnp.maximum(square, 1e-12))


def _affine(points):
    return jnp.concatenate([jnp.ones_like(points[..., :1]), points], -1)


def solve(control, target):
    """Coefficients of the spline that takes `control` to `target`.

    Args:
      control: [batch, n, 2], at least three points that are not on one line; or [n, 2], the same for all.
      target: [batch, n, 2].

    Returns:
      [batch, n + 3, 2]: the n radial weights, then the affine part.
    """
    n = control.shape[-2]
    affine = _affine(control)
    top = jnp.concatenate([_kernel(control, control), affine], -1)
    side = jnp.swapaxes(affine, -1, -2)
    bottom = jnp.concatenate([side, jnp.zeros((*side.shape[:-1], 3))], -1)
    system = jnp.concatenate([top, bottom], -2)
    right = jnp.concatenate([target, jnp.zeros((*target.shape[:-2], 3, 2))], -2)
    assert system.shape[-1] == n + 3
    return jnp.linalg.solve(system, right)


def apply(coefficients, control, points):
    """f at `points`: [batch, m, 2] for coefficients [batch, n + 3, 2], control and points with a batch or without."""
    basis = jnp.concatenate([_kernel(points, control), _affine(points)], -1)
    return jnp.matmul(basis, coefficients, precision="highest")  # Positions are exact on TPU too.


def flow(coefficients, control, height, width):
    """The spline as a dense sampling grid for `grid_sample`: [batch, height, width, 2]."""
    points = resample.identity_grid(height, width).reshape(1, -1, 2)
    points = jnp.broadcast_to(points, (coefficients.shape[0], *points.shape[1:]))
    return apply(coefficients, control, points).reshape(-1, height, width, 2)


def random_spline(keys, *, points=3, scale=0.3):
    """A random smooth warp for each key.

    Args:
      keys: [batch].
      points: control points a side, on a regular grid over [-1, 1].
      scale: each control point moves by up to this far in x and y (2 is the image's side).

    Returns:
      (coefficients, control), as `flow` takes them.
    """
    line = jnp.linspace(-1.0, 1.0, points)
    control = jnp.stack(jnp.meshgrid(line, line), -1).reshape(1, -1, 2)
    control = jnp.broadcast_to(control, (keys.shape[0], *control.shape[1:]))
    target = control + random.uniform(keys, control.shape[1:], -scale, scale)
    return solve(control, target), control


def warped(keys, images, *, points=3, scale=0.3):
    """Images [batch, height, width, channel], each warped by a random spline.

    Args:
      keys, points, scale: of `random_spline`.

    Returns:
      (the images, what `random_spline` gave): warped(x) = image(spline(x)).
    """
    spline = random_spline(keys, points=points, scale=scale)
    return resample.grid_sample(images, flow(*spline, *images.shape[1:3]), padding="border"), spline
