"""Drawn people in drawn garments: bodies, labels and points agree; the same garment lies flat and is worn."""

import numpy as np
import pytest
from scipy import ndimage

from vision_gen.data import mannequin_garments as garments
from vision_gen.data import mannequin_pictures as pictures
from vision_gen.data.mannequin_people import ARMS, FACE, GROUND, HEIGHT, UPPER, WIDTH, Person

SIZE = 96, 128


@pytest.fixture(scope="module")
def people():
    """[(person, garment, picture, labels)] of six people."""
    made = [(Person("train", n), garments.Garment("train", n)) for n in range(6)]
    return [(person, garment, *pictures.worn(person, garment, SIZE)) for person, garment in made]


def at(labels, point):
    """The label at a point of 768 x 1024."""
    return int(labels[int(point[1] * SIZE[1] / HEIGHT), int(point[0] * SIZE[0] / WIDTH)])


def test_a_person_and_a_garment_follow_from_split_and_number(people):
    person, garment, picture, labels = people[3]
    again, others = pictures.worn(Person("train", 3), garments.Garment("train", 3), SIZE)
    np.testing.assert_array_equal(picture, again)
    np.testing.assert_array_equal(labels, others)
    different, _ = pictures.worn(Person("test", 3), garments.Garment("test", 3), SIZE)
    assert np.abs(different.astype(int) - picture).mean() > 5


def test_upright_undoes_place():
    points = np.stack(np.meshgrid(np.linspace(-150, 150, 9), np.linspace(-60, 500, 9)), -1)
    for number in range(5):
        person = Person("val", number)
        x, y = person.upright(person.place(points))
        np.testing.assert_allclose(np.stack([x, y], -1), points, atol=0.05)


def test_labels_agree_with_points(people):
    for person, garment, _, labels in people:
        points = person.keypoints
        assert set(np.unique(labels)) <= {0, 2, 5, 9, 10, 12, 13, 14, 15, 16, 17}
        assert at(labels, points[1]) in (UPPER, 10, 2)  # The neck.
        if "up" not in [arm.pose for arm in person.arms.values()]:
            assert at(labels, points[0]) == FACE
        for side, (shoulder, elbow) in {1: (5, 6), -1: (2, 3)}.items():
            assert (points[5, 0] > points[2, 0]) and points[shoulder, 2] == 1  # The left is seen on the right.
            if points[elbow, 2] and not person.arms[side].behind:
                assert at(labels, points[elbow]) in (ARMS[side], UPPER, ARMS[-side])
        if garment.sleeve == 0:
            assert all((labels == label).sum() > 60 for label in ARMS.values())


def test_points_out_of_the_picture_are_zero(people):
    for person, *_ in people:
        points = person.keypoints
        assert not points[[11, 14, *range(19, 25)]].any()  # Feet.
        seen = points[points[:, 2] > 0]
        assert len(seen) >= 12 and (seen[:, :2] >= 0).all() and (seen[:, :2] < (WIDTH, HEIGHT)).all()


def test_another_garment_changes_nothing_else(people):
    person, _, picture, labels = people[0]
    for number in range(1, 4):
        other, others = pictures.worn(person, garments.Garment("train", number), SIZE)
        for label in (FACE, GROUND):
            same = (labels == label) & (others == label)
            far = ndimage.binary_erosion(same, iterations=1 if label == FACE else 6)
            assert far.sum() > (20 if label == FACE else 1000)
            np.testing.assert_array_equal(picture[far], other[far])
        assert ((labels == UPPER) & (others == UPPER)).sum() > 1500
        changed = np.abs(picture.astype(int) - other)[(labels == UPPER) & (others == UPPER)]
        assert changed.mean() > 10


def test_long_sleeves_cover_the_arms():
    person = Person("train", 0)
    long, bare = (next(g for n in range(99) if wanted(g := garments.Garment("train", n))) for wanted in (
        lambda g: g.sleeve > 300, lambda g: g.sleeve == 0,
    ))  # fmt: skip
    covered, seen = (np.isin(pictures.worn(person, g, SIZE)[1], list(ARMS.values())).sum() for g in (long, bare))
    assert 40 < covered < 0.55 * seen


def test_the_worn_panel_is_the_flat_one_moved_smoothly(people):
    """Places in the panel rise to the right and down wherever the torso is seen, so that a print keeps its shape."""
    for person, garment, *_ in people[:4]:
        canvas = pictures.Canvas(SIZE)
        torso = pictures._Torso(canvas, person, garment)
        seen = torso.alpha > 0.9
        assert seen.sum() > 3000
        across, down = np.diff(torso.x, axis=1), np.diff(torso.y, axis=0)
        inside = seen[:, 1:] & seen[:, :-1] & (np.abs(torso.across[:, 1:]) < 0.9)
        assert (across[inside] > 0.5).all() and (across[inside] < 16).all()
        inside = seen[1:] & seen[:-1]
        assert np.mean((down[inside] > 1) & (down[inside] < 8)) > 0.99  # Four pixels of the panel each.


def test_a_flat_garment_and_its_mask():
    for number in range(6):
        garment = garments.Garment("train", number)
        picture, mask = pictures.flat(garment, SIZE)
        assert picture.shape == (128, 96, 3) and set(np.unique(mask)) == {0, 255}
        assert 0.15 < (mask == 255).mean() < 0.75
        edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert not edge.any()  # It lies within the picture.
        corner = picture[:10, :10].astype(int)
        assert corner.min() > 235  # On white.
        rows, columns = np.nonzero(mask)
        assert abs(columns.mean() - 47.5) < 1.5 and abs(mask[:, ::-1].astype(int) - mask).mean() < 12


def test_nothing_held_out_is_drawn_to_train_on():
    made = {split: [garments.Garment(split, n) for n in range(300)] for split in ("train", "test")}
    prints = {split: {g._drawing for g in found if g.print} for split, found in made.items()}
    words = {split: {g._word for g in found} for split, found in made.items()}
    assert prints["train"] and prints["test"] and not prints["train"] & prints["test"]
    assert not words["train"] & words["test"]
    kinds = {(g.neck, g.pattern, g.sleeve > 300, g.sleeve == 0) for g in made["train"]}
    assert {k[0] for k in kinds} == set(garments._NECKS) and {k[1] for k in kinds} == set(garments._PATTERNS)


def test_all_sizes_show_the_same(people):
    person, garment, picture, labels = people[1]
    large, large_labels = pictures.worn(person, garment, (192, 256))
    mean = large.reshape(128, 2, 96, 2, 3).mean((1, 3))
    assert np.abs(mean - picture).mean() < 2
    assert (large_labels[1::2, 1::2] == labels).mean() > 0.97
