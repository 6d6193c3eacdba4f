"""The network of 'Tracking emerges by colorizing videos' (Vondrick et al., ECCV 2018, section 4).

ResNet-18 of every frame, its last two stages without stride, so that the map has an eighth of the frame's size; places
joined to it; five layers of convolutions in space, ever further apart, and in time; an embedding of each place.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import pool, resample

STRIDE = 8  # Of the map of embeddings.
DILATIONS = (1, 2, 4, 8, 16)


class Convolution(nnx.Module):
    """Convolution without bias, batch norm."""

    def __init__(self, channel, features, kernel=3, *, stride=1, dilation=1, rngs):
        self.conv = layers.Conv(
            channel, features, kernel, stride=stride, dilation=dilation, bias=False, rngs=rngs
        )
        self.norm = layers.BatchNorm(features, rngs=rngs)

    def __call__(self, x, *, train):
        return self.norm(self.conv(x), train=train)


class Residual(nnx.Module):
    """ResNet's basic block (He et al. 2016)."""

    def __init__(self, channel, features, *, stride, rngs):
        self.first = Convolution(channel, features, stride=stride, rngs=rngs)
        self.second = Convolution(features, features, rngs=rngs)
        same = stride == 1 and channel == features
        self.short = None if same else Convolution(channel, features, 1, stride=stride, rngs=rngs)

    def __call__(self, x, *, train):
        y = self.second(jax.nn.relu(self.first(x, train=train)), train=train)
        return jax.nn.relu(y + (x if self.short is None else self.short(x, train=train)))


class InTime(nnx.Module):
    """Convolution over three frames, batch norm; zero frames before the first and after the last."""

    def __init__(self, channel, features, *, rngs):
        self.conv = layers.Conv(channel, features, (3, 1), bias=False, rngs=rngs)
        self.norm = layers.BatchNorm(features, rngs=rngs)

    def __call__(self, x, *, train):
        """[batch, frames, height x width, channel] -> the same with `features`."""
        return self.norm(self.conv(x), train=train)


class Embedding(nnx.Module):
    """Embeddings of the places of frames.

    Args:
      channels: of a frame: 1 for its lightness, 3 for Lab.
      widths: of ResNet's four stages; published 64, 128, 256, 256.
      head: width of the convolutions in space and time; published 256.
      features: of an embedding; published 64.
    """

    def __init__(self, channels, widths, head, features, *, rngs):
        self.stem = Convolution(channels, widths[0], 7, stride=2, rngs=rngs)
        self.stages = nnx.List()
        channel = widths[0]
        for width, stride in zip(widths, (1, 2, 1, 1)):
            for number in range(2):
                self.stages.append(Residual(channel, width, stride=1 if number else stride, rngs=rngs))
                channel = width
        channel += 2
        self.space, self.time = nnx.List(), nnx.List()
        for dilation in DILATIONS:
            self.space.append(Convolution(channel, head, dilation=dilation, rngs=rngs))
            self.time.append(InTime(head, head, rngs=rngs))
            channel = head
        # Products of embeddings begin at about one, or a place would point to a single other by chance.
        init = nnx.initializers.variance_scaling(features**-0.5, "fan_in", "normal")
        self.out = layers.Conv(head, features, 1, init=init, rngs=rngs)

    def __call__(self, frames, *, train=False, intermediates=False):
        """Frames [batch, frames, height, width, channels] in [-1, 1] -> [batch, frames, height / 8, width / 8, features].

        With `intermediates`, also {"stages": ResNet's map}.
        """
        batch, count = frames.shape[:2]
        x = frames.reshape(-1, *frames.shape[2:])
        x = jax.nn.relu(self.stem(x, train=train))
        x = pool.max_pool(x, 3, stride=2, padding=1)
        for block in self.stages:
            x = block(x, train=train)
        stages = x
        height, width = x.shape[1:3]
        places = resample.identity_grid(height, width).astype(x.dtype)
        x = jnp.concatenate([x, jnp.broadcast_to(places, (len(x), height, width, 2))], -1)
        for space, time in zip(self.space, self.time):
            x = jax.nn.relu(space(x, train=train))
            x = x.reshape(batch, count, height * width, -1)
            x = jax.nn.relu(time(x, train=train)).reshape(batch * count, height, width, -1)
        x = self.out(x).reshape(batch, count, height, width, -1)
        return (x, {"stages": stages.reshape(batch, count, height, width, -1)}) if intermediates else x
