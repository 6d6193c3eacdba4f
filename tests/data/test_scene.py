"""Readers of posed views, on files written here from the scene that the package renders."""

import json
import logging

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import analytic_scene, llff, nerf_synthetic, transforms
from vision_gen.errors import InputError
from vision_gen.ops import rays
from vision_gen.values.cameras import Rig

SIZE = 16


@pytest.fixture(scope="module")
def truth():
    return analytic_scene.render("test", SIZE)


def matrix(pose):
    return np.concatenate([pose, [[0, 0, 0, 1]]]).tolist()


def opened(name, folder, split):
    return data.open(data.Settings(name=name, dir=str(folder)), split)


@pytest.fixture
def synthetic(tmp_path, truth):
    folder = tmp_path / "synthetic"
    focal = float(truth.intrinsics[0, 0])
    angle = 2 * np.arctan(SIZE / 2 / focal)
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        frames = []
        for i, (view, pose) in enumerate(zip(truth.colour, truth.pose)):
            Image.fromarray(view).save(folder / split / f"r_{i}.png")
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": matrix(pose)})
        record = {"camera_angle_x": angle, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def captured(tmp_path, truth):
    """As instant-ngp writes it."""
    folder = tmp_path / "captured"
    folder.mkdir()
    frames = []
    for i, (view, pose) in enumerate(zip(truth.colour, truth.pose)):
        Image.fromarray(view).save(folder / f"{i:03d}.png")
        moved = pose * np.float32([1, 1, 1, 10]) + np.float32([0, 0, 0, 3])
        frames.append({"file_path": f"{i:03d}.png", "transform_matrix": matrix(moved)})
    focal = float(truth.intrinsics[0, 0])
    # For images of twice the size: the reader scales.
    record = dict(
        fl_x=2 * focal, fl_y=2 * focal, cx=SIZE, cy=SIZE, w=2 * SIZE, h=2 * SIZE, k1=0.01, frames=frames
    )
    (folder / "transforms.json").write_text(json.dumps(record))
    return folder


def edit(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_nerf_synthetic_is_read_as_it_was_written(synthetic, truth):
    views = opened("nerf_synthetic", synthetic, "test")
    assert len(views) == len(truth.names)
    np.testing.assert_array_equal(views[3]["colour"], truth.colour[3])
    np.testing.assert_allclose(views[3]["pose"], truth.pose[3], atol=1e-6)
    np.testing.assert_allclose(views[3]["intrinsics"], truth.intrinsics[3], rtol=1e-5)


def test_downscaling_takes_the_intrinsics_along(synthetic, truth):
    scene = nerf_synthetic.read(synthetic, "test", 2)
    assert scene.colour.shape[1:3] == (SIZE // 2, SIZE // 2)
    np.testing.assert_allclose(scene.intrinsics[0, :4], truth.intrinsics[0, :4] / 2, rtol=1e-5)


def test_every_ray_is_in_one_bundle_with_its_own_camera():
    settings = data.Settings(name="analytic_scene", size=SIZE, rays=64)
    truth, found = analytic_scene.render("train", SIZE), data.open(settings, "train")
    seen = set()
    for bundle in (found[i] for i in range(len(found))):
        view = [np.abs(truth.pose - p).sum((1, 2)).argmin() for p in bundle["pose"]]
        x, y = np.floor(bundle["pixel"]).astype(int).T
        np.testing.assert_array_equal(bundle["colour"], truth.colour[view, y, x])
        seen |= set(zip(view, y, x))
    assert len(seen) == len(found) * 64 == truth.colour.size // 4
    assert found.shapes == data.shapes(settings)


def test_views_need_not_be_square():
    scene = analytic_scene.render("val", (12, 20))
    square = analytic_scene.render("val", 20)
    # The same camera, the field of view of the width.
    np.testing.assert_array_equal(scene.colour, square.colour[:, 4:16])
    np.testing.assert_allclose(scene.intrinsics[:, :4], square.intrinsics[:, :4] - [0, 0, 0, 4])
    assert data.open(data.Settings(name="analytic_scene", size=(12, 20)), "val")[0]["colour"].shape == (12, 20, 4)


def test_an_example_of_noise_has_cameras_that_look_at_the_scene():
    settings = data.Settings(name="nerf_synthetic", rays=5)
    found = data.example(settings, np.random.default_rng(0))
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        name: (array.shape, array.dtype) for name, array in data.shapes(settings).items()
    }
    place, ahead = found["pose"][0, :, 3], -found["pose"][0, :, 2]
    np.testing.assert_allclose(place + 4 * ahead, 0, atol=1e-5)
    assert not any(value.any() for value in data.example(settings).values())


def test_transforms_holds_every_eighth_out_and_fits_cameras_into_the_unit_cube(captured, truth):
    held, train = (transforms.read(captured, split) for split in ("test", "train"))
    assert held.names == ("000.png", "008.png") and not set(held.names) & set(train.names)
    assert len(held.names) + len(train.names) == len(truth.names)
    assert np.abs(train.pose[:, :, 3]).max() <= 1 + 1e-6
    np.testing.assert_allclose(held.intrinsics[0, :4], truth.intrinsics[0, :4], rtol=1e-5)
    assert held.intrinsics[0, 4] == pytest.approx(0.01)
    assert len(opened("transforms", captured, "val")) == 2


def test_a_lens_is_read_alike_from_every_layout(synthetic, captured, truth, caplog):
    """One whose angles differ, its middle off the image's, and without the size that the numbers are for."""
    more = {"camera_angle_y": 0.5, "cx": 7.0, "k2": 0.02, "is_fisheye": False, "k4": 0.0, "mask_path": "m.png"}
    edit(synthetic / "transforms_train.json", lambda r: r.update(more))

    def lacking(record):
        for name in ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1"):
            del record[name]
        record.update(more, camera_angle_x=2 * float(np.arctan(SIZE / 2 / truth.intrinsics[0, 0])))

    edit(captured / "transforms.json", lacking)
    focal = SIZE / 2 / np.tan(0.25)
    caplog.set_level(logging.INFO, "vision_gen")
    for scene in (nerf_synthetic.read(synthetic, "train"), transforms.read(captured, "train")):
        expected = [truth.intrinsics[0, 0], focal, 7, SIZE / 2, 0, 0.02, 0, 0]
        np.testing.assert_allclose(scene.intrinsics[0], expected, rtol=1e-5)
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == ["not read: mask_path"] * 2


def test_llff_axes_focal_length_and_recentring(tmp_path):
    """Cameras in a plane that look along -z, written with LLFF's axes (down, right, back)."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = []
    for i in range(9):
        place = [rng.uniform(-1, 1), rng.uniform(-1, 1), 0.0]
        axes = np.stack([[0, -1, 0], [1, 0, 0], [0, 0, 1], place], -1)
        full = np.concatenate([axes, [[40], [60], [50.0]]], 1)
        rows.append(np.concatenate([full.ravel(), [2.0, 9.0]]))
        Image.fromarray(np.full((20, 30, 3), 9 * i, np.uint8)).save(tmp_path / "images" / f"{i}.png")
    np.save(tmp_path / "poses_bounds.npy", np.stack(rows))
    scene = llff.read(tmp_path, "train", 1)
    assert len(scene.names) == 7 and scene.path == "spiral"
    np.testing.assert_allclose(scene.pose[:, :, :3], np.tile(np.eye(3), (7, 1, 1)), atol=1e-6)
    assert scene.intrinsics[0, 0] == pytest.approx(25)  # 50 for a width of 60, the images have 30.
    everything = np.concatenate([scene.pose, llff.read(tmp_path, "test", 1).pose])
    np.testing.assert_allclose(everything[:, :, 3].mean(0), 0, atol=1e-6)
    assert all(view.pose[2, 2] > 0.9 for view in Rig.kept(scene.cameras).spiral(5))


def test_the_orbit_looks_at_the_middle_from_the_cameras_distance(truth):
    for view in Rig.kept(truth.cameras).circle(6):
        centre = np.float32([[SIZE / 2, SIZE / 2]])
        origin, direction = rays.camera_rays(
            jnp.asarray(centre), jnp.asarray(view.pose), jnp.asarray(view.intrinsics)
        )
        nearest = origin + direction * -(origin * direction).sum() / (direction**2).sum()
        assert np.linalg.norm(nearest) < 0.2 and 3.5 < np.linalg.norm(origin) < 4.5


def test_bad_scenes_are_named(synthetic, captured, tmp_path):
    train = synthetic / "transforms_train.json"
    original = train.read_text()

    def refused(change, match, reader=nerf_synthetic.read, folder=synthetic, path=train):
        before = path.read_text()
        edit(path, change)
        with pytest.raises(InputError, match=match):
            reader(folder, "train")
        path.write_text(before)

    refused(lambda r: r.update(frames=[]), "lists no images")
    refused(lambda r: r.pop("camera_angle_x"), "there is neither `fl_x` nor `camera_angle_x`")
    refused(lambda r: r.update(k3=0.1), "transforms_train.json: `k3` is 0.1, of a lens that is not modelled")

    def poison(record):
        record["frames"][2]["transform_matrix"][0][3] = float("nan")

    refused(poison, "pose of r_2.png is not finite")

    def turn(record):
        for row in record["frames"][4]["transform_matrix"][:3]:
            row[0], row[2] = -row[0], -row[2]

    refused(turn, "1 of 16 cameras look away from the scene, the first: r_4.png")
    refused(
        lambda r: r["frames"][1].update(file_path="./train/nothing"), "train/nothing.png is missing"
    )
    path = captured / "transforms.json"
    refused(
        lambda r: r["frames"][1].update(file_path="gone.png"),
        "1 of 16 images are missing, the first: gone.png",
        transforms.read,
        captured,
        path,
    )
    Image.new("RGBA", (8, 4)).save(synthetic / "train" / "r_5.png")
    with pytest.raises(InputError, match="r_5.png: 8 x 4 pixels, but r_0.png has 16 x 16"):
        nerf_synthetic.read(synthetic, "train")
    assert train.read_text() == original
    with pytest.raises(InputError, match="transforms_train.json: no such file"):
        nerf_synthetic.read(tmp_path, "train")
    with pytest.raises(InputError, match="is not a folder; llff needs one"):
        opened("llff", tmp_path / "none", "train")
