"""Regions by joints and colours, of drawn people, whose regions are known."""

import functools

import numpy as np
import pytest

from vision_gen.data import mannequin_pictures
from vision_gen.data.mannequin_garments import Garment
from vision_gen.data.mannequin_people import Person
from vision_gen.preparing import rough


@functools.cache
def drawn(number):
    """(picture [256, 192, 3], its regions, keypoints)."""
    picture, parse = mannequin_pictures.worn(Person("test", number), Garment("test", number), (192, 256))
    return picture, parse, np.float32(Person("test", number).keypoints * [0.25, 0.25, 1])


def overlap(found, parse, label):
    return ((found == label) & (parse == label)).sum() / ((found == label) | (parse == label)).sum()


LEAST = {rough.HAIR: 0.85, rough.UPPER: 0.88, rough.TROUSERS: 0.88, rough.NECK: 0.7, rough.FACE: 0.8}


@pytest.mark.parametrize("number, arms", [(1, {rough.LEFT_ARM: 0.9, rough.RIGHT_ARM: 0.9}), (3, {})])
def test_parts_lie_where_they_are(number, arms):
    picture, parse, points = drawn(number)
    found = rough.regions(picture, np.float32(parse > 0), points)
    for label, least in (LEAST | arms).items():
        assert overlap(found, parse, label) > least, label
    assert overlap(found, parse, 0) > 0.95 and found.dtype == np.uint8
    assert set(np.unique(found)) == set(np.unique(parse))  # Of few labels nothing is made up.


def test_bare_legs_below_a_skirt():
    picture, parse, points = drawn(1)
    picture, parse = picture.copy(), parse.copy()
    rows, columns = np.mgrid[:256, :192]
    legs = (parse == rough.TROUSERS) & (rows > 205)
    right = columns < points[8, 0]  # Of the person, as seen on the left.
    picture[legs] = np.median(picture[parse == rough.FACE], 0)
    parse[legs] = np.where(right, rough.RIGHT_LEG, rough.LEFT_LEG)[legs]
    parse[parse == rough.TROUSERS] = rough.SKIRT
    found = rough.regions(picture, np.float32(parse > 0), points)
    for label in (rough.SKIRT, rough.RIGHT_LEG, rough.LEFT_LEG):
        assert overlap(found, parse, label) > 0.6, label
    assert not (found == rough.TROUSERS).any()


def test_shoulders_are_enough_for_the_garment():
    picture, parse, points = drawn(1)
    alone = np.where(np.isin(np.arange(25), (2, 5))[:, None], points, 0)
    found = rough.regions(picture, np.float32(parse > 0), alone)
    assert overlap(found, parse, rough.UPPER) > 0.6


def test_what_is_below_the_chin_is_the_neck():
    _, parse, points = drawn(1)
    found = rough.with_neck(np.where(parse == rough.NECK, np.uint8(rough.FACE), parse), points)
    assert overlap(found, parse, rough.NECK) > 0.75 and overlap(found, parse, rough.FACE) > 0.85
    np.testing.assert_array_equal(found[parse == rough.UPPER], rough.UPPER)
