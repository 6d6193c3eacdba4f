"""Drawings of shapes: colours, and the labels of what they are part of."""

import re

import numpy as np

from vision_gen.data import vector


def square(low, high):
    return vector.polygon([(low, low), (high, low), (high, high), (low, high)])


def test_labels_are_exact_and_shading_has_none():
    d = vector.Drawing((0, 0, 20, 20))
    d.add(square(2, 14), "#ff0000", 3)
    d.add(square(8, 18), "#0000ff", 19)
    d.add(square(0, 20), "#ffffff", more='fill-opacity="0.5"')
    d.line(vector.polygon([(0, 5), (20, 5)], closed=False), "#00ff00", 2)
    labels = d.labels((20, 20))
    assert (labels[2:8, 2:14] == 3).all() and (labels[8:18, 8:18] == 19).all()
    assert (labels == 255).sum() == 400 - 144 - 100 + 36
    colours = d.colours((20, 20))
    np.testing.assert_allclose(colours[10, 4], (1, 0.5, 0.5, 1), atol=0.01)
    np.testing.assert_allclose(colours[5, 4], (0, 1, 0, 1), atol=0.01)
    assert 0.4 < colours[0, 0, 3] < 0.6


def test_what_lies_within_a_path_is_cut_to_it():
    d = vector.Drawing((0, 0, 20, 20))
    with d.within(square(5, 15)):
        d.add(square(0, 20), "#000000")
    alpha = d.colours((20, 20))[..., 3]
    assert (alpha[5:15, 5:15] == 1).all() and alpha.sum() == 100


def test_a_group_is_moved_with_its_label():
    d = vector.Drawing((0, 0, 20, 20))
    d.group("matrix(2 0 0 2 4 4)", lambda d, label: d.add(square(0, 5), "#000000", label))
    labels = d.labels((40, 40))  # Twice as large.
    assert (labels[8:28, 8:28] == 1).all() and (labels == 1).sum() == 400
    np.testing.assert_array_equal(d.colours((40, 40))[..., 3] == 1, labels == 1)


def test_smooth_paths_go_through_their_points():
    points = [(0, 0), (10, 4), (20, 0), (10, -9)]
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", vector.smooth(points))]
    ends = np.array(numbers[2:]).reshape(4, 3, 2)
    np.testing.assert_allclose(ends[:, 2], points[1:] + points[:1])
    handles = np.array([*numbers[:2], *numbers[2:]]).reshape(-1, 2)
    before, after = handles[2], handles[4]  # Around the second point, on one line through it.
    np.testing.assert_allclose(before + after, 2 * np.array(points[1]), atol=0.2)
    sharp = [float(n) for n in re.findall(r"-?\d+\.\d+", vector.smooth(points, corners=(1,)))]
    np.testing.assert_allclose(np.array(sharp[2:]).reshape(4, 3, 2)[0, 1], points[1])


def test_colours_get_darker_and_lighter():
    assert vector.shaded("#804020", -0.5) == "#402010" and vector.shaded("#804020", 1.0) == "#ffffff"
