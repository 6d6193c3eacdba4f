"""Image files of every kind, and what is wrong with some."""

import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from vision_gen.data import images, sources
from vision_gen.errors import InputError


def test_exif_orientation_alpha_grey_and_16_bit(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn a quarter clockwise to show.
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    turned = images.read(tmp_path / "turned.png")
    np.testing.assert_array_equal(turned, np.rot90(picture, -1))

    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2] = [10, 20, 30, 255]
    Image.fromarray(clear).save(tmp_path / "clear.png")
    over_white = images.read(tmp_path / "clear.png")
    assert (over_white[2:] == 255).all() and (over_white[:2] == [10, 20, 30]).all()

    Image.fromarray(np.full((3, 3), 77, np.uint8)).save(tmp_path / "grey.jpg", quality=95)
    grey = images.read(tmp_path / "grey.jpg")
    assert grey.shape == (3, 3, 3) and abs(int(grey.mean()) - 77) <= 1

    deep = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(images.read(tmp_path / "deep.png")[..., 0], [[0, 100], [200, 255]])

    Image.fromarray(picture).save(tmp_path / "x.webp", lossless=True)
    np.testing.assert_array_equal(images.read(tmp_path / "x.webp"), picture)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.png: no such file"):
        images.read(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InputError, match="text.png: not a readable image"):
        images.read(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_truncated_files_are_found_named_and_left_out_if_asked(image_folder, suffix):
    victim = sorted(image_folder.glob(f"*.{suffix}"))[0]
    victim.write_bytes(victim.read_bytes()[:-20])
    config = tiny("pix2pix_openmoji")
    config.data.update(name="image_folder", dir=str(image_folder))
    with pytest.raises(InputError, match=f"{victim.name}: (truncated|not a readable image).*skip_unreadable=True"):
        sources.open_source(config, "train")
    config.data.skip_unreadable = True
    source = sources.open_source(config, "train")
    assert source.skipped == [victim]
    rest = [p for split in sources.SPLITS for p in sources.open_source(config, split).paths]
    assert len(rest) == len(set(rest)) == 11 and victim not in rest


def test_a_file_damaged_in_the_middle_is_left_out_if_asked(image_folder):
    victim = image_folder / "picture00.png"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF  # Header and end marker stay.
    victim.write_bytes(data)
    config = tiny("pix2pix_openmoji")
    config.data.update(name="image_folder", dir=str(image_folder), skip_unreadable=True)
    splits = [sources.open_source(config, split) for split in sources.SPLITS]
    assert splits[0].skipped == [victim]
    assert sum(len(s) for s in splits) == 11
    for source in splits:
        for index in range(len(source)):
            assert source[index]["colour"].shape == (32, 32, 3)


def test_folders_that_cannot_be_used_are_named(tmp_path, image_folder):
    with pytest.raises(InputError, match="is not a folder"):
        sources.ImageFolder(tmp_path / "nowhere", "train", 32)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images .* below"):
        sources.ImageFolder(tmp_path / "empty", "train", 32)
    with pytest.raises(InputError, match="config.data.dir is empty"):
        sources.ImageFolder("", "train", 32)
    for path in sorted(image_folder.iterdir())[2:]:
        path.unlink()
    with pytest.raises(InputError, match="at least 3 are needed"):
        sources.ImageFolder(image_folder, "train", 32)


def test_split_folders_are_used_as_they_are(image_folder):
    for index, path in enumerate(sorted(image_folder.iterdir())):
        folder = image_folder / sources.SPLITS[index % 3]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)
    source = sources.ImageFolder(image_folder, "val", 32)
    assert len(source) == 4 and all(p.parent.name == "val" for p in source.paths)
    assert source[0]["colour"].shape == (32, 32, 3)
