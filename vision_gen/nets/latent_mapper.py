"""The mappers of StyleCLIP (Patashnik et al., ICCV 2021, section 5): from latents of StyleGAN2 to how to change them.

Each is four dense layers of equalised rates behind a normalisation, as StyleGAN2's own mapping. The released code
normalises w over the layers of a level and not over channels, which is kept ("layers"); latents that are alike in all
layers become their signs by it.
"""

from typing import Literal

from flax import nnx
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import stylegan2

DEPTH = 4
LEVELS = {"coarse": slice(0, 4), "medium": slice(4, 8), "fine": slice(8, None)}  # Layers of w.
NORMALISED = Literal["layers", "channels"]


class Mapper(nnx.Module):
    """Normalisation over an axis, then `DEPTH` dense layers, of `size` channels."""

    def __init__(self, size, axis, *, rngs):
        layer = lambda: stylegan2.Dense(size, size, rate=0.01, linear=False, rngs=rngs)
        self.dense = nnx.List(layer() for _ in range(DEPTH))
        self.axis = axis

    def __call__(self, x):
        """[batch, ..., size] -> the same."""
        x = x * lax.rsqrt(jnp.mean(x**2, self.axis, keepdims=True) + stylegan2.EPSILON)
        for dense in self.dense:
            x = dense(x)
        return x


class LevelsMapper(nnx.Module):
    """A `Mapper` for each level of layers; of those without one nothing changes.

    Args:
      size: of w.
      levels: of `LEVELS`, those that have one.
      normalised: over which axis, see the module.
    """

    def __init__(self, size, levels, normalised, *, rngs):
        for name in levels:
            setattr(self, name, Mapper(size, 1 if normalised == "layers" else 2, rngs=rngs))

    def __call__(self, ws):
        """ws [batch, layers, size] -> what is to be added to them, the same shape."""
        parts = ((getattr(self, name, jnp.zeros_like), ws[:, layers]) for name, layers in LEVELS.items())
        return jnp.concatenate([mapper(part) for mapper, part in parts], 1)


class StyleMapper(nnx.Module):
    """A `Mapper` for each layer of style space.

    Args:
      widths: of its layers.
      chosen: numbers of those that have a mapper; the others do not change.
    """

    def __init__(self, widths, chosen, *, rngs):
        self.layers = nnx.Dict({str(i): Mapper(widths[i], 1, rngs=rngs) for i in chosen})

    def __call__(self, styles):
        """Styles, a list of [batch, channel] -> what is to be added to them, the same."""
        return [self.layers[str(i)](x) if str(i) in self.layers else jnp.zeros_like(x) for i, x in enumerate(styles)]
