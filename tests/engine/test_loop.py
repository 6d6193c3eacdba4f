"""Runs as a user starts them: resuming, stopping, failing."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.engine import toy
from vision_gen import data
from vision_gen.data import pipeline
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import evaluation, events, loop, use
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import state as states
from vision_gen.engine import step as step_lib
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError, NonFiniteError
from vision_gen.ops import augment


def config_of(folder, **train):
    config = toy.get_config()
    config.data.dir = str(folder)
    config.train.update(train)
    return config


def state_of(workdir, step):
    return use.load(workdir, step).state


def assert_identical(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def command(folder, workdir, *more):
    return [
        sys.executable,
        "train.py",
        "--config=tests/engine/toy.py",
        f"--config.data.dir={folder}",
        f"--workdir={workdir}",
        *more,
    ]


def environment():
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "XLA_FLAGS": ""}


def start(folder, workdir, *more, before=()):
    return subprocess.run(
        [*before, *command(folder, workdir, *more)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A folder of pictures and a run of 6 steps without interruption."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    from PIL import Image

    for index in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / f"{index}.png")
    workdir = tmp_path_factory.mktemp("straight")
    loop.train(config_of(folder), workdir)
    return folder, workdir


def test_a_run_leaves_everything_that_it_promises(straight):
    _, workdir = straight
    for name in ("config.json", "train.log", "samples/0000003.png", "samples/0000006.png"):
        assert (workdir / name).is_file(), name
    logged = events.scalars(workdir)
    for name in ("images_per_second", "steps_per_sec", "uptime"):
        assert [step for _, step, _ in logged[name]] == [1, 2, 3, 4, 5, 6], name
    assert logged["train/painter/loss"][-1][1] == 6
    assert {round(rate, 6) for _, _, rate in logged["train/painter/learning_rate"]} == {0.01}
    assert [step for _, step, _ in logged["val/psnr"]] == [3, 6]
    assert sorted(int(p.name) for p in (workdir / "checkpoints").iterdir()) == [3, 6]
    assert "step 6/6" in (workdir / "train.log").read_text()
    assert json.loads((workdir / "config.json").read_text())["train"]["steps"] == 6


def test_a_run_that_fails_leaves_no_log_file_open(straight, tmp_path, monkeypatch):
    folder, _ = straight
    opened, add = [], loop.log.addHandler
    monkeypatch.setattr(loop.log, "addHandler", lambda handler: (opened.append(handler), add(handler)))
    with pytest.raises(NonFiniteError):
        config = config_of(folder)
        config.players.painter.learning_rate = 1e38
        loop.train(config, tmp_path / "run")
    with pytest.raises(InputError, match="not a folder"):
        loop.train(config_of(tmp_path / "nowhere"), tmp_path / "other")
    with pytest.raises(InputError, match="config.train.best_metric is 'beauty'; tests.engine.toy.Toy evaluates psnr"):
        loop.train(config_of(folder, best_metric="beauty"), tmp_path / "other")
    # What is found wrong before the work starts leaves no folder.
    assert not (tmp_path / "other").exists()
    assert [handler.stream for handler in opened] == [None]
    assert not set(opened) & set(loop.log.handlers)


def records(workdir):
    return {path.name: path.read_bytes() for path in workdir.glob("*.json")}


@pytest.mark.parametrize("steps", [3, 6, 9])
def test_a_start_that_fails_leaves_the_record_of_a_run_as_it_was(straight, tmp_path, monkeypatch, steps):
    """Whatever fails, up to the compiler; nor does one with nothing to do write."""
    folder, workdir = straight
    run = shutil.copytree(workdir, tmp_path / "run")
    config = config_of(folder, steps=steps, batch_size=16)
    if steps > 6:
        monkeypatch.setattr(parallel_lib.Parallel, "compile", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.train(config, run)
    else:
        assert loop.train(config, run) == {}
        assert f"nothing to do: step 6 of {steps}" in (run / "train.log").read_text()
    assert records(run) == records(workdir)


def test_a_first_start_with_a_typo_blocks_nothing(straight, tmp_path, monkeypatch):
    folder, workdir = straight
    run = tmp_path / "run"
    wrong = config_of(folder)
    wrong.model.ballast = 9
    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "_advance", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            loop.train(wrong, run)
    assert ckpt.load_config(run).model.ballast == 9
    (run / ckpt.CHANGES).write_text('[{"step": 0, "field": "train.batch_size", "was": 2, "is": 8}]')
    (run / ckpt.FROZEN).write_text("of the first start")
    loop.train(config_of(folder), run)
    assert ckpt.load_config(run).model.ballast == 8
    assert not (run / ckpt.CHANGES).exists() and not (run / ckpt.FROZEN).exists()
    assert_identical(state_of(run, 6), state_of(workdir, 6))


def test_two_runs_cannot_be_in_one_workdir(straight, tmp_path):
    folder, _ = straight
    run = tmp_path / "run"
    with ckpt.locked(run):
        before = sorted(run.iterdir())
        with pytest.raises(InputError, match=rf"run' is in use by another run \(process {os.getpid()} on .+\); choose"):
            loop.train(config_of(folder), run)
        assert sorted(run.iterdir()) == before
    assert not run.exists()
    code = "import time; from vision_gen.engine import checkpoints\n"
    code += f"with checkpoints.locked({str(run)!r}): print(1, flush=True); time.sleep(99)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment(), stdout=subprocess.PIPE)
    process.stdout.readline()
    with pytest.raises(InputError, match=rf"in use by another run \(process {process.pid} "), ckpt.locked(run):
        pass
    process.kill()
    process.wait()
    with ckpt.locked(run):
        pass


def test_what_may_change_is_said_and_recorded_with_its_step(straight, tmp_path):
    folder, _ = straight
    run, moved = tmp_path / "run", shutil.copytree(folder, tmp_path / "moved")
    loop.train(config_of(folder, steps=3), run)
    config = config_of(moved, steps=6, batch_size=16)
    config.players.painter.update(learning_rate=0.04, schedule="cosine")
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        order = pipeline._Order.example
        patch.setattr(pipeline._Order, "example", lambda self, at: (asked.append(at), order(self, at))[1])
        loop.train(config, run)
    # Three batches of 8 came before.
    assert sorted(set(asked))[: 3 * 16] == list(range(24, 24 + 3 * 16))
    lines = (run / "train.log").read_text()
    for line in (
        f"config.data.dir is now '{moved}', was '{folder}'",
        "config.players.painter.learning_rate is now 0.04, was 0.01",
        "config.train.batch_size is now 16, was 8",
        "config.train.steps is now 6, was 3",
        "by that the painter's learning rate at step 3 is 0.02, was 0.01",
    ):
        assert line in lines, line
    recorded = {change["field"]: (change["step"], change["was"], change["is"]) for change in ckpt.changes(run)}
    assert recorded["train.batch_size"] == (3, 8, 16)
    assert recorded["players.painter.schedule"] == (3, "constant", "cosine")
    assert ckpt.examples_seen(run, Experiment(config), 6) == 3 * 8 + 3 * 16
    assert ckpt.load_config(run).train.batch_size == 16
    loop.train(config, run)  # Nothing is new.
    assert len(ckpt.changes(run)) == len(recorded)


def test_data_of_other_classes_is_refused_by_a_run_that_goes_on(straight, tmp_path):
    folder, _ = straight

    def sorted_into(name, *classes):
        for number, file in enumerate(sorted(folder.iterdir())):
            place = tmp_path / name / classes[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        config = config_of(tmp_path / name, steps=1)
        config.data.labels = True
        return config

    config = sorted_into("first", "cat", "dog")
    loop.train(config, tmp_path / "run")
    other = sorted_into("second", "bird", "cat")
    message = r"config.data has the classes \['bird', 'cat'\], but the run those of \['cat', 'dog'\]"
    with pytest.raises(InputError, match=message):
        loop.train(other, tmp_path / "run")
    with config.unlocked():
        config.evaluations.other = dict(dir=str(tmp_path / "second"), split="train")
    with pytest.raises(InputError, match=r"config.evaluations.other has the classes \['bird', 'cat'\]"):
        loop.train(config, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_time_left_has_hours_and_days():
    shown = [loop._duration(seconds) for seconds in (65, 3930, 86_400 + 7200, 3 * 86_400 + 60)]
    assert shown == ["1:05", "1:05:30", "1 day 2 h", "3 days 0 h"]


def test_a_run_of_days_is_told_so_once(straight, tmp_path, monkeypatch):
    folder, _ = straight
    monkeypatch.setattr(loop, "DAY", 0)
    monkeypatch.setattr(loop, "EARLY", 0)
    loop.train(config_of(folder), tmp_path / "run")
    assert (tmp_path / "run" / "train.log").read_text().count("this run will take about 0:0") == 1


def test_it_is_said_once_where_data_slow_the_run(straight, tmp_path, monkeypatch):
    folder, _ = straight
    monkeypatch.setattr(loop, "EARLY", 0)
    for least, times in ((0, 1), (2, 0)):  # It is waited for more than 0 and less than 2 of the time.
        monkeypatch.setattr(loop, "SLOW_DATA", least)
        loop.train(config_of(folder), tmp_path / str(least))
        log = (tmp_path / str(least) / "train.log").read_text()
        assert log.count(" percent of the time goes into waiting for data") == times
        assert log.count("config.data.workers (now 0) reads in so many processes") == times


def test_resuming_is_bit_identical(straight, tmp_path):
    folder, workdir = straight
    loop.train(config_of(folder, steps=3), tmp_path / "run")
    loop.train(config_of(folder, steps=6), tmp_path / "run")
    assert_identical(state_of(tmp_path / "run", 6), state_of(workdir, 6))


def test_a_run_goes_on_from_the_whole_checkpoint_before_a_damaged_one(straight, tmp_path):
    folder, workdir = straight
    run = shutil.copytree(workdir, tmp_path / "run")
    (victim,) = (run / "checkpoints" / "6" / "state" / "d").iterdir()
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    loop.train(config_of(folder), run)
    (line,) = [line for line in (run / "train.log").read_text().splitlines() if "damaged" in line]
    assert f"step 6 is damaged (state/d/{victim.name} is not what was written)" in line
    assert line.endswith(f"lies in {run}/damaged/6 now; going on from step 3")
    assert (run / "damaged" / "6" / "state" / "d" / victim.name).read_bytes() == data
    assert_identical(state_of(run, 6), state_of(workdir, 6))


def test_sigterm_saves_and_kill_loses_nothing_finished(straight, tmp_path):
    folder, workdir = straight
    run = tmp_path / "run"

    def running(signal_number):
        """Starts an endless run and signals it after some steps; -> its exit status."""
        process = subprocess.Popen(
            command(folder, run, "--config.train.steps=1000000", "--config.train.sample_every=0"),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        seen = 0
        for line in process.stdout:
            if line.startswith("step ") and "validation" not in line:
                seen += 1
                if seen == 20:
                    break
        process.send_signal(signal_number)
        process.stdout.read()
        return process.wait(timeout=120)

    assert running(signal.SIGTERM) == 0
    steps = sorted(int(p.name) for p in (run / "checkpoints").iterdir())
    state_of(run, steps[-1])
    assert running(signal.SIGKILL) == -signal.SIGKILL
    finished = [int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(finished) >= steps[-1]
    last = max(finished)
    state_of(run, last)
    result = start(folder, run, f"--config.train.steps={last + 3}")
    assert result.returncode == 0, result.stderr
    assert f"going on from the checkpoint of step {last}" in result.stdout


def after(monkeypatch, number, act):
    """Calls `act` with a run when it has taken so many steps."""
    advance = loop._Run._advance

    def advanced(self):
        found = advance(self)
        if self._number == number:
            act(self)
        return found

    monkeypatch.setattr(loop._Run, "_advance", advanced)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_saves_the_step_that_it_came_at(straight, tmp_path, monkeypatch, name):
    folder, workdir = straight
    run, number = tmp_path / "run", getattr(signal, name)
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        after(patch, 4, lambda _: os.kill(os.getpid(), number))
        assert loop.train(config_of(folder, checkpoint_every=1000), run) == {}
    assert signal.getsignal(number) is before
    assert f"stopped by {name} at step 4; the same command goes on" in (run / "train.log").read_text()
    assert ckpt.finished(run / "checkpoints") == [4]
    loop.train(config_of(folder, checkpoint_every=1000), run)
    assert_identical(state_of(run, 6), state_of(workdir, 6))


def test_a_signal_that_is_ignored_stays_so(straight, tmp_path, monkeypatch):
    """As nohup has it."""
    folder, _ = straight
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        after(monkeypatch, 2, lambda _: os.kill(os.getpid(), signal.SIGHUP))
        assert loop.train(config_of(folder, steps=3), tmp_path / "run")
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_reaches_the_processes_that_read_and_saves(straight, tmp_path, workers):
    folder, _ = straight
    run = tmp_path / "run"
    fields = ("train.steps=1000000", "train.checkpoint_every=1000000", f"data.workers={workers}")
    more = [f"--config.{field}" for field in fields]
    process = subprocess.Popen(
        command(folder, run, "--config.train.sample_every=0", *more),
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("step 5/"):
            break
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    stopped = int(re.search(r"stopped by SIGINT at step (\d+)", output)[1])
    assert ckpt.finished(run / "checkpoints") == [stopped] and stopped >= 5


def spoiled(folder):
    for path in folder.iterdir():
        path.write_bytes(b"no image")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_damaged_on_the_way_ends_a_run_saved(straight, tmp_path, monkeypatch, workers):
    copy = shutil.copytree(straight[0], tmp_path / "pictures")
    run = tmp_path / "run"
    config = config_of(copy, steps=100_000, checkpoint_every=100_000, sample_every=0, log_every=1000)
    config.data.workers = workers
    after(monkeypatch, 2, lambda _: spoiled(copy))
    message = r"^\S+pictures/\d+.png: not a readable image[^\n]*\. Step \d+ is saved; [^\n]*$"
    with pytest.raises(InputError, match=message) as found:
        loop.train(config, run)
    assert ckpt.finished(run / "checkpoints") == [int(re.search(r"Step (\d+) is saved", str(found.value))[1])]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    "under,message",
    [
        ("samples", r"cannot write \S+/samples/0000003.png"),
        ("events", r"cannot write TensorBoard events to \S+"),
        ("log", r"cannot write \S+/train.log"),
    ],
)
def test_a_full_disk_under_logs_or_samples_ends_a_run_saved(straight, tmp_path, monkeypatch, under, message):
    folder, _ = straight
    run = tmp_path / "run"
    if under == "samples":
        (run / "samples").mkdir(parents=True)
        (run / "samples" / "0000003.png").symlink_to("/dev/full")
        (run / "train.log").touch()  # As a run that began leaves it.
    elif under == "events":
        after(monkeypatch, 2, lambda r: setattr(r._writer, "_records", events.RecordWriter(open("/dev/full", "wb"))))
    else:
        handlers = lambda: [h for h in loop.log.handlers if isinstance(h, loop._LogFile)]
        after(monkeypatch, 2, lambda _: handlers()[0].setStream(open("/dev/full", "w")))
    message = rf"^{message} \(No space left on device\).* Step \d is saved; when it is mended"
    with pytest.raises(InputError, match=message) as found:
        loop.train(config_of(folder, checkpoint_every=1000), run)
    assert "\n" not in str(found.value)
    (step,) = ckpt.finished(run / "checkpoints")
    assert f"Step {step} is saved" in str(found.value) and step < 6


def test_a_run_may_leave_out_broken_images_from_now_on(straight, tmp_path):
    folder = shutil.copytree(straight[0], tmp_path / os.fsdecode(b"caf\xe9"))  # Nor need names be UTF-8.
    loop.train(config_of(folder, steps=1), tmp_path / "run")
    (folder / "3.png").write_bytes(b"no image")
    config = config_of(folder, steps=2)
    with pytest.raises(InputError, match="3.png: .*; config.data.skip_unreadable=True leaves such files out"):
        loop.train(config, tmp_path / "run")
    config.data.update(skip_unreadable=True, max_pixels=10**6)
    loop.train(config, tmp_path / "run")
    lines = (tmp_path / "run" / "train.log").read_text()
    assert "config.data.max_pixels is now 1000000, was 178956970" in lines
    assert "config.data.skip_unreadable is now True, was False" in lines and "left out 1 unreadable image(s)" in lines


def test_a_loss_that_is_not_finite_stops_the_run_by_name(straight, tmp_path):
    folder, _ = straight
    loop.train(config_of(folder, steps=3), tmp_path / "run")
    before = state_of(tmp_path / "run", 3)
    config = config_of(folder, steps=9)
    config.players.painter.learning_rate = 1e38
    with pytest.raises(NonFiniteError, match=r"step \d: the painter's .*(loss|square) = (inf|nan)"):
        loop.train(config, tmp_path / "run")
    assert [int(p.name) for p in (tmp_path / "run" / "checkpoints").iterdir()] == [3]
    assert_identical(state_of(tmp_path / "run", 3), before)


def test_weights_that_are_not_finite_are_never_saved(straight, tmp_path):
    folder, _ = straight
    loop.train(config_of(folder, steps=3), tmp_path / "run")
    config = config_of(folder, steps=9, checkpoint_every=1, sample_every=0)
    # The loss and the rate are finite once more, at step 4, before the step is taken.
    config.players.painter.update(learning_rate=3e38, weight_decay=1e3)
    message = r"step 4: (params|ema)/[\w/]+ is not finite \(nor are \d more\), so that it was not"
    with pytest.raises(NonFiniteError, match=message):
        loop.train(config, tmp_path / "run")
    assert [int(p.name) for p in (tmp_path / "run" / "checkpoints").iterdir()] == [3]


def test_a_full_disk_is_one_error_and_harms_no_checkpoint(straight, tmp_path):
    folder, _ = straight
    size = "--config.model.ballast=2000000"  # 8 MB.
    result = start(folder, tmp_path / "run", size, "--config.train.steps=3")
    assert result.returncode == 0, result.stderr
    # No file may grow beyond 2 MB: the writer of the checkpoint fails as on a full disk.
    limited = ("bash", "-c", 'ulimit -f 2000; exec "$@"', "-")
    result = start(folder, tmp_path / "run", size, "--config.train.steps=6", before=limited)
    assert result.returncode == 2
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("error:")]
    assert "could not write a checkpoint" in line and "steps [3]" in line
    assert "Traceback" not in result.stderr
    assert int(state_of(tmp_path / "run", 3)["step"]) == 3


def test_another_experiment_is_refused(straight):
    folder, workdir = straight
    config = config_of(folder)
    config.model.ballast = 9
    with pytest.raises(InputError, match="another experiment: config.model.ballast is 8 there and 9"):
        loop.train(config, workdir)


def test_a_folder_of_other_files_is_refused(straight, tmp_path):
    folder, _ = straight
    with pytest.raises(InputError, match=r"holds files that are no run's \(0.png and 11 more\); choose another"):
        loop.train(config_of(folder), folder)
    (tmp_path / "config.json").write_text("{}")  # Of another program.
    with pytest.raises(InputError, match=r"no run's \(config.json\)"):
        loop.train(config_of(folder), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    (tmp_path / "config.json").rename(tmp_path / "nohup.out")
    (tmp_path / ".hidden").mkdir()
    assert ckpt.refuse_another(tmp_path, Experiment(config_of(folder))) == {}


def test_a_checkpoint_of_another_config_is_refused_by_parameter(straight):
    folder, workdir = straight
    config = config_of(folder)
    config.model.ballast = 9
    _, state = states.init_state(Experiment(config))
    manager = ckpt.Checkpoints(workdir, Experiment(config), read_only=True)
    with pytest.raises(InputError, match=r"ballast.*w.* is of shape \[8\] in it and of shape \[9\]"):
        manager.restore(6, state)


def test_a_checkpoint_restores_onto_other_devices(tmp_path):
    config = toy.get_config()
    config.model.ballast = 64
    config.parallel.fsdp = 4

    def placed(devices):
        experiment = Experiment(config)
        return states.place_state(experiment, parallel_lib.Parallel(experiment, devices))[1]

    state = placed(jax.devices())
    manager = ckpt.Checkpoints(tmp_path, Experiment(config))
    manager.save(1, state)
    manager.wait()
    config.parallel.fsdp = 2
    other = placed(jax.devices()[:2])
    restored = manager.restore(1, other)
    assert_identical(restored, state)
    for x, y in zip(jax.tree.leaves(restored), jax.tree.leaves(other), strict=True):
        assert x.sharding == y.sharding


NAN = float("nan")


@pytest.mark.parametrize(
    "mode,figures,steps,best",
    [
        ("max", [5.0, 9.0, 7.0, 6.0], [2, 4], 2),
        ("min", [5.0, 9.0, 3.0, 6.0], [3, 4], 3),
        ("max", [5.0, 9.0, NAN, 6.0], [2, 4], 2),
        ("min", [NAN, 9.0, 3.0, NAN], [3, 4], 3),
        ("max", [NAN, NAN, NAN, 6.0], [4], 4),
        ("max", [NAN, NAN, NAN], [3], None),
    ],
)
def test_the_best_checkpoint_is_kept_beside_the_last(tmp_path, mode, figures, steps, best):
    config = toy.get_config()
    config.train.update(keep=1, best_mode=mode)
    experiment = Experiment(config)
    _, state = states.init_state(experiment)
    manager = ckpt.Checkpoints(tmp_path, experiment)
    for step, psnr in enumerate(figures, 1):
        manager.save(step, state, {"psnr": psnr})
        manager.wait()
    for found in (manager, ckpt.Checkpoints(tmp_path, experiment, read_only=True)):
        assert found.steps() == steps
        assert found.best() == best
        assert found.chosen("best") == (best or steps[-1])


def pair(folder, workdir, *more):
    """Two processes of one run, started; joined over loopback."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return [
        subprocess.Popen(
            command(
                folder,
                workdir,
                *more,
                "--config.parallel.processes=2",
                f"--config.parallel.process={rank}",
                f"--config.parallel.coordinator=127.0.0.1:{port}",
            ),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]


