"""A network that draws lines of a picture, of a width that it is told.

Ours: a U-Net of SCFT's blocks. It works on cells of 2 x 2 pixels, of which four come out, for a quarter of the work.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers, scft
from vision_gen.ops import resample

CELL = 2  # Pixels of a cell's side.
SHARPNESS = 3  # Of logits: where a line may be, but nobody can say where, is paper, not grey.


class LineNet(nnx.Module):
    """Ink of a picture.

    Args:
      width: channels of the first level.
      levels: resolutions; sides of pictures are multiples of 2^levels.
    """

    def __init__(self, *, width=24, levels=4, rngs):
        widths = [width * 2**i for i in range(levels)]
        make = lambda channel, features: scft.Block(channel, features, norm="layer", rngs=rngs)
        self.encoder = scft.Encoder(3 * CELL**2 + 1, widths, norm="layer", rngs=rngs)
        pairs = list(zip(widths[-2::-1], widths[:0:-1]))
        self.merge = nnx.List(make(small + large, small) for small, large in pairs)
        self.refine = nnx.List(make(small, small) for small, _ in pairs)
        self.out = layers.Conv(width + 1, CELL**2, 3, init=nnx.initializers.normal(0.02), rngs=rngs)

    def __call__(self, image, weight):
        """Logits of ink.

        Args:
          image: [batch, height, width, 3] in [-1, 1], sides multiples of 2^levels.
          weight: [batch], how wide lines shall be, in pixels.

        Returns:
          [batch, height, width, 1] float32.
        """
        cells = scft.patches(image, CELL)
        told = jnp.log2(weight)[:, None, None, None].astype(cells.dtype)
        told = jnp.broadcast_to(told, (*cells.shape[:3], 1))
        maps = self.encoder(jnp.concatenate([cells, told], -1))
        x = maps[-1]
        for merge, refine, skip in zip(self.merge, self.refine, maps[1::2][-2::-1]):
            x = refine(merge(resample.resize(x, skip.shape[1:3]), skip))
        return scft.unpatched(self.out(x, told.astype(x.dtype)), CELL).astype(jnp.float32)


def lines(logits):
    """Lines [..., 1] in [-1, 1] of logits of ink; 1 is paper, -1 is ink."""
    return 1 - 2 * jax.nn.sigmoid(SHARPNESS * logits)
