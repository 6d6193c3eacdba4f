"""Readers of posed views, on files written here from the scene that the package renders."""

import json
import logging

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.data import analytic_scene, cameras, llff, nerf_synthetic, transforms
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


def test_views_to_train_on_are_chosen_by_the_numbers_in_their_names(synthetic, truth):
    """In that order, of a folder whose views come in another; what is held out stays."""
    edit(synthetic / "transforms_train.json", lambda record: record["frames"].reverse())
    settings = data.Settings(name="nerf_synthetic", dir=str(synthetic), rays=16, views=(11, 2))
    found = data.open(settings, "train")
    assert found.scene.names == ("r_11.png", "r_2.png")
    np.testing.assert_array_equal(found.scene.colour, truth.colour[[11, 2]])
    np.testing.assert_allclose(found.cameras["pose"], truth.pose[[11, 2]], atol=1e-6)
    assert len(found) == 2 * SIZE * SIZE // 16
    bundle = found[3]
    assert {np.abs(truth.pose - p).sum((1, 2)).argmin() for p in bundle["pose"]} <= {11, 2}
    assert len(data.open(settings, "val")) == len(truth.names)


@pytest.mark.parametrize(
    "views,message",
    [
        ((1, 40), "config.data.views: no one view to train on ends in 40; there are 0, 1, 2"),
        ((1, 2, 1), r"config.data.views numbers a view twice: \[1, 2, 1\]"),
    ],
)
def test_views_that_are_not_there_are_refused(views, message, synthetic):
    settings = data.Settings(name="nerf_synthetic", dir=str(synthetic), rays=16, views=views)
    with pytest.raises(InputError, match=message):
        data.open(settings, "train")


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
    more = {"camera_angle_y": 0.5, "cx": 7.0, "k2": 0.02, "is_fisheye": False, "k4": 0.0, "depth_unit": 1.0}
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
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == ["not read: depth_unit"] * 2


def test_llff_axes_focal_length_and_recentring(tmp_path):
    """Cameras in a plane that look along -z, written with LLFF's axes (down, right, back)."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows, places = [], np.concatenate([rng.uniform(-1, 1, (9, 2)), np.zeros((9, 1))], 1)
    for i, place in enumerate(places):
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
    # What lies to the right in the world lies to the right of the cameras; the nearest depth, 2, is at 1 / 0.75.
    np.testing.assert_allclose(scene.pose[:, :, 3], (places - places.mean(0))[1:8] / 1.5, atol=1e-6)
    assert all(view.pose[2, 2] > 0.9 for view in Rig.kept(scene.cameras).spiral(5))


def capture(folder, suffix="JPG"):
    """As LLFF writes it: nine cameras in a plane that look along -z, of views 30 x 20."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(9):
        axes = np.stack([[0, -1, 0], [1, 0, 0], [0, 0, 1], [i / 9, 0, 0]], -1)
        rows.append([*np.concatenate([axes, [[40], [60], [50.0]]], 1).ravel(), 2.0, 9.0])
        exif = Image.Exif()
        exif[0x0112] = 6  # Shown a quarter turned.
        Image.fromarray(np.full((20, 30, 3), 9 * i, np.uint8)).save(folder / "images" / f"{i}.{suffix}", exif=exif)
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return np.array(rows)


@pytest.mark.parametrize(
    "bounds,message",
    [
        ((-0.5, 9), "3.JPG sees from -0.5 to 9, the median view from 2; bounds must be above 0"),
        ((0, 9), "3.JPG sees from 0 to 9"),
        ((1e-10, 9), "3.JPG sees from 1e-10 to 9"),
        ((9, 2), "3.JPG sees from 9 to 2"),
        ((np.nan, 9), "the row of 3.JPG must be finite"),
    ],
)
def test_bounds_of_llff_that_no_camera_has_are_refused(tmp_path, bounds, message):
    rows = capture(tmp_path)
    rows[3, 15:] = bounds
    np.save(tmp_path / "poses_bounds.npy", rows)
    with pytest.raises(InputError, match=message):
        llff.read(tmp_path, "test", 1)


def test_a_file_of_poses_that_is_none_is_refused(tmp_path):
    capture(tmp_path)
    whole = (tmp_path / "poses_bounds.npy").read_bytes()
    for damaged in (b"", whole[:40], whole[:-8], whole.replace(b"'shape'", b"'shape(")):
        (tmp_path / "poses_bounds.npy").write_bytes(damaged)
        with pytest.raises(InputError, match="poses_bounds.npy: cannot be read"):
            llff.read(tmp_path, "test", 1)
    np.save(tmp_path / "poses_bounds.npy", np.full((9, 17), "1"))
    with pytest.raises(InputError, match=r"poses_bounds.npy: <U1 \[9, 17\]; it must be numbers \[views, 17\]"):
        llff.read(tmp_path, "test", 1)


