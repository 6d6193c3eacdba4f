"""Evaluates a run, or applies it to the user's own images.

python eval.py --workdir=runs/x
python eval.py --workdir=runs/x --input=sketch.png --reference=ref.png --output=out.png
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags

from vision_gen.engine import commands
from vision_gen.errors import InputError

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", '"best", "last" or a step.')
_SPLIT = flags.DEFINE_string("split", "test", '"test", "val" or "train".')
_INPUT = flags.DEFINE_string("input", None, "An image to apply the run to, instead of evaluating.")
_REFERENCE = flags.DEFINE_string("reference", None, "The second image, for systems that take two.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the result.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    if bool(_INPUT.value) != bool(_OUTPUT.value):
        raise InputError("--input and --output go together")
    from vision_gen.engine import inference, sheets

    if _INPUT.value:
        model = inference.load(_WORKDIR.value, _CHECKPOINT.value)
        images = [path for path in (_INPUT.value, _REFERENCE.value) if path]
        sheets.save(_OUTPUT.value, model(*images))
        print(f"wrote {_OUTPUT.value} (checkpoint of step {model.step})")
        return
    with commands.progress("evaluating") as progress:
        means, sheet = inference.evaluate_run(
            _WORKDIR.value, _CHECKPOINT.value, _SPLIT.value, progress
        )
    print(commands.table(means))
    print(f"{_WORKDIR.value}/metrics.json\n{sheet}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["workdir"])
    sys.exit(commands.run(main))
