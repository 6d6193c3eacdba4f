"""Every kind of value has its part of the page, and what is given by it is what the kind reads."""

import io
import json

import jax
import numpy as np
from PIL import Image
import pytest

from tests.studio.conftest import png
from vision_gen import values
from vision_gen.data import cameras
from vision_gen.engine.recordings import Call, File
from vision_gen.engine.tools import Tool
from vision_gen.errors import InputError
from vision_gen.studio import inputs
from vision_gen.studio.canvas import Canvas
from vision_gen.values.cameras import Rig

CIRCLE = [cameras.look_at(np.float32(place), np.zeros(3), np.eye(3)[2]) for place in ((3, 0, 1), (0, 3, 1), (-3, 0, 1))]
RIG = Rig(np.float32(CIRCLE), np.float32([20, 20, 8, 8, 0, 0, 0, 0]), (16, 16), "orbit")
STROKE = {"colour": "#ff0000", "points": [[4.0, 8.0], [20.0, 8.0]], "width": 4}
KINDS = {
    "Attributes": values.Attributes(("hat", "smile")),
    "Camera": values.Camera(RIG),
    "Cameras": values.Cameras(RIG),
    "Choice": values.Choice(("a", "b"), "b"),
    "Clip": values.Clip(),
    "Folder": values.Folder(),
    "Garment": values.Garment(),
    "Image": values.Image(),
    "Images": values.Images(),
    "Label": values.Label(("cat", "dog")),
    "Labels": values.Labels(),
    "Latent": values.Latent((3,)),
    "Mask": values.Mask(),
    "Number": values.Number(0, 1, 0.5),
    "Person": values.Person(),
    "Points": values.Points(),
    "Pose": values.Pose(joints=1),
    "Query": values.Query(),
    "Scribble": values.Scribble(),
    "Seed": values.Seed(),
    "Shares": values.Shares(),
    "Start": values.Start((2, 3)),
    "Text": values.Text(),
    "Texts": values.Texts(),
    "Ties": values.Ties("a", "b"),
}
RESULTS = {"Kind", "LabelClip", "Prepared", "Ranking", "Scores", "Table", "Traits"}


def test_every_kind_is_here(visit):
    assert set(KINDS) | RESULTS == set(values.__all__)
    own = {type(kind) for name, kind in KINDS.items() if type(inputs.entry(kind, name, visit)) is inputs.Written}
    assert own == {values.Shares, values.Text, values.Ties}, "what is typed"


def read(entry, kind):
    """The checked value of what an entry gives, by the way that the page takes."""
    given = entry.given()
    call = Call("use", {}, {"x": given}) if isinstance(given, tuple) else Call("use", {"x": given})
    tool = Tool("use", "", {"x": kind}, {"y": values.Image()})
    return call.read({"use": tool}, entry.visit.folder)[1]["x"]


