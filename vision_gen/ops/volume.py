"""Volume rendering along rays: where to sample, and the sum of what is found there.

Mildenhall et al., ECCV 2020. Depths `t` are in units of the ray's direction and grow along the
last axis.
"""

import jax
from jax import lax
import jax.numpy as jnp

# exp(-MAX) is nothing in float32; beyond it an interval is opaque and products stay finite.
MAX_OPTICAL_DEPTH = 80.0


def stratified(near, far, samples, uniform=None):
    """One depth in each of `samples` equal parts of [near, far] (equation 2).

    Args:
      near, far: [..., 1].
      samples: how many.
      uniform: [..., samples] in [0, 1), where in its part each lies; without it, at the middle.

    Returns:
      [..., samples].
    """
    place = 0.5 if uniform is None else uniform
    return near + (far - near) * (jnp.arange(samples) + place) / samples


def importance(edges, weights, samples, uniform=None):
    """Depths drawn from a piecewise constant density (section 5.2).

    Args:
      edges: [..., bins + 1], growing.
      weights: [..., bins], not negative; all zero means uniform. No gradient flows.
      samples: how many.
      uniform: [...] or [..., samples] in [0, 1), how far each stratum's draw lies in it; without
        it, at the middle.

    Returns:
      (t, length), [..., samples] each, t sorted: the depth, and how much of the ray the sample
      stands for, 1 / (samples x density), at most its bin: the weight of the quadrature.
    """
    weights = lax.stop_gradient(weights) + 1e-8
    mass = weights / weights.sum(-1, keepdims=True)
    total = jnp.cumsum(mass, -1)
    total = jnp.concatenate([jnp.zeros_like(total[..., :1]), total[..., :-1]], -1)
    place = 0.5 if uniform is None else uniform
    u = jnp.broadcast_to(
        (jnp.arange(samples) + place) / samples, (*weights.shape[:-1], samples)
    )
    # Counting the edges below is a small matrix of comparisons, faster than a search on any backend.
    bin = (u[..., :, None] >= total[..., None, :]).sum(-1) - 1
    take = lambda x: jnp.take_along_axis(x, bin, -1)
    width = take(jnp.diff(edges))
    share = jnp.clip((u - take(total)) / take(mass), 0, 1)
    # Sorted but for rounding. And XLA fuses no sort: fused into the many uses of `t`, the whole
    # draw would be computed in each.
    t = jnp.sort(take(edges[..., :-1]) + share * width, -1)
    return lax.stop_gradient((t, width * jnp.minimum(1.0, 1 / (samples * take(mass)))))


def lengths(t, far=1e10):
    """From each depth to the next; the last reaches `far` beyond, as the reference has it."""
    return jnp.concatenate([jnp.diff(t), jnp.full_like(t[..., :1], far)], -1)


def composite(density, colour, t, length, direction, background=None):
    """What a ray sees (equation 3).

    Args:
      density: [..., samples], per unit of length; negative counts as zero.
      colour: [..., samples, channel], or None.
      t: [..., samples], depths.
      length: [..., samples], of the ray's part that each sample stands for, in depth.
      direction: [..., 3], whose norm turns depths into lengths.
      background: [channel] seen through what is not opaque; black without it.

    Returns:
      dict of `weights` [..., samples], `opacity` [...], their sum, `depth` [...], the mean depth of
      what is seen (that of the last sample for an empty ray), and `colour` [..., channel]. All are
      finite for empty and for saturated rays, and so are their gradients.
    """
    norm = jnp.linalg.norm(direction, axis=-1, keepdims=True)
    optical = jax.nn.relu(density.astype(jnp.float32)) * jnp.minimum(length * norm, 1e10)
    optical = jnp.minimum(optical, MAX_OPTICAL_DEPTH)
    before = jnp.cumsum(optical, -1) - optical
    weights = -jnp.expm1(-optical) * jnp.exp(-before)
    opacity = weights.sum(-1)
    seen = (weights * t).sum(-1) + (1 - opacity) * t[..., -1]
    result = {"weights": weights, "opacity": opacity, "depth": seen}
    if colour is not None:
        result["colour"] = jnp.einsum("...s,...sc->...c", weights, colour.astype(jnp.float32))
        if background is not None:
            result["colour"] += (1 - opacity)[..., None] * jnp.asarray(background)
    return result