def together(folder, workdir, *more):
    """Output of both processes of a run that ends well."""
    processes = pair(folder, workdir, *more)
    outputs = [p.communicate(timeout=300)[0] for p in processes]
    assert [p.returncode for p in processes] == [0, 0], outputs
    return outputs


def test_two_processes_train_save_and_resume(straight, tmp_path):
    """Parameters sharded over both; the same in the end as of one process."""
    folder, workdir = straight
    together(folder, tmp_path / "run", "--config.parallel.fsdp=2", "--config.train.steps=3")
    outputs = together(folder, tmp_path / "run", "--config.parallel.fsdp=2", "--config.train.steps=6")
    assert all("going on from the checkpoint of step 3" in out for out in outputs)
    got, want = state_of(tmp_path / "run", 6), state_of(workdir, 6)
    for name in ("kernel", "bias"):
        # The examples of a batch stand in another order, so that their noise differs a little.
        np.testing.assert_allclose(
            got["params"]["painter"][name], want["params"]["painter"][name], atol=2e-3
        )


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_comes_back_identical(straight, tmp_path):
    folder, _ = straight
    more = [f"--config.train.{f}" for f in ("steps=300", "log_every=100", "sample_every=0", "checkpoint_every=100")]
    together(folder, tmp_path / "whole", *more)
    survivor, victim = pair(folder, tmp_path / "run", *more, "--config.parallel.timeout=20")
    try:
        until = time.monotonic() + 240
        while not (tmp_path / "run" / "checkpoints" / "100").is_dir():
            assert time.monotonic() < until and victim.poll() is None, "no checkpoint was finished"
            time.sleep(0.005)
        victim.kill()
        output = survivor.communicate(timeout=120)[0]
    finally:
        survivor.kill()
        victim.kill()
    victim.communicate()
    assert survivor.returncode == 4, output
    # Another checkpoint may have been finished before the signal came.
    last = re.search(r"cannot reach another .* they go on from the checkpoint of step ([12]00)", output)
    assert last, output
    outputs = together(folder, tmp_path / "run", *more)
    assert all(f"going on from the checkpoint of step {last[1]}" in out for out in outputs)
    assert_identical(state_of(tmp_path / "run", 300), state_of(tmp_path / "whole", 300))


