"""Malformed inputs, each refused by one line that names the field or the file, what was found and what would be right.

All in one process, by the functions that train.py and eval.py call, in a folder whose files `make` writes. Nothing is
compiled before they are refused, and nothing is written.
"""

import json
import logging
import os
import pathlib
import re
import shlex
import shutil
import sys

from absl import flags
from absl import logging as absl_logging
import numpy as np
from PIL import Image
import pytest

from tests.data import test_tryon_folder as people
from tests.engine import toy
from vision_gen import __main__ as entry
from vision_gen import memory
from vision_gen.engine import checkpoints as ckpt
from vision_gen.engine import commands, facts, loop
from vision_gen.engine import state as states
from vision_gen.engine.experiment import Experiment
from vision_gen.pretrained import torch_file

# Commands, each with the one line that it gives, without "error: "; "..." stands for what libraries and machines say.
TABLE = (pathlib.Path(__file__).parent / "malformed.txt").read_text()
ROWS = [block.replace(" \\\n", " ").split("\n", 1) for block in TABLE.strip().split("\n\n")]


def text(path, content):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def picture(path, width=24, height=20, mode="RGB", **more):
    """A picture file of noise, which cannot be pressed into a few bytes."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, len(mode)), np.uint8)
    Image.fromarray(noise.squeeze(), mode).save(path, **more)
    return path


def make_configs():
    begin = "from tests.engine import toy\n\ndef get_config():\n    config = toy.get_config()\n"
    begin += "    config.data.dir = 'good'\n"
    changes = {
        "toy": "",
        "set_split": "config.evaluations.unlock()\n    config.evaluations.other = dict(split='all')",
        "set_text": "config.evaluations.unlock()\n    config.evaluations.other = 'val'",
        "set_field": "config.evaluations.unlock()\n    config.evaluations.other = dict(split='val', sise=8)",
        "extra": "config.unlock()\n    config.extra = 1",
        "lacking": "config.unlock()\n    del config.train",
        "foreign": "config.players.unlock()\n    config.players.generator = config.players.painter",
        "parts": "config.data.unlock()\n    config.data.update(name='mixed', dir='', parts={'a': {'name': 'digits'}})",
        "weights": "config.data.unlock()\n    config.data.update(name='mixed', dir='', weights={'a': 1, 'c': 2}, "
        "parts={name: {'name': 'image_folder', 'dir': 'good'} for name in 'ab'})",
        "inner": "config.data.unlock()\n    config.data.update(name='unpaired', dir='', parts={'a': {'nam': 'x'}})",
        "people": "config.system = 'tests.engine.toy.People'\n"
        "    config.data.update(name='tryon_folder', size=(32, 24))",
    }
    for name, line in changes.items():
        text(f"{name}.py", f"{begin}    {line}\n    return config\n")
    text("syntax.py", "def get_config(:\n")
    text("empty.py", "")
    text("raises.py", "def get_config():\n    return {}['steps']\n")
    text("imports.py", "import nothing_of_the_kind\n")
    text("latin.py", "NAME = 'caf\xe9'\n".encode("latin-1"))
    bare = "return ConfigDict({'system': 'scft.SCFT'})"
    text("bare.py", f"from ml_collections import ConfigDict\n\ndef get_config():\n    {bare}\n")


def make_images():
    for number in range(8):
        picture(f"good/{number}.png")
    for folder in ("cut", "nothing", "no_image", "no_class", "both", "single", "floats", "cut_jpeg"):
        os.mkdir(folder)
    whole = pathlib.Path("good/0.png").read_bytes()
    text("cut/0.png", whole[:-100])
    text("no_image/notes.txt", "")
    text("empty_file/0.png", b"")
    picture("no_class/loose.png")
    picture("no_class/cat/0.png")
    for name in ("train", "Train", "test"):
        picture(f"both/{name}/0.png")
    picture("single/0.png")
    picture("big/0.png", 200, 100)
    Image.fromarray(np.ones((9, 9), np.float32), "F").save("floats/0.tiff")
    jpeg = picture("jpeg.jpg").read_bytes()
    text("cut_jpeg/0.jpg", jpeg[:-20])
    for split in ("train", "val", "test"):
        picture(f"odd/{split}/0.png", 25)
        picture(f"uneven/{split}A/0.png")
        picture(f"uneven/{split}B/0.png", 22)
        picture(f"alone/{split}A/0.png")
        picture(f"alone/{split}B/1.png")
    shutil.copytree("good", "broken_one")
    text("broken_one/3.png", whole[:-100])
    names = [f"{number}.png" for number in range(3)]
    for name in names:
        picture(f"celeba/img_align_celeba/{name}", 32, 32)
        picture(f"classes/{name[0]}/{name}", 32, 32)
    text("celeba/list_attr_celeba.txt", "\n".join(["3", "Smiling Young", *(f"{name} 1 -1" for name in names)]))
    text("celeba/list_eval_partition.txt", "\n".join(f"{name} {split}" for split, name in enumerate(names)))
    for number in range(3):
        picture(f"one_domain/trainA/{number}.png")
    os.mkdir("one_domain/trainB")
    picture("half/train/cat/0.png")
    for name in ("train/cat/0", "train/cat/1", "val/cat/2", "test/cat/3"):
        picture(f"one_class/{name}.png")
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            picture(f"domains/{split}/{name}/0.png")
        picture(f"alone/{split}/cat/0.png")
    picture("small/0.png", 8, 8)
    picture("small/1.png", 8, 8)
    for number in range(2):
        picture(f"renamed/{number}x.png")
    for name in ("captions", "no_text", "no_picture", "no_caption", "latin_text"):
        for number in range(3):
            picture(f"{name}/{number}.png")
            text(f"{name}/{number}.txt", "a picture of noise, of three that are alike, and of nothing else in the wide world")
    os.remove("no_text/1.txt")
    os.remove("no_picture/1.png")
    text("no_caption/1.txt", "\n")
    text("latin_text/1.txt", "caf\xe9".encode("latin-1"))
    text("tars/0.tar", "no tar at all" * 99)
    text("templates.txt", "a photo\n")


def make_people():
    kinds = ("no_picture", "no_mask", "labels", "smaller_labels", "wide", "nobody", "no_shoulders", "three_names", "no_list")
    for kind in kinds:
        folder = pathlib.Path("people") / kind
        people.make(folder, "train")
        people.spoil(folder, kind.replace("_", " "), "train")
    for name, label, size in (("zeros", 0, (20, 24)), ("many", 99, (20, 24)), ("small", 5, (10, 12)), ("ones", 1, (20, 24))):
        Image.fromarray(np.full(size, label, np.uint8)).save(f"people/{name}.png")
    points = [[4 + number, 10, 0.9] for number in range(25)]
    text("people/nobody.json", '{"people": []}')
    shares = [[x / 40, y / 40, sure] for x, y, sure in points]
    for name, found in (("whole", points), ("half", [*points[:5], [0, 0, 0], *points[6:]]), ("shares", shares)):
        text(f"people/{name}.json", json.dumps({"people": [{"pose_keypoints_2d": sum(found, [])}]}))


def make_scenes():
    frames = []
    for number in range(10):
        turn = 2 * np.pi * number / 10
        cos, sin = np.cos(turn), np.sin(turn)
        pose = [[cos, 0, sin, 4 * sin], [0, 1, 0, 0], [-sin, 0, cos, 4 * cos], [0, 0, 0, 1]]
        frames.append({"file_path": f"{number}.png", "transform_matrix": pose})

    def scene(name, change=lambda record: None, content=None):
        for number in range(10):
            picture(f"scenes/{name}/{number}.png", 16, 16)
        record = {"camera_angle_x": 0.7, "frames": json.loads(json.dumps(frames))}
        change(record)
        text(f"scenes/{name}/transforms.json", json.dumps(record) if content is None else content)

    frame = lambda **fields: lambda record: record["frames"][2].update(fields)
    scene("text", content="no JSON")
    scene("latin", content='{"caf\xe9": 1}'.encode("latin-1"))
    scene("deep", content="[" * 100_000)
    scene("list", content="[1, 2]")
    scene("frameless", lambda record: record.pop("frames"))
    scene("number", frame(file_path=7))
    scene("missing", frame(file_path="elsewhere.png"))
    scene("ragged", frame(transform_matrix=[[1, 0, 0, 0], [0, 1, 0], [0, 0, 1, 4], [0, 0, 0, 1]]))
    scene("nan", frame(transform_matrix=[[float("nan")] * 4] * 3 + [[0, 0, 0, 1]]))
    scene("sheared", frame(transform_matrix=[[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]))
    scene("no_angle", lambda record: record.pop("camera_angle_x"))
    scene("angle", lambda record: record.update(camera_angle_x="0.7"))
    scene("wide", lambda record: record.update(camera_angle_x=4.0))
    scene("other_size", lambda record: record.update(w=32, h=16))
    scene("fish", lambda record: record.update(camera_model="OPENCV_FISHEYE"))
    scene("k3", lambda record: record.update(k3=0.1))
    scene("no_mask", frame(mask_path="mask.png"))
    scene("splits", lambda record: record.update(train_filenames=["nowhere.png"], val_filenames=[], test_filenames=[]))
    scene("broken")
    text("scenes/broken/3.png", b"no picture")

    rows = np.zeros((10, 17))
    for row in rows:
        row[:15] = np.concatenate([np.eye(3), [[0], [0], [0]], [[16], [16], [20]]], 1).ravel()
        row[15:] = 1, 9

    def llff(name, change):
        for number in range(10):
            picture(f"llff/{name}/images/{number}.png", 16, 16)
        np.save(f"llff/{name}/poses_bounds.npy", change(rows.copy()))

    def bounds(near, far):
        def change(rows):
            rows[3, 15:] = near, far
            return rows

        return change

    llff("shape", lambda rows: rows[:, :15])
    llff("negative", bounds(-1, 9))
    llff("nan", bounds(float("nan"), 9))


def make_weights():
    tensors = {"kernel": np.ones((3, 3), np.float32)}
    os.mkdir("files")
    torch_file.write(tensors, "files/other.pth")
    whole = pathlib.Path("files/other.pth").read_bytes()
    text("files/empty.pth", b"")
    text("files/text.pth", "no weights")
    text("files/cut.pth", whole[:-60])
    text("files/code.pth", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")
    text("files/long.safetensors", (1 << 60).to_bytes(8, "little") + b"{}")
    np.savez("files/other.npz", **tensors)

    mu, sigma = np.zeros(1280), np.eye(1280)
    os.mkdir("stats")
    np.savez("stats/no_sigma.npz", mu=mu)
    np.savez("stats/nan.npz", mu=mu * np.nan, sigma=sigma)
    np.savez("stats/few.npz", mu=mu[:9], sigma=sigma[:9, :9])
    np.savez("stats/moments.npz", mu=mu, sigma=sigma)
    text("stats/cut.npz", pathlib.Path("stats/moments.npz").read_bytes()[:5000])


def make_runs():
    config = toy.get_config()
    config.data.dir = "good"
    experiment = Experiment(config)
    _, state = states.init_state(experiment)
    manager = ckpt.Checkpoints("run", experiment)
    for step, psnr in ((3, 5.0), (6, 9.0)):
        manager.save(step, state, {"psnr": psnr})
    manager.close()
    ckpt.write_config(pathlib.Path("run"), config)
    facts.write("run", {"classes": (), "cameras": None})

    def run(name, file=None, change=lambda data: b""):
        shutil.copytree("run", f"runs/{name}")
        for path in pathlib.Path("runs", name).glob(file) if file else ():
            text(path, change(path.read_bytes()))

    def changed(**fields):
        return lambda data: json.dumps({**json.loads(data), **fields})

    run("config_text", "config.json", lambda data: "no JSON")
    run("config_list", "config.json", lambda data: "[1]")
    run("config_bare", "config.json", lambda data: "{}")
    run("config_bytes", "config.json", lambda data: b"\xff\xfe\x00")
    run("config_field", "config.json", changed(data={"name": "digits", "sise": 3}))
    run("config_system", "config.json", changed(system="scft.Nothing"))
    run("config_seed", "config.json", changed(seed="one"))
    run("config_format", "config.json", changed(format=99))
    run("config_players", "config.json", changed(players={}))
    run("facts_text", "facts.json", lambda data: "no JSON")
    run("no_config")
    os.remove("runs/no_config/config.json")
    run("unfinished")
    shutil.rmtree("runs/unfinished/checkpoints")
    os.mkdir("runs/unfinished/checkpoints")
    run("never")
    shutil.rmtree("runs/never/checkpoints")
    flipped = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    run("flipped", "checkpoints/*/state/d/*", flipped)
    run("hollow")
    for step in (3, 6):
        shutil.rmtree(f"runs/hollow/checkpoints/{step}/state")
    run("unsummed", "checkpoints/*/state/d/*")
    for step in (3, 6):
        os.remove(f"runs/unsummed/checkpoints/{step}/{ckpt.SUMS}")
    run("unfigured", "checkpoints/*/metrics/metrics", lambda data: "no JSON")
    run("changes_text", "changes.json")
    text("runs/changes_text/changes.json", "no JSON")
    run("changes_list")
    text("runs/changes_list/changes.json", "[1]")
    for name, content in {
        "metrics_text": "no JSON",
        "metrics_empty": "",
        "metrics_list": "[]",
        "metrics_figure": '{"evaluations": [{"of": {}, "metrics": {"psnr": {"mean": "high", "images": 3}}}]}',
        "metrics_bytes": b"\xff\xfe\x00",
    }.items():
        run(name)
        text(f"runs/{name}/metrics.json", content)
    text("file", "")
    text("cameras.json", "[]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all that the commands name."""
    where = tmp_path_factory.mktemp("malformed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        for part in (make_configs, make_images, make_people, make_scenes, make_weights, make_runs):
            part()
    return where


def answer(words, monkeypatch, capfd):
    """(exit status, lines on stderr) of a command, which begins with the name of a program."""
    program, *arguments = words
    here = f"vision_gen.programs.{program}"
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
    monkeypatch.setattr(commands, "_configs", [])
    sys.modules.pop(here, None)
    before = set(flags.FLAGS)
    try:
        status = entry.run(program)
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
    return status, capfd.readouterr().err.splitlines()


@pytest.fixture
def quiet(monkeypatch):
    """Nothing of this process is changed for good by `commands.run` and what it calls."""
    log = logging.getLogger("vision_gen")
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(log, name, list(log.handlers) if name == "handlers" else getattr(log, name))
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys.modules["__main__"], "__doc__", sys.modules["__main__"].__doc__)
    monkeypatch.setattr(logging.getLogger("asyncio"), "level", logging.getLogger("asyncio").level)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(memory, "restart", lambda: None)
    monkeypatch.setattr(loop, "use_compilation_cache", lambda: None)
    level = absl_logging.get_verbosity()
    yield
    absl_logging.set_verbosity(level)


@pytest.mark.parametrize("command, expected", ROWS, ids=[command for command, _ in ROWS])
def test_one_line_says_what_is_wrong(command, expected, folder, quiet, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    files = lambda: sorted(path for path in folder.rglob("*") if path.name != ckpt.LOCK)
    there = files()
    status, lines = answer(shlex.split(command), monkeypatch, capfd)
    assert len(lines) == 1, lines
    found = lines[0].replace(str(folder), "HERE")
    expected = "error: " + expected.replace("\n", " ")
    assert re.fullmatch(".*".join(map(re.escape, expected.split("..."))), found), found
    assert status == 2
    assert files() == there


def test_there_are_enough():
    assert len(ROWS) >= 120 and len({command for command, _ in ROWS}) == len(ROWS)
