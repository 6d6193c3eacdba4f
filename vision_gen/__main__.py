"""Trains image synthesis systems, evaluates them, and uses them on your own pictures.

vision-gen train --config=NAME --workdir=runs/x
vision-gen eval --workdir=runs/x
vision-gen eval --workdir=runs/x --tools
vision-gen eval --zoo
vision-gen prepare person=me.jpg cloth=shirt.jpg --output=mine
vision-gen studio

vision-gen train --help lists the configs, vision-gen eval --help all that can be asked for. python -m vision_gen is the
same, and also finds systems and data sets in files of the current folder.
"""

import importlib
import sys

from vision_gen import memory

PROGRAMS = ("train", "eval", "prepare", "studio")
HELP = ("--help", "-h", "help")


def main():
    """Runs the program that the first word of the command line names; returns the exit status."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in HELP:
        print(__doc__.strip())
        return 0 if len(sys.argv) > 1 else 2
    if command not in PROGRAMS:
        print(f"error: there is no command {command!r}; there are {', '.join(PROGRAMS)}, and --help", file=sys.stderr)
        return 2
    return run(command, words=1)


def run(name, words=0):
    """Runs a program of `vision_gen.programs` with the arguments of this process; returns the exit status.

    Args:
      name: of `PROGRAMS`.
      words: of the command line that come before the program's arguments.
    """
    memory.restart()  # Before anything long is imported.
    from vision_gen.engine import commands

    program = importlib.import_module(f"vision_gen.programs.{name}")
    # What --help shows is of the main module.
    sys.modules["__main__"].__doc__ = program.__doc__
    return commands.run(lambda argv: program.main([argv[0], *argv[1 + words :]]))


if __name__ == "__main__":
    sys.exit(main())
