"""Evaluates a run, applies its tools to the user's own files, or compares folders of images or runs.

python eval.py --workdir=runs/x
python eval.py --workdir=runs/x --metrics=fd,kid,psnr,ssim
python eval.py --workdir=runs/x --tools
python eval.py --workdir=runs/x TOOL name=value ... --output=OUT
python eval.py --workdir=runs/x --input=sketch.png --reference=ref.png --output=out.png
python eval.py --config=configs/x.py TOOL name=value ... --output=OUT
python eval.py --workdir=runs/x --export=FORMAT --output=FOLDER
python eval.py --reference=FOLDER --generated=FOLDER --metrics=fd,kid,psnr
python eval.py --reference=FOLDER --save-stats=FILE.npz
python eval.py --compare runs/a runs/b
python eval.py --zoo
python eval.py --workdir=runs/x --to_zoo=NAME

zoo/NAME stands wherever runs/x does. Where the package is installed it is `vision-gen eval`.
"""

from absl import flags

from vision_gen.engine import commands
from vision_gen.errors import InputError

_CONFIG = commands.define_config("config", "Instead of a run: an experiment with published weights.")
_WORKDIR = commands.define_path("workdir", "Folder of the run, or zoo/NAME.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", '"best", "last" or a step.')
_SPLIT = flags.DEFINE_string("split", "test", '"test", "val", "train" or a name in config.evaluations.')
_METRICS = flags.DEFINE_list("metrics", [], "Such as fd,kid,precision,recall,psnr; by default the system's own.")
_FEATURES = flags.DEFINE_string("features", "efficientnet-lite0", 'Network of fd and kid; "inception-2015" makes FID.')
_WEIGHTS = commands.define_path("weights", "Weights of --features, by default the published ones.")
_RESIZE = flags.DEFINE_string("resize", "clean", '"clean", "legacy_pytorch" or "legacy_tensorflow".')
_TOOLS = flags.DEFINE_bool("tools", False, "List what the system can be asked to do.")
_EXPORT = flags.DEFINE_string("export", None, "Write the networks in this published format, into --output.")
_INPUT = commands.define_path("input", "An image, or a folder of them, for the first tool that takes one.")
_GENERATED = commands.define_path("generated", "A folder of images to compare with --reference.")
_REFERENCE = commands.define_path(
    "reference", "With --generated a folder or an .npz of statistics; with --input the second image."
)
_SAVE_STATS = commands.define_path("save-stats", "Write the statistics of --reference or --workdir to an .npz.")
_OUTPUT = commands.define_path(
    "output", "With a tool a file or folder, otherwise a folder (the run's, or runs/compared)."
)
_COMPARE = flags.DEFINE_bool("compare", False, "Compare the runs that follow.")
_ZOO = flags.DEFINE_bool("zoo", False, "List the models that ship with the package.")
_TO_ZOO = flags.DEFINE_string("to_zoo", None, "Make an entry of the zoo of the run.")
_REPLACE = flags.DEFINE_bool("replace", False, "With --to_zoo: also where the entry of this name is as good.")


def main(argv):
    runs = argv[1:] if _COMPARE.value else []
    using = _TOOLS.value or _INPUT.value or _EXPORT.value is not None or bool(argv[1:]) and not runs
    if (using or _CONFIG.value) and (_WORKDIR.value is None) == (_CONFIG.value is None):
        raise InputError("a tool or --export goes with --workdir=RUN or --config=FILE, one of them")
    if _CONFIG.value and not using:
        raise InputError("--config goes with a tool, --tools or --export; a run is evaluated by --workdir")
    if _TOOLS.value and argv[1:]:
        raise InputError(f"--tools lists the tools, with nothing else; got {argv[1]!r}")
    stats, more = _SAVE_STATS.value, using or runs or _GENERATED.value or _METRICS.value or _OUTPUT.value
    if stats and (more or (_WORKDIR.value is None) == (_REFERENCE.value is None)):
        raise InputError("--save-stats goes with --reference=FOLDER or --workdir=RUN, one of them, and nothing else")
    partner = _GENERATED.value or _INPUT.value or stats
    if _GENERATED.value and not _REFERENCE.value or _REFERENCE.value and not partner:
        raise InputError("--reference goes with --generated, a folder or an .npz of statistics, or with --input")
    if not (using or _WORKDIR.value or _REFERENCE.value or runs or _ZOO.value):
        raise InputError("give --workdir=RUN, --reference=DIR --generated=DIR, --compare RUN RUN or --zoo")
    elsewhere = using or stats or not _WORKDIR.value or any(flag.present for flag in (_SPLIT, _METRICS, _OUTPUT))
    if _TO_ZOO.value and elsewhere or _REPLACE.value and not _TO_ZOO.value:
        raise InputError("--to_zoo=NAME goes with --workdir=RUN, --checkpoint and --replace, nothing else")
    from vision_gen.engine import apply, checkpoints, comparison, evaluation, export, loop, use, zoo

    if _ZOO.value:
        return print("\n".join(zoo.lines()))
    loop.use_compilation_cache()
    if using:
        named = use.Named(_WORKDIR.value, _CHECKPOINT.value, _CONFIG.value)
        if _EXPORT.value is not None:
            found = export.lines(named, _EXPORT.value, _OUTPUT.value, [_TOOLS.value, _INPUT.value, argv[1:]])
            return print(*found, sep="\n")
        pictures = [path for path in (_INPUT.value, _REFERENCE.value) if path and _INPUT.value]
        lines = apply.lines(named, argv[1:], pictures, _OUTPUT.value, listing=_TOOLS.value, progress=commands.progress)
        return print("\n".join(lines))
    settings = dict(features=_FEATURES.value, weights=_WEIGHTS.value, resize=_RESIZE.value, progress=commands.progress)
    folder = _OUTPUT.value or "runs/compared"
    if stats and _WORKDIR.value:
        print(evaluation.save_statistics(_WORKDIR.value, stats, _CHECKPOINT.value, _SPLIT.value, **settings))
    elif stats:
        print(comparison.save_statistics(_REFERENCE.value, stats, **settings))
    elif runs:
        found = comparison.compare_runs(runs, folder, _SPLIT.value)
        print(commands.columns(found), f"{folder}/report.html", sep="\n")
    elif _GENERATED.value:
        metrics = _METRICS.value or ["fid" if _FEATURES.value == "inception-2015" else "fd"]
        found = comparison.compare_folders(_REFERENCE.value, _GENERATED.value, folder, metrics=metrics, **settings)
        print(commands.table(found), f"{folder}/metrics.json", f"{folder}/report.html", sep="\n")
    elif _TO_ZOO.value:
        trained = commands.training_command(checkpoints.load_config(_WORKDIR.value))
        how = dict(trained=trained, replace=_REPLACE.value, progress=commands.progress("evaluating"))
        found, made = zoo.add(_WORKDIR.value, _TO_ZOO.value, _CHECKPOINT.value, **how)
        print(commands.table(found), made, sep="\n")
    else:
        run = _WORKDIR.value, _CHECKPOINT.value, _SPLIT.value
        found, paths = evaluation.evaluate_run(*run, metrics=_METRICS.value, output=_OUTPUT.value, **settings)
        print(commands.table(found), *paths, sep="\n")

