"""A system whose device work is next to nothing, to measure what surrounds it."""

import jax.numpy as jnp

from vision_gen.engine import defaults
from vision_gen.engine.system import System
from vision_gen.nets import layers
from vision_gen.ops import colour


class Trivial(System):
    """Scales the mean colour of images to nought."""

    players = ("scale",)
    columns = ("image",)

    def __init__(self, experiment, *, rngs):
        self.scale = layers.Linear(3, 3, rngs=rngs)

    def forward(self, batch, now):
        return {"mean": self.scale(colour.from_uint8(batch["colour"][:, ::4, ::4]).mean((1, 2)))}

    def scale_loss(self, out, batch, now):
        return {"square": jnp.mean(out["mean"] ** 2)}

    def sample(self, batch, keys):
        return {"image": colour.from_uint8(batch["colour"])}

    def evaluate(self, batch, keys):
        return {"square": jnp.mean(self.forward(batch, keys)["mean"] ** 2, -1)}


def get_config():
    return defaults.experiment(
        "benchmarks.trivial.Trivial",
        data=dict(name="digits", size=8),
        players=dict(scale=defaults.player(1e-3)),
        batch_size=16,
        log_every=500,
        sample_every=0,
        eval_every=0,
        eval_images=16,
        checkpoint_every=1_000_000,
        best_metric="square",
        best_mode="min",
    )
