"""Rounds: steps in order, recorded, and made again; then one that trains."""

import json
import pickle
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.studio.debias.test_steps import FRUIT, Painter, by_colour, classifier
from vision_gen import data
from vision_gen.configs import vit_digits, xploregan_avatars
from vision_gen.engine import checkpoints, use
from vision_gen.errors import InputError
from vision_gen.studio.debias import rounds, steps


@pytest.fixture
def opened(monkeypatch):
    """Runs and data are not read."""
    monkeypatch.setattr(use, "load", lambda run: classifier(by_colour))
    monkeypatch.setattr(checkpoints, "load_config", lambda run: vit_digits.get_config())
    monkeypatch.setattr(data, "open", lambda settings, split: FRUIT)


@pytest.fixture
def played(opened, monkeypatch):
    """Networks are played: retraining with pictures changes something, without it nothing. Gives what was asked for."""
    asked = []

    def retrain(config, run, workdir, **how):
        assert run == "runs/x"
        asked.append((workdir, how))
        return classifier(by_colour) if not how["made"] else classifier(lambda x: x.max() > 205)

    monkeypatch.setattr(steps, "train_translator", lambda config, run, workdir: Painter())
    monkeypatch.setattr(steps, "retrain", retrain)
    return asked


def begun(folder, size=8):
    translator = xploregan_avatars.get_config()
    translator.data.update(name="digits", size=size)
    return rounds.Round(folder, translator, run="runs/x")


def test_what_trains_can_be_told_to_another_process(opened, tmp_path):
    done = begun(tmp_path / "a")
    done.made["some"] = None
    told = lambda *step, **given: pickle.loads(pickle.dumps(done.training(*step, **given)))
    work, (train, config, run, workdir), folder = told("retrain", name="b", made="some", share=0.3, steps=7)
    how = dict(made=tmp_path / "a" / "made" / "some", share=0.3, steps=7, seed=0)
    assert train is steps.retrain and work.keywords == how
    assert run == "runs/x" and workdir == folder == tmp_path / "a" / "retrained" / "b"
    assert checkpoints.config_of(config).to_json() == vit_digits.get_config().to_json()
    _, (train, config, _, workdir), _ = told("translate", targets=1)
    assert train is steps.train_translator and workdir == tmp_path / "a" / "translator"
    assert checkpoints.config_of(config).to_json() == done.translator.to_json()
    assert done.training("jitter") is None


def test_a_round_is_recorded_and_made_again(played, tmp_path):
    done = begun(tmp_path / "a")
    with pytest.raises(InputError, match="select: nothing has been looked at yet"):
        done.do("select")
    done.do("look", clusters=3)
    with pytest.raises(InputError, match="translate: nothing is selected yet"):
        done.do("translate")
    assert done.do("select", wrong=False, label=0).tolist() == [0, 2, 3, 5]
    done.do("translate", each=2)
    done.do("jitter", name="other_colours", strength=(0, 0, 0, 0.5))
    done.do("retrain", name="plain", steps=7)
    done.do("retrain", name="translated", made="translated", share=0.25, seed=3)
    assert len(list((tmp_path / "a" / "made" / "translated" / "apple").iterdir())) == 8
    folder = tmp_path / "a"
    assert played == [
        (folder / "retrained" / "plain", dict(made="", share=0.5, steps=7, seed=0)),
        (folder / "retrained" / "translated", dict(made=folder / "made" / "translated", share=0.25, steps=0, seed=3)),
    ]
    board = done.board()
    assert board["translated"]["conflicting"] == 1 and board["plain"] == board["before"]
    path = tmp_path / "recording.json"
    path.write_text(done.text())
    names = [step["step"] for step in json.loads(path.read_text())["steps"]]
    assert names == ["look", "select", "translate", "jitter", "retrain", "retrain"]  # What was refused is not in it.
    again, lines = rounds.replay(path, tmp_path / "b")
    assert lines == [
        "1 look: the same",
        "2 select: the same",
        "3 translate: the same",
        "4 jitter other_colours: the same",
        "5 retrain plain: the same",
        "6 retrain translated: the same",
    ]
    assert again.board() == board
    record = json.loads(path.read_text())
    record["steps"][2]["given"]["seed"] = 1
    path.write_text(json.dumps(record))
    assert rounds.replay(path, tmp_path / "c")[1][2:4] == ["3 translate: differs", "4 jitter other_colours: the same"]


