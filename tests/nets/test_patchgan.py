"""The discriminator looks at patches of the published size."""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets.patchgan import PatchDiscriminator


def test_the_patch_is_70_pixels():
    """A logit depends on exactly 70 x 70 pixels."""
    network = PatchDiscriminator(channel=1, width=2, norm="none", rngs=nnx.Rngs(0))
    image = jax.random.normal(jax.random.key(1), (1, 256, 256, 1))
    logits = lambda x: network(x, train=False)[0, 15, 15, 0]
    touched = jnp.abs(jax.grad(logits)(image))[0, ..., 0] > 0
    rows, columns = jnp.where(touched.any(1))[0], jnp.where(touched.any(0))[0]
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 70
