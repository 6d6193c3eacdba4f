"""Generators that take images apart into content and style and paint with the style of another, and their critics.

`AdaINGenerator` is MUNIT's (Huang et al., ECCV 2018, appendix B). Its style is a short code, of which perceptrons make
the means and deviations of the decoder's maps. `WhiteningGenerator` is GDWCT's (Cho et al., CVPR 2019, section 3):
before each of the decoder's blocks a layer takes the mean away from the content and multiplies groups of its channels
by matrices that perceptrons make of the style. That the content is white, and the matrices are orthogonal but for their
scales, is what their regularisers ask for. Convolutions go over reflected edges.
"""

import functools

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops.pool import average_pool, reflected

KAIMING = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
DOWN = 4  # Pixels along a place of the content.
SHARE = 0.6  # Of the coloured content in what a layer gives, at first.


class Block(nnx.Module):
    """Convolution over reflected edges, a normalisation if `norm`, function of the features, makes one, activation."""

    def __init__(self, channel, features, kernel=3, *, stride=1, norm=None, init=KAIMING, rngs):
        self.conv = layers.Conv(channel, features, kernel, stride=stride, padding=0, init=init, rngs=rngs)
        self.norm = norm(features) if norm else None
        self.edge = (kernel - 1) // 2

    def __call__(self, x, activation=jax.nn.relu, *, train=False):
        x = self.conv(reflected(x, self.edge))
        return activation(x if self.norm is None else self.norm(x, train=train))


def same(x):
    """The activation of a block that has none."""
    return x


class Residual(nnx.Module):
    """x + block(block(x)), the second without activation."""

    def __init__(self, features, *, norm=None, rngs):
        self.blocks = nnx.List(Block(features, features, norm=norm, rngs=rngs) for _ in range(2))

    def __call__(self, x, *, train=False):
        first, second = self.blocks
        return x + second(first(x, train=train), same, train=train)


class ContentEncoder(nnx.Module):
    """Images [batch, height, width, 3] to maps [batch, height / 4, width / 4, 4 width]."""

    def __init__(self, width, blocks, *, norm, rngs):
        block = functools.partial(Block, norm=norm, rngs=rngs)
        self.down = nnx.List([block(3, width, 7), *(block(n * width, 2 * n * width, 4, stride=2) for n in (1, 2))])
        self.residual = nnx.List(Residual(DOWN * width, norm=norm, rngs=rngs) for _ in range(blocks))

    def __call__(self, x, *, train):
        for block in (*self.down, *self.residual):
            x = block(x, train=train)
        return x


class StyleEncoder(nnx.Module):
    """Images [batch, height, width, 3] to what is everywhere in them, [batch, features].

    Args:
      features: of a linear map of the mean over places; 0: that mean itself, of 4 width.
      norm: of all but the first convolution.
    """

    def __init__(self, width, *, features=0, norm=None, rngs):
        block = functools.partial(Block, norm=norm, rngs=rngs)
        sizes = [width, 2 * width, *[4 * width] * 3]
        steps = [block(a, b, 4, stride=2) for a, b in zip(sizes, sizes[1:])]
        self.down = nnx.List([Block(3, width, 7, rngs=rngs), *steps])
        self.out = layers.Conv(4 * width, features, 1, init=KAIMING, rngs=rngs) if features else None

    def __call__(self, x):
        for block in self.down:
            x = block(x)
        x = x.mean((1, 2), keepdims=True)
        return (x if self.out is None else self.out(x))[:, 0, 0]


class Perceptrons(nnx.Module):
    """Linear maps of widths `sizes`, an activation between."""

    def __init__(self, sizes, activation, *, rngs):
        self.linears = nnx.List(layers.Linear(a, b, init=KAIMING, rngs=rngs) for a, b in zip(sizes, sizes[1:]))
        self.activation = activation

    def __call__(self, x):
        for linear in list(self.linears)[:-1]:
            x = self.activation(linear(x))
        return self.linears[-1](x)


