"""Views of certain systems, whose networks are played: what is looked at is known."""

import json
import pathlib
import types

import numpy as np
import pytest

from tests.data import people
from tests.studio.conftest import png
from tests.studio.test_inputs import RIG, framed
from vision_gen import data, values
from vision_gen.engine.fitting import CentralSquare, WholePicture
from vision_gen.engine import recordings
from vision_gen.engine.recordings import File
from vision_gen.engine.tools import Tool
from vision_gen.ops import gamut
from vision_gen.studio import canvas, outputs, views
from vision_gen.studio.views import (
    classifier,
    clip,
    debias,
    edges,
    hints,
    mapper,
    nerf,
    scft,
    styleclip,
    stylegan2,
    tryon,
)
from vision_gen.studio.visit import Threads, Visit
from vision_gen.systems.tryon import stages


def model(system, tool, seen):
    """What stands for a `use.Model`: a tool that gives its first picture, and `seen`, a look inside."""

    def look(tool, method, inputs, options):
        fitted = tool.fitting.fit(tool.inputs, dict(inputs), options)
        return fitted, seen(method, fitted.parts[0])

    run = lambda tool, inputs, options, progress=None: {"image": next(iter(inputs.values()))}
    config = types.SimpleNamespace(system=system)
    return types.SimpleNamespace(tools={tool.name: tool}, run=run, look=look, step=0, config=config)


@pytest.fixture
def opened():
    """Opens a view, as `opened(view, model)`."""
    visits = []

    def make(view, found):
        visits.append(Visit("runs/toy", found, Threads()))
        return view.View(visits[-1], found.tools[view.TOOL])

    yield make
    for visit in visits:
        visit.leave()


def test_a_view_is_of_its_system():
    named = lambda system: types.SimpleNamespace(config=types.SimpleNamespace(system=system))
    assert views.of(named("scft.SCFT")) == [scft] and views.of(named("hints.Hints")) == [hints]
    assert views.of(named("edges.Edges")) == [edges] and views.of(named("toy.Toy")) == []
    names = {path.stem for path in pathlib.Path(views.__file__).parent.glob("*.py")} - {"__init__", "painting"}
    assert names == set(views.VIEWS)


