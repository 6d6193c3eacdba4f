"""What the entry points print."""

import logging
import os
import subprocess
import sys
import types

import pytest

from tests.conftest import ROOT
from vision_gen.engine import commands


def train(*arguments):
    command, environment = [sys.executable, "train.py", *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_help_lists_the_configs_and_the_fields_of_one():
    result = train("--help")
    assert result.returncode == 0 and not result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("  vit_digits ")]
    assert line.endswith("A small ViT on scikit-learn's bundled digits: two minutes on two CPU cores.")
    assert "--workdir          Folder for everything that the run makes." in result.stdout
    result = train("--config=configs/vit_digits.py", "--config.train.steps=7", "--help")
    assert result.returncode == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "config.train.steps=7 an integer at least 1" in lines
    assert "config.model.mixup=0.1 Alpha; 0 is off." in lines
    assert "config.players.network.schedule=cosine one of 'constant', 'linear', 'cosine', 'exponential'" in lines


def test_nobody_needs_to_read_what_is_printed(monkeypatch):
    command, environment = [sys.executable, "train.py", "--help"], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 141
    unread = []
    monkeypatch.setattr(commands, "_print_to_nobody", lambda: unread.append(True))
    monkeypatch.setattr(logging, "raiseExceptions", False)
    reading, writing = os.pipe()
    closed = types.SimpleNamespace(write=lambda text: os.write(writing, text.encode()), flush=lambda: None)
    os.close(reading)
    record = logging.LogRecord("vision_gen", logging.INFO, "", 0, "a line", (), None)
    commands._Console(closed).emit(record)
    os.close(writing)
    commands._Console(closed).emit(record)  # An error of another kind.
    assert unread == [True]


def test_a_field_that_is_none_is_one_line():
    for field, said in (
        ("train.stepz", """'stepz'. Did you mean "steps" instead of "stepz"?"""),
        ("model.depthh", "'depthh'"),
    ):
        result = train("--config=vit_digits", "--workdir=runs/x", f"--config.{field}=3")
        assert result.returncode == 2
        assert result.stderr == f"error: no field of the config is called {said}\n"


def test_a_config_that_is_not_there_is_one_line():
    for more in ("--help", "--workdir=runs/x"):
        result = train("--config=configs/nope.py", more)
        assert result.returncode == 2
        given = "flag --config=configs/nope.py: 'configs/nope.py' is no file"
        assert result.stderr == f"error: {given}; it must be that of a config, or the name of one that ships\n"


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
