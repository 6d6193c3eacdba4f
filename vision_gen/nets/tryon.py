"""The networks of VITON-HD (Choi et al., CVPR 2021): which cloth goes where, how it is bent, and what the picture is.

`Segmenter` draws the regions of a person in a garment, `Matcher` says how the garment, which lies flat, is to be bent,
and `AliasGenerator` paints the person. Layers are those of the released code.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers
from vision_gen.nets.layers import XAVIER
from vision_gen.ops import random, resample, tps
from vision_gen.ops.pool import max_pool

SEGMENTER_CHANNELS = 21  # Mask and colours of the garment, 13 regions of the person, pose, noise.
CLASSES = 13  # Regions that are told apart;
REGIONS = 7  # and those that the painter is given.
REACH = 0.9  # Control points, and what is sampled at no bending, lie in [-REACH, REACH] of the garment's picture.
NORMAL = nnx.initializers.normal(0.02)
TORCH = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # Its own.


def doubled(x):
    """Maps of twice the size, every place four times."""
    return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)


class Stage(nnx.Module):
    """Two convolutions, each with instance norm and ReLU."""

    def __init__(self, channel, width, *, rngs):
        self.convs = nnx.List(layers.Conv(n, width, 3, init=XAVIER, rngs=rngs) for n in (channel, width))
        self.norm = layers.InstanceNorm(width, affine=False, rngs=rngs)

    def __call__(self, *maps):
        for conv in self.convs:
            maps = [jax.nn.relu(self.norm(conv(*maps)))]
        return maps[0]


class Segmenter(nnx.Module):
    """The regions of a person in a garment: a U-Net.

    Args:
      width: channels of the first stage; the published 64.
      levels: stages down; the published 5.
      size: (height, width) in pixels at which it looks; the published (256, 192).

    Attributes:
      size: as given.
    """

    def __init__(self, *, width=64, levels=5, size=(256, 192), rngs):
        self.size = tuple(size)
        widths = [width * 2**i for i in range(levels)]
        self.down = nnx.List(Stage(a, b, rngs=rngs) for a, b in zip([SEGMENTER_CHANNELS, *widths], widths))
        pairs = list(zip(widths, widths[1:]))[::-1]
        self.up = nnx.List(layers.Conv(b, a, 3, init=XAVIER, rngs=rngs) for a, b in pairs)
        self.merge = nnx.List(Stage(b, a, rngs=rngs) for a, b in pairs)
        self.out = layers.Conv(width, CLASSES, 3, init=XAVIER, rngs=rngs)

    def __call__(self, x, keys=None):
        """Logits of regions; the published network ends in their sigmoid.

        Args:
          x: [batch, height, width, 21], sides multiples of 2^(levels - 1).
          keys: [batch] of dropout in the two deepest stages; None: none.

        Returns:
          [batch, height, width, 13].
        """
        maps = []
        for i, stage in enumerate(self.down):
            x = stage(max_pool(x, 2, stride=2) if i else x)
            if keys is not None and i >= len(self.down) - 2:
                x = layers.dropout(x, random.fold(keys, i))
            maps.append(x)
        x = maps.pop()
        for conv, merge in zip(self.up, self.merge):
            y = conv(doubled(x))
            x = merge(maps.pop(), jax.nn.relu(merge.norm(y)))
        return self.out(x)


class Extractor(nnx.Module):
    """Features of a picture, [batch, height / 2^levels, width / 2^levels, 8 width]; ReLU before the normalisations."""

    def __init__(self, channel, width, levels, *, rngs):
        widths = [channel, *(width * min(2**i, 8) for i in range(levels))]
        conv = lambda a, b, size, stride: layers.Conv(a, b, size, stride=stride, init=NORMAL, rngs=rngs)
        self.convs = nnx.List(conv(a, b, 4, 2) for a, b in zip(widths, widths[1:]))
        self.convs += [conv(n, 8 * width, 3, 1) for n in (widths[-1], 8 * width)]
        scale = lambda key, shape: 1 + NORMAL(key, shape)
        norm = lambda features: layers.BatchNorm(features, scale_init=scale, rngs=rngs)
        self.norms = nnx.List(norm(n) for n in (*widths[1:], 8 * width))

    def __call__(self, x, *, train):
        for conv, norm in zip(self.convs, self.norms):
            x = norm(jax.nn.relu(conv(x)), train=train)
        return jax.nn.relu(self.convs[-1](x))


class Matcher(nnx.Module):
    """How a garment is to be bent for a person: a thin-plate spline, from which features correspond.

    Args:
      width: channels of the first convolutions; the published 64.
      levels: halvings before features are compared; the published 4.
      size: (height, width) in pixels at which it looks; the published (256, 192).
      points: control points along a side; the published 5.

    Attributes:
      size: as given.
      rest: (height, width) of the last features.
    """

    def __init__(self, *, width=64, levels=4, size=(256, 192), points=5, rngs):
        self.size, self.points = tuple(size), points
        self.person, self.cloth = (Extractor(n, width, levels, rngs=rngs) for n in (7, 3))
        cells = [n // 2**levels for n in size]
        widths = [cells[0] * cells[1], 8 * width, 4 * width, 2 * width, width]
        kernels = [(4, 2), (4, 2), (3, 1), (3, 1)]
        self.convs = nnx.List(
            layers.Conv(a, b, k, stride=s, init=TORCH, rngs=rngs) for a, b, (k, s) in zip(widths, widths[1:], kernels)
        )
        self.norms = nnx.List(layers.BatchNorm(n, rngs=rngs) for n in widths[1:])
        self.rest = tuple(n // 4 for n in cells)
        if not min(self.rest):
            raise ValueError(f"at {size[1]} x {size[0]} px {levels} halvings leave less than 4 x 4 places to compare")
        self.out = layers.Linear(width * self.rest[0] * self.rest[1], 2 * points**2, init=TORCH, rngs=rngs)

    @property
    def control(self):
        """[points^2, 2]: control points (x, y), x slowest, as the released code has them."""
        line = np.linspace(-REACH, REACH, self.points, dtype=np.float32)
        return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def __call__(self, person, cloth, *, train=False):
        """How far control points move.

        Args:
          person: [batch, *size, 7], its upper region, pose and what is kept of it.
          cloth: [batch, *size, 3].
          train: batch statistics, and the running ones updated.

        Returns:
          [batch, points^2, 2] in (-1, 1), x and y.
        """
        # Not by the norm, which has no gradient where all features are 0.
        unit = lambda x: x * lax.rsqrt(jnp.maximum(jnp.sum(x * x, -1, keepdims=True), 1e-24))
        features = (self.person(person, train=train), self.cloth(cloth, train=train))
        person, cloth = (unit(x.astype(jnp.float32)) for x in features)
        # Channels are places of the person, column by column.
        x = jnp.einsum("bijc,bhwc->bhwji", person, cloth)
        x = x.reshape(*x.shape[:3], -1).astype(features[0].dtype)
        for conv, norm in zip(self.convs, self.norms):
            x = jax.nn.relu(norm(conv(x), train=train))
        moved = jnp.tanh(self.out(x.reshape(len(x), -1)).astype(jnp.float32))
        return moved.reshape(len(x), 2, -1).swapaxes(1, 2)

    def grid(self, moved, size):
        """Where each pixel of the bent garment comes from: [batch, *size, 2], as `resample.grid_sample` reads it.

        Args:
          moved: what a call gave.
          size: (height, width).
        """
        line = lambda n: np.linspace(-REACH, REACH, n, dtype=np.float32)
        points = np.stack(np.meshgrid(line(size[1]), line(size[0])), -1).reshape(-1, 2)
        control = jnp.asarray(self.control)
        found = tps.apply(tps.solve(control, control + moved), control, jnp.asarray(points))
        return found.reshape(-1, *size, 2)


class SpectralConv(layers.Conv):
    """A convolution with its kernel over its largest singular value, as torch's `spectral_norm`.

    Both singular vectors are kept, and outside of training neither is computed anew: so weights that were trained
    elsewhere give what they gave there.
    """

    def __init__(self, channel, features, kernel=3, *, bias=True, rngs):
        super().__init__(channel, features, kernel, bias=bias, init=XAVIER, rngs=rngs)
        right = _unit(jax.random.normal(rngs.params(), (features,)))
        self.right = nnx.BatchStat(right)
        self.left = nnx.BatchStat(_unit(self.kernel[...].reshape(-1, features) @ right))

    def __call__(self, x, *, train):
        kernel = self.kernel[...]
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
        left, right = (vector[...].astype(jnp.float32) for vector in (self.left, self.right))
        if train:
            left = lax.stop_gradient(_unit(matrix @ right))
            right = lax.stop_gradient(_unit(left @ matrix))
            self.left[...], self.right[...] = left, right
        return super().__call__(x, kernel=(kernel / (left @ matrix @ right)).astype(kernel.dtype))


def _unit(x):
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


def mask_norm(x, mask, epsilon=1e-5):
    """Maps [batch, height, width, channel] normalised apart where a mask [..., 1] is 1 and where it is 0.

    Each part is normalised over the whole map, the rest of which is filled with the part's mean, and multiplied by the
    root of its share.
    """

    def part(mask):
        count = mask.sum((1, 2), keepdims=True)
        count = jnp.where(count == 0, 1, count)
        mean = (x32 * mask).sum((1, 2), keepdims=True) / count
        apart = (x32 - mean) * mask
        factor = lax.rsqrt(jnp.mean(apart * apart, (1, 2), keepdims=True) + epsilon)
        return apart * (factor * jnp.sqrt(count / (x.shape[1] * x.shape[2])))

    x32, mask = x.astype(jnp.float32), lax.stop_gradient(mask.astype(jnp.float32))
    return (part(mask) + part(1 - mask)).astype(x.dtype)


class AliasNorm(nnx.Module):
    """Alignment-aware normalisation (section 3.4), with scales and biases that regions give for every place.

    `hidden`: channels between the regions and these. Noise, the same for all channels but for a learned factor, is
    added first.
    """

    def __init__(self, features, regions, hidden, *, rngs):
        conv = lambda a, b: layers.Conv(a, b, 3, init=XAVIER, rngs=rngs)
        self.noise = nnx.Param(jnp.zeros(features))
        self.shared, self.scale, self.bias = conv(regions, hidden), conv(hidden, features), conv(hidden, features)
        self.norm = layers.InstanceNorm(features, affine=False, rngs=rngs)

    def __call__(self, x, regions, mask, keys):
        """`mask`: [batch, h, w, 1] where the garment does not reach, normalised apart; None: there is no such part."""
        if keys is not None:
            x = x + (random.normal(keys, (*x.shape[1:3], 1)) * self.noise[...]).astype(x.dtype)
        x = self.norm(x) if mask is None else mask_norm(x, mask)
        hidden = jax.nn.relu(self.shared(regions))
        return x * (1 + self.scale(hidden)) + self.bias(hidden)


class AliasBlock(nnx.Module):
    """A residual block whose normalisations are `AliasNorm`s."""

    def __init__(self, channel, features, regions, hidden, *, rngs):
        inner = min(channel, features)
        norm = lambda n: AliasNorm(n, regions, hidden, rngs=rngs)
        self.norms = nnx.List([norm(channel), norm(inner)])
        self.convs = nnx.List([SpectralConv(channel, inner, rngs=rngs), SpectralConv(inner, features, rngs=rngs)])
        changes = channel != features
        self.skip_norm = norm(channel) if changes else None
        self.skip = SpectralConv(channel, features, 1, bias=False, rngs=rngs) if changes else None

    def __call__(self, x, regions, mask, keys, *, train):
        key = lambda i: None if keys is None else random.fold(keys, i)
        y = x
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs)):
            y = conv(layers.leaky_relu(norm(y, regions, mask, key(i))), train=train)
        if self.skip is not None:
            x = self.skip(self.skip_norm(x, regions, mask, key(2)), train=train)
        return x + y


class AliasGenerator(nnx.Module):
    """Paints a person of what is kept of it, its pose and a bent garment, region by region.

    Args:
      widths: channels of the blocks, each of which but the first sees maps of twice the size of the one before.
      masked: so many of them, the first, normalise apart where the garment does not reach.
      hidden: channels of what regions are made into at each normalisation; the published 128.
      added: channels of what each block is given of the input; the published 16.
    """

    def __init__(
        self, *, widths=(1024, 1024, 1024, 512, 256, 128, 64, 32), masked=5, hidden=128, added=16, rngs
    ):
        conv = lambda a, b: layers.Conv(a, b, 3, init=XAVIER, rngs=rngs)
        self.masked = masked
        self.inputs = nnx.List(conv(9, n) for n in (widths[0], *[added] * (len(widths) - 1)))
        sizes = zip([widths[0], *(n + added for n in widths)], widths)
        self.blocks = nnx.List(
            AliasBlock(a, b, REGIONS + (i < masked), hidden, rngs=rngs) for i, (a, b) in enumerate(sizes)
        )
        self.out = conv(widths[-1], 3)

    @property
    def stride(self):
        """Pixels along a place of the first map."""
        return 2 ** (len(self.blocks) - 1)

    def __call__(self, x, regions, divided, mask, keys=None, *, train=False):
        """Pictures [batch, height, width, 3] in [-1, 1].

        Args:
          x: [batch, height, width, 9], what is kept, pose and bent garment, sides multiples of `stride`.
          regions: [batch, height, width, 7] of 0 and 1.
          divided: [batch, height, width, 8], the same with the upper region divided into that which the garment
            reaches and, last, that which it does not.
          mask: [batch, height, width, 1], the latter.
          keys: [batch] of noise; None: none.
          train: singular values are followed.
        """
        y = None
        for i, (given, block) in enumerate(zip(self.inputs, self.blocks)):
            size = [n * 2**i // self.stride for n in x.shape[1:3]]
            at = lambda maps: resample.nearest(maps, size)
            features = given(at(x))
            y = features if y is None else jnp.concatenate([doubled(y), features], -1)
            apart = i < self.masked
            key = None if keys is None else random.fold(keys, i)
            y = block(y, at(divided if apart else regions), at(mask) if apart else None, key, train=train)
        return jnp.tanh(self.out(layers.leaky_relu(y)))
