"""What checkpoints call the parts of a state, and what is done where one is damaged."""

import shutil
import subprocess

import jax
import pytest

from tests.engine import toy
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import state as states
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError, NonFiniteError


def test_names_come_in_the_order_of_the_leaves():
    tree = {"b": {i: jax.numpy.full(2, i) for i in range(12)}, "a": jax.numpy.zeros(1)}
    assert ckpt.leaf_names(tree) == ["a", *(f"b/{i}" for i in range(12))]
    values = [int(leaf[0]) for leaf in jax.tree.leaves(tree["b"])]
    assert values == list(range(12))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with checkpoints of steps 3 and 6, the experiment and the state."""
    experiment = Experiment(toy.get_config())
    _, state = states.init_state(experiment)
    workdir = tmp_path_factory.mktemp("two")
    manager = ckpt.Checkpoints(workdir, experiment)
    for step, psnr in ((3, 5.0), (6, 9.0)):
        manager.save(step, state, {"psnr": psnr})
    manager.close()
    return workdir, experiment, state


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def files_of(workdir, step):
    """Files of a checkpoint whose change is damage, without a note of Orbax's that nothing reads."""
    folder = workdir / "checkpoints" / str(step)
    inside = [path.relative_to(folder) for path in folder.glob("*/**/*") if path.is_file()]
    return [path for path in inside if path.name != "commit_success.txt"]


@pytest.mark.parametrize("harm", [flip, cut, lambda path: path.unlink()])
def test_a_damaged_checkpoint_is_named_and_the_whole_one_before_taken(two, tmp_path, caplog, monkeypatch, harm):
    monkeypatch.setattr(ckpt.log, "propagate", True)
    workdir, experiment, _ = two
    names = files_of(workdir, 6)
    assert {name.parts[0] for name in names} == {"state", "metrics"} and len(names) >= 5
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(workdir, copy)
        harm(copy / "checkpoints" / "6" / name)
        manager = ckpt.Checkpoints(copy, experiment, read_only=True)
        for which in ("last", "best"):
            caplog.clear()
            assert manager.chosen(which) == 3
            (line,) = caplog.messages
            assert f"{copy}/checkpoints/6 is damaged (" in line
            assert f"({name} is " in line or name.name == "metrics"  # Of which JSON may be what is wrong.
            assert line.endswith("that of step 3 is taken")
        with pytest.raises(InputError, match="checkpoints/6 is damaged"):
            manager.chosen(6)
        assert manager.chosen(3) == 3
        steps, damaged = ckpt.whole(copy)
        assert steps == [3] and list(damaged) == [6]


def test_sums_are_those_of_sha256sum(two):
    workdir, _, _ = two
    folder = workdir / "checkpoints" / "6"
    subprocess.run(["sha256sum", "--check", "--strict", ckpt.SUMS], cwd=folder, check=True, capture_output=True)
    listed = {line.split("  ")[1] for line in (folder / ckpt.SUMS).read_text().splitlines()}
    assert {str(name) for name in files_of(workdir, 6)} <= listed


@pytest.mark.parametrize("part,attribute", [("params", "painter"), ("ema", "painter"), ("rest", "count")])
def test_what_is_not_finite_is_not_written(two, tmp_path, part, attribute):
    _, experiment, state = two
    bad = {**state, part: {**state[part], attribute: {"kernel": jax.numpy.array([1, float("nan")])}}}
    with pytest.raises(NonFiniteError, match=f"^step 7: {part}/{attribute}/kernel is not finite, so that it was not"):
        ckpt.Checkpoints(tmp_path, experiment).save(7, bad)
    assert not ckpt.finished(tmp_path / "checkpoints")


def test_old_damage_is_found_where_it_would_stop_the_run(two, tmp_path):
    workdir, experiment, state = two
    copy = shutil.copytree(workdir, tmp_path / "run")
    cut(copy / "checkpoints" / "3" / "metrics" / "metrics")
    cut(copy / "checkpoints" / "3" / "_CHECKPOINT_METADATA")
    steps, damaged = ckpt.whole(copy)
    assert steps == [6] and list(damaged) == [3]
    (line,) = ckpt.set_apart(copy, damaged)
    assert line.startswith("the checkpoint of step 3 is damaged (") and (copy / "damaged" / "3").is_dir()
    manager = ckpt.Checkpoints(copy, experiment)
    assert manager.steps() == [6] and int(manager.restore(6, state)["step"]) == 0
    flip(next(path for path in (copy / "checkpoints" / "6" / "state" / "d").iterdir()))
    with pytest.raises(InputError, match=r"checkpoints/6 is damaged \(state/d/\w+ is not what was written\)$"):
        ckpt.whole(copy)


# TensorStore's other reads end after the one that failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_checksums_a_checkpoint_that_cannot_be_read_is_damaged(two, tmp_path):
    workdir, experiment, state = two
    found = {}
    for number, name in enumerate(files_of(workdir, 6)):
        copy = shutil.copytree(workdir, tmp_path / str(number))
        for step in (3, 6):
            (copy / "checkpoints" / str(step) / ckpt.SUMS).unlink()  # As former versions left it.
        path = copy / "checkpoints" / "6" / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        steps, damaged = ckpt.whole(copy)
        manager = ckpt.Checkpoints(copy, experiment, read_only=True)
        assert manager.chosen("last") == steps[-1] and sorted([*steps, *damaged]) == [3, 6]
        manager.restore(steps[-1], state)
        found[name.parts[0], name.name] = damaged.get(6, "")
    assert all("\n" not in why for why in found.values())
    assert sum(why.startswith("it cannot be read: ") for why in found.values()) >= 4


def test_frozen_networks_are_verified(two, tmp_path):
    _, experiment, _ = two
    manager = ckpt.Checkpoints(tmp_path, experiment)
    path = tmp_path / "frozen.safetensors"
    ckpt.write_tensors(path, {"teacher/params/w": jax.numpy.arange(6.0)})
    assert list(manager._saved_frozen()["teacher/params/w"]) == [0, 1, 2, 3, 4, 5]  # As former versions left it.
    ckpt._write_sums(tmp_path / ckpt.FROZEN_SUMS, [path])
    manager._saved_frozen()
    cut(path)
    with pytest.raises(InputError, match=r"frozen networks of .* are damaged \(frozen.safetensors is not what was"):
        manager._saved_frozen()
    (tmp_path / ckpt.FROZEN_SUMS).unlink()
    with pytest.raises(InputError, match="frozen networks of .* are damaged"):
        manager._saved_frozen()
