"""Simulated users: the colour hints that a person might give for pictures whose colours are known.

Points are those of Zhang et al., "Real-Time User-Guided Image Colorization with Learned Deep Priors" (SIGGRAPH 2017,
section 3.2); strokes, colours picked wrong, hints that answer what went wrong and scribbles along edges are ours.

Colours are [batch, height, width, channel] in [-1, 1], such as ab / 110 of CIE Lab; hints have one channel more: a
colour, and 1 where there is one.
"""

import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.ops import pool, random, sketch

ALIKE = 0.06  # Colours of a region differ by less.
WRONG = 0.15  # Deviation of a colour that is picked wrong.
LONGEST = 0.3  # Of a stroke to either side, as a share of the picture's side.
DRAWS, BY_HAND = 8, 100  # Simulated users who are compared with a person, and hints that they give at most.
MISSED = 0.05  # An edge of colours, as a slope a pixel, that a result lacks at least so much of bleeds.


def none(colours):
    """No hints for pictures of such colours."""
    return jnp.zeros((*colours.shape[:3], colours.shape[3] + 1), jnp.float32)


def count(keys, stop, most):
    """How many hints users give, [batch] int32: they end after each with probability `stop`, or when it is `most`."""
    draw = jnp.maximum(random.uniform(keys), 1e-9)
    stop = jnp.clip(stop, 1e-6, 1 - 1e-7)
    return jnp.minimum(jnp.floor(jnp.log(draw) / jnp.log(1 - stop)), most).astype(jnp.int32)


def hints(keys, colours, counts, *, most, sizes=(1, 9), strokes=0.0, wrong=0.0):
    """Hints at random places; of fewer for the same keys these are the first.

    Points are squares at places drawn from a normal distribution around the middle, of the mean colour in them. A
    stroke is a straight line through such a place that ends at the edges of its region.

    Args:
      keys: [batch].
      colours: [batch, height, width, channel].
      counts: [batch], or one number, how many.
      most: the largest of them that there may be.
      sizes: (least, largest) side of a point and width of a stroke, in pixels.
      strokes: share of the hints that are strokes.
      wrong: share of the hints whose colour is picked wrong.
    """
    batch, height, width, _ = colours.shape
    key = lambda i: random.fold(keys, i)
    size = random.integers(key(0), sizes[0], sizes[1] + 1, (most,))
    normal = jax.vmap(lambda k: jax.random.normal(k, (most, 2)))(key(1))
    room = jnp.array([height, width]) - size[..., None]
    corner = jnp.floor(jnp.clip((room + 1) / 2 + normal * (room + 1) / 4, 0, room))
    angle = random.uniform(key(2), (most,), 0, jnp.pi)
    reach = random.uniform(key(3), (most,), 0, LONGEST * min(height, width))
    stroke = random.bernoulli(key(4), strokes, (most,))
    off = jax.vmap(lambda k: jax.random.normal(k, (most, colours.shape[3])))(key(5)) * WRONG
    off = off * random.bernoulli(key(6), wrong, (most, 1))
    given = jnp.arange(most) < jnp.broadcast_to(counts, (batch,))[:, None]

    def one(found, drawn):
        size, corner, angle, reach, stroke, off, given = drawn
        where = _square(colours, corner, size)
        if strokes:
            line = _stroke(colours, corner + (size[:, None] - 1) / 2, size, angle, reach)
            where = jnp.where(stroke[:, None, None], line, where)
        return _put(found, colours, where & given[:, None, None], off), None

    drawn = (size, corner, angle, reach, stroke, off, given)
    return lax.scan(one, none(colours), jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), drawn))[0]


