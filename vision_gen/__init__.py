"""Image synthesis systems in JAX and Flax on one training engine."""

__version__ = "0.2.0"


def load(workdir, checkpoint="best"):
    """A trained system from a run's folder or from the zoo; see `vision_gen.engine.use.load`."""
    from vision_gen.engine import use

    return use.load(workdir, checkpoint)


def train(config, workdir):
    """Trains an experiment, going on from what is in the folder; see `vision_gen.engine.loop.train`."""
    from vision_gen.engine import loop

    return loop.train(config, workdir)


def evaluate(workdir, checkpoint="best", split="test", **options):
    """(figures by title, paths of what it has written) of a run; see `vision_gen.engine.evaluation.evaluate_run`."""
    from vision_gen.engine import evaluation

    return evaluation.evaluate_run(workdir, checkpoint, split, **options)


def compare(workdirs, output, split="test"):
    """{run: {title: figure}} of evaluated runs; see `vision_gen.engine.comparison.compare_runs`."""
    from vision_gen.engine import comparison

    return comparison.compare_runs(workdirs, output, split)


def prepare(folder, person=None, cloth=None, **options):
    """Paths of photographs made ready for try-on; see `vision_gen.preparing.photographs.prepare`."""
    from vision_gen.preparing import photographs

    return photographs.prepare(folder, person, cloth, **options)


def show_log():
    """Prints what the package logs, training's progress among it; see `vision_gen.engine.commands.show_log`."""
    from vision_gen.engine import commands

    commands.show_log()


def zoo():
    """The models that ship with the package, {"NAME": what its figures.json says}; `load("zoo/NAME")` opens one."""
    from vision_gen.engine import zoo as zoo_lib

    return zoo_lib.listing()
