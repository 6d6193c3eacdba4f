"""Lines as an unsteady hand draws them: they wobble, go on past their ends, press, break off and are grainy.

A model of our own. It knows no strokes but changes a picture of lines, of any size; lengths are shares of the picture's
shorter side, so that one key draws alike at every size. Ink is [batch, height, width, 1] in [0, 1].
"""

import math

import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.ops import pool, random, resample

# Deviation of places, of the shorter side, by how many waves lie along it.
WOBBLE = ((0.012, 6), (0.005, 18))
STRAIGHT = 0.1  # A line that was straight for so long may go on past its end,
PAST = 0.08  # by so much,
PAST_WAVES, PAST_FROM = 9, 0.2  # where a field of so many waves is above this.
PRESSURE, PRESSURE_WAVES = 0.7, 8  # How much wider or narrower, of a pixel or a 150th of the side.
LIGHTER, LIGHTER_WAVES = 0.4, 5  # How much ink is missing where the hand presses least.
GAP_WAVES, GAP_BELOW = 22, -1.35  # Lines break off where a field of so many waves is below this.
GRAIN = 0.25  # How much ink single pixels lack, at most.


def unsteady(lines, keys, amount):
    """Lines as if a hand had drawn them.

    Args:
      lines: [batch, height, width, 1] in [-1, 1]; 1 is paper, -1 is ink.
      keys: [batch].
      amount: [batch] or a number, from 0, which leaves lines as they are, to 1, a very unsteady hand.

    Returns:
      As `lines`.
    """
    key = lambda i: random.fold(keys, i)
    amount = jnp.broadcast_to(jnp.asarray(amount, jnp.float32), len(lines))[:, None, None, None]
    ink = (1 - lines) / 2
    ink = past_ends(ink, key(0), amount)
    ink = wobbled(ink, key(1), amount)
    ink = pressed(ink, key(2), amount)
    ink = broken(ink, key(3), amount)
    ink = ink * (1 - GRAIN * amount * random.uniform(key(4), ink.shape[1:]))
    return jnp.where(amount > 0, 1 - 2 * jnp.clip(ink, 0, 1), lines)


def waves(keys, size, count, channels=1):
    """Smooth random fields, about normal, with `count` waves along the shorter side: [batch, *size, channels]."""
    nodes = [max(2, round(count * side / min(size))) for side in size]
    return resample.resize(random.normal(keys, (*nodes, channels)), size, "cubic")


def wobbled(ink, keys, amount):
    """Ink moved along smooth fields."""
    height, width = size = ink.shape[1:3]
    moved = sum(share * waves(random.fold(keys, i), size, count, 2) for i, (share, count) in enumerate(WOBBLE))
    moved = 2 * min(size) * amount * moved / jnp.array([width, height])
    return resample.grid_sample(ink, resample.identity_grid(*size) + moved)


def past_ends(ink, keys, amount):
    """Ink with some lines drawn out, fading, past where they end or turn sharply, in one of 32 directions each."""
    side = min(ink.shape[1:3])
    here = waves(keys, ink.shape[1:3], PAST_WAVES) > PAST_FROM
    fading = 1 / jnp.maximum(PAST * side * amount, 1e-3)  # Ink that is lost along a pixel.
    angles, run = jnp.arange(32) * (jnp.pi / 16), STRAIGHT * side
    # Loops: unrolled, XLA:CPU computes every step again for each that reads it.
    straight = lax.map(lambda angle: _along(ink, angle, run, jnp.add) / _count(run), angles)
    most = jnp.maximum(straight.max(0), 0.8)
    ahead = 0.5 * run + 2
    radius = round(0.6 * ahead)
    around = pool.max_pool(ink, 2 * radius + 1, stride=1, padding=radius)

    def longer(found, given):
        angle, straight = given
        goes_on = _moved(around, angle + jnp.pi, ahead) > 0.3
        ends = ink * ((straight >= most) & here & ~goes_on)
        return jnp.maximum(found, _along(ends, angle, PAST * side, jnp.maximum, fading)), None

    return lax.scan(longer, ink, (angles, straight))[0]


def _count(length):
    """How many pixels `_along` joins: the power of two above a length."""
    return 2 ** max(1, math.floor(math.log2(max(length, 1)) + 1))


def _along(x, angle, length, join, loss=0.0):
    """Sum or largest of the pixels on the way that leads to each in a direction, less `loss` a pixel."""
    further = lambda x, step: (join(x, _moved(x, angle, step, _count(length)) - loss * step), None)
    return lax.scan(further, x, 2.0 ** jnp.arange(round(math.log2(_count(length)))))[0]


def _moved(x, angle, length, most=None):
    """Maps moved so far in a direction, by whole pixels, of which there are no more than `most`; 0 comes in."""
    edge = math.ceil(length if most is None else most)
    down, right = (jnp.round(length * way).astype(jnp.int32) for way in (jnp.sin(angle), jnp.cos(angle)))
    wide = jnp.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    return lax.dynamic_slice(wide, (0, edge - down, edge - right, 0), x.shape)


def pressed(ink, keys, amount):
    """Ink wider or narrower, and lighter here and there."""
    most = max(1, round(min(ink.shape[1:3]) / 150))
    reach = most * jnp.clip(PRESSURE * amount * waves(random.fold(keys, 0), ink.shape[1:3], PRESSURE_WAVES), -1, 1)
    ink = 1 - _wider(1 - _wider(ink, reach, most), -reach, most)
    light = jax.nn.sigmoid(3 * waves(random.fold(keys, 1), ink.shape[1:3], LIGHTER_WAVES) - 1)
    return ink * (1 - LIGHTER * amount * light)


def _wider(ink, reach, most):
    """Ink that reaches so many pixels further, `most` at most."""

    def grow(_, state):
        wide = pool.max_pool(state[0], 3, stride=1, padding=1)
        return wide, state[1] + wide

    _, total = lax.fori_loop(0, most, grow, (ink, jnp.zeros_like(ink)))
    return jnp.maximum(ink, jnp.clip(reach - most + total, 0, 1))


def broken(ink, keys, amount):
    """Ink with gaps; the less of the hand there is, the fewer."""
    field = waves(keys, ink.shape[1:3], GAP_WAVES)
    return ink * jax.nn.sigmoid(10 * (field - GAP_BELOW + 1.5 * (1 - amount)))
