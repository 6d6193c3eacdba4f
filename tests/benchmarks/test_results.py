"""Results: their schema, comparison with a baseline, and a measurement from end to end."""

import json
import subprocess
import sys

from absl import flags
import numpy as np
import pytest

from benchmarks import arguments, hlo, quality, records, report, steps, trivial
from tests.conftest import ROOT
from vision_gen.configs import stargan_avatars
from vision_gen.engine import loop
from vision_gen.errors import InputError


def result(name, **figures):
    return {"name": name, "nature": records.MEASURED, "settings": {}, "figures": figures}


def test_each_result_is_kept_as_it_comes(tmp_path):
    record = records.Record("throughput", tmp_path / "a.json")
    for i in range(2):
        record.add(f"r{i}", {"step": records.spread([1.0, 3.0, 2.0], "s")}, nature=records.MEASURED, settings={})
        read = records.load(tmp_path / "a.json")
        assert [r["name"] for r in read["results"]] == [f"r{j}" for j in range(i + 1)]
    assert read["results"][0]["figures"]["step"] == {"value": 2.0, "unit": "s", "low": 1.0, "high": 3.0}
    assert {"processor", "versions", "commit", "command", "date", "xla_flags"} <= read["environment"].keys()


def test_noise_for_steps_has_attributes_of_both_kinds():
    config = stargan_avatars.get_config()
    config.init.judge = ""
    batch = steps.random_batch(config)
    assert set(np.unique(batch["attributes"])) == {0, 1}


def test_results_go_where_they_are_told_and_nowhere_near_the_committed(tmp_path):
    values = flags.FlagValues()
    flags.DEFINE_string("output", None, "", flag_values=values)
    values(["program"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arguments.flags, "FLAGS", values)
        patch.setattr(records, "RESULTS", tmp_path / "runs")
        assert arguments.record("throughput", "throughput-x").path == tmp_path / "runs" / "throughput-x.json"
        values.output = str(tmp_path / "told" / "a.json")
        assert arguments.record("throughput", "throughput-x").path == tmp_path / "told" / "a.json"
        (tmp_path / "file").touch()
        values.output = str(tmp_path / "file" / "a.json")
        with pytest.raises(InputError, match="--output: cannot write to '.*file'"):
            arguments.record("throughput", "throughput-x")
    assert records.RESULTS == ROOT / "runs" / "benchmarks"


def test_files_of_another_schema_are_refused(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"schema": 0}))
    with pytest.raises(InputError, match="old.json: results of schema 1 are read, this has 0"):
        records.load(tmp_path / "old.json")
    (tmp_path / "half.json").write_text('{"schema": 1')
    with pytest.raises(InputError, match="half.json: not a file of results"):
        records.load(tmp_path / "half.json")


def test_worse_is_worse_by_more_than_the_noise():
    seconds = lambda *v: records.spread(v, "s", better="lower")
    rate = lambda *v: records.spread(v, "images/s", better="higher")
    old = [result("a", step=seconds(1.0, 1.1, 1.2), throughput=rate(9, 10, 11), compile=records.figure(5, "s"))]
    worse = lambda **f: [row[1] for row in report.worse(old, [result("a", **f)], 0.05)]
    assert worse(step=seconds(1.3, 1.4, 1.5)) == ["step"]
    assert worse(step=seconds(1.15, 1.4, 1.5)) == []  # The ranges overlap.
    assert worse(step=seconds(0.5, 0.6, 0.7)) == []
    assert worse(throughput=rate(7, 8, 8.5)) == ["throughput"]
    assert worse(throughput=rate(12, 13, 14)) == []
    assert worse(compile=records.figure(50, "s")) == []  # Says not which way is better.
    assert report.worse(old, [result("b", step=seconds(9.0, 9.1))], 0.05) == []


def test_results_of_another_chip_are_not_compared():
    def found(device, seconds):
        step = records.spread([seconds], "s", better="lower")
        return report.results_of({"environment": {"processor": "EPYC"},
                                  "results": [result("a", step=step) | {"settings": {"device": device}}]})  # fmt: skip

    assert found("EPYC", 1.0)[0]["name"] == "a" and found("NVIDIA H200", 1.0)[0]["name"] == "a, NVIDIA H200"
    assert report.worse(found("NVIDIA H200", 1.0), found("NVIDIA H100", 2.0), 0.05) == []
    ((name, *_),) = report.worse(found("NVIDIA H200", 1.0), found("NVIDIA H200", 2.0), 0.05)
    assert name == "a, NVIDIA H200"


def test_a_setting_is_measured_and_profiled_in_its_own_process(tmp_path):
    given = ["--config=benchmarks/trivial.py"]
    command = [sys.executable, "-m", "benchmarks.hlo", *given, "--rounds=3", f"--output={tmp_path}/h.json",
               f"--folder={tmp_path}/hlo", "--devices=2"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (found,) = records.load(tmp_path / "h.json")["results"]
    assert found["settings"]["devices"] == 2 and found["settings"]["batch"] == 16
    assert found["figures"]["all-reduce instructions"]["value"] >= 1
    assert found["operations"] and any("vision_gen/" in o["source"] for o in found["operations"])
    assert "ENTRY" in (tmp_path / "hlo" / "trivial" / "0" / "step.hlo").read_text()
    assert hlo.differences(found, found) == []


def test_a_setting_that_fails_is_named_and_the_others_are_kept(tmp_path):
    command = [sys.executable, "-m", "benchmarks.throughput", "--config=benchmarks/trivial.py", "--devices=3,1",
               "--rounds=3", "--data=false", f"--output={tmp_path}/t.json"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("[")] == [
        "[1 of 2] trivial: jit, 3 devices, float32", "[2 of 2] trivial: jit, 1 device, float32"
    ]  # fmt: skip
    assert "config.train.batch_size is 16; it must be a multiple of 3" in done.stderr
    failed, fine = records.load(tmp_path / "t.json")["results"]
    assert failed["note"].startswith("failed") and fine["figures"]["throughput"]["value"] > 0


def test_curves_of_a_run_are_read_with_their_times(tmp_path):
    config = trivial.get_config()
    config.train.update(steps=6, eval_every=2, log_every=2)
    loop.train(config, tmp_path / "run")
    points = quality.curves(tmp_path / "run", 0.0)["square"]
    assert [step for _, step, _ in points] == [2, 4, 6]
    assert points[0][0] <= points[1][0] <= points[2][0] and points[2][2] < points[0][2]


def test_arguments_of_the_config_are_handed_on():
    argv = ["--config=configs/scft_demo.py", "--styles=jit", "--config.train.batch_size=4", "--devices=1"]
    assert arguments.config_arguments(argv) == ["--config=configs/scft_demo.py", "--config.train.batch_size=4"]
    assert arguments.label(argv) == "scft_demo train.batch_size=4"
    assert arguments.config_name(["--config", "configs/x.py", "--config.seed=1"]) == "x"
    preset = ["--config=configs/clip_captions.py:ViT-L/14", "--config.parallel.fsdp=8", "--target=cpu"]
    assert arguments.config_name(preset) == "clip_captions"
    assert arguments.label(preset) == "clip_captions:ViT-L/14 parallel.fsdp=8"
    assert arguments.given(preset) == {"parallel.fsdp"}
    with pytest.raises(InputError, match="--devices must be positive integers"):
        arguments.numbers(["1", "0"], "--devices")
