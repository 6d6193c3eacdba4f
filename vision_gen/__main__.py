"""The installed command: `vision-gen train ...` and `vision-gen eval ...`, or `python -m vision_gen train ...`."""

import importlib
import sys

from vision_gen import memory

PROGRAMS = ("train", "eval")


def main():
    """Runs the program that the first word of the command line names; returns the exit status."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        print("usage: vision-gen train ... or vision-gen eval ...; --help behind either says more", file=sys.stderr)
        return 2
    return run(sys.argv[1], words=1)


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
