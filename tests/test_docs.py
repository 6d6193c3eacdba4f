"""The worked systems of docs/add_a_system.md are what the page says: written out, trained and used by its commands."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "add_a_system.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's files, and two pictures."""
    found = tmp_path_factory.mktemp("page")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.S):
        (found / name).write_text(code)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8)).save(found / f"{name}.png")
    return found


def run(folder, line, *more):
    """A command of the page, in its folder; what it prints."""
    program, script, *arguments = shlex.split(line)
    assert program == "python"
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "XLA_FLAGS": ""}
    result = subprocess.run(
        [sys.executable, ROOT / script, *arguments, *more],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def commands(name):
    """The commands of the page that name a file or its run."""
    found = [line.strip() for line in PAGE.splitlines() if line.startswith("    python ")]
    return [line for line in found if re.search(rf"\b{name}\b", line)]


def number(out):
    """The last number of what a tool prints."""
    return float(re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", out)[-1])


QUICK = ["--config.train.checkpoint_every=1000", "--config.train.eval_images=32"]


def test_the_page_has_four_systems(folder):
    assert sorted(p.name for p in folder.glob("*.py")) == ["digits_gan.py", "likeness.py", "small_gan.py", "waves.py"]


def test_a_gan_and_one_that_learns_from_its_run(folder):
    train, draw = commands("digits_gan") + [c for c in commands("gan") if "eval.py" in c]
    assert "r1" in run(folder, train, *QUICK)
    run(folder, draw)
    assert Image.open(folder / "digit.png").size == (8, 8)
    (distil,) = commands("small_gan")
    out = run(folder, distil, *QUICK, "--config.train.log_every=1")
    losses = [float(x) for x in re.findall(r"student ([\d.e-]+) \(", out)]
    assert "teacher: 4 tensors of generator of runs/gan" in out
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5]), losses
    assert (folder / "runs" / "small" / "frozen.safetensors").is_file()


def test_one_without_training(folder):
    (line,) = commands("likeness")
    found, same = (number(run(folder, text)) for text in (line, line.replace("b.png", "a.png")))
    assert same == pytest.approx(1, abs=1e-3) and -1 <= found < 0.999


def test_one_whose_values_are_no_images(folder):
    train, predict = commands("waves")
    out = run(folder, train, *QUICK)
    last = [line for line in out.splitlines() if "validation" in line][-1]
    square, mean = (float(re.search(rf"{name} ([\d.e-]+)", last)[1]) for name in ("square", "square_mean"))
    assert square < 0.2 * mean, out
    assert number(run(folder, predict)) == pytest.approx(np.sin(1.5), abs=0.3)
