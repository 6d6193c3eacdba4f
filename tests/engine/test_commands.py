"""What the entry points print."""

import os
import subprocess
import sys
import types

import pytest

from tests.conftest import ROOT
from vision_gen.engine import commands
from vision_gen.errors import InputError


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(program, *arguments):
    return subprocess.run(
        [sys.executable, program, *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )


def train(*arguments):
    return command("train.py", *arguments)


def test_help_lists_the_configs_and_the_fields_of_one():
    result = train("--help")
    assert result.returncode == 0 and not result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("  vit_digits ")]
    assert line.endswith("A small ViT on scikit-learn's bundled digits: two minutes on two CPU cores.")
    assert "--workdir          Folder for everything that the run makes." in result.stdout
    result = train("--config=configs/vit_digits.py", "--config.train.steps=7", "--help")
    assert result.returncode == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "config.train.steps=7 Of the whole run." in lines
    assert "config.model.mixup=0.1 Blend pairs of images: alpha, larger is more; 0 is off." in lines
    choices = "('constant', 'linear', 'halving', 'cosine', 'exponential')"
    assert f"config.players.network.schedule=cosine How the rate falls. {choices}" in lines
    assert "config.init.network= Weights to start from: a file, a run, zoo/NAME." in lines
    # In the order in which they are declared, and of the data what is read.
    names = [line.partition("=")[0] for line in lines if line.startswith("config.")]
    assert names[:6] == [f"config.{x}" for x in ("system", "seed", "dtype", "data.name", "data.size", "data.labels")]
    assert "config.data.downscale" not in names


def test_a_field_that_is_none_is_one_line():
    for field, said in (
        ("train.stepz", """'stepz'. Did you mean "steps" instead of "stepz"?"""),
        ("model.depthh", "'depthh'"),
    ):
        result = train("--config=vit_digits", "--workdir=runs/x", f"--config.{field}=3")
        assert result.returncode == 2
        assert result.stderr == f"error: no field of the config is called {said}\n"


def test_a_config_that_is_not_there_is_one_line_with_the_nearest():
    for given, said in (
        ("configs/vit_digit.py", "no such file; did you mean 'vit_digits'?"),
        ("vit-digits", "no config that ships is called so; did you mean 'vit_digits'?"),
        ("qqqq", "no config that ships is called so; there are acgan_avatars, "),
    ):
        for more in ("--help", "--workdir=runs/x"):
            result = train(f"--config={given}", more)
            assert result.returncode == 2
            assert result.stderr.startswith(f"error: flag --config={given}: {said}")
            assert len(result.stderr.splitlines()) == 1


def test_what_training_needs_is_asked_for():
    for arguments, said in (
        ((), "--config is missing: a NAME of those that --help lists, or a file"),
        (("--config=vit_digits",), "--workdir is missing: a folder for the run"),
        (("--config=vit_digits", "x"), "unexpected 'x'; fields of the config are set as --config.train.steps=2000"),
    ):
        result = train(*arguments)
        assert (result.returncode, result.stderr) == (2, f"error: {said}\n")


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("", "give --workdir=RUN, to evaluate it or with a tool, or --compare RUN RUN, or --zoo; --help says more"),
        ("--zoo --workdir=x", "--zoo goes with nothing else, not with --workdir"),
        ("--zoo --tools", "--zoo goes with nothing else, not with --tools"),
        ("--compare a b --workdir=x", "--compare goes with --split, --output alone, not with --workdir"),
        ("--workdir=x --config=vit_digits --tools", "--tools goes with --workdir or --config, one of them"),
        ("--workdir=x --tools --output=y", "--tools goes with --workdir alone, not with --output"),
        ("--workdir=x --tools translate", "--tools goes with --workdir alone, not with a tool"),
        ("--workdir=x paint --split=val", "a tool goes with --workdir, --checkpoint, --output alone, not with --split"),
        ("--config=vit_digits paint --checkpoint=best", "a tool goes with --config, --output alone, not with --check"),
        ("--workdir=x --input=y --generated=z", "--generated goes with --reference"),
        ("--reference=x", "--reference goes with --save-stats or --generated or --input"),
        ("--config=vit_digits", "--config goes with --export or --tools or --input or a tool"),
        ("--workdir=x --replace", "--workdir goes with --checkpoint, "),
        ("--reference=x --save-stats=y --split=val", "--save-stats goes with --reference, --features, "),
        ("--workdir=x --export=y --metrics=fd", "--export goes with --workdir, --checkpoint, --output alone, not"),
        ("--workdir=x --features=inception-2015", "--features is for distances; ask for one: --metrics=fd,fid,kid,"),
    ],
)
def test_flags_that_ask_for_different_things_are_refused(arguments, said):
    result = command("eval.py", *arguments.split())
    assert result.returncode == 2 and result.stderr.startswith(f"error: {said}"), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_where_nobody_reads_the_output_help_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as stdout:
        words = [sys.executable, "train.py", "--help"]
        result = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_where_nobody_reads_the_output_training_ends_saved(tmp_path):
    fields = {"model.size": (8, 8, 1, 1), "train.steps": 100_000, "train.log_every": 1, "train.eval_images": 8}
    small = [f"--config.{field}={value}" for field, value in fields.items()]
    words = [sys.executable, "train.py", "--config=vit_digits", f"--workdir={tmp_path / 'run'}", *small]
    with subprocess.Popen(
        words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        next(line for line in process.stdout if line.startswith("step 3/"))
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    last = (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    assert last.endswith(f"stopped by SIGHUP at step {checkpoint.name}; the same command goes on from here")


def test_progress_that_no_terminal_shows_is_lines_now_and_then(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(commands.time, "monotonic", lambda: now[0])
    show = commands.progress("film", "view")
    for done in range(1, 41):
        now[0] += 3.0
        show(done, 40)
    assert capsys.readouterr().err.splitlines() == [f"film: view {done} of 40" for done in range(4, 40, 4)]


def test_memory_that_is_not_enough_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(commands, "show_log", lambda: None)

    def full(argv):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nMore of it")

    def other(argv):
        raise RuntimeError("INTERNAL: RESOURCE")

    assert commands.run(full) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: there is not enough memory (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.)")
    assert line.count("\n") == 1
    with pytest.raises(RuntimeError, match="INTERNAL"):
        commands.run(other)


def test_only_the_tail_of_a_failed_checkpoint_goes_unreported(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "__unraisablehook__", lambda unraisable: reported.append(unraisable.exc_value))
    closed, other, another = RuntimeError("Event loop is closed"), RuntimeError("full"), OSError("Event loop is closed")
    for error in (closed, other, another):
        commands._report_unraisable(types.SimpleNamespace(exc_value=error))
    assert reported == [other, another]


def test_behind_the_name_of_a_config_stands_what_it_is_called_with():
    assert commands._load_config("stylegan2_folder:auto,64").data.size == 64
    with pytest.raises(InputError, match="did you mean 'stylegan2_folder'"):
        commands._load_config("stylegan_folder:auto,64")
