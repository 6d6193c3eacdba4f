"""Evaluates and uses trained systems: `vision_gen/programs/eval.py`, which is `vision-gen eval` where it is installed."""

import sys

from vision_gen.__main__ import run

if __name__ == "__main__":
    sys.exit(run("eval"))
