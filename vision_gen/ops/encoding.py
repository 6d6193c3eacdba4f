"""Encodings of positions and directions for neural fields."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

# Teschner et al. 2003, as Mueller et al. 2022 (equation 4) use them.
PRIMES = (1, 2654435761, 805459861)


def positional(x, octaves):
    """x and sin, cos of 2^k x for k < octaves: [..., d] -> [..., d (1 + 2 octaves)].

    Mildenhall et al. 2020, equation 4; frequencies without pi and the input included, as in the
    reference implementation, whose order this is: x, sin x, cos x, sin 2x, cos 2x, ...
    """
    scaled = x[..., None, :] * 2.0 ** jnp.arange(octaves)[:, None]
    waves = jnp.stack([jnp.sin(scaled), jnp.cos(scaled)], -2)
    return jnp.concatenate([x, waves.reshape(*x.shape[:-1], -1)], -1)


def spherical_harmonics(direction):
    """Real spherical harmonics up to degree 3 of unit vectors: [..., 3] -> [..., 16]."""
    x, y, z = jnp.moveaxis(direction, -1, 0)
    xx, yy, zz = x * x, y * y, z * z
    return jnp.stack(
        [
            jnp.full_like(x, 0.28209479177387814),
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * zz - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            0.5900435899266435 * y * (yy - 3 * xx),
            2.890611442640554 * x * y * z,
            0.4570457994644658 * y * (1 - 5 * zz),
            0.37317633259011546 * z * (5 * zz - 3),
            0.4570457994644658 * x * (1 - 5 * zz),
            1.445305721320277 * z * (xx - yy),
            0.5900435899266435 * x * (3 * yy - xx),
        ],
        -1,
    )


def resolutions(levels, coarsest, finest):
    """Cells along a side of each level, growing geometrically (Mueller et al. 2022, equation 2)."""
    if levels == 1:
        return (coarsest,)
    growth = math.exp((math.log(finest) - math.log(coarsest)) / (levels - 1))
    # The tolerance keeps the finest level at `finest` where the power falls just short of it.
    return tuple(math.floor(coarsest * growth**level + 1e-6) for level in range(levels))


def table_size(resolution, entries):
    """Rows of a level's table: one a vertex where that is fewer than `entries`."""
    return min((resolution + 1) ** 3, entries)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def hash_lookup(table, x, resolution):
    """Trilinear interpolation of the features at the vertices of one level of a hash grid.

    A level whose vertices all fit into its table is a dense grid; otherwise vertices share rows by
    a hash. docs/speed_log.md has the formulations that were measured.

    Args:
      table: [entries, features]; `entries` a power of two unless the level is dense.
      x: [..., 3] in [0, 1].
      resolution: cells along a side.

    Returns:
      [..., features].
    """
    return _interpolate(table, x, resolution)


def _interpolate(table, x, resolution):
    return sum(
        weight[..., None].astype(table.dtype) * table.at[index].get(mode="promise_in_bounds")
        for index, weight in _corners(table.shape[0], x, resolution)
    )


def _corners(entries, x, resolution):
    """[(row of the table, weight)] of the eight vertices around `x`, [...] each."""
    scaled = jnp.clip(x, 0, 1) * resolution
    low = jnp.minimum(jnp.floor(scaled), resolution - 1)
    share = jnp.moveaxis(scaled - low, -1, 0)
    low = jnp.moveaxis(low.astype(jnp.int32), -1, 0)
    found = []
    for corner in np.ndindex(2, 2, 2):
        a, b, c = (low[axis] + corner[axis] for axis in range(3))
        if entries == (resolution + 1) ** 3:
            index = (a * (resolution + 1) + b) * (resolution + 1) + c
        else:
            a, b, c = (v * prime for v, prime in zip((a, b, c), np.uint32(PRIMES).view(np.int32)))
            index = (a ^ b ^ c) & (entries - 1)
        p, q, r = (share[axis] if corner[axis] else 1 - share[axis] for axis in range(3))
        found.append((index, p * q * r))
    return found


def _hash_lookup_bwd(resolution, residuals, dy):
    table, x = residuals
    _, to_x = jax.vjp(lambda x: _interpolate(table, x, resolution), x)
    # One after the other into one buffer: a scatter with a row for each feature of all corners at
    # once, and what automatic differentiation makes, a buffer for each corner, are slower on CPU.
    d_table = jnp.zeros_like(table)
    for index, weight in _corners(table.shape[0], x, resolution):
        rows = weight[..., None].astype(dy.dtype) * dy
        d_table = d_table.at[index].add(rows, mode="promise_in_bounds")
    return d_table, *to_x(dy)


hash_lookup.defvjp(
    lambda table, x, resolution: (_interpolate(table, x, resolution), (table, x)), _hash_lookup_bwd
)
