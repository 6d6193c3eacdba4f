"""The generator of SCFT (Lee et al., CVPR 2020, section 3.2 and supplement).

'Reference-based sketch image colorization using augmented-self reference and dense semantic
correspondence'. No official code exists; where re-implementations disagree this follows the
reading that matches the paper's figures: ten convolutions an encoder, all ten maps in the
transferred vector (992 channels at the published width), attention scaled inside the softmax.

Stop-gradient attention is that of Li et al., ECCV 2022, 'Eliminating gradient conflict in reference-based line-art
colorization', as released.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import attention, colour, resample

TIE = 1000.0  # What a tie adds to scores; those of trained networks differ by hundreds.
NORMS = {"layer": layers.LayerNorm, "instance": layers.InstanceNorm, "none": None}


class Block(nnx.Module):
    """3x3 convolution, a normalisation of `NORMS`, LeakyReLU 0.2.

    The mean that a layer norm takes away is taken from the convolution's kernel and bias, where these are smaller than its map.
    """

    def __init__(self, channel, features, *, stride=1, norm, rngs):
        self.conv = layers.Conv(channel, features, 3, stride=stride, rngs=rngs)
        self.norm = NORMS[norm](features, rngs=rngs) if NORMS[norm] else None

    def __call__(self, *maps):
        kernel, places = self.conv.kernel[...], maps[0][..., 0].size // self.conv.stride**2
        if isinstance(self.norm, layers.LayerNorm) and kernel.size <= places * kernel.shape[-1]:
            return layers.leaky_relu(self.norm(self.conv(*maps, centred=True), centred=True))
        x = self.conv(*maps)
        return layers.leaky_relu(x if self.norm is None else self.norm(x))


class Encoder(nnx.Module):
    """Two convolutions a level; every level but the first halves the map and doubles the width."""

    def __init__(self, channel, widths, *, norm, rngs):
        self.blocks = nnx.List()
        for i, width in enumerate(widths):
            stride = 1 if i == 0 else 2
            self.blocks.append(Block(channel, width, stride=stride, norm=norm, rngs=rngs))
            self.blocks.append(Block(width, width, norm=norm, rngs=rngs))
            channel = width

    def __call__(self, x):
        """[batch, height, width, channel] -> all maps, finest first: two of each level."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


def patches(image, size):
    """The pixels of each cell: [batch, height, width, channel] -> [batch, height / size, width / size, size^2 channel]."""
    batch, height, width, channel = image.shape
    x = image.reshape(batch, height // size, size, width // size, size, channel)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // size, width // size, -1)


def unpatched(x, size):
    """The inverse of `patches`."""
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height, width, size, size, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height * size, width * size, -1)


def gather(maps):
    """The vectors V: all maps average-pooled to the smallest and stacked, [batch, h, w, sum]."""
    size = maps[-1].shape[1:3]
    return jnp.concatenate([resample.average_pool(m, size) for m in maps], -1)


class ResidualBlock(nnx.Module):
    """x + conv(act(conv(x))), 3x3."""

    def __init__(self, channel, *, norm, rngs):
        self.first = Block(channel, channel, norm=norm, rngs=rngs)
        # Starts as the identity, so that depth does not scale the features up.
        self.second = layers.Conv(channel, channel, 3, init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x):
        return x + self.second(self.first(x))


class StopGradientAttention(nnx.Module):
    """BN(A act(W_v y) + act(W_q x)) + x, act being LeakyReLU 0.2 and A the map of `ops.attention.attend_evenly`.

    A is of x and y themselves, its softmax not scaled, and no gradient flows through it.
    """

    def __init__(self, depth, *, chunk=1024, rngs):
        self.source = layers.Linear(depth, depth, rngs=rngs)
        self.value = layers.Linear(depth, depth, rngs=rngs)
        self.norm = layers.BatchNorm(depth, rngs=rngs)
        self.chunk = chunk

    def codes(self, x, y):
        """Query and key whose `ops.attention.attention_map` is the softmax of x y^T."""
        return x * x.shape[-1] ** 0.5, y

    def __call__(self, x, y, codes=None, *, train):
        """What places [batch, h, w, d] become by looking at others, [batch, h', w', d].

        Args:
          codes: query and key, [batch, h, w, c] and [batch, h', w', c], in the place of `codes`.
          train: normalise by the batch and update the running statistics.

        Returns:
          (the result [batch, h, w, d], A act(W_v y) of the same shape).
        """
        query, key = codes or self.codes(x, y)
        value = layers.leaky_relu(self.value(y))
        found = attention.attend_evenly(places(query), places(key), places(value), chunk=self.chunk).reshape(x.shape)
        return self.norm(found + layers.leaky_relu(self.source(x)), train=train) + x, found


def tied(query, key, ties):
    """Queries and keys with further channels, so that scores are larger by `TIE` between what is tied."""
    if ties is None:
        return query, key
    here, there = ties
    depth, more = query.shape[-1], query.shape[-1] + here.shape[-1]
    # Scores are divided by the root of the depth.
    query = jnp.concatenate([query * (more / depth) ** 0.5, (TIE * more**0.5 * here).astype(query.dtype)], -1)
    return query, jnp.concatenate([key, there.astype(key.dtype)], -1)


