"""Photographs made ready for try-on: the files, the steps in place of which others are given, and what is refused."""


import numpy as np
from PIL import Image
import pytest

from tests.preparing.test_rough import drawn, overlap
from vision_gen import data, prepare, values
from vision_gen.data import mannequin_pictures, openpose, tryon_folder
from vision_gen.data.mannequin_garments import Garment
from vision_gen.errors import InputError
from vision_gen.preparing import models, photographs, rough

WIDER = 60  # Columns that the photograph has on the left of the drawn person.


@pytest.fixture
def photograph(tmp_path, monkeypatch):
    """A folder with a wide photograph "my photo.png" and a garment "shirt.png"; a pose model that knows the person."""
    picture, parse, points = drawn(1)
    at = lambda array: np.pad(array, [(0, 0), (WIDER, 20), (0, 0)][: array.ndim], "edge")
    Image.fromarray(at(picture)).save(tmp_path / "my photo.png")
    cloth, _ = mannequin_pictures.flat(Garment("test", 0), (192, 256))
    Image.fromarray(np.pad(cloth, [(0, 0), (32, 32), (0, 0)], "edge")).save(tmp_path / "shirt.png")
    mask = np.float32(at(parse) > 0)
    landmarks = np.zeros((33, 3), np.float32)
    for joint, landmark in photographs.OF_LANDMARKS.items():
        if isinstance(landmark, int):
            landmarks[landmark] = points[openpose.JOINTS.index(joint)] + [WIDER, 0, 0]
    monkeypatch.setattr(models, "find", lambda kind, given: kind if kind == "pose" else None)
    monkeypatch.setattr(models, "load", lambda path: path)
    monkeypatch.setattr(models, "pose", lambda _, picture: (landmarks, mask[:, : picture.shape[1]]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labels(path):
    return np.asarray(Image.open(path))


def test_photographs_become_a_pair_that_try_on_reads(photograph):
    found = prepare("mine", "my photo.png", "shirt.png", height=256)
    assert [str(path) for path in found] == [
        "mine/test/image/my_photo.jpg", "mine/test/seen/my_photo_person.jpg",
        "mine/test/cloth/shirt.jpg", "mine/test/seen/shirt_cloth.jpg",
    ]  # fmt: skip
    picture, parse, points = drawn(1)
    person = values.Person().read(str(found[0]), "person")
    # The person is brought to the middle of the part that is cut out, and was near there before.
    shift = person["keypoints"][2, 0] - points[2, 0]
    assert abs(shift) < 12
    there = (points[:, 2] > 0) & (points[:, :2] > 0).all(-1) & (np.arange(25) != 8)
    np.testing.assert_allclose(person["keypoints"][there, :2], points[there, :2] + [shift, 0], atol=0.1)
    assert there.sum() > 8 and not person["keypoints"][[20, 23]].any()
    moved = np.roll(parse, round(shift), 1)
    assert overlap(person["parse"][..., 0], moved, rough.UPPER) > 0.8
    assert np.abs(person["image"][:, 20:-20] - np.roll(picture, round(shift), 1)[:, 20:-20].astype(float)).mean() < 4
    garment = values.Garment().read(str(found[2]), "cloth")
    right = mannequin_pictures.flat(Garment("test", 0), (192, 256))[1]
    assert garment["cloth"].shape == (256, 192, 3)
    # A square is filled up to the ratio, so that nothing is cut off, and is smaller then.
    assert (garment["mask"] > 0).sum() / (right > 0).sum() == pytest.approx(0.75**2, rel=0.1)
    assert (garment["cloth"][:30] == garment["cloth"][0, 0]).all()
    source = data.open(data.Settings(name="tryon_folder", dir="mine", size=(256, 192), pairs="unpaired"), "test")
    np.testing.assert_array_equal(source[0]["parse"], person["parse"])
    np.testing.assert_array_equal(source[0]["cloth_mask"], garment["mask"])
    assert (source.name(0), source.garment(0)) == ("my_photo", "shirt")


def test_a_step_that_is_given_stands_in_place_of_the_automatic_one(photograph):
    (first, _) = prepare("mine", "my photo.png", height=256)
    regions = labels("mine/test/image-parse/my_photo.png")
    mask = labels("mine/test/person-mask/my_photo.png").copy()
    mask[200:] = 0  # No trousers.
    Image.fromarray(mask).save("mask.png")
    points = openpose.read(photograph / "mine/test/openpose-json/my_photo_keypoints.json")[0]
    points[4, :2] += 5
    (photograph / "points.json").write_text(openpose.text(points))
    before = first.read_bytes()
    prepare("mine", f"{first},mask=mask.png,keypoints=points.json", height=256)
    assert first.read_bytes() == before
    found = openpose.read(photograph / "mine/test/openpose-json/my_photo_keypoints.json")[0]
    np.testing.assert_allclose(found, points, atol=1e-3)
    again = labels("mine/test/image-parse/my_photo.png")
    assert (regions[210:] == rough.TROUSERS).any() and not again[210:].any()
    tryon_folder.save(np.full((256, 192), 5, np.uint8), photograph / "parse.png", tryon_folder.PALETTE)
    prepare("mine", f"{first},parse=parse.png", height=256)
    assert (labels("mine/test/image-parse/my_photo.png") == 5).all()
    prepare("mine", f"{first},parse=parse.png", height=128)
    assert Image.open(first).size == (96, 128)


def test_pairs_are_of_each_person_once(photograph):
    for cloth in ("shirt.png", "my photo.png,mask=black.png"):
        Image.fromarray(np.full((256, 272), 255, np.uint8)).save("black.png")
        prepare("mine", "my photo.png", cloth, height=64)
    assert (photograph / "mine/test_pairs.txt").read_text() == "my_photo.jpg my_photo.jpg\n"


def test_a_parser_is_asked_where_there_is_one(photograph, monkeypatch):
    monkeypatch.setattr(models, "find", lambda kind, given: kind)
    monkeypatch.setattr(models, "parsed", lambda model, picture: np.full(picture.shape[:2], 7, np.uint8))
    prepare("mine", "my photo.png", height=64)
    assert (labels("mine/test/image-parse/my_photo.png") == 7).all()


def test_in_a_plain_picture_there_is_no_garment(photograph, monkeypatch):
    monkeypatch.setattr(models, "find", lambda kind, given: kind)
    monkeypatch.setattr(models, "cutout", lambda _, picture: np.linspace(0, 1, picture[..., 0].size))
    Image.new("RGB", (48, 64), "white").save("white.png")
    with pytest.raises(InputError, match="cloth: nothing is found in white.png; give it as white.png,mask=FILE"):
        prepare("mine", cloth="white.png")


def test_people_without_shoulders_are_refused(photograph, monkeypatch):
    monkeypatch.setattr(models, "pose", lambda *_: (np.zeros((33, 3), np.float32), np.ones((256, 272), np.float32)))
    with pytest.raises(InputError) as error:
        prepare("mine", "my photo.png")
    assert str(error.value) == (
        "person: my photo.png: right shoulder, left shoulder not found; give my photo.png,keypoints=FILE"
    )
    assert not (photograph / "mine").exists()


@pytest.mark.parametrize(
    "person, cloth, at, message",
    [
        (None, None, {}, "give person=PICTURE, cloth=PICTURE or both"),
        ("my photo.png", None, {}, "person: no mask of my photo.png, and no model to find it: mediapipe/modules"),
        ("my photo.png,mask=m.png", None, {}, "person: mask: m.png: no such file"),
        ("shirt.png,hat=m.png", None, {}, "person: unknown part 'hat'; there are image, mask, keypoints, parse"),
        (np.zeros((8, 6, 3), np.uint8), None, {}, "person must be the path of a picture, or PICTURE,mask=FILE,keypoin"),
        (None, "shirt.png", {"parser": "x.onnx"}, "--parser is given, but nothing is to be found by it"),
        (None, "my photo.png", {}, "cloth: no mask of my photo.png, and it cannot be cut out of its ground: of its"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(photograph, monkeypatch, person, cloth, at, message):
    monkeypatch.setattr(models, "find", lambda *_: None)
    with pytest.raises(InputError) as error:
        prepare("mine", person, cloth, at=at)
    assert str(error.value).startswith(message)
    assert not (photograph / "mine").exists()


@pytest.mark.parametrize(
    "size, box",
    [((120, 90), (0, 0, 90, 120)), ((100, 200), (87.5, 0, 162.5, 100)), ((400, 90), (0, 46.4, 90, 166.4))],
)
def test_the_window_is_around_the_person(size, box):
    mask = np.zeros(size, bool)
    mask[50:90, size[1] * 5 // 8 - 10 : size[1] * 5 // 8 + 11] = True
    np.testing.assert_allclose(photographs.window(mask, np.zeros((25, 3)), (1024, 768)), box)


def test_the_window_goes_near_to_somebody_afar():
    mask, points = np.zeros((800, 600), bool), np.zeros((25, 3))
    mask[200:700, 270:331] = True
    for joint, y in ((2, 250), (5, 250), (9, 350), (12, 350)):
        points[joint] = 300 + (joint > 4), y, 1
    left, top, right, bottom = photographs.window(mask, points, (1024, 768))
    np.testing.assert_allclose((bottom - top, right - left), np.multiply((350 + 75 - 200) / 0.97, (1, 0.75)))
    np.testing.assert_allclose(((left + right) / 2, top), (300, 200 - 0.03 * (bottom - top)))
    mask[300:310, 200:401] = True  # Arms held out.
    left, _, right, _ = photographs.window(mask, points, (1024, 768))
    assert left < 200 and right > 401
    points[:, 1] *= 2  # Somebody near stays whole.
    assert photographs.window(mask, points, (1024, 768)) == (0, 0, 600, 800)
