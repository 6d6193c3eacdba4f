"""python -m vision_gen.studio.debias: `vision_gen/programs/debias.py`."""

import sys

from vision_gen.__main__ import run

if __name__ == "__main__":
    sys.exit(run("debias"))