def places(x):
    """[batch, h, w, channel] -> [batch, h w, channel]."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


class SCFTGenerator(nnx.Module):
    """Colours a sketch by attending from each of its regions to regions of a reference.

    Two encoders of the same shape, not shared. Queries come from the sketch's vectors V_s, keys
    and values from the reference's V_r; c = V_s + softmax(q k^T / sqrt(d)) v. Residual blocks and
    a U-Net decoder with the sketch encoder's maps as skips turn c into the image.

    Memory: attention has one position for each cell of the smallest map, n = (side / 2^(levels -
    1))^2. Scores of at most `chunk` x n positions an example exist at a time (see
    `ops.attention`): 64 x 64 cells take 16 MiB an example in float32 at the default, not the 64
    of all pairs, and none are kept for the backward pass.

    Args:
      width: channels of the first level; the paper's 16.
      levels: resolutions; the paper's 5 makes 16 x 16 cells of 256 px.
      residual_blocks: at the smallest map; 4.
      norm: "layer", "instance" or "none", everywhere but in the reference encoder. Instance
        normalisation rescales every channel of an image, so that no channel can say how much of
        a colour there is: outputs take the reference's lights and darks but not its hues.
        Normalising each position over its channels keeps hues.
      attention: "scaled", the paper's, or "stop_gradient": `StopGradientAttention` from the sketch's vectors to the
        reference's, then among what came of it, in the place of query, key and value.
      chunk: queries that attend at a time.
      carry: the attention carries the reference's own pixels to the decoder as well, each cell its patch; pooled to
        every level they are joined to the decoder's maps. Not the paper's: there colours reach the output
        through the features alone, and those of a short training blur them.
      layer: the output is a layer of colour with the sketch multiplied over it, as artists have it. Not the paper's; for
        sketches whose lines are dark in the image too.
    """

    def __init__(
        self,
        *,
        width=16,
        levels=5,
        residual_blocks=4,
        norm="layer",
        attention="scaled",
        chunk=1024,
        carry=False,
        layer=False,
        rngs,
    ):
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {list(NORMS)}, got {norm!r}")
        widths = [width * 2**i for i in range(levels)]
        self.sketch_encoder = Encoder(1, widths, norm=norm, rngs=rngs)
        self.reference_encoder = Encoder(3, widths, norm="none", rngs=rngs)
        depth = 2 * sum(widths)
        if attention == "stop_gradient":
            self.crossing = StopGradientAttention(depth, chunk=chunk, rngs=rngs)
            self.own = StopGradientAttention(depth, chunk=chunk, rngs=rngs)
        else:
            self.query = layers.Linear(depth, depth, bias=False, rngs=rngs)
            self.key = layers.Linear(depth, depth, bias=False, rngs=rngs)
            self.value = layers.Linear(depth, depth, bias=False, rngs=rngs)
        self.residual = nnx.List(
            ResidualBlock(depth, norm=norm, rngs=rngs) for _ in range(residual_blocks)
        )
        carried = 3 if carry else 0
        self.bottom = Block(2 * depth + carried, widths[-1], norm=norm, rngs=rngs)
        self.merge = nnx.List()
        self.refine = nnx.List()
        for small, large in zip(widths[-2::-1], widths[:0:-1]):
            self.merge.append(Block(large + small + carried, small, norm=norm, rngs=rngs))
            self.refine.append(Block(small, small, norm=norm, rngs=rngs))
        self.out = layers.Conv(
            width, 3, 3, init=nnx.initializers.normal(0.02), rngs=rngs
        )
        self.attention, self.chunk, self.carry, self.layer = attention, chunk, carry, layer

    def __call__(self, sketch, reference, *, ties=None, train=False, nudges=None, intermediates=False):
        """Colours sketches.

        Args:
          sketch: [batch, height, width, 1] in [-1, 1], sides multiples of 2^(levels - 1).
          reference: [batch, *, *, 3] in [-1, 1], of any size with such sides; or several of one size, [batch,
            references, *, *, 3], to all of which the sketch attends: their vectors lie one below the other.
          ties: the cells of sketch and reference of each tie, two arrays [batch, h, w, ties] of 0 and 1: the first look
            at the second.
          train: stop-gradient attention normalises by the batch and updates its running statistics.
          nudges: {branch: array}, added to the vectors where they go into one of the branches that use them: those of
            the sketch, [batch, h, w, d], into `source`, of the result, and `query`, those of the reference into `key`
            and `value`. The gradient of a nudge is that of its branch.
          intermediates: also return what happens inside.

        Returns:
          [batch, height, width, 3] in [-1, 1], and with `intermediates` a dict:
            `sketch1`, ... and `reference1`, ...: the encoders' maps, finest first, two of each level;
            `query`: [batch, h, w, d] at the sketch's smallest map; d is 2 width (2^levels - 1),
              and one more for each tie;
            `key`, `value`: likewise at the reference's, `value` of "scaled" attention alone;
              `ops.attention.attention_map` of query and key is where each cell looks;
            `transferred`, `residual1`, ...: [batch, h, w, d], what is found in the reference, and
              each residual block's map;
            `carried`: with `carry`, [batch, height, width, 3], the reference's pixels where attention has put them;
            `decoder{levels}`, ... `decoder1`: the decoder's map at each level, finest last;
            `layer`: with `layer`, [batch, height, width, 3] in [-1, 1], the colours without the sketch.

        Raises:
          ValueError: a side is no multiple of 2^(levels - 1).
        """
        least = 2 ** len(self.merge)
        reference = reference.reshape(-1, *reference.shape[-3:])
        below = lambda x: x.reshape(len(sketch), -1, *x.shape[2:])  # Several references one below the other.
        for name, x in (("sketch", sketch), ("reference", reference)):
            if x.shape[1] % least or x.shape[2] % least:
                raise ValueError(
                    f"SCFTGenerator: the sides of {name} must be multiples of {least}, got {x.shape[1:3]}"
                )
        maps, references = self.sketch_encoder(sketch), self.reference_encoder(reference)
        out = {f"sketch{i}": x for i, x in enumerate(maps, 1)}
        out |= {f"reference{i}": x for i, x in enumerate(references, 1)}
        nudged = lambda name, x: x + nudges[name] if nudges else x
        vectors, references = gather(maps), below(gather(references))
        source, query = nudged("source", vectors), nudged("query", vectors)
        key, value = nudged("key", references), nudged("value", references)
        moved = [below(patches(reference, least))] if self.carry else []
        if self.attention == "stop_gradient":
            query, key = out["query"], out["key"] = tied(*self.crossing.codes(query, key), ties)
            x, out["transferred"] = self.crossing(source, value, (query, key), train=train)
            x, _ = self.own(x, x, train=train)
            moved = [self._attend(*lax.stop_gradient((query, key)), *moved)] if moved else []
        else:
            query, key = tied(self.query(query), self.key(key), ties)
            value = self.value(value)
            out |= {"query": query, "key": key, "value": value}
            value = jnp.concatenate([value, *(x.astype(value.dtype) for x in moved)], -1)
            found = self._attend(query, key, value)
            out["transferred"], *moved = jnp.split(found, [source.shape[-1]][: len(moved)], -1)
            x = source + out["transferred"]
        carried = lambda size: ()
        if self.carry:
            out["carried"] = unpatched(*moved, least)
            carried = lambda size: (resample.average_pool(out["carried"], size),)
        for i, block in enumerate(self.residual, 1):
            x = out[f"residual{i}"] = block(x)
        level = len(self.merge) + 1
        x = out[f"decoder{level}"] = self.bottom(x, source, *carried(x.shape[1:3]))
        skips = maps[1::2][-2::-1]
        for merge, refine, skip in zip(self.merge, self.refine, skips):
            level -= 1
            x = resample.resize(x, skip.shape[1:3])
            x = out[f"decoder{level}"] = refine(merge(x, skip, *carried(skip.shape[1:3])))
        image = jnp.tanh(self.out(x))
        if self.layer:
            out["layer"] = image
            image = colour.multiply(image, sketch)
        return (image, out) if intermediates else image

    def _attend(self, query, key, value):
        """What queries [batch, h, w, d] get of values, [batch, h, w, channel]."""
        found = attention.attend(places(query), places(key), places(value), chunk=self.chunk)
        return found.reshape(*query.shape[:3], -1)


def correspondence_weights(sampling, query_index, query_grid):
    """Which reference cells show what sketch cells show, from the known warp.

    The reference is r(x) = image(g(x)), so reference cell j shows the sketch's position g(x_j).
    A bilinear kernel of one cell around each sketch position, normalised over j.

    Args:
      sampling: g at the reference's cell centres, [batch, h, w, 2] in [-1, 1].
      query_index: [batch, m] flat indices of sketch cells.
      query_grid: cell centres of the sketch, [h, w, 2] in [-1, 1].

    Returns:
      (weights [batch, m, h * w], valid [batch, m]): rows sum to 1 where some cell shows the
      query, and are zero, and not valid, where the warp has moved it out of the frame.
    """
    height, width = query_grid.shape[:2]
    cell = jnp.asarray([2.0 / width, 2.0 / height])
    queries = query_grid.reshape(-1, 2)[query_index]
    seen = sampling.reshape(sampling.shape[0], 1, -1, 2)
    distance = jnp.abs(queries[:, :, None] - seen) / cell
    weights = jnp.prod(jax.nn.relu(1 - distance), -1)
    total = weights.sum(-1, keepdims=True)
    valid = total[..., 0] > 1e-3
    return jnp.where(valid[..., None], weights / jnp.maximum(total, 1e-3), 0), valid
