"""The network of Kim et al. (ICCV 2021) that changes the features of a colorizer so that colours end at edges.

Its layers are not published; these are ours.
"""

from flax import nnx
import jax.numpy as jnp

from vision_gen.nets import layers


class EdgeEnhancer(nnx.Module):
    """Features and scribbles to what is added to the features; nothing, before it has learned.

    Args:
      channel: of the features.
      width: channels of the first of its four convolutions; the next have twice and four times as many.
    """

    def __init__(self, channel, width, *, rngs):
        widths = (channel + 1, width, 2 * width, 4 * width)
        self.convs = nnx.List(layers.Conv(a, b, rngs=rngs) for a, b in zip(widths, widths[1:]))
        self.out = layers.Conv(widths[-1], channel, init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, features, scribble):
        """[batch, height, width, channel], of features of that shape.

        Args:
          scribble: [batch, height, width, 1], the share of each place that is scribbled on.
        """
        x = jnp.concatenate([features, scribble.astype(features.dtype)], -1)
        for conv in self.convs:
            x = layers.leaky_relu(conv(x))
        return self.out(x)
