"""Films of a generator: an image of other latents in every frame, a frame a turn."""

import jax
import jax.numpy as jnp

from vision_gen.ops import colour


def begin(paint, *latents):
    """The state before the first turn.

    Args:
      paint: function of latents that gives images [batch, height, width, 3] in [-1, 1].
      *latents: [frames, ...] each.

    Returns:
      A dict of arrays; its `film` is what the tool gives, as `values.Clip` takes it.
    """
    image = jax.eval_shape(lambda: paint(*(x[:1] for x in latents)))
    frames = jnp.zeros((1, len(latents[0]), *image.shape[1:]), jnp.uint8)
    return {"latents": latents, "film": {"frames": frames, "count": jnp.zeros(1, jnp.int32)}}


def advance(paint, state, now):
    """The state after one more frame."""
    latents = [jax.lax.dynamic_slice_in_dim(x, now.step, 1) for x in state["latents"]]
    film = state["film"]
    frames = jax.lax.dynamic_update_index_in_dim(film["frames"], colour.to_uint8(paint(*latents)), now.step, 1)
    return {**state, "film": {"frames": frames, "count": film["count"] + 1}}
