"""The U-Net generator of pix2pix (Isola et al., CVPR 2017, appendix 6.1.1)."""

import math

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import random


class UNet(nnx.Module):
    """C64-C128-C256-C512-... down to 1x1 and back, each stage joined to its mirror.

    Every stage is a 4x4 convolution of stride 2. No normalisation in the first and the innermost
    stage going down nor in the last going up; dropout 0.5 in the first three decoder stages. Weights N(0, 0.02), normalisation scales N(1, 0.02).

    Args:
      size: side of the images it is made for; the map is 1x1 innermost, so log2(size) stages.
        Images of any sides that are multiples of `size` are translated as well, the innermost map
        then larger than 1x1.
      channel: channels in.
      features: channels out.
      width: channels of the first stage; the published 64, at most 8 times that.
    """

    def __init__(self, *, size, channel=3, features=3, width=64, rngs):
        stages = int(math.log2(size))
        if 2**stages != size or stages < 5:
            raise ValueError(f"size must be a power of two from 32 on, got {size}")
        widths = [width * min(2**i, 8) for i in range(stages)]
        normal = nnx.initializers.normal(0.02)
        scale = lambda key, shape: 1 + normal(key, shape)

        def norm(n):
            return layers.BatchNorm(n, scale_init=scale, rngs=rngs)

        conv = dict(init=normal, rngs=rngs)
        # Biases only where the reference implementation has one: in the last convolution.
        bare = lambda i: i in (0, stages - 1)
        self.down = nnx.List(
            layers.Conv(inner, outer, 4, stride=2, padding=1, bias=False, **conv)
            for i, (inner, outer) in enumerate(zip([channel, *widths], widths))
        )
        self.down_norm = nnx.List(None if bare(i) else norm(n) for i, n in enumerate(widths))
        # up[i] mirrors down[i]: it returns to the size that down[i] was given.
        self.up = nnx.List(
            layers.ConvTranspose(
                n if i == stages - 1 else 2 * n,
                features if i == 0 else widths[i - 1],
                bias=i == 0,
                **conv,
            )
            for i, n in enumerate(widths)
        )
        self.up_norm = nnx.List(
            None if i == 0 else norm(widths[i - 1]) for i in range(stages)
        )
        # CD512-CD512-CD512: the first three stages on the way up.
        self.dropout_stages = tuple(range(stages - 3, stages))

    def __call__(self, x, keys=None, *, train, intermediates=False):
        """Translates images.

        Args:
          x: [batch, height, width, channel] in [-1, 1], sides multiples of `size`.
          keys: [batch], for dropout; needed if `train`.
          train: batch statistics and dropout (the paper keeps both on at test time).
          intermediates: also return what happens inside.

        Returns:
          [batch, height, width, features] in [-1, 1], and with `intermediates` a dict, of maps
          before the activation:
            `down1`, ... `down{stages}`: each stage's going down; [batch, height / 2, width / 2, width]
              first;
            `up{stages}`, ... `up1`: each stage's going up, of twice the size of `down` of its number;
              [batch, height, width, features] last.

        Raises:
          ValueError: a side of `x` is no multiple of `size`.
        """
        size = 2 ** len(self.down)
        if x.shape[1] % size or x.shape[2] % size:
            raise ValueError(f"UNet: the sides of x must be multiples of size {size}, got {x.shape[1:3]}")
        out = {}
        for i, (conv, norm) in enumerate(zip(self.down, self.down_norm)):
            x = conv(x if i == 0 else layers.leaky_relu(x))
            x = out[f"down{i + 1}"] = x if norm is None else norm(x, train=train)
        for i in reversed(range(len(self.up))):
            if i < len(self.up) - 1:
                x = jnp.concatenate([out[f"down{i + 1}"], x], -1)
            x = self.up[i](jax.nn.relu(x))
            x = x if self.up_norm[i] is None else self.up_norm[i](x, train=train)
            if train and i in self.dropout_stages:
                x = layers.dropout(x, random.fold(keys, i))
            out[f"up{i + 1}"] = x
        image = jnp.tanh(x)
        return (image, out) if intermediates else image
