"""Windows of photographs are cut alike each time, and held-out pictures are not trained on."""

import numpy as np

from vision_gen import data
from vision_gen.data import photographs, settings


def opened(split, size=(24, 48)):
    return data.open(settings.read(dict(name="photographs", size=size), "config.data"), split)


def test_windows_are_parts_of_a_picture_of_their_split():
    chosen = [set(photographs.PICTURES[split]) for split in ("train", "val", "test")]
    assert sum(map(len, chosen)) == len(set.union(*chosen))
    for split in ("train", "val", "test"):
        source = opened(split)
        window = source[2]["colour"]
        assert window.shape == (24, 48, 3) and window.std() > 5
        np.testing.assert_array_equal(window, opened(split)[2]["colour"])
        assert np.abs(np.int32(window) - source[2 + len(photographs.PICTURES[split])]["colour"]).mean() > 2
        assert source.name(2).rpartition("_")[0] in [name.partition(".")[0] for name in photographs.PICTURES[split]]


def test_a_window_is_no_larger_than_its_picture_and_enlarged_where_that_is_small():
    side = 2 * max(photographs.read("chelsea.png").size)
    assert opened("test", side)[0]["colour"].shape == (side, side, 3)
