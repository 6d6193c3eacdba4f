"""People without their garments: the released masking, at every size, and what is refused."""

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.data import people
from tests.golden import tryon_by_name as golden
from vision_gen import data
from vision_gen.data import agnostic, settings
from vision_gen.errors import InputError

REFERENCE = np.load(ROOT / "tests" / "golden" / "tryon_reference.npz")


def masks(scale=1):
    """(what is painted grey, what is taken out of the regions) [1024 / scale, 768 / scale], and the parse map."""
    image, parse, keypoints = golden.person()
    keypoints = keypoints / [scale, scale, 1]
    image, parse = image[::scale, ::scale], parse[::scale, ::scale]
    found = agnostic.hidden(image, parse[..., None], keypoints)
    return (found["agnostic"] == agnostic.GREY).all(-1), found["parse_agnostic"][..., 0] != parse, parse


def test_masks_are_the_released_codes():
    grey, out, _ = masks()
    unpacked = lambda name: np.unpackbits(REFERENCE[name]).reshape(1024, 768).astype(bool)
    np.testing.assert_array_equal(grey, unpacked("agnostic"))
    np.testing.assert_array_equal(out, unpacked("parse agnostic"))
    assert 0.2 < grey.mean() < 0.5 and 0.1 < out.mean() < 0.4


def test_they_scale_with_the_picture():
    for found, small in zip(masks()[:2], masks(8)[:2]):
        agree = found[4::8, 4::8] == small
        assert agree.mean() > 0.96 and small.mean() > 0.1


def test_garment_and_neck_go_and_face_trousers_and_hands_stay():
    grey, out, parse = masks()
    assert grey[parse == 5].all() and not grey[(parse == 13) | (parse == 9)].any()
    assert out[parse == 5].all() and out[parse == 10].all() and not out[(parse == 13) | (parse == 2)].any()
    assert not out[740:, :200][parse[740:, :200] == 15].any()  # Below the right wrist.


def test_hips_that_were_not_found_are_under_the_shoulders():
    image, parse, keypoints = golden.person()
    keypoints[[9, 12]] = 0
    found = agnostic.hidden(image, parse[..., None], keypoints)["agnostic"]
    assert (found[345:680, 280:500] == agnostic.GREY).all(-1)[parse[345:680, 280:500] == 5].all()


def of_people(size=(64, 48), name="tests.data.people"):
    return settings.read(dict(name="agnostic", size=size, parts={"people": {"name": name}}), "config.data")


def test_a_data_set_gets_both():
    source = data.open(of_people(), "train")
    example = source[1]
    expected = agnostic.hidden(*(example[name] for name in ("image", "parse", "keypoints")))
    for name, value in expected.items():
        np.testing.assert_array_equal(example[name], value)
    assert source.name(1) == "person1" and example["agnostic"].shape == (64, 48, 3)


@pytest.mark.parametrize(
    "joint, label, what",
    [
        (2, 5, "keypoints: right shoulder not found; without neck and shoulders nobody knows where the torso is"),
        (1, 5, "keypoints: neck not found; without neck and shoulders nobody knows where the torso is"),
        (4, 25, "parse has the label 25; LIP's are 0 to 19"),
    ],
)
def test_what_nothing_can_be_made_of_is_refused(joint, label, what):
    example = people.person(0, (64, 48))
    example["keypoints"][joint] = 0
    example["parse"][example["parse"] == 5] = label
    with pytest.raises(InputError) as error:
        agnostic.hidden(*(example[name] for name in ("image", "parse", "keypoints")))
    assert str(error.value) == what


def test_data_without_people_is_refused():
    with pytest.raises(InputError, match="data.parts.people.name: agnostic needs image, but digits gives colour"):
        data.shapes(of_people(size=8, name="digits"))
