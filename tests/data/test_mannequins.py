"""Drawn people for try-on: what an example has, and the truth of unpaired ones."""

import pathlib

import numpy as np
import pytest

from vision_gen import data
from vision_gen.data import mannequin_pictures, openpose, tryon_folder
from vision_gen.data.mannequin_garments import Garment
from vision_gen.data.mannequin_people import Person
from vision_gen.errors import InputError

SIZE = (128, 96)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """{pairs: source} of four people of "test"."""
    where = str(tmp_path_factory.mktemp("mannequins"))
    fields = dict(name="mannequins", dir=where, size=SIZE, examples=20)
    return {pairs: data.open(data.Settings(**fields, pairs=pairs), "test") for pairs in ("paired", "unpaired")}


def test_people_wear_their_garments(sources):
    source = sources["paired"]
    assert len(source) == 4 and [source.name(i) for i in range(4)] == ["000000", "000001", "000002", "000003"]
    assert source.garment(2) == "000002"  # Three in twenty, and an even number.
    example = source[2]
    image, labels = mannequin_pictures.worn(Person("test", 2), Garment("test", 2), (96, 128))
    np.testing.assert_array_equal(example["image"], image)
    np.testing.assert_array_equal(example["parse"][..., 0], labels)
    cloth, mask = mannequin_pictures.flat(Garment("test", 2), (96, 128))
    np.testing.assert_array_equal(example["cloth"], cloth)
    np.testing.assert_array_equal(example["cloth_mask"][..., 0], mask)
    points = Person("test", 2).keypoints
    np.testing.assert_allclose(example["keypoints"], points * (1 / 8, 1 / 8, 1), rtol=1e-6)
    assert points.max() > 300
    np.testing.assert_array_equal(example["pose"], openpose.picture(example["keypoints"], SIZE))
    assert source.shapes == data.shapes(data.Settings(name="mannequins", size=SIZE))


def test_unpaired_people_come_with_the_garment_of_another_and_the_truth(sources):
    paired, unpaired = sources["paired"], sources["unpaired"]
    assert [unpaired.garment(i) for i in range(4)] == ["000001", "000000", "000003", "000002"]
    for index, other in enumerate((1, 0, 3, 2)):
        example = unpaired[index]
        for name in ("image", "parse", "pose", "keypoints"):
            np.testing.assert_array_equal(example[name], paired[index][name])
        for name in ("cloth", "cloth_mask"):
            np.testing.assert_array_equal(example[name], paired[other][name])
    truth, labels = mannequin_pictures.worn(Person("test", 1), Garment("test", 0), (96, 128))
    np.testing.assert_array_equal(unpaired[1]["truth"], truth)
    np.testing.assert_array_equal(unpaired[1]["truth_parse"][..., 0], labels)


def test_other_sizes_are_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(InputError, match=r"config.data.size must be one of \(\(128, 96\), .*for mannequins, got 64"):
        data.open(data.Settings(name="mannequins", dir=str(tmp_path)), "train")
    assert not list(tmp_path.iterdir())


def test_written_in_viton_hds_layout_they_are_read_again(sources, tmp_path):
    tryon_folder.write(sources["paired"], sources["unpaired"], tmp_path, "test")
    assert (tmp_path / "test_pairs.txt").read_text().splitlines()[0] == "000000.jpg 000001.jpg"
    for pairs, expected in sources.items():
        found = data.open(data.Settings(name="tryon_folder", dir=str(tmp_path), size=SIZE, pairs=pairs), "test")
        assert len(found) == 4 and found.shapes == expected.shapes
        for index in range(4):
            assert (pathlib.Path(found.name(index)).stem, found.garment(index)) == (
                expected.name(index),
                expected.garment(index),
            )
            for name, value in expected[index].items():
                if name in ("image", "cloth", "truth"):  # JPEG.
                    assert np.abs(found[index][name].astype(int) - value).mean() < 6, name
                else:
                    np.testing.assert_allclose(found[index][name], value, atol=1e-3)
