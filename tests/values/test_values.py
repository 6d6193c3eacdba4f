"""Kinds read what people give, write what they can, and refuse the rest by name."""

import json

import numpy as np
from PIL import Image as PILImage
import pytest

from vision_gen import values
from vision_gen.errors import InputError
from vision_gen.pretrained import torch_file


def refused(kind, value, message, name="thing"):
    with pytest.raises(InputError, match=message):
        kind.read(value, name)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def test_images_come_from_paths_arrays_and_pil_with_transparency_over_white(picture, tmp_path):
    kind = values.Image()
    kind.write(picture, tmp_path / "deep" / "a.png")
    for given in (picture, tmp_path / "deep/a.png", str(tmp_path / "deep/a.png"), PILImage.fromarray(picture)):
        np.testing.assert_array_equal(kind.read(given, "image"), picture)
    grey = picture[..., 0]
    np.testing.assert_array_equal(kind.read(grey, "image"), np.repeat(grey[..., None], 3, -1))
    clear = np.dstack([picture, np.zeros((5, 7), np.uint8)])
    assert (kind.read(clear, "image") == 255).all()
    array = kind.array(picture)
    assert array.shape == (1, 5, 7, 3) and array.dtype == np.float32 and -1 <= array.min() <= array.max() <= 1
    np.testing.assert_array_equal(kind.value(array), picture)
    luma = values.Image(channels=1).array(picture)
    np.testing.assert_allclose(luma[0, ..., 0], picture @ [0.299, 0.587, 0.114] / 127.5 - 1, atol=1e-5)