def gif():
    out, frames = io.BytesIO(), [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return File("clip.gif", out.getvalue())


def framed(colour):
    """The middle of a white picture of 16 x 16 pixels in a colour."""
    out, picture = io.BytesIO(), Image.new("RGB", (16, 16), "white")
    picture.paste(colour, (4, 4, 12, 12))
    picture.save(out, "PNG")
    return File("framed.png", out.getvalue())


def whole_person():
    """{part: file}; all joints in the middle."""
    out = io.BytesIO()
    Image.new("L", (16, 16), 5).save(out, "PNG")
    points = json.dumps({"people": [{"pose_keypoints_2d": [x for n in range(25) for x in (8, 4 + n % 8, 1)]}]})
    parts = {"parse": File("any.png", out.getvalue()), "keypoints": File("any.json", points.encode())}
    return {"image": framed("blue")} | parts


# How a visitor gives a value, and what must be read of it.
GIVES = {
    "Attributes": (lambda e: setattr(e.sliders["smile"], "value", -0.5), lambda v: v.tolist() == [0, -0.5]),
    "Camera": (lambda e: setattr(e.sliders["width"], "value", 32), lambda v: v.size == (32, 32)),
    "Cameras": (lambda e: setattr(e.sliders["frames"], "value", 3), lambda v: len(v) == 3),
    "Choice": (lambda e: None, lambda v: v == "b"),
    "Clip": (lambda e: e.give(gif()), lambda v: v.shape == (2, 6, 8, 3) and v[1, 0, 0].tolist() == [0, 0, 255]),
    "Folder": (
        lambda e: e.give(png("a.png", "red"), png("b.png", "blue")),
        lambda v: [(name, path.name) for name, path in v.items()] == [("a.png", "a.png"), ("b.png", "b.png")],
    ),
    "Garment": (
        lambda e: e.parts["cloth"].give(framed("red")),
        lambda v: v["cloth"][8, 8].tolist() == [255, 0, 0] and v["mask"][[8, 0], [8, 0], 0].tolist() == [255, 0],
    ),
    "Image": (
        lambda e: e.give(png("a.png", "red")),
        lambda v: v.shape == (16, 24, 3) and v[0, 0].tolist() == [255, 0, 0],
    ),
    "Images": (
        lambda e: e.give(png("a.png", "red"), png("b.png", "blue")),
        lambda v: [p[0, 0, 2] for p in v] == [0, 255],
    ),
    "Label": (lambda e: setattr(e._widget, "value", "dog"), lambda v: v == 1),
    "Labels": (
        lambda e: e.canvas.set([STROKE | {"colour": "#008000"}]),
        lambda v: set(np.unique(v)) == {0, 2} and v[8, 10] == 2,
    ),
    "Latent": (lambda e: e._draw(), lambda v: v.shape == (3,) and v.std() > 0),
    "Mask": (lambda e: e.canvas.set([STROKE]), lambda v: v.shape == (256, 256) and v[8, 10] and not v[20, 10]),
    "Number": (lambda e: setattr(e._widget, "value", 0.25), lambda v: v == 0.25),
    "Person": (
        lambda e: [e.parts[part].give(file) for part, file in whole_person().items()],
        lambda v: v["image"][8, 8].tolist() == [0, 0, 255] and v["parse"].max() == 5 and v["keypoints"][3, 0] == 8,
    ),
    "Points": (lambda e: e.canvas.set([STROKE | {"points": [[4.0, 8.0]]}]), lambda v: v.tolist() == [[4, 8]]),
    "Pose": (
        lambda e: e.give(File("p.json", json.dumps({"people": [{"pose_keypoints_2d": [1, 2, 3]}]}).encode())),
        lambda v: v.tolist() == [[1, 2, 3]],
    ),
    "Query": (lambda e: setattr(e._words, "value", "a red hat"), lambda v: v == "a red hat"),
    "Scribble": (lambda e: e.canvas.set([STROKE]), lambda v: v[0][0] == (255, 0, 0, 255) and v[0][2] == 4),
    "Seed": (lambda e: setattr(e._widget, "value", 7), lambda v: v == 7),
    "Shares": (lambda e: setattr(e._widget, "value", "3,1"), lambda v: v == (3.0, 1.0)),
    "Start": (lambda e: setattr(e.seed._widget, "value", 7), lambda v: v == 7),
    "Text": (lambda e: setattr(e._widget, "value", "a.png"), lambda v: v == "a.png"),
    "Texts": (lambda e: setattr(e._widget, "value", "a, b\nc.txt"), lambda v: v == ("a", "b", "c.txt")),
    "Ties": (lambda e: setattr(e._widget, "value", "1,2,3,4"), lambda v: v == ((1.0, 2.0, 3.0, 4.0, 1.0),)),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_given_is_read(name, visit):
    entry, told = inputs.entry(KINDS[name], "x", visit), []
    entry.changed.append(lambda: told.append(True))
    give, right = GIVES[name]
    give(entry)
    assert right(read(entry, KINDS[name])) and not entry.said.message
    assert told or name == "Choice"


def test_a_field_that_was_emptied_takes_numbers_again(visit):
    entry, told = inputs.entry(values.Number(0, 1, default=0.5), "reach", visit), []
    entry.changed.append(lambda: told.append(entry.given()))
    entry.view.get_root()  # What a slider refuses, it refuses on a page.
    entry._widget.value = None
    entry._widget.value = 0.25
    assert told == [None, 0.25] and entry._slider.value == 0.25


def test_a_latent_to_begin_with_is_drawn_or_the_mean_or_of_a_file(visit):
    kind = values.Start((2, 3))
    entry, told = inputs.entry(kind, "latent", visit), []
    entry.changed.append(lambda: told.append(entry.given()))
    entry._how.value = "Their mean"
    assert read(entry, kind) == "mean"
    entry._how.value = "A file"
    assert entry.given() is None
    entry.give(File("w.json", json.dumps(np.arange(6).reshape(2, 3).tolist()).encode()))
    np.testing.assert_array_equal(read(entry, kind), np.arange(6).reshape(2, 3))
    entry.give(File("w.json", b"[[1, 2]]"))
    assert "latent has shape [1, 2]" in entry.said.message and entry.given() is None
    assert told[0] == "mean" and len(told) == 4


def test_a_person_is_told_when_all_is_there(visit):
    entry, told = inputs.entry(values.Person(), "person", visit), []
    entry.changed.append(lambda: told.append(entry.given()))
    entry.parts["parse"].give(whole_person()["parse"])
    assert told == [None], "the picture itself is missing"
    entry.give(**whole_person())
    assert len(told) == 2 and {file.name for file in told[1]} == {"image.png", "parse.png", "keypoints.json"}


PATHS = {
    "Cameras": ["{}.json", ["{}.json"]],
    "Camera": ["{}.json"],
    "Clip": ["{}.gif"],
    "Folder": ["{}"],
    "Garment": ["{}.png", {"cloth": "{}.png"}],
    "Image": ["{}.png"],
    "Images": ["{}.png", ["{}.png"], "{0}.png,{0}.png"],
    "Labels": ["{}.png"],
    "Latent": ["{}.npy", "{}.json"],
    "Mask": ["{}.png"],
    "Person": ["{}.png", {"image": "{}.png"}],
    "Points": ["{}.csv", "{}.NPY"],
    "Pose": ["{}.json"],
    "Query": ["{}.png"],
    "Scribble": ["{}.json", "{}.png"],
    "Shares": ["{}.csv"],
    "Start": ["{}.pt", "{}.npy"],
    "Texts": ["{}.txt"],
    "Ties": ["{}.json"],
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_in_a_request_is_never_opened(name, visit, tmp_path):
    tool = Tool("use", "", {"x": KINDS[name]}, {"y": values.Image()})
    for pattern in PATHS[name]:
        value = jax.tree.map(lambda text: text.format(tmp_path / "secret"), pattern)
        with pytest.raises(InputError, match="names a file, which is not opened"):
            Call("use", {"x": value}).read({"use": tool}, visit.folder)


def test_a_file_cannot_choose_where_it_is_written(visit):
    path = visit.path(File("../../etc/pass wd.png", b"x"))
    assert str(path).startswith(visit.folder) and path.name == "pass_wd.png"


def test_what_cannot_be_read_is_told(visit):
    entry = inputs.entry(values.Image(), "image", visit)
    entry.give(File("words.png", b"these are words"))
    assert "words.png: not a readable image" in entry.said.message and visit.folder not in entry.said.message
    assert entry.given() is None
    entry.give(png("huge.png", 1, (10_000, 10_000), "1"))
    assert "huge.png has 10,000 x 10,000 pixels, 100 megapixels; the studio takes 24 at most" in entry.said.message
    entry._chosen.param.update(value=png("good.png", "red").data, filename="good.png")
    assert not entry.said.message and entry.given()
    entry._chosen.param.update(value=None, filename="empty.png")
    assert "empty.png: not a readable image" in entry.said.message
    entry.give(File("notes.txt", b"x"))
    assert "a file must end in .png" in entry.said.message
    entry.give(png("good.png", "red"))
    assert not entry.said.message and entry.given()


def test_a_box_names_what_did_not_come_from_it(visit):
    entry = inputs.entry(values.Image(), "image", visit)
    chosen = entry._chosen
    entry.give(png("example.png", "red"))
    assert chosen.label == "Image: example.png" and chosen.css_classes == ["elsewhere"]
    chosen.param.update(value=png("mine.png", "red").data, filename="mine.png")
    assert chosen.label == "Image" and not chosen.css_classes, "the box says it"
    entry.give(png("result.png", "blue"))
    assert chosen.label == "Image: result.png"
    entry.give(File("words.png", b"these are words"))
    assert chosen.label == "Image", "it was not taken"
    entry = inputs.entry(values.Query(), "query", visit)
    entry.give(png("example.png", "red"))
    assert entry._chosen.label == "Or a picture: example.png"


def drawn(canvas, xs, ys):
    """What a browser does when a stroke was drawn; y from below."""
    data = {name: list(column) for name, column in canvas._lines.data.items()}
    for name, value in {"xs": xs, "ys": ys, "tint": "", "width": 0, "thick": 0}.items():
        data[name].append(value)
    canvas._lines.data = data


def test_strokes_are_drawn_taken_back_and_erased():
    canvas, told = Canvas(size=(100, 50), width=4), []
    canvas.changed.append(lambda: told.append(len(canvas.strokes)))
    drawn(canvas, [10, 20], [90, 90])
    drawn(canvas, [10, 40], [20, 20])
    first, second = canvas.strokes
    assert first == {"colour": "#c83200", "points": [[10, 10], [20, 10]], "width": 4}
    canvas.undo.clicks += 1
    assert canvas.strokes == [first] and not canvas.redo.disabled
    canvas.redo.clicks += 1
    assert canvas.strokes == [first, second] and canvas.redo.disabled
    canvas.eraser.value = True
    drawn(canvas, [15, 15], [80, 95])
    assert canvas.strokes == [second] and len(canvas._lines.data["xs"]) == 1
    canvas.undo.clicks += 1
    assert canvas.strokes == [first, second]
    assert told == [1, 2, 1, 2, 1, 2]
    canvas.picture(np.zeros((30, 30, 3), np.uint8))
    assert canvas.strokes == [] and canvas.undo.disabled
