"""Clips are drawn alike each time, and what they say is where is where it is."""

import numpy as np
import pytest

from vision_gen import data
from vision_gen.data import emoji, settings
from vision_gen.errors import InputError


def opened(split, **fields):
    return data.open(settings.read(dict(name="moving_drawings", size=48, **fields), "config.data"), split)


def test_masks_and_points_are_where_the_drawings_are():
    source = opened("test", held_out_frames=6)
    example = source[3]
    assert example["frames"].shape == (6, 48, 48, 3) and example["points"].shape == (6, 3, 2, 3)
    for key in example:
        np.testing.assert_array_equal(example[key], source[3][key])
    assert set(np.unique(example["labels"])) == {0, 1, 2, 3}
    seen = 0
    for labels, points in zip(example["labels"], example["points"]):
        for number, drawing in enumerate(points, 1):
            for x, y, visible in drawing:
                inside = 0 <= x < 48 and 0 <= y < 48
                assert visible == float(inside and labels[int(y), int(x)] == number)
                seen += visible
    assert seen > 12
    # What is marked moves, and its colours with it: a drawing's pixels are alike in the first two frames.
    first, second = (example["frames"][i][example["labels"][i] == 3].mean(0) for i in (0, 1))
    ground = example["frames"][0][example["labels"][0] == 0].mean(0)
    assert np.abs(first - second).max() < 25 < np.abs(first - ground).max()
    assert (example["labels"][0] != example["labels"][-1]).mean() > 0.05


def test_splits_share_no_drawing_and_epochs_no_clip():
    drawings = {split: set(emoji.openmoji_drawings(split)) for split in ("train", "val", "test")}
    assert not drawings["train"] & drawings["test"] and not drawings["train"] & drawings["val"]
    assert min(map(len, drawings.values())) > 50
    source = opened("train")
    assert set(source[0]) == {"frames"} and source[0]["frames"].shape == (4, 48, 48, 3)
    orders = [set(source.order(epoch, 0)) for epoch in (0, 1)]
    assert len(orders[0]) == len(source) and not orders[0] & orders[1]
    with pytest.raises(InputError, match="config.data.size must be at least 32 for moving_drawings, got 16"):
        data.shapes(settings.read(dict(name="moving_drawings", size=16), "config.data"))
