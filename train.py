"""Trains a system: python train.py --config=configs/scft_openmoji.py --workdir=runs/x.

Fields of the config are set as --config.train.steps=2000. The same command again goes on from the
last checkpoint.
"""

import sys

from vision_gen import memory

if __name__ == "__main__":
    memory.restart()

from absl import app, flags

from vision_gen.engine import commands

_CONFIG = commands.define_config("config", "The experiment, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for everything that the run makes.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    from vision_gen.engine import loop

    loop.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    sys.exit(commands.run(main))
