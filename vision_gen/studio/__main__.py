"""python -m vision_gen.studio: `vision_gen/programs/studio.py`, which is `vision-gen studio` where it is installed."""

import sys

from vision_gen.__main__ import run

if __name__ == "__main__":
    sys.exit(run("studio"))
