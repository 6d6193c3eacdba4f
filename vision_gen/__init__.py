"""Image synthesis systems in JAX and Flax on one training engine."""

__version__ = "0.2.0"


def load(workdir, checkpoint="best"):
    """A trained system from a run's folder or from the zoo; see `vision_gen.engine.use.load`."""
    from vision_gen.engine import use

    return use.load(workdir, checkpoint)


def zoo():
    """The models that ship with the package, {"NAME": what its figures.json says}; `load("zoo/NAME")` opens one."""
    from vision_gen.engine import zoo as zoo_lib

    return zoo_lib.listing()