def test_posed_views_are_not_turned(tmp_path, captured, truth):
    rows = capture(tmp_path)
    scene = llff.read(tmp_path, "train", 1)
    assert scene.colour.shape == (7, 20, 30, 4)
    np.testing.assert_allclose(scene.intrinsics[0, :4], [25, 25, 15, 10])
    rows[4, 15] = 1.0  # The nearest of all is to be at 1 / 0.75.
    np.save(tmp_path / "poses_bounds.npy", rows)
    nearer = llff.read(tmp_path, "train", 1)
    np.testing.assert_allclose(np.diff(nearer.pose[:, 0, 3]), 1 / 9 / 0.75, rtol=1e-5)
    rows[:, [4, 9]] = 60, 40  # Width and height of the turned image.
    np.save(tmp_path / "poses_bounds.npy", rows)
    with pytest.raises(InputError, match="width and height are 40 x 60, but 0.JPG has 30 x 20 pixels as it is stored"):
        llff.read(tmp_path, "test", 1)
    exif = Image.Exif()
    exif[0x0112] = 3  # Upside down.
    for i, view in enumerate(truth.colour):
        Image.fromarray(view).save(captured / f"{i:03d}.png", exif=exif)
    np.testing.assert_array_equal(transforms.read(captured, "test").colour, truth.colour[::8])


def test_the_focal_length_of_either_axis_will_do_and_a_frames_own_comes_first(captured):
    path = captured / "transforms.json"

    def lens(fields, **own):
        def change(record):
            for name in ("fl_x", "fl_y", "w", "h", "cx", "cy", "camera_angle_x", "camera_angle_y"):
                record.pop(name, None)
                record["frames"][0].pop(name, None)
            record.update(fields)
            record["frames"][0].update(own)

        edit(path, change)
        return [list(transforms.read(captured, "test").intrinsics[i, :2]) for i in (0, 1)]

    of = lambda angle: pytest.approx(SIZE / 2 / np.tan(angle / 2), rel=1e-6)
    assert lens({"camera_angle_y": 0.5}) == [[of(0.5), of(0.5)]] * 2
    # Of a picture of 20 x 12 pixels.
    assert cameras.lens({"camera_angle_y": 0.5}, (12, 20), "x")[0] == pytest.approx(6 / np.tan(0.25))
    assert lens({"camera_angle_x": 0.7, "camera_angle_y": 0.5}) == [[of(0.7), of(0.5)]] * 2
    assert lens({"fl_x": 30.0}, camera_angle_x=0.5) == [[of(0.5), of(0.5)], [30, 30]]
    assert lens({"fl_x": 30.0, "fl_y": 31.0}, fl_x=20.0, fl_y=21.0) == [[20, 21], [30, 31]]
    with pytest.raises(InputError, match="000.png has a focal length or angle of x, the file one of y; give both"):
        lens({"fl_x": 30.0, "fl_y": 30.0}, camera_angle_x=0.5)


