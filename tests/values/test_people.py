"""People and garments are read with what lies beside them, or what is given in its place."""

import json
import shutil

import numpy as np
from PIL import Image
import pytest

from tests.conftest import ROOT
from tests.data import people
from vision_gen import values
from vision_gen.data import agnostic, images, labels, openpose
from vision_gen.errors import InputError
from vision_gen.ops import regions

SIZE = (64, 48)
SAMPLE = ROOT.parent / "shared" / "data" / "viton_hd_sample" / "test"


def save(path, array, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    if palette:
        image.putpalette(labels.PALETTE.reshape(-1).tolist())
    image.save(path)


def layout(root, number=0, size=SIZE):
    """An example of `people` as files of VITON-HD's layout; what the files are of."""
    found = people.person(number, size)
    for name, file in {
        "image": "image/a.png", "cloth": "cloth/b.png", "cloth_mask": "cloth-mask/b.png", "parse": "image-parse/a.png",
        "pose": "openpose-img/a_rendered.png",
    }.items():  # fmt: skip
        save(root / file, found[name], palette=name == "parse")
    path = root / "openpose-json" / "a_keypoints.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": found["keypoints"].ravel().tolist()}]}))
    return found


@pytest.fixture
def root(tmp_path):
    layout(tmp_path)
    return tmp_path


def read(root, more="", name="person"):
    return values.Person().read(f"{root}/image/a.png{more}", name)


def test_a_person_is_read_with_what_lies_beside_it(root):
    expected, found = people.person(0, SIZE), read(root)
    for name in ("image", "parse", "pose"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found["keypoints"], expected["keypoints"], atol=1e-4)
    array = values.Person().array(found)
    hidden = agnostic.hidden(expected["image"], expected["parse"], expected["keypoints"])
    np.testing.assert_array_equal(array["agnostic"][0], hidden["agnostic"])
    assert set(array) == {"image", "parse", "pose", "agnostic", "parse_agnostic"}


def test_a_pose_that_is_not_there_is_drawn(root):
    shutil.rmtree(root / "openpose-img")
    found = read(root)
    np.testing.assert_array_equal(found["pose"], openpose.picture(found["keypoints"], SIZE))
    assert found["pose"].max() > 100


def test_newer_releases_call_a_folder_otherwise(root):
    shutil.move(root / "image-parse", root / "image-parse-v3")
    assert read(root)["parse"].max() == 15


def test_a_part_can_be_given_in_its_place(root):
    right = people.person(0, SIZE)["parse"]
    save(root / "mine.png", np.where(right == 5, np.uint8(7), right), palette=True)
    found = read(root, f",parse={root}/mine.png")
    assert 7 in found["parse"] and 5 not in found["parse"]
    given = values.Person().read({"image": root / "image" / "a.png", "parse": right}, "person")
    np.testing.assert_array_equal(given["parse"], right)


def test_a_garment_is_read_with_its_mask(root):
    found = values.Garment().read(root / "cloth" / "b.png", "cloth")
    assert (found["mask"] == people.person(0, SIZE)["cloth_mask"]).all()
    array = values.Garment().array(found)
    assert array["cloth"].shape == (1, 64, 48, 3) and array["cloth_mask"].shape == (1, 64, 48, 1) and len(array) == 2


def test_another_size_of_the_same_ratio(root):
    kind = values.Person()
    found = kind.resized(read(root), (128, 96), "person")
    assert found["image"].shape == found["pose"].shape == (128, 96, 3) and found["parse"].shape == (128, 96, 1)
    np.testing.assert_allclose(found["keypoints"][:, :2], 2 * people.person(0, SIZE)["keypoints"][:, :2], atol=1e-3)
    assert set(np.unique(found["parse"])) == set(np.unique(people.person(0, SIZE)["parse"]))
    with pytest.raises(InputError) as error:
        kind.resized(read(root), (64, 64), "person")
    assert str(error.value) == (
        "person has 48 x 64 pixels; it must be of the ratio of 64 x 64, at which it is computed: crop it, or fill it up"
    )


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("image-parse/a.png", None, "person: no parse of HERE/image/a.png: HERE/image-parse-v3/a.png is not there; "
         "give it as HERE/image/a.png,parse=FILE"),
        ("openpose-json/a_keypoints.json", b"no", "HERE/openpose-json/a_keypoints.json: must be {"),
        ("image-parse/a.png", b"no", "HERE/image-parse/a.png: not a readable picture of numbered regions"),
    ],
)  # fmt: skip
def test_what_is_missing_or_broken_is_named(root, file, content, message):
    (root / file).unlink() if content is None else (root / file).write_bytes(content)
    with pytest.raises(InputError) as error:
        read(root)
    assert str(error.value).replace(str(root), "HERE").startswith(message)


def test_parts_that_do_not_go_together_are_refused(root):
    save(root / "small.png", np.ones((32, 24, 1), np.uint8), palette=True)
    with pytest.raises(InputError, match="person: parse has 24 x 32 pixels, but image 48 x 64"):
        read(root, f",parse={root}/small.png")
    with pytest.raises(InputError, match="unknown part 'mask'; there are image, parse, keypoints, pose"):
        read(root, ",mask=x.png")
    save(root / "many.png", np.full((64, 48, 1), 30, np.uint8), palette=True)
    with pytest.raises(InputError, match=r"many.png: has the label\(s\) \[30\], which LIP has not"):
        read(root, f",parse={root}/many.png")
    save(root / "black.png", np.zeros((64, 48, 1), np.uint8))
    with pytest.raises(InputError, match="cloth: mask is black everywhere"):
        values.Garment().read(f"{root}/cloth/b.png,mask={root}/black.png", "cloth")


def test_a_garment_without_a_mask_is_cut_out_of_its_ground(root, caplog):
    (root / "cloth-mask" / "b.png").unlink()
    found = values.Garment().read(root / "cloth" / "b.png", "cloth")
    right = people.person(0, SIZE)["cloth_mask"]
    assert ((found["mask"] > 0) == (right > 0)).mean() > 0.98 and (right > 0).mean() > 0.2
    assert "cut out of its ground" in caplog.text
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    for picture, why in ((noise, "of its edge 0% are of one colour"), (0 * noise, "it is of the ground's colour")):
        with pytest.raises(InputError, match=f"mask is missing, and it cannot be cut out of its ground: {why}"):
            values.Garment().read({"cloth": picture}, "cloth")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no sample of VITON-HD's data set")
def test_masks_of_real_garments():
    for path in sorted((SAMPLE / "cloth").iterdir()):
        mask, plain = regions.on_plain_ground(images.read(path))
        right = images.read(SAMPLE / "cloth-mask" / path.name)[..., 0] > 127
        assert (mask & right).sum() / (mask | right).sum() > 0.97 and plain == 1


def test_joints_that_were_not_found_are_said(root, caplog):
    path = root / "openpose-json" / "a_keypoints.json"
    record = json.loads(path.read_text())
    record["people"][0]["pose_keypoints_2d"][9:15] = [0] * 6
    path.write_text(json.dumps(record))
    read(root)
    assert "person: right elbow, right wrist not found; what lies around them stays as it is" in caplog.text