@pytest.mark.parametrize(
    "argument,message",
    [
        ("--config.train.stepz=3", "stepz"),
        ("--config.train.steps=many", "steps"),
        ("--config.data.dir=/nowhere", "config.data.dir: '/nowhere' is not a folder"),
        ("--config.data.name=imagenet", "config.data.name"),
        ("--config.dtype=float8", "config.dtype must be"),
        ("--config.seed=-1", "config.seed must be at least 0"),
        ("--config.players.painter.schedule=wild", "schedule must be"),
        ("--config.system=toy.Nothing", "config.system is 'toy.Nothing'"),
        ("--config.train.best_metric=beauty", "config.train.best_metric is 'beauty'"),
        ("--workdir=", "--workdir is empty; it must be a folder"),
    ],
)
def test_bad_settings_are_one_line(straight, tmp_path, argument, message):
    folder, _ = straight
    result = start(folder, tmp_path / "run", argument)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_import_is_light():
    code = "import sys, vision_gen; print(sorted({'tensorflow', 'jax'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_a_run_imports_no_tensorflow_and_is_profiled(straight, tmp_path):
    folder, _ = straight
    code = "import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path('train.py', run_name='__main__')\n"
    code += "finally: print([name for name in sys.modules if name.split('.')[0] == 'tensorflow'])"
    _, *arguments = command(folder, tmp_path / "run", "--config.train.profile_at=2")
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    assert list((tmp_path / "run").glob("plugins/profile/*/*.xplane.pb"))