@pytest.mark.parametrize("form", ["./{}", "{}.JPG", "..\\captured\\{}", "..\\captured\\{}.JPG"])
def test_images_are_found_however_they_are_named(captured, form):
    for file in captured.glob("*.png"):
        Image.open(file).convert("RGB").save(file.with_suffix(".JPG"))
        file.unlink()
    text = (captured / "transforms.json").read_text()
    record = json.loads(text)
    for i, frame in enumerate(record["frames"]):
        frame["file_path"] = form.format(f"{i:03d}")
    (captured / "transforms.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode())  # Marked as UTF-8.
    assert transforms.read(captured, "test").names == ("000.JPG", "008.JPG")


def test_the_split_that_a_file_declares_is_used(captured, caplog):
    path = captured / "transforms.json"
    lists = {"train_filenames": ["000.png", "./003.png"], "val_filenames": ["004.png"]}
    lists["test_filenames"] = ["008.png", "007.png"]
    edit(path, lambda r: r.update(lists))
    found = {split: transforms.read(captured, split).names for split in data.SPLITS}
    assert found == {"train": ("000.png", "003.png"), "val": ("004.png",), "test": ("007.png", "008.png")}
    edit(path, lambda r: r.pop("val_filenames"))
    assert transforms.read(captured, "val").names == ("007.png", "008.png")
    edit(path, lambda r: r.update(test_filenames=["000.png", "001.png"]))
    transforms.read(captured, "test")
    assert caplog.messages[-1].endswith("of 2 views of 'test' it has 1 trained on")
    edit(path, lambda r: r.update(test_filenames=["gone.png"]))
    with pytest.raises(InputError, match="`test_filenames` has 'gone.png', which is the `file_path` of no frame"):
        transforms.read(captured, "train")
    edit(path, lambda r: r.update(test_filenames="008.png"))
    with pytest.raises(InputError, match="`test_filenames` must be a list of names of files, got 008.png"):
        transforms.read(captured, "train")
    edit(path, lambda r: r.pop("train_filenames"))
    with pytest.raises(InputError, match="has `test_filenames`, but none of 'train'"):
        transforms.read(captured, "train")


def test_masked_pixels_take_no_part(captured, truth):
    """The left half of a view, all of another."""
    half, nothing = np.full((SIZE, SIZE), 255, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    half[:, : SIZE // 2] = 0
    for name, mask, view in (("half", half, 1), ("half", half, 8), ("nothing", nothing, 2)):
        Image.fromarray(mask).save(captured / f"{name}.png")
        edit(captured / "transforms.json", lambda r: r["frames"][view].update(mask_path=f"{name}.png"))
    pixels = SIZE * SIZE
    settings = data.Settings(name="transforms", dir=str(captured), rays=pixels // 2)
    train = data.open(settings, "train")
    assert len(train) == 2 * len(train.cameras["pose"]) - 1 == 2 * 13 - 1
    poses, pixel = (np.concatenate([train[i][name] for i in range(len(train))]) for name in ("pose", "pixel"))
    assert len(np.unique(poses, axis=0)) == 13
    x = pixel[(np.abs(poses - train.cameras["pose"][0]) < 1e-6).all((1, 2)), 0]
    assert len(x) == pixels // 2 and x.min() == SIZE // 2 + 0.5
    held = data.open(settings, "test")
    assert held[0]["mask"].all() and held[1]["mask"].shape == (SIZE, SIZE, 1)
    np.testing.assert_array_equal(held[1]["mask"][..., 0], half > 0)
    # Reduced, a pixel counts where all that it is made of does.
    half[:, SIZE // 2] = 0
    Image.fromarray(half).save(captured / "half.png")
    reduced = transforms.read(captured, "test", 2).pictures.mask[1]
    assert not reduced[:, : SIZE // 4 + 1].any() and reduced[:, SIZE // 4 + 1 :].all()
    Image.fromarray(half[:8]).save(captured / "half.png")
    with pytest.raises(InputError, match="half.png: 16 x 8 pixels, but its image 008.png has 16 x 16"):
        transforms.read(captured, "test")
    Image.fromarray(nothing).save(captured / "half.png")
    assert transforms.read(captured, "test").names == ("000.png",)
    edit(captured / "transforms.json", lambda r: [frame.update(mask_path="nothing.png") for frame in r["frames"]])
    with pytest.raises(InputError, match="masks leave no pixel of any view; what is black in a mask takes no part"):
        transforms.read(captured, "test")
    edit(captured / "transforms.json", lambda r: r["frames"][0].update(mask_path="gone.png"))
    with pytest.raises(InputError, match="the mask gone.png of 000.png is missing"):
        transforms.read(captured, "test")


def test_views_may_be_of_several_sizes(synthetic, truth):
    """Some are cut to half their height, with a lens of their own."""
    for i in (0, 5):
        Image.fromarray(truth.colour[i, : SIZE // 2]).save(synthetic / "train" / f"r_{i}.png")
        Image.fromarray(truth.colour[i, : SIZE // 2]).save(synthetic / "test" / f"r_{i}.png")
    scene = nerf_synthetic.read(synthetic, "train")
    assert scene.cameras["size"] == (SIZE // 2, SIZE)
    np.testing.assert_allclose(scene.intrinsics[0, :4], truth.intrinsics[0, :4] - [0, 0, 0, SIZE // 4], rtol=1e-5)
    np.testing.assert_allclose(scene.intrinsics[1], truth.intrinsics[1], rtol=1e-5)
    rays = opened("nerf_synthetic", synthetic, "train")
    seen = set()
    for bundle in (rays[i] for i in range(len(rays))):
        view = [np.abs(truth.pose - p).sum((1, 2)).argmin() for p in bundle["pose"]]
        x, y = np.floor(bundle["pixel"]).astype(int).T
        np.testing.assert_array_equal(bundle["colour"], truth.colour[view, y, x])
        seen |= set(zip(view, y.tolist(), x.tolist()))
    assert len(seen) == 15 * SIZE * SIZE
    assert max(y for view, y, x in seen if view in (0, 5)) == SIZE // 2 - 1
    held = opened("nerf_synthetic", synthetic, "test")
    assert held[0]["mask"].sum() == SIZE * SIZE // 2 and held[1]["mask"].all()


def test_cameras_in_a_room_may_look_outward(captured, caplog):
    """All do, or each somewhere else; around a thing none does."""
    path = captured / "transforms.json"
    rng = np.random.default_rng(0)

    def room(record):
        for i, frame in enumerate(record["frames"]):
            angle = i * np.pi / 8
            ahead = np.array([np.cos(angle), np.sin(angle), 0])
            place = 0.3 * ahead if outward else rng.uniform(-1, 1, 3)
            frame["transform_matrix"] = matrix(cameras.look_at(place, place + ahead, np.array([0.0, 0.0, 1.0])))

    for outward in (True, False):
        edit(path, room)
        assert len(transforms.read(captured, "train").names) == 14
        assert "of 16 cameras look away from the scene, the first: " in caplog.messages[-1]
        assert caplog.messages[-1].endswith("around a thing, cameras must look along -z with y up (OpenGL)")


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
    refused(lambda r: r.update(camera_angle_x="0.7"), "`camera_angle_x` must be a number above 0 and .*, got '0.7'")
    refused(lambda r: r.update(camera_angle_x=4.0), "`camera_angle_x` must be a number above 0 and below 3.14")
    refused(lambda r: r.update(fl_x=0), "`fl_x` must be a number above 0, got 0")
    refused(lambda r: r.update(fl_x=10**400), "`fl_x` must be a number above 0, got 1000")
    refused(lambda r: r.update(w=0, h=0), "`h` must be a number above 0, got 0")
    refused(lambda r: r.update(w=16, h=24), "`w` and `h` are 16 x 24, but ./train/r_0 has 16 x 16 pixels as")
    refused(lambda r: r.update(camera_model="OPENCV_FISHEYE"), "`camera_model` is 'OPENCV_FISHEYE'; it must be one of")
    refused(lambda r: r.update(distortion_params=[0.1, 0]), "`distortion_params` is .*, of a lens that is not modelled")
    refused(lambda r: r["frames"].insert(1, 7), "frame 1 needs `file_path` and `transform_matrix`")
    refused(lambda r: r["frames"][1].update(file_path=7), "`file_path` of frame 1 must be the name of a file, got 7")
    ragged = lambda value: lambda r: r["frames"][3]["transform_matrix"][1].__setitem__(slice(2, None), value)
    refused(ragged([]), "transform_matrix of ./train/r_3 is no matrix of numbers")
    refused(ragged([{}, 0]), "transform_matrix of ./train/r_3 is no matrix of numbers")
    transposed = lambda frame: frame.update(transform_matrix=np.transpose(frame["transform_matrix"]).tolist())
    refused(lambda r: transposed(r["frames"][3]), "transform_matrix of ./train/r_3 has the last row .*; it must be")
    refused(lambda r: r.update(k3=0.1), "transforms_train.json: `k3` is 0.1, of a lens that is not modelled")

    def poison(record):
        record["frames"][2]["transform_matrix"][0][3] = float("nan")

    refused(poison, "pose of r_2.png is not finite")

    def turn(record):
        for row in record["frames"][4]["transform_matrix"][:3]:
            row[0], row[2] = -row[0], -row[2]

    refused(turn, "1 of 16 cameras look away from the scene, the first: r_4.png")
    refused(
        lambda r: r["frames"][1].update(file_path="./train/nothing"),
        "1 of 16 images are missing, the first: ./train/nothing",
    )
    path = captured / "transforms.json"
    for value, message in ((1e308, "is not finite, or beyond all bounds"), (7, "has no orthonormal axes")):
        wrong = lambda r: r["frames"][2]["transform_matrix"][1].__setitem__(0, value)
        refused(wrong, f"the pose of 002.png {message}", transforms.read, captured, path)
    refused(
        lambda r: r["frames"][1].update(file_path="gone.png"),
        "1 of 16 images are missing, the first: gone.png",
        transforms.read,
        captured,
        path,
    )
    assert train.read_text() == original
    with pytest.raises(InputError, match="transforms_train.json: no such file"):
        nerf_synthetic.read(tmp_path, "train")
    with pytest.raises(InputError, match="is not a folder; llff needs one"):
        opened("llff", tmp_path / "none", "train")
