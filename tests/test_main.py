"""The installed command, in a folder that is no clone."""

import json
import os
import subprocess
import sys

from tests.conftest import ROOT


def vision_gen(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    command = [sys.executable, "-m", "vision_gen", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_it_trains_and_evaluates_a_config_by_its_name(tmp_path):
    small = ("--config.model.size=(8, 8, 1, 1)", "--config.train.steps=2", "--config.train.log_every=1")
    done = vision_gen(tmp_path, "train", "--config=vit_digits", "--workdir=runs/x", *small)
    assert done.returncode == 0 and "step 2/2" in done.stdout, done.stderr
    config = json.loads((tmp_path / "runs" / "x" / "config.json").read_text())
    assert config["model"]["size"] == [8, 8, 1, 1] and config["data"]["name"] == "digits"
    done = vision_gen(tmp_path, "eval", "--workdir=runs/x", "--tools")
    assert done.stdout.startswith("classify: Says what an image shows."), done.stderr


def test_it_says_what_there_is(tmp_path):
    done = vision_gen(tmp_path, "train", "--config=scft_dem", "--workdir=runs/x")
    assert done.returncode == 2 and "no config that ships is called so; did you mean 'scft_demo'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for arguments in ((), ("test",)):
        done = vision_gen(tmp_path, *arguments)
        assert done.returncode == 2 and done.stderr.startswith("usage: vision-gen train ... or vision-gen eval")
    done = vision_gen(tmp_path, "eval", "--help")
    assert "Evaluates a run" in done.stdout and "--workdir          Folder of the run" in done.stdout