def test_attention_is_seen_where_it_lies_and_ties_are_clicked(opened):
    kinds = {"sketch": values.Image(channels=1, lines=True), "reference": values.Images()}
    tool = Tool(
        "translate",
        "Colours.",
        kinds,
        {"image": values.Image()},
        {"ties": values.Ties("sketch", "reference")},
        WholePicture(stride=16, size=64, apart=("reference",), paper=True),
    )

    def seen(method, arrays):
        assert method == "attention" and arrays["sketch"].shape[1:3] == (64, 64)
        found = np.full((1, 4, 4, 8, 4), 0.001, np.float32)
        found[0, 0, 3, 4 + 3, 0] = 1  # Upper right looks at the lower left of the second reference,
        found[0, 2, 1, 1, 1] = 0.5  # and another place at the first.
        return found

    view = opened(scft, model("scft.SCFT", tool, seen))
    drawing = np.full((128, 128, 3), 255, np.uint8)
    drawing[[2, -3]] = drawing[:, [2, -3]] = 0
    files = [File("a.png", canvas.png(drawing)), File("b.png", canvas.png(drawing // 2 + 64))]
    view.entries["sketch"].give(files[0])
    assert view._pictures not in list(view._right)
    view.entries["reference"].give(*files)
    assert view._pictures in list(view._right) and len(view.references) == 2
    assert "Hover a place" in view._says.object
    first, second = view.looks((120, 8))
    assert second[-2:, :2].min() == 1 and second[:10].max() < 0.01 and first.max() < 0.01
    view.hover((120, 8))
    veil = view.references[1]._veil.data["image"][0].view(np.uint8).reshape(96, 96, 4)[::-1, :, 3]
    assert veil[-4:, :4].max() < 40 and veil[:40].min() > 200
    view.hover(None)
    assert view.references[1]._veil.data["image"] == []
    view.click_reference((3, 4), 1)
    assert view.given()[0].given["ties"] == [], "a tie begins in the sketch"
    view.click_sketch((120.0, 8.0))
    assert "now click the place in the reference" in view.entries["ties"]._said.object
    view.click_reference((9.0, 110.0), 2)
    assert "one place is tied" in view.entries["ties"]._said.object
    assert view.call.given["ties"] == [[120.0, 8.0, 9.0, 110.0, 2]]
    assert [len(one.strokes) for one in (view.sketch, *view.references)] == [1, 0, 1]
    view.entries["sketch"].give(files[1])
    assert view.call.given["ties"] == [], "they lay on another picture"
    view.click_sketch((120.0, 8.0))
    view.entries["sketch"].give(files[0])
    view.click_reference((9.0, 110.0), 2)
    assert view.call.given["ties"] == [], "so did the one that was begun"


def test_hints_are_suggested_and_recoloured(opened):
    options = {"reach": values.Number(0, 1, 0.0)}
    kinds = {"image": values.Image(), "hints": values.Scribble(least=0)}
    tool = Tool("colorize", "Colours.", kinds, {"image": values.Image()}, options, WholePicture(stride=8, size=64))
    red, blue = (int(np.abs(gamut.grid() - ab).sum(1).argmin()) for ab in ((70, 50), (30, -90)))

    def seen(method, arrays):
        assert method == "suggest"
        shares = np.zeros((1, 16, 16, len(gamut.grid())), np.float32)
        shares[..., red], shares[:, :, 8:, blue] = 0.3, 0.6  # Blue on the right.
        return shares

    view = opened(hints, model("hints.Hints", tool, seen))
    view.entries["image"].give(png("grey.png", "#808080", (64, 64)))
    assert view.results and view.palette.colours == ["#808080"]
    tint = lambda text: tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))
    (only,), (best, other) = view.suggestions((10, 10)), view.suggestions((50, 10))
    assert tint(only)[0] > 2 * tint(only)[2] and tint(best)[2] > 2 * tint(best)[0] // 1.5 and other == only
    assert view.suggestions((64.5, 10)) == []
    view.canvas.set([{"colour": "#00ff00", "points": [[50, 10]], "width": 3}])
    assert view.last.colours == [best, other]
    view.recolour(best)
    assert view.call.given["hints"] == [{"colour": best, "points": [[50, 10]], "width": 3}]
    assert view.canvas.tint.value == best and view.call.given["reach"] == 0
    view.canvas.undo.clicks += 1
    assert view.call.given["hints"][0]["colour"] == "#00ff00"
    view.onward()
    assert view.canvas.strokes == [] and view.entries["image"].files[0].name == "result.png"
    assert view.call.given["reach"] == hints.painting.REACH, "what was painted stays"
    view.entries["reach"].set(0.5)
    view.onward()
    assert view.call.given["reach"] == 0.5, "it was said"


def test_colours_of_a_picture_that_are_nearly_alike_are_one():
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[:24, ::2], picture[:24, 1::2] = (250, 252, 251), (253, 250, 247)
    picture[40:], picture[60:] = (200, 30, 30), (30, 30, 200)
    assert hints.palette(picture) == ["#ffffff", "#c81e1e", "#1e1ec8"]
    shades = np.uint8([(n * 8, n * 8, n * 8) for n in range(32)])
    assert len(set(hints.palette(np.repeat(shades[None], 32, 0)))) == hints.SWATCHES


def test_edges_are_drawn_on_the_picture(opened):
    kinds = {"image": values.Image(), "scribbles": values.Scribble()}
    tool = Tool("enhance", "Ends colours.", kinds, {"image": values.Image()}, fitting=WholePicture(stride=8, size=64))
    view = opened(edges, model("edges.Edges", tool, None))
    view.entries["image"].give(png("red.png", "#ff0000", (64, 32)))
    assert view.said.message == "Still to be given: scribbles" and view.canvas.size == (32, 64)
    view.canvas.set([{"colour": "#00ff00", "points": [[5, 5], [20, 5]], "width": 3}])
    assert view.results["image"].shape == (32, 64, 3)


def test_what_a_decision_looks_at_stays(opened):
    tool = Tool(
        "classify",
        "Says.",
        {"image": values.Image()},
        {"image": values.Image()},
        fitting=CentralSquare(32, multiple=8),
    )

    def seen(method, arrays):
        assert method == "grad_cam" and arrays["image"].shape == (1, 32, 32, 3)
        return np.float32([[[0, 0], [0, 1]]])

    found = model("resnet_classifier.ResNetClassifier", tool, seen)
    found.columns = ("image", "grad_cam")
    found.experiment = types.SimpleNamespace(model=types.SimpleNamespace(answers=()))
    assert views.of(found) == [classifier, debias]
    view = opened(classifier, found)
    assert len(view._left) == 0
    view.entries["image"].give(png("red.png", "#ff0000", (64, 48)))
    assert list(view._left) == [view._looks] and view.canvas.size == (32, 32)
    veil = view.canvas._veil.data["image"][0].view(np.uint8).reshape(8, 8, 4)[::-1, :, 3]
    assert veil[-1, -1] < 40 and veil[0, 0] > 200


def test_a_scene_is_turned_coarsely_while_it_is_dragged(opened):
    tool = Tool("render", "Renders.", {"camera": values.Camera(RIG)}, {"image": values.Image()})
    found, widths = model("nerf.HashNeRF", tool, None), []
    size = lambda camera: (widths.append(camera.size[1]), np.zeros((*camera.size, 3), np.uint8))[1]
    found.run = lambda tool, inputs, options, progress=None: {"image": size(inputs["camera"])}
    view = opened(nerf, found)
    view.camera["width"].value = 100
    view._begin(types.SimpleNamespace(sx=10, sy=10))
    view._drag(types.SimpleNamespace(sx=60, sy=20))
    assert view.camera["azimuth"].value == 0 and view.camera["elevation"].value == 26
    view._end(None)
    assert widths == [16, nerf.COARSE, 100, nerf.COARSE, nerf.COARSE, 100] and view.canvas.size == (100, 100)
    assert view.call.given["camera"] == "orbit:azimuth=0,elevation=26,distance=1,width=100"


def drawing(found, seen=lambda given, options: None):
    """Lets a model give plain pictures that differ with what is given, after `seen(inputs, options)`."""

    def run(tool, inputs, options, progress=None):
        seen(inputs, options)
        rng = np.random.default_rng(int(recordings.digest([inputs, options])[:8], 16))
        plain = lambda kind: (
            np.full((8, 8), 1, bool) if isinstance(kind, values.Mask) else rng.integers(0, 256, (8, 8, 3), np.uint8)
        )
        return {name: plain(kind) for name, kind in tool.outputs.items()}

    found.run = run
    return found


def mixing(seen=lambda *_: None):
    """A StyleGAN2 of ten layers."""
    whole = lambda default, doc: values.Number(0, 9, default, whole=True, doc=doc)
    options = {
        "seed": values.Seed(),
        "other": values.Seed(1000),
        "first": whole(0, "first; more"),
        "last": whole(3, ""),
    }
    options |= {"number": values.Number(0, 7, 0, whole=True), "reach": values.Number(-20, 20, 0.0)}
    options |= {"moved_first": whole(0, "first that moves"), "moved_last": whole(9, "")}
    outputs = dict.fromkeys(("image", "of_seed", "of_other"), values.Image())
    return drawing(model("stylegan2.StyleGAN2", Tool("mix_two", "Mixes.", {}, outputs, options), None), seen)


def edited(module, seen=lambda *_: None):
    """A StyleCLIP, or its mapper."""
    texts = {"neutral": values.Text(), "target": values.Text()} if module is styleclip else {}
    options = {"strength": values.Number(-100, 100, 4.0), "threshold": values.Number(0, 1, 0.15)}
    fitting = types.SimpleNamespace(options=lambda inputs: {}, prepares=module is styleclip)
    outputs = dict.fromkeys(("image", "before"), values.Image())
    tool = Tool(module.TOOL, "Changes.", {"latent": values.Start((2, 3)), **texts}, outputs, options, fitting)
    return drawing(model(module.SYSTEMS[0], tool, None), seen)


def dressing(monkeypatch, seen=lambda *_: None):
    """A try-on whose data are two people."""
    kinds = {"person": values.Person(), "cloth": values.Garment()}
    results = dict.fromkeys(("image", "agnostic", "regions", "warped"), values.Image())
    results |= dict.fromkeys(("missed", "mask"), values.Mask())
    titles = {"warped": "The garment, bent"}
    tool = Tool("dress", "Dresses.", kinds, results, {"seed": values.Seed()}, titles=titles)
    found = model("tryon.synthesis.Synthesis", tool, None)
    drawn = data.Settings(name="agnostic", parts={"people": {"name": "mannequins", "examples": 4000}})
    found.experiment = types.SimpleNamespace(data=drawn)
    source = [people.person(number, (64, 48)) for number in range(2)]

    def opened(settings, split):
        assert split == "test" and settings.parts["people"]["examples"] == tryon.FEW, "others are not drawn first"
        return source

    monkeypatch.setattr(tryon.data, "open", opened)
    return drawing(found, seen), source


def test_layers_are_mixed_by_ranges(opened):
    asked = []
    found = mixing(lambda _, given: asked.append(given))
    view = opened(stylegan2, found)
    defaults = {name: kind.default for name, kind in found.tools["mix_two"].options.items()}
    assert asked == [defaults], "it begins as the tool does, once"
    layers = view.entries["first"]
    layers.slider.value = (4, 8)
    assert (asked[-1]["first"], asked[-1]["last"]) == (4, 7)
    layers.slider.value = (0, 0)
    assert (asked[-1]["first"], asked[-1]["last"]) == (9, 0), "none"
    none, shapes, features, colours, every = layers.view[2]
    for chosen, ends in ((colours, (8, 9)), (shapes, (0, 3)), (every, (0, 9))):
        chosen.clicks += 1
        assert (asked[-1]["first"], asked[-1]["last"]) == ends
    view.entries["moved_first"].slider.value = (2, 3)
    view.entries["reach"]._widget.value = -4.0
    assert (asked[-1]["moved_first"], asked[-1]["moved_last"], asked[-1]["reach"]) == (2, 2, -4)
    assert "Of the other" in view._titles["of_other"].object and view._saves["of_other"].visible


@pytest.mark.parametrize("module", [styleclip, mapper])
def test_a_text_is_tried_at_several_strengths(opened, module):
    asked = []
    view = opened(module, edited(module, lambda _, given: asked.append(given)))
    if module is styleclip:
        view.entries["neutral"]._widget.value, view.entries["target"]._widget.value = "a face", "a sad face"
        assert not asked and not view.live.value, "the first takes long: only when it is asked for"
        view.run.clicks += 1
    assert len(asked) == 1 and view.live.value
    view.entries["strength"]._widget.value = 7.0
    assert asked[-1]["strength"] == 7 and len(asked) == 2
    view.live.value = False
    view.run.clicks += 1
    assert len(asked) == 3 and not view.live.value


def test_pictures_that_are_found_are_seen_the_best_first(opened):
    tool = Tool("search", "x", {"folder": values.Folder(), "query": values.Query()}, {"found": values.Ranking()})
    found = model("clip.CLIP", tool, None)
    found.run = lambda tool, inputs, options, progress=None: {"found": {"b.png": 0.9, "a.png": 0.1}}
    view = opened(clip, found)
    view.entries["folder"].give(png("a.png", "red"), png("b.png", "blue"))
    view.entries["query"]._words.value = "blue"
    shown = view._pictures.object
    assert shown.count("<img") == 2 and shown.index("b.png") < shown.index("a.png")


def test_every_step_of_a_try_on_is_seen(opened, monkeypatch):
    given = []
    found, source = dressing(monkeypatch, lambda inputs, _: given.append(inputs))
    view = opened(tryon, found)
    view.entries["person"].parts["image"].give(png("me.png", "red", (48, 64)))
    assert view.said.message == "Still to be given: cloth" and not view._steps.visible
    view.example()
    view.example()
    assert len(given) == 2, "no person in the garment of the one before"
    del given[0]
    assert view._steps.visible and not view.said.message
    person, cloth = given[0]["person"], given[0]["cloth"]
    number = int((person["image"] == source[1]["image"]).all())
    for name in ("image", "parse", "pose"):
        np.testing.assert_array_equal(person[name], source[number][name])
    np.testing.assert_allclose(person["keypoints"], source[number]["keypoints"], atol=1e-4)
    np.testing.assert_array_equal(cloth["cloth"], source[1 - number]["cloth"])
    np.testing.assert_array_equal(cloth["mask"], source[1 - number]["cloth_mask"])
    assert view._inputs.object.count("<img") == 5 and view._inputs.object.count("<h2>") == 5
    assert all("<img" in view._shown[name].object for name in view.titles)
    assert "3. The garment, bent" in view._titles["warped"].object
    named = {part: entry._chosen.label for part, entry in view.entries["person"].parts.items()}
    assert named["image"] == "Image: example.png" and named["keypoints"] == "Keypoints: example.json"


def test_regions_that_are_given_and_found_have_the_same_colours(opened, monkeypatch):
    view = opened(tryon, dressing(monkeypatch)[0])
    shown = []
    monkeypatch.setattr(outputs, "picture", lambda picture, *_, **__: shown.append(picture) or "")
    parse = np.uint8([[[0], [2], [5], [13], [14], [15]]])
    parts = {"image": parse, "cloth": parse, "mask": parse, "pose": parse, "parse": parse}
    view._show_given({"person": parts, "cloth": parts})
    given = shown[list(view.given_pictures["person"]).index("parse")][0].tolist()
    classes = np.asarray(stages.classes(parse[None]))[0]
    found = values.Image().value(np.asarray(stages.drawn(classes))).tolist()
    assert given == found and len(set(map(tuple, found))) == 6


def test_what_try_on_warns_of_is_said_beside_the_result(opened, monkeypatch):
    view = opened(tryon, dressing(monkeypatch)[0])
    view.example()
    keypoints = view.entries["person"].parts["keypoints"]
    points = np.reshape(json.loads(keypoints.files[0].data)["people"][0]["pose_keypoints_2d"], (25, 3))
    points[4] = 0  # The right wrist.
    lacks = {"people": [{"pose_keypoints_2d": points.ravel().tolist()}]}
    keypoints.give(File("mine.json", json.dumps(lacks).encode()))
    assert view.said.message == "person: right wrist not found; what lies around them stays as it is"
    assert 'class="said note"' in view.said.view.object
    view.entries["cloth"].parts["mask"].files = ()
    view.entries["cloth"].parts["cloth"].give(framed("red"))
    assert "cut out of its ground" in view.said.message and "give it as 'mask' too" in view.said.message
    assert view.visit.folder not in view.said.message
    view.example()
    assert not view.said.message
