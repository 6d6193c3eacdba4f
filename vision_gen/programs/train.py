"""Trains a system: python train.py --config=configs/scft_openmoji.py --workdir=runs/x.

`vision-gen train --config=scft_openmoji --workdir=runs/x` is the same where the package is installed. Fields of the
config are set as --config.train.steps=2000. The same command again goes on from the last checkpoint.
"""

from vision_gen.engine import commands
from vision_gen.errors import InputError

_CONFIG = commands.define_config("config", "The experiment: a file, or the name of one in configs/.")
_WORKDIR = commands.define_path("workdir", "Folder for everything that the run makes.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected {argv[1]!r}; fields of the config are set as --config.train.steps=2000")
    for flag, right in ((_CONFIG, "a NAME of those that --help lists, or a file"), (_WORKDIR, "a folder for the run")):
        if flag.value is None:
            raise InputError(f"--{flag.name} is missing: {right}")
    from vision_gen.engine import loop

    loop.train(_CONFIG.value, _WORKDIR.value)