def test_what_is_no_image_is_refused_by_name(picture, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    kind = values.Image()
    refused(kind, tmp_path / "broken.png", "thing: .*broken.png: not a readable image")
    refused(kind, tmp_path / "none.png", "thing: .*none.png: no such file")
    refused(kind, picture / 255, r"thing must be .* uint8 array .* got float64 \[5, 7, 3\]")
    refused(kind, picture[:0], r"got uint8 \[0, 7, 3\]")
    refused(kind, None, "got object")


def test_outputs_that_cannot_be_written_are_refused_before_the_work(picture, tmp_path):
    kind = values.Image()
    with pytest.raises(InputError, match="--output: 'a.gif' ends in '.gif'; Image is written as .png, .jpg, .jpeg"):
        kind.check_path("a.gif")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output: '.*file' is a file, not a folder"):
        kind.check_path(tmp_path / "file" / "a.png")
    (tmp_path / "x.png").mkdir()
    for folder in (tmp_path, tmp_path / "x.png"):
        right = f"--output: '{folder}' is a folder, but one file is written; '{folder}/NAME.png', say"
        with pytest.raises(InputError, match=right):
            kind.check_path(folder)
    with pytest.raises(InputError, match="--output: 'out' has no suffix; Image is written as .png, .jpg, .jpeg, .webp"):
        kind.check_path("out")
    kind.check_path(tmp_path / "new" / "a.png")
    assert not (tmp_path / "new").exists()


def test_shares_are_of_sum_one():
    kind = values.Shares(doc="how much")
    for given in ("3,1", [3, 1], np.array([3, 1])):
        np.testing.assert_allclose(kind.array(kind.read(given, "weights")), [[0.75, 0.25]])
    np.testing.assert_allclose(kind.array(kind.read("2", "weights")), [[1.0]])
    assert kind.array(kind.default).shape == (1, 0)
    for wrong in ("0,0", "1,-1", "a", "", [float("nan")]):
        refused(kind, wrong, "thing", name="thing")


def test_masks_are_white_inside(tmp_path):
    kind = values.Mask()
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    kind.write(mask, tmp_path / "m.png")
    for given in (mask, tmp_path / "m.png", np.uint8(mask) * 255, np.uint8(mask)):
        np.testing.assert_array_equal(kind.read(given, "mask"), mask)
    np.testing.assert_array_equal(kind.value(kind.array(mask)), mask)
    outside = np.dstack([np.full((4, 6, 3), 255, np.uint8), np.uint8(mask) * 255])
    np.testing.assert_array_equal(kind.read(outside, "mask"), mask)
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 128
    refused(kind, red, "thing: has colours; a mask is black and white")


def test_scribbles_are_pictures_or_strokes(tmp_path):
    kind = values.Scribble()
    strokes = [
        {"colour": "#ff0000", "points": [[2, 5], [17, 5]], "width": 3},
        {"colour": "blue", "points": [[10, 15]], "width": 5},
    ]
    (tmp_path / "s.json").write_text(json.dumps(strokes))
    drawn = kind.draw(kind.read(strokes, "hints"), (20, 20))
    np.testing.assert_array_equal(drawn, kind.draw(kind.read(tmp_path / "s.json", "hints"), (20, 20)))
    np.testing.assert_array_equal(drawn, kind.draw(kind.read(json.dumps(strokes), "hints"), (20, 20)))
    assert drawn[5, 10].tolist() == [255, 0, 0, 255] and drawn[15, 10].tolist() == [0, 0, 255, 255]
    assert drawn[10, 10, 3] == 0
    kind.write(drawn, tmp_path / "s.png")
    np.testing.assert_array_equal(kind.read(tmp_path / "s.png", "hints"), drawn)
    array = kind.array(drawn)
    assert array[0, 5, 10].tolist() == [1, -1, -1, 1] and array[0, 10, 10].tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(kind.value(array)[..., 3], drawn[..., 3])
    refused(kind, [{"color": "red", "points": [[1, 1]]}], "unknown field 'color'")
    refused(kind, [{"colour": "reddish", "points": [[1, 1]]}], "thing: cannot be read as strokes .*reddish")
    refused(kind, "[]", "there are none")
    assert not values.Scribble(least=0).draw(values.Scribble(least=0).read("[]", "hints"), (9, 8)).any()
    refused(kind, np.full((9, 8, 4), 255, np.uint8), "thing: is opaque everywhere")
    outside = kind.read([strokes[0], {"colour": "red", "points": [[23.5, 4], [30, 4]], "width": 3}], "hints")
    with pytest.raises(InputError, match=r"stroke 2 of 2 lies outside the picture: .*\[23.5, 4.0\].* 20 x 20 pixels"):
        kind.draw(outside, (20, 20))
    with pytest.raises(InputError, match="the scribble has 20 x 20 pixels, its picture 8 x 9"):
        kind.draw(drawn, (9, 8))


def test_clips_are_written_and_read_again(tmp_path, monkeypatch):
    kind = values.Clip(rate=10)
    # Few colours, which a gif keeps.
    frames = np.uint8(np.random.default_rng(0).integers(0, 2, (4, 9, 8, 1)) * [[[[255, 0, 120]]]])
    for name in ("c.gif", "c.webp", "c"):
        kind.write(frames, tmp_path / name)
        np.testing.assert_array_equal(kind.read(tmp_path / name, "clip"), frames)
    with PILImage.open(tmp_path / "c.gif") as file:
        assert file.info["duration"] == 100
    np.testing.assert_array_equal(kind.value(kind.array(frames)), frames)
    np.testing.assert_array_equal(kind.value({"frames": kind.array(frames), "count": np.array([3])}), frames[:3])
    values.Image().write(frames[0, :5], tmp_path / "c" / "zz.png")
    refused(kind, tmp_path / "c", "the frames of .*c have 2 sizes")
    refused(kind, frames / 255, r"thing must be a clip .* got float64 \[4, 9, 8, 3\]")
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(kind, "c.mp4", "thing: 'c.mp4' needs imageio-ffmpeg")
    with pytest.raises(InputError, match="--output: .* needs imageio-ffmpeg"):
        kind.check_path(tmp_path / "c.mp4")


def test_videos_are_read_where_ffmpeg_is(tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    kind = values.Clip()
    frames = np.uint8(np.linspace(30, 220, 6)[:, None, None, None] * np.ones((1, 33, 47, 3)))
    kind.write(frames, tmp_path / "c.mp4")
    found = kind.read(tmp_path / "c.mp4", "clip")
    assert found.shape == (6, 34, 48, 3)  # Sides are made even.
    assert np.abs(found[:, :33, :47].astype(int) - frames).max() < 8
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    refused(kind, tmp_path / "broken.mp4", "thing: .*broken.mp4 cannot be read as a video")


def test_numbers_choices_and_seeds():
    number = values.Number(0, 2, default=1.0)
    assert number.read("0.5", "x") == 0.5 and number.read(2, "x") == 2
    for wrong in ("a", -1, 2.1, float("nan"), True, None):
        refused(number, wrong, "thing must be a number from 0 to 2, got")
    whole = values.Number(1, 9, whole=True, doc="of them")
    assert whole.read("3", "x") == 3 and whole.array(3).dtype == np.int32
    refused(whole, "3.5", "thing must be an integer from 1 to 9, got '3.5'")
    choice = values.Choice(("a", "b"), "a")
    assert choice.read("b", "x") == "b"
    refused(choice, "c", "thing must be one of a, b, got 'c'")
    assert values.Seed().read("7", "x") == 7
    for wrong in ("-1", 2**32, "x", 1.5):
        refused(values.Seed(), wrong, "thing must be an integer from 0 to 4294967295")


def test_points_latents_and_poses_are_read_from_text_and_files(tmp_path):
    points = np.float32([[12, 30], [40.5, 8]])
    kind = values.Points()
    np.testing.assert_array_equal(kind.read("12,30 40.5,8", "p"), points)
    for suffix in (".csv", ".json", ".npy"):
        kind.write(points, tmp_path / f"p{suffix}")
        np.testing.assert_array_equal(kind.read(tmp_path / f"p{suffix}", "p"), points)
    refused(kind, "1,2,3", r"thing has shape \[1, 3\]; points are \[points, 2\]")
    refused(kind, "1,x", "thing: '1,x' cannot be read as numbers")
    refused(kind, [[np.nan, 1]], "not finite")
    latent = values.Latent((2, 3))
    latent.write(np.ones((2, 3)), tmp_path / "l.npy")
    assert latent.read(tmp_path / "l.npy", "l").shape == (2, 3)
    refused(latent, np.ones(5), r"thing has shape \[5\]; it must be \[2, 3\]")
    refused(latent, tmp_path / "none.npy", "no such file")
    start = values.Start((2, 3))
    torch_file.write(np.ones((1, 2, 3), np.float32), tmp_path / "face.pt")
    assert (start.read(tmp_path / "face.pt", "l") == np.ones((2, 3))).all() and start.read("12", "l") == 12
    assert start.read([1, 2, 3], "l").tolist() == [[1, 2, 3]] * 2 and start.read("mean", "l") == "mean"
    counts = lambda value: {name: part.tolist() for name, part in start.array(value).items() if name != "latent"}
    assert counts(12) == {"seed": [12], "drawn": [True], "mean": [False]}
    assert counts("mean") == {"seed": [0], "drawn": [False], "mean": [True]}
    assert not any(start.array(np.ones((2, 3)))[name][0] for name in ("drawn", "mean"))
    torch_file.write(np.ones((5, 2, 3), np.float32), tmp_path / "faces.pt")
    refused(start, tmp_path / "faces.pt", r"thing has shape \[5, 2, 3\]; it must be numbers of shape \[2, 3\] or \[3\]")
    refused(start, "face.jpg", r"thing: 'face.jpg': it must be numbers .*, a seed to draw them from, or \"mean\"")
    pose = values.Pose(joints=3)
    joints = np.float32([[1, 2, 1], [3, 4, 0.5], [0, 0, 0]])
    pose.write(joints, tmp_path / "pose.json")
    np.testing.assert_array_equal(pose.read(tmp_path / "pose.json", "p"), joints)
    (tmp_path / "two.json").write_text(json.dumps({"people": [{}, {}]}))
    refused(pose, tmp_path / "two.json", "shows 2 people; it must be one")


def test_several_pictures_are_a_list_or_have_commas_between_them(picture, tmp_path):
    kind, other = values.Images(), np.zeros((3, 4, 3), np.uint8)
    paths = [tmp_path / "a.png", tmp_path / "b,c.png"]
    for path, array in zip(paths, (picture, other)):
        values.Image().write(array, path)
    for given in ([picture, other], paths[:1] + [other], [str(path) for path in paths]):
        for found, expected in zip(kind.read(given, "r"), (picture, other), strict=True):
            np.testing.assert_array_equal(found, expected)
    for given in (picture, paths[0], PILImage.fromarray(picture)):
        np.testing.assert_array_equal(kind.read(given, "r"), [picture])
    np.testing.assert_array_equal(kind.read(f"{paths[0]}, {paths[0]}", "r"), [picture, picture])
    np.testing.assert_array_equal(kind.read(paths[1], "r"), [other])  # A file with a comma in its name.
    for array in kind.array((picture, picture)):
        np.testing.assert_array_equal(array, values.Image().array(picture))
    for found, expected in zip(values.Images(folder=True).read(tmp_path, "r"), (picture, other), strict=True):
        np.testing.assert_array_equal(found, expected)
    refused(kind, [], "thing must be an image .*, got none")
    refused(kind, f"{paths[0]},none.png", "thing 2: none.png: no such file")


def test_ties_are_pairs_of_places_and_may_name_a_picture(tmp_path):
    kind = values.Ties("sketch", "reference")
    expected = ((1, 2, 3.5, 4, 1), (5, 6, 7, 8, 1))
    (tmp_path / "t.csv").write_text("1,2,3.5,4\n5,6,7,8\n")
    for given in ("1,2,3.5,4 5,6,7,8", tmp_path / "t.csv", [[1, 2, 3.5, 4], [5, 6, 7, 8]]):
        assert kind.read(given, "t") == expected
    assert kind.read("1,2,3.5,4,2", "t") == ((1, 2, 3.5, 4, 2),)
    assert kind.read("", "t") == kind.read([], "t") == kind.default == ()
    assert kind.array(()).shape == (1, 0, 5)
    np.testing.assert_array_equal(kind.array(expected), [expected])
    assert kind.text(expected) == "1,2,3.5,4,1 5,6,7,8,1" and kind.text(()) == ""
    refused(kind, "1,2,3", r"thing has shape \[1, 3\]; it must be .* on sketch is like .* on reference")
    refused(kind, "1,2,3,4,0", "thing: reference 0: they are numbered from 1")
    refused(kind, "1,2,3,4,1.5", "thing: reference 1.5: they are numbered from 1")
    refused(kind, [[1, 2, np.inf, 4]], "not finite")


def test_words_labels_attributes_and_scores(tmp_path):
    assert values.Text().read("a red bird", "t") == "a red bird"
    refused(values.Text(), " ", "thing must be a text")
    coded = values.Text(encode=lambda text: np.int32([[len(text)]]))
    assert values.Text().static and not coded.static and coded.array("four") == 4
    label = values.Label(("cat", "dog"))
    assert label.read("dog", "l") == label.read("1", "l") == label.read(1, "l") == 1
    for wrong in ("bird", 2, "-1"):
        refused(label, wrong, "thing must be one of 2 classes, by name or number: cat, dog, got")
    either = values.Label(("cat", "dog"), default=-1, instead="likeliest")
    assert either.read("likeliest", "l") == either.read(-1, "l") == -1 and either.read("dog", "l") == 1
    assert either.text(-1) == "likeliest" and either.text(1) == "dog" and either.array(-1).tolist() == [-1]
    refused(either, "bird", "thing must be one of 2 classes, by name or number: cat, dog, or 'likeliest', got 'bird'")
    attributes = values.Attributes(("smile", "hat"))
    np.testing.assert_array_equal(attributes.read("hat=-0.5,smile", "a"), np.float32([1, -0.5]))
    np.testing.assert_array_equal(attributes.read({"hat": 1}, "a"), np.float32([0, 1]))
    refused(attributes, "beard", "thing: unknown attribute 'beard'.*there are smile, hat")
    refused(attributes, "hat=2", "strengths are from -1 to 1")
    refused(attributes, "hat=x", "thing: hat is 'x'")
    hair = values.Attributes(("red", "grey", "hat"), exclusive=(("red", "grey"),))
    np.testing.assert_array_equal(hair.read("red=0.5,grey=0.5,hat", "a"), np.float32([0.5, 0.5, 1]))
    np.testing.assert_array_equal(hair.read("red,grey=-1,hat", "a"), np.float32([1, -1, 1]))
    refused(hair, "grey=0.2,red", "thing: red and grey exclude each other; of them ask for 1 together at most")
    scores = values.Scores(("cat", "dog", "bird"))
    found = scores.value(np.float32([[0.25, 0.5, 0.25]]))
    assert list(found.items()) == [("dog", 0.5), ("cat", 0.25), ("bird", 0.25)]
    assert scores.text(found).splitlines()[0] == "dog   0.5000"
    assert scores.cells(found) == {"best": "dog", "cat": 0.25, "dog": 0.5, "bird": 0.25}
    scores.write(found, tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().splitlines() == ["class,probability", "dog,0.5", "cat,0.25", "bird,0.25"]
    scores.write(found, tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == found
    assert list(values.Scores().value(np.float32([[0.1, 0.9]]))) == ["1", "0"]
    traits = values.Traits(("hair=red", "hair=grey", "hat=yes", "hat=no"))
    found = traits.value(np.float32([[0.25, 0.75, 1.0, 0.0]]))
    assert list(found) == ["hair", "hat"] and list(found["hair"].items()) == [("grey", 0.75), ("red", 0.25)]
    assert traits.text(found) == "hair  grey  0.7500\nhat   yes   1.0000"
    assert traits.cells(found) == {"hair": "grey", "hat": "yes"}
    traits.write(found, tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == found
    traits.write(found, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == ["trait,value,probability", "hair,grey,0.75"]
    table = values.Table()
    rows = table.value({"a": np.float32([0.5]), "b": np.int32([[1, 2]])})
    assert rows == {"a": 0.5, "b": [1, 2]}
    table.write(rows, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines() == ["a,0.5", "b,1,2"]
