"""Perceptual path length (Karras et al. 2019, section 4.1): how evenly StyleGAN2's pictures change along the latents w.

A tool of a system is `begin`, `advance` at every turn and `finish`. The figure has its published name only with the
published network of features, LPIPS's VGG-16.
"""

import jax
import jax.numpy as jnp

from vision_gen.metrics import perceptual
from vision_gen.ops import random

PATHS = 16  # A turn.


def begin(turns):
    """The state before the first of so many turns."""
    return {"lengths": jnp.full(turns * PATHS, jnp.nan)}


def advance(generator, look, state, now, label=None):
    """The state after the beginnings of some more paths.

    Args:
      generator: a `nets.stylegan2.Generator`.
      look: function of images [batch, size, size, channels] in [-1, 1] that gives maps by layer.
      state: of `begin`.
      now: an `engine.system.Now`.
      label: [1], of the pictures' class where there are classes.
    """
    keys = jax.random.split(now.keys[0], PATHS)
    label = None if label is None else jnp.broadcast_to(label, PATHS)
    ends = [random.normal(random.fold(keys, i), (generator.settings.z_size,)) for i in range(2)]
    start, end = (generator.mapping(z, label)[:, 0] for z in ends)

    def synthesise(latent):  # Both ends of a step have the same noise.
        return generator.synthesis(jnp.repeat(latent[:, None], generator.settings.layers, 1), key=random.fold(keys, 2))

    distance = lambda a, b: perceptual.feature_distance(look(a), look(b))
    found = perceptual.path_length(synthesise, distance, start, end, keys, ends=True)
    return {"lengths": jax.lax.dynamic_update_slice_in_dim(state["lengths"], found, now.step * PATHS, 0)}


def finish(state):
    """The mean [1] of what there is by now; see `metrics.perceptual.path_length_mean`."""
    return perceptual.path_length_mean(state["lengths"])[None]
