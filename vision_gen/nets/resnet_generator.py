"""The ResNet generator of CycleGAN (Zhu et al., ICCV 2017, appendix 7.2), after Johnson et al. (ECCV 2016)."""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops.pool import reflected


class Block(nnx.Module):
    """x + IN(conv(relu(IN(conv(x))))), of 3x3 convolutions over reflected edges."""

    def __init__(self, width, conv, norm):
        self.convs = nnx.List(conv(width, width, 3, padding=0) for _ in range(2))
        self.norms = nnx.List(norm(width) for _ in range(2))

    def __call__(self, x):
        y = jax.nn.relu(self.norms[0](self.convs[0](reflected(x))))
        return x + self.norms[1](self.convs[1](reflected(y)))


class ResNetGenerator(nnx.Module):
    """c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3, each normalised by the instance.

    Edges are reflected but where the map is halved or doubled. Weights N(0, 0.02).

    Args:
      width: channels of the first convolution; the published 64, four times that innermost.
      blocks: residual ones; the published 9, or 6 for images of 128 px and less.
      channels: of what comes out.
    """

    def __init__(self, *, width=64, blocks=9, channels=3, rngs):
        settings = dict(init=nnx.initializers.normal(0.02), rngs=rngs)
        conv = lambda *sizes, **more: layers.Conv(*sizes, **settings, **more)
        norm = lambda n: layers.InstanceNorm(n, affine=False, rngs=rngs)
        steps = [(width, 2 * width), (2 * width, 4 * width)]
        self.start = conv(3, width, 7, padding=0)
        self.down = nnx.List(conv(a, b, 3, stride=2) for a, b in steps)
        self.blocks = nnx.List(Block(4 * width, conv, norm) for _ in range(blocks))
        self.up = nnx.List(layers.ConvTranspose(b, a, 3, **settings) for a, b in reversed(steps))
        self.out = conv(width, channels, 7, padding=0)
        self.norms = nnx.List(norm(n) for n in (width, *(b for _, b in steps), *(a for a, _ in reversed(steps))))

    def __call__(self, image):
        """Images [batch, height, width, channels] in [-1, 1] of images [..., 3]; sides are multiples of 4.

        Raises:
          ValueError: they are not.
        """
        return jnp.tanh(self.logits(image))

    def logits(self, image):
        """The same before tanh."""
        if image.shape[1] % 4 or image.shape[2] % 4:
            raise ValueError(f"ResNetGenerator: the sides of image must be multiples of 4, got {image.shape[1:3]}")
        norms = iter(self.norms)
        x = jax.nn.relu(next(norms)(self.start(reflected(image, 3))))
        for conv in self.down:
            x = jax.nn.relu(next(norms)(conv(x)))
        for block in self.blocks:
            x = block(x)
        for conv in self.up:
            x = jax.nn.relu(next(norms)(conv(x)))
        return self.out(reflected(x, 3))
