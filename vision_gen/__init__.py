"""Image synthesis systems in JAX and Flax on one training engine."""

__version__ = "0.2.0"


def load(workdir, checkpoint="best"):
    """A trained system from a run's folder; see `vision_gen.engine.use.load`."""
    from vision_gen.engine import use

    return use.load(workdir, checkpoint)