def correction(found, colours, output, size=3, given=True):
    """The hints and one more, where a result errs most: a point of the true colour there.

    Args:
      found: hints.
      colours, output: the true colours, and what was made of the hints.
      size: side of the point in pixels, odd.
      given: [batch], whether it is given.
    """
    error = pool.average_pool(jnp.sum((output - colours) ** 2, -1, keepdims=True), size, padding=size // 2)[..., 0]
    place = jnp.argmax(error.reshape(len(error), -1), -1)
    middle = jnp.stack(jnp.divmod(place, colours.shape[2]), -1)
    corner = jnp.clip(middle - size // 2, 0, jnp.array(colours.shape[1:3]) - size)
    where = _square(colours, corner, jnp.full(len(colours), size))
    return _put(found, colours, where & jnp.broadcast_to(given, len(colours))[:, None, None], 0.0)


def edges(keys, colours, output, counts, *, most, reach, margins):
    """Scribbles along edges of the true colours that a result bleeds over; of fewer for the same keys the first of them.

    A scribble begins at a random pixel, sooner where more of the edge is lacking, follows what is lacking to both sides,
    and is wider than it. There is none where nothing is lacking that is not scribbled on.

    Args:
      keys: [batch].
      colours, output: the true colours, and the result.
      counts: [batch], or one number, how many.
      most: the largest of them that there may be.
      reach: of a scribble to either side, in pixels.
      margins: (least, largest) that it is wider than the edge, on either side, in pixels.

    Returns:
      [batch, height, width, 1], 1 where there are scribbles, else 0.
    """
    batch = len(colours)
    lacks = lacking(colours, output)
    bleeds = (lacks > MISSED).astype(jnp.float32)
    margin = random.integers(random.fold(keys, 0), margins[0], margins[1] + 1, (most,))
    given = jnp.arange(most) < jnp.broadcast_to(counts, (batch,))[:, None]
    grown = lambda x: pool.max_pool(x, 3, stride=1, padding=1)

    def one(found, drawn):
        number, margin, given = drawn
        chance = jax.vmap(lambda key: jax.random.gumbel(key, lacks.shape[1:]))(random.fold(keys, number))
        left = bleeds * (1 - found)
        chance = jnp.where(left > 0, chance + jnp.log(jnp.maximum(lacks, MISSED)), -jnp.inf).reshape(batch, -1)
        first = jax.nn.one_hot(jnp.argmax(chance, -1), chance.shape[1]).reshape(lacks.shape) * left
        line = lax.fori_loop(0, reach, lambda _, x: grown(x) * bleeds, first)
        wide = lambda i, x: jnp.where((i < margin)[:, None, None, None], grown(x), x)
        scribble = lax.fori_loop(0, margins[1], wide, line)
        return jnp.maximum(found, scribble * given[:, None, None, None]), None

    drawn = (jnp.arange(1, most + 1), margin.T, given.T)
    return lax.scan(one, jnp.zeros_like(lacks), drawn)[0]


def lacking(colours, output):
    """How much steeper edges of the true colours are than a result's, [batch, height, width, 1]; `MISSED` is much."""
    return _steepness(colours) - _steepness(output)


def _steepness(colours):
    """[batch, height, width, 1], of edges of all channels together."""
    return jnp.linalg.norm(jnp.concatenate(sketch.slopes(colours), -1), axis=-1, keepdims=True)


def _places(colours):
    """Row and column of every pixel, [height, 1] and [width]."""
    return jnp.arange(colours.shape[1], dtype=jnp.float32)[:, None], jnp.arange(colours.shape[2], dtype=jnp.float32)


def _square(colours, corner, size):
    """[batch, height, width] bool: inside squares of `size` [batch] with `corner` [batch, 2]."""
    rows, columns = _places(colours)
    top, left, size = (x[:, None, None] for x in (corner[:, 0], corner[:, 1], size))
    return (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)


def _stroke(colours, middle, size, angle, reach):
    """[batch, height, width] bool: on lines through `middle` [batch, 2], where colours are alike without a break."""
    rows, columns = _places(colours)
    wide = lambda x: x[:, None, None]
    row, column = rows - wide(middle[:, 0]), columns - wide(middle[:, 1])
    along = row * wide(jnp.sin(angle)) + column * wide(jnp.cos(angle))
    across = row * wide(jnp.cos(angle)) - column * wide(jnp.sin(angle))
    line = (jnp.abs(across) <= wide(jnp.maximum(size / 2, 0.75))) & (jnp.abs(along) <= wide(reach) + 0.75)
    index = jnp.round(middle).astype(jnp.int32)
    own = jax.vmap(lambda image, place: image[place[0], place[1]])(colours, index)[:, None, None]
    other = line & (jnp.linalg.norm(colours - own, axis=-1) > ALIKE)
    # It ends, to either side, where it first meets another colour.
    first = lambda side: jnp.min(jnp.where(other & side, jnp.abs(along), jnp.inf), (1, 2), keepdims=True)
    ahead = along >= 0
    end = jnp.maximum(jnp.where(ahead, first(ahead), first(~ahead)), 0.75)
    return line & ~other & (jnp.abs(along) < end)


def _put(found, colours, where, off):
    """Hints with one more of the mean colour of `where` [batch, height, width], which is `off` [batch, channel]."""
    where = where[..., None]
    mean = jnp.sum(colours * where, (1, 2)) / jnp.maximum(jnp.sum(where, (1, 2)), 1)
    hint = jnp.pad(jnp.clip(mean + off, -1, 1), ((0, 0), (0, 1)), constant_values=1)[:, None, None]
    return jnp.where(where, hint, found)
