"""OpenPose's key points: the picture that it renders of them, and its files."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT
from vision_gen import data
from vision_gen.data import openpose
from vision_gen.errors import InputError

SAMPLE = ROOT.parent / "shared" / "data" / "viton_hd_sample"


def test_limbs_are_ellipses_in_the_colour_of_their_second_joint():
    points = np.zeros((25, 3))
    points[5], points[6] = (60, 40, 0.9), (60, 140, 0.8)  # Left shoulder and elbow.
    found = openpose.picture(points, (240, 240)).astype(int)
    np.testing.assert_array_equal(found[90, 60], np.round(0.6 * openpose.COLOURS[6]))  # OpenPose blends by 0.6.
    np.testing.assert_array_equal(found[40, 60] > 0, openpose.COLOURS[5] > 0)
    assert found[138, 60].max() > 200  # Limb and joint.
    rows, columns = np.nonzero(found.max(-1))
    assert 36 <= rows.min() and rows.max() <= 144 and 56 <= columns.min() and columns.max() <= 64
    points[6, 2] = 0.04  # Not sure enough.
    alone = openpose.picture(points, (240, 240))
    assert alone[40, 60].max() > 0 and not alone[90:].any()


def test_points_out_of_the_picture_are_no_error():
    points = np.zeros((25, 3))
    points[1], points[8], points[2] = (5, 5, 1), (5, 50, 1), (-30, 5, 1)
    assert openpose.picture(points, (30, 20))[20, 5].max() > 0


def test_files_are_read_as_they_are_written(tmp_path):
    points = np.random.default_rng(0).uniform(0, 700, (25, 3)).astype(np.float32)
    (tmp_path / "a.json").write_text(openpose.text(points))
    found, people = openpose.read(tmp_path / "a.json")
    np.testing.assert_allclose(found, points, atol=1e-4)
    assert people == 1


@pytest.mark.parametrize(
    "content,message",
    [
        ("no JSON", r"a.json: must be \{\"people\": \[.*got JSONDecodeError"),
        ("[]", r"a.json: must be .*got TypeError"),
        ({"people": []}, "a.json: nobody is in it"),
        ({"people": [{"pose_keypoints_2d": [1] * 54}]}, "a.json: has 18 points; it must have the 25 of BODY_25"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 75}]}, "a.json: a number of it is not finite"),
        ({"people": [{"pose_keypoints_2d": [1e39] * 75}]}, "a.json: a number of it is not finite"),
        ({"people": [{"pose_keypoints_2d": [0.2, 0.3, 0.9, 0.6, 0.7, 0.9] + [0] * 69}]}, "all points lie within one pixel"),
        ("[" * 100_000, r"a.json: must be .*got RecursionError"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=message):
        openpose.read(tmp_path / "a.json")
    with pytest.raises(InputError, match="b.json: no such file"):
        openpose.read(tmp_path / "b.json")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"needs {SAMPLE.name}")
def test_the_picture_is_openposes_own_but_for_hands():
    settings = data.Settings(name="tryon_folder", dir=str(SAMPLE), size=(1024, 768), pairs="unpaired")
    source = data.open(settings, "test")
    for index in range(3):
        example = source[index]
        ours = openpose.picture(example["keypoints"], (1024, 768)).astype(int)
        body = ours.max(-1) > 150
        assert body.sum() > 5000
        near = np.abs(ours - example["pose"]).max(-1)[body] < 60
        assert near.mean() > 0.95
