"""The networks of Zhang et al. that colour grey pictures: as released, or narrower.

`ECCV16`: "Colorful Image Colorization", ECCV 2016, version 2 as released for PyTorch. `SIGGRAPH17`: "Real-Time
User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017. Lightness is (L - 50) / 100, colours are
ab / 110, of CIE Lab.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import gamut, resample

STRIDE = 8  # Sides of pictures must be multiples of it.
COARSE = 4  # Classes are those of every so manyth pixel.


class Block(nnx.Module):
    """3x3 convolutions, each with a ReLU, and a batch normalisation after them.

    Args:
      channel, features: of the map that comes in, and of all others.
      count: of convolutions.
      stride: of the last.
      dilation: of all.
      norm: whether it is normalised.
    """

    def __init__(self, channel, features, count, *, stride=1, dilation=1, norm=True, rngs):
        self.convs = nnx.List(
            layers.Conv(
                features if i else channel,
                features,
                stride=stride if i == count - 1 else 1,
                dilation=dilation,
                rngs=rngs,
            )
            for i in range(count)
        )
        self.norm = layers.BatchNorm(features, rngs=rngs) if norm else None

    def __call__(self, x, *, train):
        for conv in self.convs:
            x = jax.nn.relu(conv(x))
        return x if self.norm is None else self.norm(x, train=train)


class ECCV16(nnx.Module):
    """Lightness to a distribution over the 313 colours of the gamut, at a quarter of the size.

    Args:
      width: channels of the first block; the published 64.
    """

    def __init__(self, *, width=64, rngs):
        w = width
        self.block1 = Block(1, w, 2, stride=2, rngs=rngs)
        self.block2 = Block(w, 2 * w, 2, stride=2, rngs=rngs)
        self.block3 = Block(2 * w, 4 * w, 3, stride=2, rngs=rngs)
        self.block4 = Block(4 * w, 8 * w, 3, rngs=rngs)
        self.block5 = Block(8 * w, 8 * w, 3, dilation=2, rngs=rngs)
        self.block6 = Block(8 * w, 8 * w, 3, dilation=2, rngs=rngs)
        self.block7 = Block(8 * w, 8 * w, 3, rngs=rngs)
        self.up = layers.ConvTranspose(8 * w, 4 * w, rngs=rngs)
        self.block8 = Block(4 * w, 4 * w, 2, norm=False, rngs=rngs)
        bins = gamut.in_gamut() / gamut.REACH
        self.head = layers.Conv(4 * w, len(bins), 1, init=nnx.initializers.normal(0.01), rngs=rngs)
        # No parameter: no loss reaches it, and it must not decay.
        self.centres = nnx.BatchStat(jnp.asarray(bins))

    def __call__(self, lightness, *, train, edits=None, intermediates=False):
        """Logits of colours.

        Args:
          lightness: [batch, height, width, 1], sides multiples of 8.
          train: batch statistics, and the running ones updated.
          edits: {name of one of the first seven blocks: what takes the place of its map}.
          intermediates: also return what happens inside.

        Returns:
          [batch, height / 4, width / 4, 313], by `gamut.in_gamut`; with `intermediates` a dict too, of the maps after
          `block1`, ... `block8`, between the last two `up` before its ReLU.

        Raises:
          ValueError: a side is no multiple of 8.
        """
        x, out = _checked(lightness), {}
        for i in range(1, 8):
            x = getattr(self, f"block{i}")(x, train=train)
            x = out[f"block{i}"] = (edits or {}).get(f"block{i}", x)
        out["up"] = self.up(x)
        out["block8"] = self.block8(jax.nn.relu(out["up"]), train=train)
        logits = self.head(out["block8"])
        return (logits, out) if intermediates else logits

    def colours(self, logits, temperature=1.0):
        """Their annealed mean, at the size of the picture: [batch, height, width, 2].

        Args:
          logits: of `__call__`.
          temperature: of `gamut.annealed_mean`; the released code has none.
        """
        ab = gamut.annealed_mean(logits, self.centres[...].astype(jnp.float32), temperature)
        return resample.resize(ab, [COARSE * n for n in ab.shape[1:3]])


class SIGGRAPH17(nnx.Module):
    """Lightness and hints to colours, and to a distribution over the 529 colours of the grid at a quarter of the size.

    Args:
      width: channels of the first block; the published 64.
    """

    def __init__(self, *, width=64, rngs):
        w = width
        self.block1 = Block(4, w, 2, rngs=rngs)
        self.block2 = Block(w, 2 * w, 2, rngs=rngs)
        self.block3 = Block(2 * w, 4 * w, 3, rngs=rngs)
        self.block4 = Block(4 * w, 8 * w, 3, rngs=rngs)
        self.block5 = Block(8 * w, 8 * w, 3, dilation=2, rngs=rngs)
        self.block6 = Block(8 * w, 8 * w, 3, dilation=2, rngs=rngs)
        self.block7 = Block(8 * w, 8 * w, 3, rngs=rngs)
        self.up8 = layers.ConvTranspose(8 * w, 4 * w, rngs=rngs)
        self.short8 = layers.Conv(4 * w, 4 * w, rngs=rngs)
        self.block8 = Block(4 * w, 4 * w, 2, rngs=rngs)
        self.up9 = layers.ConvTranspose(4 * w, 2 * w, rngs=rngs)
        self.short9 = layers.Conv(2 * w, 2 * w, rngs=rngs)
        self.block9 = Block(2 * w, 2 * w, 1, rngs=rngs)
        self.up10 = layers.ConvTranspose(2 * w, 2 * w, rngs=rngs)
        self.short10 = layers.Conv(w, 2 * w, rngs=rngs)
        self.conv10 = layers.Conv(2 * w, 2 * w, rngs=rngs)
        self.classes = layers.Conv(4 * w, len(gamut.grid()), 1, init=nnx.initializers.normal(0.01), rngs=rngs)
        self.out = layers.Conv(2 * w, 2, 1, init=nnx.initializers.normal(0.01), rngs=rngs)

    def __call__(self, lightness, hints, mask, *, train, by_class=None, edits=None, intermediates=False):
        """Colours.

        Args:
          lightness: [batch, height, width, 1], sides multiples of 8.
          hints: colours [batch, height, width, 2] where `mask` [batch, height, width, 1] says so, 0 elsewhere.
          train: batch statistics, and the running ones updated.
          by_class: whether the gradient of the logits moves the trunk, 1, or that of the colours, 0, the other then
            moving its own layers alone; by default both do.
          edits: {name of one of the first seven blocks: what takes the place of its map}.
          intermediates: also return what happens inside.

        Returns:
          (colours [batch, height, width, 2] in [-1, 1], logits [batch, height / 4, width / 4, 529] by `gamut.grid`),
          and with `intermediates` a dict too, of the maps after `block1`, ... `block9` and `conv10`.

        Raises:
          ValueError: a side is no multiple of 8.
        """
        out = {}
        x = jnp.concatenate([_checked(lightness), hints, mask], -1)
        for i in range(1, 8):
            # Every second pixel, where others would have a stride.
            x = x[:, ::2, ::2] if i in (2, 3, 4) else x
            x = getattr(self, f"block{i}")(x, train=train)
            x = out[f"block{i}"] = (edits or {}).get(f"block{i}", x)
        x = jax.nn.relu(self.up8(x) + self.short8(out["block3"]))
        x = out["block8"] = self.block8(x, train=train)
        to_class, to_colour = (None, None) if by_class is None else (by_class, 1 - by_class)
        logits = self.classes(_gate(x, to_class))
        x = self.up9(_gate(x, to_colour)) + self.short9(_gate(out["block2"], to_colour))
        x = out["block9"] = self.block9(jax.nn.relu(x), train=train)
        x = self.up10(x) + self.short10(_gate(out["block1"], to_colour))
        x = out["conv10"] = layers.leaky_relu(self.conv10(jax.nn.relu(x)))
        found = jnp.tanh(self.out(x)), logits
        return (found, out) if intermediates else found


def _checked(lightness):
    if lightness.shape[1] % STRIDE or lightness.shape[2] % STRIDE:
        raise ValueError(f"the sides of pictures must be multiples of {STRIDE}, got {lightness.shape[1:3]}")
    return lightness


def _gate(x, share):
    """`x`, of whose gradient a share goes through."""
    still = lax.stop_gradient(x)
    return x if share is None else still + share * (x - still)
