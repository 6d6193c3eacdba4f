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
python eval.py --replay=RECORDING.json --output=FOLDER
python eval.py --simulated=RECORDING.json --truth=COLOURED.png
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
_REPLAY = commands.define_path("replay", "Make the calls of this recording again, which the studio has saved.")
_SIMULATED = commands.define_path(
    "simulated", "Compare the scribbles of this recording with those of users as training simulates them."
)
_TRUTH = commands.define_path("truth", "With --simulated: the picture in colour, where the one that was coloured is grey.")
_ZOO = flags.DEFINE_bool("zoo", False, "List the models that ship with the package.")
_TO_ZOO = flags.DEFINE_string("to_zoo", None, "Make an entry of the zoo of the run.")
_REPLACE = flags.DEFINE_bool("replace", False, "With --to_zoo: also where the entry of this name is as good.")


_OF_FEATURES = ("features", "weights", "resize")
# What says what to do, the first of these that is given; with exactly one of which flags, and which others it can go.
_SELECTS = {
    "zoo": ((), ()),
    "compare": ((), ("split", "output")),
    "replay": ((), ("workdir", "checkpoint", "output")),
    "simulated": ((), ("workdir", "checkpoint", "truth")),
    "to_zoo": (("workdir",), ("checkpoint", "replace")),
    "save-stats": (("workdir", "reference"), ("checkpoint", "split", *_OF_FEATURES)),
    "generated": (("reference",), ("metrics", *_OF_FEATURES, "output")),
    "export": (("workdir", "config"), ("checkpoint", "output")),
    "tools": (("workdir", "config"), ()),
    "input": (("workdir", "config"), ("reference", "checkpoint", "output")),
    commands.TOOL: (("workdir", "config"), ("checkpoint", "output")),
    "workdir": ((), ("checkpoint", "split", "metrics", *_OF_FEATURES, "output")),
}


def main(argv):
    words = argv[1:]
    nothing = "give --workdir=RUN, to evaluate it or with a tool, or --compare RUN RUN, or --zoo; --help says more"
    chosen = commands.chosen(_SELECTS, words, ("compare", "input", commands.TOOL), nothing)
    from vision_gen.engine import apply, checkpoints, comparison, evaluation, export, loop, recordings, use, zoo
    from vision_gen.metrics import extract

    named = use.Named(_WORKDIR.value, _CHECKPOINT.value, _CONFIG.value)
    run, folder = (_WORKDIR.value, _CHECKPOINT.value, _SPLIT.value), _OUTPUT.value or "runs/compared"
    settings = dict(features=_FEATURES.value, weights=_WEIGHTS.value, resize=_RESIZE.value, progress=commands.progress)
    other = _CHECKPOINT.value if _CHECKPOINT.present else None
    metrics = _METRICS.value
    if chosen == "generated" and not metrics:
        metrics = ["fid" if _FEATURES.value == "inception-2015" else "fd"]
    of_features = [flag.name for flag in (_FEATURES, _WEIGHTS, _RESIZE) if flag.present]
    if of_features and chosen != "save-stats" and not {name.partition("_")[0] for name in metrics} & set(extract.DISTANCES):
        raise InputError(f"--{of_features[0]} is for distances; ask for one: --metrics={','.join(extract.DISTANCES)}")
    loop.use_compilation_cache()
    if chosen == "zoo":
        found = zoo.lines()
    elif chosen == "compare":
        found = [commands.columns(comparison.compare_runs(words, folder, _SPLIT.value)), f"{folder}/report.html"]
    elif chosen == "simulated":
        calls = recordings.beside_simulated(_SIMULATED.value, _TRUTH.value, _WORKDIR.value, other)
        found = [line for title, figures in calls.items() for line in (title, commands.columns(figures))]
    elif chosen == "replay":
        found = recordings.replay(_REPLAY.value, _OUTPUT.value, _WORKDIR.value, other)
    elif chosen == "to_zoo":
        trained = commands.training_command(checkpoints.load_config(_WORKDIR.value))
        how = dict(trained=trained, replace=_REPLACE.value, progress=commands.progress("evaluating"))
        figures, made = zoo.add(_WORKDIR.value, _TO_ZOO.value, _CHECKPOINT.value, **how)
        found = [commands.table(figures), made]
    elif chosen == "save-stats" and _WORKDIR.value:
        workdir, *of = run
        found = [evaluation.save_statistics(workdir, _SAVE_STATS.value, *of, **settings)]
    elif chosen == "save-stats":
        found = [comparison.save_statistics(_REFERENCE.value, _SAVE_STATS.value, **settings)]
    elif chosen == "generated":
        between = _REFERENCE.value, _GENERATED.value, folder
        figures = comparison.compare_folders(*between, metrics=metrics, **settings)
        found = [commands.table(figures), f"{folder}/metrics.json", f"{folder}/report.html"]
    elif chosen == "export":
        found = export.lines(named, _EXPORT.value, _OUTPUT.value)
    elif chosen == "workdir":
        figures, paths = evaluation.evaluate_run(*run, metrics=metrics, output=_OUTPUT.value, **settings)
        found = [commands.table(figures), *paths]
    else:
        pictures = [path for path in (_INPUT.value, _REFERENCE.value) if path]
        found = apply.lines(named, words, pictures, _OUTPUT.value, listing=_TOOLS.value, progress=commands.progress)
    print(*found, sep="\n")
