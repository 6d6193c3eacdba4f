"""The networks of CoCosNet (Zhang et al., CVPR 2020): correspondence across domains, and translation.

Two encoders bring an input (a line drawing, say) and an exemplar into one domain. Each place of the input looks at the
places of the exemplar that are like it and takes their colours; the generator is modulated everywhere by that warped
exemplar. Attention is `ops.attention.point`, in bounded memory.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.nets.layers import XAVIER, SelfAttention, SpectralConv
from vision_gen.nets.scft import places
from vision_gen.ops import attention, resample
from vision_gen.ops.pool import reflected

CELL = 4  # Pixels along a place of the maps that correspond.
STRIDE = 32  # Pixels of which sides must be multiples: along a place of the generator's first map.
MATCH = 3  # Places along a side of the neighbourhood that is compared.


def positional_norm(x, epsilon=1e-5):
    """Maps [batch, height, width, channel] normalised over the channels of each place (Li et al., NeurIPS 2019)."""
    y = x.astype(jnp.float32)
    y = y - y.mean(-1, keepdims=True)
    variance = jnp.sum(y * y, -1, keepdims=True) / (x.shape[-1] - 1)
    return (y * lax.rsqrt(variance + epsilon)).astype(x.dtype)


def unit(x):
    """Vectors [..., channel] of length 1, float32."""
    x = x.astype(jnp.float32)
    return x * lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-12)


class Modulation(nnx.Module):
    """Positional norm, with scales and biases that a condition gives for every place (SPADE, Park et al., CVPR 2019).

    `hidden`: channels between the condition and these.
    """

    def __init__(self, features, condition, hidden, *, rngs):
        conv = lambda a, b: layers.Conv(a, b, 3, padding=0, init=XAVIER, rngs=rngs)
        self.shared, self.scale, self.bias = conv(condition, hidden), conv(hidden, features), conv(hidden, features)

    def __call__(self, x, condition):
        """Of maps [batch, h, w, features]; the condition [batch, *, *, channel] is brought to their size."""
        hidden = jax.nn.relu(self.shared(reflected(resample.nearest(condition, x.shape[1:3]))))
        hidden = reflected(hidden)
        return positional_norm(x) * (1 + self.scale(hidden)) + self.bias(hidden)


class Block(nnx.Module):
    """A residual block whose normalisations are modulated."""

    def __init__(self, channel, features, condition, hidden, *, rngs):
        inner = min(channel, features)
        self.norms = nnx.List(Modulation(n, condition, hidden, rngs=rngs) for n in (channel, inner))
        self.convs = nnx.List(
            SpectralConv(a, b, edge=1, rngs=rngs) for a, b in ((channel, inner), (inner, features))
        )
        changes = channel != features
        self.skip_norm = Modulation(channel, condition, hidden, rngs=rngs) if changes else None
        self.skip = SpectralConv(channel, features, 1, bias=False, rngs=rngs) if changes else None

    def __call__(self, x, condition, *, train):
        y = x
        for norm, conv in zip(self.norms, self.convs):
            y = conv(layers.leaky_relu(norm(y, condition)), train=train)
        return y + (x if self.skip is None else self.skip(self.skip_norm(x, condition), train=train))


class Adapter(nnx.Module):
    """Images of one domain to maps of the domain that both share, [batch, height / 4, width / 4, 4 width].

    Args:
      channel: of the images.
      width: channels of the first convolution; the published 64.
    """

    def __init__(self, channel, width, *, rngs):
        sizes = [(channel, 1, 3, 1), (1, 2, 4, 2), (2, 4, 3, 1), (4, 8, 4, 2), (8, 8, 3, 1)]
        self.convs = nnx.List(
            SpectralConv(a * (width if i else 1), b * width, k, stride=s, padding=1, bias=False, rngs=rngs)
            for i, (a, b, k, s) in enumerate(sizes)
        )
        self.norm = layers.InstanceNorm(width, affine=False, rngs=rngs)
        self.blocks = nnx.List(Block(8 * width, n * width, channel, 2 * width, rngs=rngs) for n in (8, 8, 4))

    def __call__(self, image, *, train):
        x = image
        for i, conv in enumerate(self.convs):
            x = self.norm(conv(layers.leaky_relu(x) if i else x, train=train))
        for block in self.blocks:
            x = block(x, image, train=train)
        return x


class Residual(nnx.Module):
    """x + IN(conv(prelu(IN(conv(x))))), and prelu of that; the slope is learned."""

    def __init__(self, features, *, rngs):
        self.convs = nnx.List(layers.Conv(features, features, 3, padding=0, init=XAVIER, rngs=rngs) for _ in range(2))
        self.norm = layers.InstanceNorm(features, affine=False, rngs=rngs)
        self.slope = nnx.Param(jnp.full(1, 0.25))

    def _activated(self, x):
        return jnp.where(x > 0, x, self.slope[...] * x)

    def __call__(self, x):
        y = x
        for i, conv in enumerate(self.convs):
            y = self.norm(conv(reflected(self._activated(y) if i else y)))
        return self._activated(x + y)


class Correspondence(nnx.Module):
    """Which places of an exemplar are like those of an input, by maps in the common domain and the inputs themselves.

    Args:
      channel: of the input.
      width: of the adapters; the published 64.
      chunk: places of the input that look at a time.
      temperature: of the softmax over the exemplar's places; the published 0.01.
    """

    def __init__(self, channel, *, width=64, temperature=0.01, chunk=1024, rngs):
        self.inputs, self.exemplars = (Adapter(n, width, rngs=rngs) for n in (channel, 3))
        mixed = 4 * width + channel
        self.residual = nnx.List(Residual(mixed, rngs=rngs) for _ in range(4))  # The domain is one by then.
        self.query, self.key = (layers.Conv(mixed, 4 * width, 1, init=XAVIER, rngs=rngs) for _ in range(2))
        self.temperature, self.chunk = temperature, chunk

    def adapted(self, adapter, image, *, train):
        """Maps of one domain or the other in the common one: vectors of length 1."""
        return unit(adapter(image, train=train)).astype(image.dtype)

    def codes(self, x, lines, linear):
        """What is compared, [batch, h, w, 9 * 4 width] of length 1: of each place and those around it, centred.

        Args:
          x: from `adapted`, [batch, h, w, 4 width].
          lines: the input [batch, *, *, channel], or such of the exemplar.
          linear: `query` or `key`.
        """
        x = jnp.concatenate([x, resample.nearest(lines, x.shape[1:3]).astype(x.dtype)], -1)
        for block in self.residual:
            x = block(x)
        x = linear(x)
        height, width = x.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (MATCH // 2,) * 2, (MATCH // 2,) * 2, (0, 0)))
        shifted = [padded[:, i : i + height, j : j + width] for i in range(MATCH) for j in range(MATCH)]
        x = jnp.concatenate(shifted, -1).astype(jnp.float32)
        return unit(x - x.mean(-1, keepdims=True))

    def look(self, query, key, value):
        """What places with codes `query` [batch, n, d] take of `value` [batch, m, channel], whose codes are `key`."""
        return attention.point(query, key, value, temperature=self.temperature, chunk=self.chunk)


class Translator(nnx.Module):
    """Images of conditions [batch, height, width, channel]: seven blocks, five times doubled, and attention.

    Args:
      channel: of the condition.
      width: channels of the last block; the published 64.
    """

    def __init__(self, channel, width, *, rngs):
        sizes = [16, 16, 16, 16, 8, 4, 2, 1]
        block = lambda a, b: Block(a * width, b * width, channel, 2 * width, rngs=rngs)
        self.start = layers.Conv(channel, 16 * width, 3, init=XAVIER, rngs=rngs)
        self.blocks = nnx.List(block(a, b) for a, b in zip(sizes, sizes[1:]))
        self.attention = SelfAttention(4 * width, rngs=rngs)
        self.out = layers.Conv(width, 3, 3, init=XAVIER, rngs=rngs)

    def __call__(self, condition, *, train):
        size = [n // STRIDE for n in condition.shape[1:3]]
        x = self.start(resample.nearest(condition, size))
        for i, block in enumerate(self.blocks):
            if i not in (0, 2):  # The first and the second of the two in the middle stay at their size.
                x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            if i == 5:
                x = self.attention(x, train=train)
            x = block(x, condition, train=train)
        return jnp.tanh(self.out(layers.leaky_relu(x)))


class CoCosNet(nnx.Module):
    """Correspondence and translator.

    Args:
      channel: of the input.
      width: channels of the translator's last block, and of the adapters' first; the published 64.
      temperature, chunk: of `Correspondence`.
    """

    def __init__(self, *, channel=1, width=64, temperature=0.01, chunk=1024, rngs):
        self.correspondence = Correspondence(channel, width=width, temperature=temperature, chunk=chunk, rngs=rngs)
        self.translator = Translator(channel + 3, width, rngs=rngs)

    def __call__(self, lines, exemplar, exemplar_lines, *, train=False, intermediates=False):
        """Translates.

        Args:
          lines: the input [batch, height, width, channel], sides multiples of 32.
          exemplar: [batch, *, *, 3] in [-1, 1], sides multiples of 4.
          exemplar_lines: what the input is, of the exemplar, [batch, *, *, channel].
          train: singular values are followed.
          intermediates: also return what happens inside.

        Returns:
          [batch, height, width, 3] in [-1, 1], and with `intermediates` a dict: `adapted` [batch, h, w, 4 width], the
          input in the common domain; `query` [batch, h, w, d] and `key`, codes of input and exemplar; `carried` [batch,
          h, w, 3], the exemplar where it is looked at; `returned`, that brought back, of the shape of `small`, the
          exemplar's cells; `warped` [batch, height, width, 3], `carried` enlarged.
        """
        net, size = self.correspondence, lines.shape[1:3]
        adapted = net.adapted(net.inputs, lines, train=train)
        query = net.codes(adapted, lines, net.query)
        key = net.codes(net.adapted(net.exemplars, exemplar, train=train), exemplar_lines, net.key)
        small = resample.average_pool(exemplar, [n // CELL for n in exemplar.shape[1:3]])
        look = lambda query, key, value: net.look(places(query), places(key), places(value)).astype(lines.dtype)
        carried = look(query, key, small).reshape(*query.shape[:3], 3)
        warped = resample.resize(carried, size)
        image = self.translator(jnp.concatenate([warped, lines], -1), train=train)
        if not intermediates:
            return image
        returned = look(key, query, carried).reshape(small.shape)
        return image, dict(
            adapted=adapted, query=query, key=key, carried=carried, returned=returned, small=small, warped=warped
        )