@pytest.mark.parametrize("first,starts,stops", [(3, 3, 8), (1, 1, 6), (8, 8, "end"), (0, None, None), (20, None, None)])
def test_a_profile_is_of_five_steps(tmp_path, monkeypatch, first, starts, stops):
    found = {"start": None, "stop": None}
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: found.update(start=number))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: found.update(stop=number))
    profile = loop._Profile(tmp_path, first)
    for number in range(1, 10):
        profile.before(number, {})
    number = "end"
    profile.close()
    assert found == {"start": starts, "stop": stops}


def test_figures_of_a_run_and_applying_it(straight):
    folder, workdir = straight
    means, paths = evaluation.evaluate_run(workdir, "last")
    (record,) = json.loads((workdir / "metrics.json").read_text())["evaluations"]
    source = data.open(Experiment(ckpt.load_config(workdir)).data, "test")
    batch = data.stack([source[i] for i in range(len(source))])
    sketch = augment.sketches(batch, step_lib.example_keys(0, 0, 32)[: len(source)])  # Of batches of 32.
    painter = state_of(workdir, 6)["ema"]["painter"]
    image = np.clip(sketch * painter["kernel"][0, 0] + painter["bias"], -1, 1)
    error = ((image - (batch["colour"] / 127.5 - 1)) ** 2).mean((1, 2, 3)) / 4
    assert means["psnr"] == pytest.approx(float(np.mean(-10 * np.log10(error))), rel=1e-4)
    assert record["metrics"]["psnr"]["mean"] == means["psnr"] and record["of"]["step"] == 6
    assert [path.name for path in paths] == ["metrics.json", "report.html", "test.png"]
    assert all(path.is_file() for path in paths)
    import vision_gen

    model = vision_gen.load(workdir)
    out = model(np.full((30, 50), 255, np.uint8))
    assert out.shape == (30, 50, 3) and out.dtype == np.uint8
    with pytest.raises(InputError, match="sketch must be a path or an image, or a uint8 array"):
        model(np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="sketch is missing: translate takes sketch"):
        model()
    with pytest.raises(InputError, match="one of the steps"):
        vision_gen.load(workdir, 5)
    with pytest.raises(InputError, match="holds no run"):
        vision_gen.load(folder)


def test_a_run_made_before_a_field_existed_is_still_read(tmp_path):
    config = toy.get_config()
    ckpt.claim(tmp_path, Experiment(config))
    path = tmp_path / "config.json"
    record = json.loads(path.read_text())
    del record["data"]["labels"]
    record["train"]["steps"] = 77
    path.write_text(json.dumps(record))
    found = ckpt.load_config(tmp_path)
    assert found.data.labels is False and found.train.steps == 77
    assert found.data.name == config.data.name
