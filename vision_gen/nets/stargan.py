"""The generator and discriminator of StarGAN (Choi et al., CVPR 2018, tables 4 and 5), as the released code has them.

Convolutions pad with zeros: labels come in as constant maps, which normalisation by the instance would take away again
but for what is seen of them at the edges. Weights are drawn as torch's layers draw theirs.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers

INIT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # Uniform to 1 / sqrt(fan in).
DOWN = 2  # Times that the generator halves its map.


class Block(nnx.Module):
    """x + norm(conv(relu(norm(conv(x))))), of 3x3 convolutions; `how` is what norms are given."""

    def __init__(self, width, norm, *, rngs):
        conv = lambda: layers.Conv(width, width, 3, bias=False, init=INIT, rngs=rngs)
        self.convs = nnx.List([conv(), conv()])
        self.norms = nnx.List([norm(width), norm(width)])

    def __call__(self, x, how):
        y = jax.nn.relu(self.norms[0](self.convs[0](x), **how))
        return x + self.norms[1](self.convs[1](y), **how)


class Painter(nnx.Module):
    """A 7x7 convolution, two of 4x4 and stride 2, residual blocks, and the way back.

    Args:
      channel: of what comes in.
      width: channels of the first convolution, four times that innermost.
      blocks: residual ones.
      norm, late_norm: functions of a number of channels that make a normalisation: of the way down, of what follows.
    """

    def __init__(self, channel, width, blocks, norm, late_norm, rngs):
        conv = dict(bias=False, init=INIT, rngs=rngs)
        widths = [width * 2**i for i in range(DOWN + 1)]
        steps = list(zip(widths, widths[1:]))
        self.down = nnx.List([
            layers.Conv(channel, width, 7, **conv),
            *(layers.Conv(a, b, 4, stride=2, padding=1, **conv) for a, b in steps),
        ])
        self.down_norms = nnx.List(map(norm, widths))
        self.blocks = nnx.List(Block(widths[-1], late_norm, rngs=rngs) for _ in range(blocks))
        self.up = nnx.List(layers.ConvTranspose(b, a, **conv) for a, b in reversed(steps))
        self.up_norms = nnx.List(late_norm(a) for a, _ in reversed(steps))
        self.out = layers.Conv(width, 3, 7, **conv)

    def paint(self, maps, how, late_how):
        """Images [batch, height, width, 3] in [-1, 1].

        Args:
          maps: [batch, height, width, some], channels in all, sides multiples of 4.
          how, late_how: arguments by name of both kinds of normalisation.

        Raises:
          ValueError: a side is no multiple of 4.
        """
        size = 2**DOWN
        if maps[0].shape[1] % size or maps[0].shape[2] % size:
            raise ValueError(f"Generator: the sides of image must be multiples of {size}, got {maps[0].shape[1:3]}")
        for conv, norm in zip(self.down, self.down_norms):
            maps = (jax.nn.relu(norm(conv(*maps), **how)),)
        (x,) = maps
        for block in self.blocks:
            x = block(x, late_how)
        for conv, norm in zip(self.up, self.up_norms):
            x = jax.nn.relu(norm(conv(x), **late_how))
        return jnp.tanh(self.out(x))


class Generator(Painter):
    """Labels come in beside the image.

    Args:
      labels: numbers in a label.
      width: the published 64.
      blocks: the published 6.
      running: normalise by running statistics outside of training; see `layers.TrackedInstanceNorm`.
    """

    def __init__(self, *, labels, width=64, blocks=6, running=False, rngs):
        norm = lambda n: layers.TrackedInstanceNorm(n, running=running, rngs=rngs)
        super().__init__(3 + labels, width, blocks, norm, norm, rngs)

    def __call__(self, image, label, *, train):
        """Images in other domains.

        Args:
          image: [batch, height, width, 3] in [-1, 1], sides multiples of 4.
          label: [batch, labels] from 0 to 1, of the domains that are asked for.
          train: update the running statistics.

        Returns:
          [batch, height, width, 3] in [-1, 1].

        Raises:
          ValueError: a side of `image` is no multiple of 4.
        """
        label = label.astype(image.dtype)[:, None, None]
        maps = image, jnp.broadcast_to(label, (*image.shape[:3], label.shape[-1]))
        return self.paint(maps, {"train": train}, {"train": train})


class Discriminator(nnx.Module):
    """4x4 convolutions of stride 2 with leaky units of slope 0.01, and two heads.

    Args:
      size: (height, width) of images, multiples of 2^stages.
      labels: numbers in a label.
      width: channels of the first convolution; the published 64, twice as many in each after it.
      stages: convolutions; the published 6.

    Raises:
      ValueError: sides of images are no multiples of 2^stages.
    """

    def __init__(self, *, size, labels, width=64, stages=6, rngs):
        if any(side % 2**stages for side in size):
            raise ValueError(f"stages is {stages}: sides of images must be multiples of {2**stages}, got {size}")
        widths = [width * 2**i for i in range(stages)]
        conv = dict(init=INIT, rngs=rngs)
        self.convs = nnx.List(
            layers.Conv(a, b, 4, stride=2, padding=1, **conv) for a, b in zip([3, *widths], widths)
        )
        self.source = layers.Conv(widths[-1], 1, 3, bias=False, **conv)
        whole = tuple(side // 2**stages for side in size)
        self.classes = layers.Conv(widths[-1], labels, whole, padding=0, bias=False, **conv)

    def __call__(self, image):
        """How real patches of images [batch, height, width, 3] are, [batch, h, w, 1], and logits [batch, labels]."""
        x = image
        for conv in self.convs:
            x = jax.nn.leaky_relu(conv(x), 0.01)
        return self.source(x), self.classes(x)[:, 0, 0]
