"""Image files of every kind, and what is wrong with some."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from vision_gen.data import images
from vision_gen.errors import InputError

FILES = np.load(pathlib.Path(__file__).parent.parent / "golden" / "files_reference.npz")  # See make_files.py there.


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

    deep = np.array([[0, 1000], [257 * 200, 65535]], np.uint16)  # 1000 is 3.9 of 255, its lower half 232.
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(images.read(tmp_path / "deep.png")[..., 0], [[0, 4], [200, 255]])

    Image.fromarray(picture).save(tmp_path / "x.webp", lossless=True)
    np.testing.assert_array_equal(images.read(tmp_path / "x.webp"), picture)


@pytest.mark.parametrize("name", sorted(full.removeprefix("file/") for full in FILES if full.startswith("file/")))
def test_metrics_read_files_as_pytorch_fid_and_clean_fid(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(FILES[f"file/{name}"].tobytes())
    found = images.read_rgb(path)
    theirs = [FILES[f"{package}/{name}"] for package in ("pytorch-fid", "clean-fid")]
    if name == "deep.png":  # On purpose otherwise, see docs/agreement.md: they have all above 255 of 65,535 as white.
        levels = np.asarray(Image.open(path), float)
        theirs = [np.where(array == np.minimum(levels, 255)[..., None], found, 0) for array in theirs]
        np.testing.assert_array_equal(found[..., 0], np.round(levels / 257))
    for array in theirs:  # Decoders of JPEG may round otherwise.
        np.testing.assert_allclose(found.astype(int), array, atol=2 if name.endswith(".jpg") else 0)


def test_metrics_and_posed_views_have_pixels_as_they_are_stored(tmp_path):
    picture = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(images.read_rgba(tmp_path / "turned.png", upright=False)[..., :3], picture)
    # As pytorch-fid and clean-fid open it.
    (found,) = images.in_order([tmp_path / "turned.png"])
    np.testing.assert_array_equal(found, np.asarray(Image.open(tmp_path / "turned.png").convert("RGB")))
    np.testing.assert_array_equal(found, picture)


def test_numbers_whose_white_is_not_known_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(InputError, match="float.tif: an image of floats; it must have 8 or 16 bits a channel"):
        images.read(tmp_path / "float.tif")
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "deep.tif")
    with pytest.raises(InputError, match="deep.tif: an image of numbers up to 70000; it must"):
        images.read(tmp_path / "deep.tif")
    Image.fromarray(np.full((4, 4), 257 * 9, np.uint16)).save(tmp_path / "grey.tif")
    assert (images.read(tmp_path / "grey.tif") == 9).all()


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing.png: no such file"):
        images.read(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(InputError, match="text.png: not a readable image"):
        images.read(tmp_path / "text.png")


def test_the_middle_is_cut_in_the_shape_that_is_asked_for():
    stripes = np.zeros((30, 60, 3), np.uint8)
    stripes[:, 20:40] = 90  # The middle third.
    np.testing.assert_array_equal(images.fit(stripes[:20], 20), np.full((20, 20, 3), 90))
    wide = images.fit(stripes, (10, 30))  # 20 of the 30 rows, all columns.
    assert wide.shape == (10, 30, 3)
    np.testing.assert_array_equal(wide[:, [2, 15, 27], 0], np.tile([0, 90, 0], (10, 1)))


def test_the_size_in_a_header_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (6, 4)).save(tmp_path / "upright.png")
    assert images.size(tmp_path / "turned.jpg") == images.read(tmp_path / "turned.jpg").shape[:2] == (6, 4)
    assert images.size(tmp_path / "turned.jpg", upright=False) == images.size(tmp_path / "upright.png") == (4, 6)