def test_a_round_that_was_stopped_is_gone_on_with(played, tmp_path):
    def of_plan(plan):
        translator = xploregan_avatars.get_config()
        translator.data.update(name="digits", size=8)
        return rounds.Round(tmp_path / "a", translator, run="runs/x", plan=plan)

    for _ in range(2):
        done = of_plan({"strength": (0.5, 0)})
        done.do("look", clusters=3)
        done.do("select")
        done.do("jitter")
    pictures = list((tmp_path / "a" / "made" / "jittered").rglob("*.png"))
    assert len(pictures) == len(done.made["jittered"].pictures)
    for plan in (None, {"strength": (0.5, 1)}):
        with pytest.raises(InputError, match="a: a round needs a new folder, or an empty one"):
            of_plan(plan)


def test_what_is_wrong_with_a_step_or_a_recording_is_named(played, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(InputError, match="a round needs a new folder, or an empty one"):
        begun(tmp_path / "full")
    with pytest.raises(InputError, match=r"translator: resolution of data must be the classifier's, \(8, 8\), got \(16, "):
        begun(tmp_path / "a", size=16)
    with pytest.raises(InputError, match="the translator: must be an xploregan.XploreGAN, got classifier.Classifier"):
        rounds.Round(tmp_path / "a", vit_digits.get_config(), run="runs/x")
    done = begun(tmp_path / "a")
    done.do("look")
    done.do("select")
    done.do("jitter")
    for step, given, message in (
        ("board", {}, "no step 'board'; there are look, select, translate, jitter, retrain"),
        ("select", {"bais": 1}, "step 'select': .*'bais'"),
        ("jitter", {}, "jitter: 'jittered' is there already; give it another name"),
        ("look", {"clusters": "5"}, "look: clusters must be a whole number from 0 on, got '5'"),
        ("look", {"seed": None}, "look: seed must be a whole number from 0 on, got None"),
        ("select", {"indices": "1,2"}, "select: indices must be whole numbers, got '1,2'"),
        ("select", {"wrong": "yes"}, "select: wrong must be true or false, got 'yes'"),
        ("jitter", {"name": "other", "strength": [1, 1]}, r"jitter: strength must be 4 numbers .*, got \[1, 1\]"),
        ("retrain", {"name": 7}, "retrain: name must be a text, got 7"),
        ("retrain", {"name": "x", "share": float("nan")}, "retrain: share must be a number from 0 to 1, got nan"),
        ("jitter", {"name": "../x"}, "jitter: name must be of letters, digits, - and _, got '../x'"),
        ("retrain", {"name": "before"}, "retrain: 'before' is there already"),
        ("retrain", {"name": "x", "made": "made"}, "retrain: there are no pictures 'made'; there are jittered"),
    ):
        with pytest.raises(InputError, match=message):
            done.do(step, **given)
    path = tmp_path / "recording.json"
    with pytest.raises(InputError, match="no such file; a recording is a JSON file that a round has written"):
        rounds.replay(path, tmp_path / "b")
    for text in ("{}", "[]", '{"round": 2}', "{"):
        path.write_text(text)
        with pytest.raises(InputError, match="is no recording of a round that can be read"):
            rounds.replay(path, tmp_path / "b")
    record = json.loads(done.text())
    record["steps"][1]["given"]["label"] = 9
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="recording.json: step 2: label must be from 0 to 1, got 9"):
        rounds.replay(path, tmp_path / "b")


def command(*arguments):
    """What the command prints."""
    words = [sys.executable, "-m", "vision_gen.studio.debias", *arguments]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_command_makes_a_round_and_makes_it_again(tmp_path):
    (tmp_path / "judge.py").write_text(
        "from vision_gen.configs import vit_digits\n\ndef get_config():\n    config = vit_digits.get_config()\n"
        "    config.data.update(name='coloured_digits', labels=False)\n    config.model.size = (32, 64, 1, 2)\n"
        "    config.train.update(steps=100, log_every=100)\n    return config\n"
    )
    sizes = ("data.size=8", "model.width=4", "model.discriminator_width=4", "train.steps=4", "train.sample_every=0")
    flags = [f"--config={tmp_path / 'judge.py'}", "--translator=xploregan_coloured_digits"]
    said = command(*flags, f"--workdir={tmp_path / 'a'}", *(f"--translator.{field}" for field in sizes))
    table = said[said.index("aligned") : said.index("wrote")]
    assert "before         plain      jittered    translated" in said and "conflicting" in table
    again = command(f"--replay={tmp_path / 'a' / 'seed0' / 'recording.json'}", f"--workdir={tmp_path / 'b'}")
    assert again.count("the same") == 7 and "differs" not in again and table.strip() in again
