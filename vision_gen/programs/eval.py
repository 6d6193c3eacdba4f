"""Evaluates a run, applies its tools to the user's own files, or compares folders of images or runs.

python eval.py --workdir=runs/x
python eval.py --workdir=runs/x --metrics=fd,kid,psnr,ssim
python eval.py --workdir=runs/x --tools
python eval.py --workdir=runs/x TOOL name=value ... --output=OUT
python eval.py --workdir=runs/x --input=sketch.png --reference=ref.png --output=out.png
python eval.py --config=configs/x.py TOOL name=value ... --output=OUT
python eval.py --reference=FOLDER --generated=FOLDER --metrics=fd,kid
python eval.py --compare runs/a runs/b
"""

from absl import flags

from vision_gen.engine import commands
from vision_gen.errors import InputError

_CONFIG = commands.define_config("config", "Instead of a run: an experiment with published weights.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", '"best", "last" or a step.')
_SPLIT = flags.DEFINE_string("split", "test", '"test", "val", "train" or a name in config.evaluations.')
_METRICS = flags.DEFINE_list("metrics", [], "Such as fd,kid,precision,recall,psnr; by default the system's own.")
_FEATURES = flags.DEFINE_string("features", "efficientnet-lite0", 'Network of fd and kid; "inception-2015" makes FID.')
_WEIGHTS = flags.DEFINE_string("weights", None, "Weights of --features, by default the published ones.")
_RESIZE = flags.DEFINE_string("resize", "clean", '"clean", "legacy_pytorch" or "legacy_tensorflow".')
_TOOLS = flags.DEFINE_bool("tools", False, "List what the system can be asked to do.")
_INPUT = flags.DEFINE_string("input", None, "An image, or a folder of them, for the first tool that takes one.")
_GENERATED = flags.DEFINE_string("generated", None, "A folder of images to compare with --reference.")
_REFERENCE = flags.DEFINE_string(
    "reference", None, "With --generated a folder or an .npz of statistics; with --input the second image."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Where to write: a file or folder with a tool, otherwise a folder (runs/compared)."
)
_COMPARE = flags.DEFINE_bool("compare", False, "Compare the runs that follow.")


def main(argv):
    runs = argv[1:] if _COMPARE.value else []
    using = _TOOLS.value or _INPUT.value or bool(argv[1:]) and not runs
    if (using or _CONFIG.value) and (_WORKDIR.value is None) == (_CONFIG.value is None):
        raise InputError("a tool goes with --workdir=RUN or --config=FILE, one of them")
    if _CONFIG.value and not using:
        raise InputError("--config goes with a tool or --tools; a run is evaluated by --workdir")
    if _GENERATED.value and not _REFERENCE.value or _REFERENCE.value and not (_GENERATED.value or _INPUT.value):
        raise InputError("--reference goes with --generated, a folder or an .npz of statistics, or with --input")
    if not (using or _WORKDIR.value or _GENERATED.value or runs):
        raise InputError("give --workdir=RUN, --reference=DIR --generated=DIR or --compare RUN RUN")
    from vision_gen.engine import apply, comparison, evaluation, loop, use

    loop.use_compilation_cache()
    if using:
        named = use.Named(_WORKDIR.value, _CHECKPOINT.value, _CONFIG.value)
        pictures = [path for path in (_INPUT.value, _REFERENCE.value) if path and _INPUT.value]
        lines = apply.lines(named, argv[1:], pictures, _OUTPUT.value, listing=_TOOLS.value, progress=commands.progress)
        return print("\n".join(lines))
    settings = dict(features=_FEATURES.value, weights=_WEIGHTS.value, resize=_RESIZE.value, progress=commands.progress)
    folder = _OUTPUT.value or "runs/compared"
    if runs:
        print(commands.columns(comparison.compare_runs(runs, folder, _SPLIT.value)))
        print(f"{folder}/report.html")
    elif _GENERATED.value:
        metrics = _METRICS.value or ["fid" if _FEATURES.value == "inception-2015" else "fd"]
        found = comparison.compare_folders(
            _REFERENCE.value, _GENERATED.value, folder, metrics=metrics, **settings
        )
        print(commands.table(found))
        print(f"{folder}/metrics.json\n{folder}/report.html")
    else:
        found, paths = evaluation.evaluate_run(
            _WORKDIR.value, _CHECKPOINT.value, _SPLIT.value, metrics=_METRICS.value, **settings
        )
        print(commands.table(found))
        print(*paths, sep="\n")
