"""Do the gradients into SCFT's attention agree? The cosines that Li et al. (ECCV 2022) log.

    python -m benchmarks.gradient_conflict runs/scaled runs/stopped

Of each of four ways into attention, the cosine of the gradient by that way with that by both ways of the same vectors, on
the held-out examples of each run, with the losses that it trained with: mean, standard deviation and share below 0,
place by place and of whole examples. See `vision_gen.systems.scft.SCFT.gradient_cosines`.
"""

import argparse
import collections
import sys

import numpy as np

import vision_gen
from vision_gen import data
from vision_gen.errors import InputError
from vision_gen.systems import scft


def lines(workdir, model):
    """Lines of a table for one run."""
    if not isinstance(model.system(), scft.SCFT):
        raise InputError(f"{workdir} is a run of {model.config.system}; it must be one of scft.SCFT")
    if not hasattr(model.system(), "discriminator"):
        raise InputError(f"{workdir} has no discriminator, which the gradients need; give a run's folder, not the zoo's")
    collected = collections.defaultdict(list)
    for found in model.each("gradient_cosines", data.open(model.experiment.data, "test")):
        for name, value in found.items():
            collected[name].append(value.ravel())
    yield f"| {workdir}: branch | places: mean | deviation | below 0 | examples: mean | deviation | below 0 |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in scft.BRANCHES:
        cells = []
        for values in (collected[f"{name}_places"], collected[name]):
            values = np.concatenate(values)
            cells += [f"{values.mean():.3f}", f"{values.std():.3f}", f"{(values < 0).mean():.3f}"]
        yield f"| {name} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", nargs="+", help="folders of runs of SCFT")
    for workdir in parser.parse_args().workdir:
        print(*lines(workdir, vision_gen.load(workdir)), sep="\n", flush=True)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
