"""The generator of XploreGAN (Bahng et al., CVPR 2020): StarGAN's, with attribute summary instance normalisation.

Where StarGAN's has labels beside the image, this one normalises by the instance and then scales and shifts by gamma and
beta, which come of a summary of the pictures of a cluster. The paper does not say in which layers: here in all but
those on the way down, each with one linear map.
"""

from vision_gen.nets import layers, stargan


class Generator(stargan.Painter):
    """As `stargan.Generator`, but that summaries say what to paint.

    Args:
      summary: numbers in a summary.
      width, blocks: as there.
    """

    def __init__(self, *, summary, width=64, blocks=6, rngs):
        norm = lambda n: layers.InstanceNorm(n, rngs=rngs)
        late_norm = lambda n: layers.StyleNorm(summary, n, init=stargan.INIT, rngs=rngs)
        super().__init__(3, width, blocks, norm, late_norm, rngs)

    def __call__(self, image, summary):
        """Images [batch, height, width, 3] in [-1, 1], sides multiples of 4, as summaries [batch, summary] say."""
        return self.paint((image,), {}, {"style": summary})
