"""The installed command, in a folder that is no clone, and the same from Python."""

import json
import logging
import os
import subprocess
import sys

import vision_gen
from tests.conftest import ROOT
from vision_gen.configs import vit_digits


def command(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    words = [sys.executable, "-m", "vision_gen", *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_trains_and_evaluates_a_config_by_its_name(tmp_path):
    small = ("--config.model.size=(8, 8, 1, 1)", "--config.train.steps=2", "--config.train.log_every=1")
    done = command(tmp_path, "train", "--config=vit_digits", "--workdir=runs/x", *small)
    assert done.returncode == 0 and "step 2/2" in done.stdout, done.stderr
    config = json.loads((tmp_path / "runs" / "x" / "config.json").read_text())
    assert config["model"]["size"] == [8, 8, 1, 1] and config["data"]["name"] == "digits"
    done = command(tmp_path, "eval", "--workdir=runs/x", "--tools")
    assert done.stdout.startswith("classify: Says what an image shows."), done.stderr


def test_it_says_what_there_is(tmp_path):
    done = command(tmp_path, "train", "--config=scft_dem", "--workdir=runs/x")
    assert done.returncode == 2 and "is called so; did you mean 'scft_demo'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for arguments, status in (((), 2), (("--help",), 0)):
        done = command(tmp_path, *arguments)
        assert (done.returncode, done.stderr) == (status, "")
        assert "\nvision-gen train --config=NAME --workdir=runs/x\n" in done.stdout
    done = command(tmp_path, "test")
    said = "error: there is no command 'test'; there are train, eval, prepare, studio, and --help\n"
    assert (done.returncode, done.stderr) == (2, said)
    done = command(tmp_path, "eval", "--help")
    assert "Evaluates a run" in done.stdout and "--workdir          Folder of the run" in done.stdout


def test_python_does_what_the_commands_do(tmp_path, monkeypatch, capsys):
    log = logging.getLogger("vision_gen")
    monkeypatch.setattr(log, "handlers", list(log.handlers))
    monkeypatch.setattr(log, "propagate", True)
    config = vit_digits.get_config()
    config.model.size = (8, 8, 1, 1)
    config.train.update(steps=2, log_every=1, eval_images=64)
    runs = [str(tmp_path / name) for name in ("quiet", "told")]
    validated = vision_gen.train(config, runs[0])
    assert "step 2/2" not in capsys.readouterr().out
    for _ in range(2):
        vision_gen.show_log()
    assert vision_gen.train(config, runs[1]) == validated
    assert capsys.readouterr().out.count("step 2/2 |") == 1
    figures = {run: vision_gen.evaluate(run, "last", "val")[0] for run in runs}
    assert figures[runs[0]] == figures[runs[1]] and "top1" in figures[runs[0]]
    assert vision_gen.compare(runs, tmp_path / "both", "val") == figures
    assert (tmp_path / "both" / "report.html").is_file()
