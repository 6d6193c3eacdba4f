"""Trains a system: `vision_gen/programs/train.py`, which is `vision-gen train` where it is installed."""

import sys

from vision_gen.__main__ import run

if __name__ == "__main__":
    sys.exit(run("train"))