class MapNorm(nnx.Module):
    """MUNIT's layer norm: over all of a map, by its unbiased deviation; scale and bias of each channel."""

    def __init__(self, features, *, epsilon=1e-5, rngs):
        self.scale = nnx.Param(jax.random.uniform(rngs.params(), (features,)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.epsilon = epsilon

    def __call__(self, x, *, train=False):
        """`train` makes no difference here."""
        y = x.astype(jnp.float32)
        y = y - y.mean((1, 2, 3), keepdims=True)
        # The deviation of a map that is the same everywhere has no slope.
        deviation = jnp.sqrt(jnp.sum(y * y, (1, 2, 3), keepdims=True) / (x[0].size - 1) + 1e-12)
        return (y / (deviation + self.epsilon) * self.scale[...] + self.bias[...]).astype(x.dtype)


class Painter(nnx.Module):
    """Maps of content to images in [-1, 1], 4 times as large; maps are enlarged by repeating."""

    def __init__(self, width, *, norm, rngs):
        self.up = nnx.List(Block(2 * n * width, n * width, 5, norm=norm, rngs=rngs) for n in (2, 1))
        self.out = Block(width, 3, 7, rngs=rngs)

    def __call__(self, x):
        for block in self.up:
            x = block(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2))
        return self.out(x, jnp.tanh)


class AdaINGenerator(nnx.Module):
    """MUNIT's of one domain.

    Args:
      width: channels of the first convolutions; the published 64.
      blocks: residual ones, of encoder and decoder each; the published 4.
      style: numbers of a style; the published 8.
      hidden: units of the perceptrons; the published 256.
    """

    def __init__(self, *, width=64, blocks=4, style=8, hidden=256, rngs):
        norm = functools.partial(layers.InstanceNorm, affine=False, rngs=rngs)
        self.content = ContentEncoder(width, blocks, norm=norm, rngs=rngs)
        self.style = StyleEncoder(width, features=style, rngs=rngs)
        self.residual = nnx.List(Residual(DOWN * width, rngs=rngs) for _ in range(blocks))
        self.perceptrons = Perceptrons([style, hidden, hidden, 4 * blocks * DOWN * width], jax.nn.relu, rngs=rngs)
        self.painter = Painter(width, norm=functools.partial(MapNorm, rngs=rngs), rngs=rngs)
        self.norm = norm(DOWN * width)

    def encode(self, image, *, train=False):
        """Of images [batch, height, width, 3]: content [batch, height / 4, width / 4, 4 width], style [batch, *]."""
        return self.content(image, train=train), self.style(image)

    def decode(self, content, style, *, train=False):
        """(images in [-1, 1], {}) of content and style, which may be of different images."""
        moments = self.perceptrons(style).reshape(len(style), -1, 2, 1, 1, content.shape[-1])
        layer = iter(range(moments.shape[1]))

        def restyled(x):
            bias, scale = moments[:, next(layer)].swapaxes(0, 1)
            return self.norm(x) * scale + bias

        x = content
        for block in self.residual:
            first, second = block.blocks
            x = x + restyled(second(jax.nn.relu(restyled(first(x, same))), same))
        return self.painter(x), {}


class WhiteningColouring(nnx.Module):
    """Content whose mean is taken away, in the colours of a style, and some of the content as it was.

    Args:
      channel: of the content.
      groups: of channels; only those of one are mixed.
      hidden: units of the perceptrons that make a group's matrix.
    """

    def __init__(self, channel, groups, hidden, *, rngs):
        leaky, size = jax.nn.leaky_relu, channel // groups  # Of slope 0.01.
        self.matrix = Perceptrons([size, *[hidden] * 4, size**2], leaky, rngs=rngs)
        self.mean = Perceptrons([channel] * 4, leaky, rngs=rngs)
        self.share = nnx.Param(jnp.full(1, SHARE))
        self.groups = groups

    def __call__(self, content, style, *, train):
        """Of content [batch, height, width, channel] and style [batch, channel].

        Args:
          train: mean and covariance are those of the whole batch, otherwise each example's own.

        Returns:
          (the result, {"whitening", "colouring"}: mean absolute difference of the covariance of each group from the
          identity, and of U^T U, the matrices being those of the style with columns of length 1).
        """
        batch, size = len(content), content.shape[-1] // self.groups
        x = content.astype(jnp.float32).reshape(*content.shape[:3], self.groups, size)
        mean = x.mean((1, 2), keepdims=True)
        if train:
            mean = layers.across_devices(mean.mean(0))
        x = x - mean
        here = x.size // content.shape[-1]
        count = layers.across_devices_count(here)
        covariance = layers.across_devices(jnp.einsum("bhwgi,bhwgj->gij", x, x) / here)
        covariance = covariance * (count / max(count - 1, 1)) + 1e-5 * jnp.eye(size)
        matrix = self.matrix(style.reshape(-1, size)).astype(jnp.float32).reshape(batch, self.groups, size, size)
        unit = matrix * lax.rsqrt(jnp.sum(matrix**2, 2, keepdims=True) + 1e-12)
        coloured = jnp.einsum("bgij,bgkj,bhwgk->bhwgi", matrix, unit, x).reshape(content.shape)
        coloured = coloured + self.mean(style)[:, None, None]
        share = self.share[...].astype(jnp.float32)
        # From 0 to 1; outside, the slope is that inside, so that it may come back.
        share = share + lax.stop_gradient(jnp.clip(share, 0, 1) - share)
        far = lambda x: jnp.mean(jnp.abs(x - jnp.eye(size)))
        regularisers = {"whitening": far(covariance), "colouring": far(jnp.einsum("bgki,bgkj->bgij", unit, unit))}
        return (share * coloured + (1 - share) * content).astype(content.dtype), regularisers


class WhiteningGenerator(nnx.Module):
    """GDWCT's of one domain.

    Args:
      width: channels of the first convolutions; the published 64.
      blocks: residual ones, of encoder and decoder each; the published 4.
      groups: of the content's channels; the published 8 of 256, or 4. It divides `width`.
      hidden: units of the perceptrons that make matrices; the published 256.
    """

    def __init__(self, *, width=64, blocks=4, groups=8, hidden=256, rngs):
        tracked = functools.partial(layers.TrackedInstanceNorm, running=True, rngs=rngs)
        grouped = functools.partial(layers.GroupNorm, groups=groups, rngs=rngs)
        self.content = ContentEncoder(width, blocks, norm=tracked, rngs=rngs)
        self.style = StyleEncoder(width, norm=grouped, rngs=rngs)
        hops = range(blocks + 1)
        self.hops = nnx.List(WhiteningColouring(DOWN * width, groups, hidden, rngs=rngs) for _ in hops)
        self.residual = nnx.List(Residual(DOWN * width, rngs=rngs) for _ in range(blocks))
        self.painter = Painter(width, norm=functools.partial(layers.GroupNorm, rngs=rngs), rngs=rngs)

    def encode(self, image, *, train=False):
        """As of `AdaINGenerator`; the style has 4 width numbers.

        `train`: the content is normalised by the image's own statistics, and the running ones are updated.
        """
        return self.content(image, train=train), self.style(image)

    def decode(self, content, style, *, train=False):
        """(images in [-1, 1], regularisers) of content and style; see `WhiteningColouring`."""
        x, found = self.hops[0](content, style, train=train)
        every = [found]
        for block, hop in zip(self.residual, list(self.hops)[1:]):
            x, found = hop(block(x), style, train=train)
            every.append(found)
        return self.painter(x), jax.tree.map(lambda *each: sum(each) / len(each), *every)


class ScaleDiscriminator(nnx.Module):
    """Convolutions that halve the map, and a logit for each place of the last.

    Args:
      width: channels of the first; each further one has twice as many.
      stages: how many.
      slope: of the leaky units; MUNIT's 0.2, GDWCT's 0.01.
    """

    def __init__(self, *, width, stages, slope, rngs):
        normal, sizes = nnx.initializers.normal(0.02), [3, *(width * 2**i for i in range(stages))]
        self.down = nnx.List(Block(a, b, 4, stride=2, init=normal, rngs=rngs) for a, b in zip(sizes, sizes[1:]))
        self.out = layers.Conv(sizes[-1], 1, 1, init=normal, rngs=rngs)
        self.slope = slope

    def __call__(self, x):
        for block in self.down:
            x = block(x, functools.partial(jax.nn.leaky_relu, negative_slope=self.slope))
        return self.out(x)


class Discriminators(nnx.Module):
    """One for the image, one for it at half its size, and so on (Wang et al., CVPR 2018)."""

    def __init__(self, *, width=64, stages=4, scales=3, slope=0.2, rngs):
        one = functools.partial(ScaleDiscriminator, width=width, stages=stages, slope=slope, rngs=rngs)
        self.scales, self.slope = nnx.List(one() for _ in range(scales)), slope

    def __call__(self, image):
        """Logits of images [batch, height, width, 3]: one array [batch, h, w, 1] for each scale, finest first."""
        found = []
        for discriminator in self.scales:
            found.append(discriminator(image))
            image = average_pool(image, 3, stride=2, padding=1)
        return found
