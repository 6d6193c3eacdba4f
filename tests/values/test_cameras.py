"""Cameras are placed around a scene as asked, and read from files as others write them."""

import json

import numpy as np
import pytest

from vision_gen import values
from vision_gen.data import analytic_scene, cameras
from vision_gen.errors import InputError
from vision_gen.values.cameras import Rig, write_cameras


@pytest.fixture(scope="module")
def scene():
    return analytic_scene.render("val", 20)


@pytest.fixture(scope="module")
def rig(scene):
    return Rig.kept(json.loads(json.dumps(scene.cameras)))


def test_an_orbit_looks_at_the_middle_from_where_it_was_asked(rig):
    view = values.Camera(rig).read("orbit:azimuth=90,elevation=30,distance=0.5,width=40", "camera")
    assert view.size == (40, 40)
    np.testing.assert_allclose(view.intrinsics[:4], 2 * rig.intrinsics[:4])
    centre = cameras.scene_centre(rig.pose)
    away = view.pose[:, 3] - centre
    mean = np.linalg.norm(rig.pose[:, :, 3] - centre, axis=1).mean()
    assert np.linalg.norm(away) == pytest.approx(0.5 * mean, rel=1e-4)
    assert np.degrees(np.arcsin(away[2] / np.linalg.norm(away))) == pytest.approx(30, abs=1e-3)
    # It looks along -z, at the middle.
    np.testing.assert_allclose(view.pose[:, 2], away / np.linalg.norm(away), atol=1e-5)
    other = values.Camera(rig).read("orbit:azimuth=0,elevation=30", "camera")
    level = lambda v: (v.pose[:, 3] - centre) * [1, 1, 0]
    assert level(view) @ level(other) == pytest.approx(0, abs=1e-4)


def test_a_path_goes_round_once(scene, rig):
    views = values.Cameras(rig).read("orbit:frames=5", "cameras")
    centre = cameras.scene_centre(rig.pose)
    distances = [np.linalg.norm(v.pose[:, 3] - centre) for v in views]
    np.testing.assert_allclose(distances, distances[0], rtol=1e-5)
    steps = [np.linalg.norm(a.pose[:, 3] - b.pose[:, 3]) for a, b in zip(views, views[1:] + views[:1])]
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    mean_height = (rig.pose[:, :, 3] - centre)[:, 2].mean()
    assert views[0].pose[2, 3] - centre[2] == pytest.approx(mean_height, rel=1e-3)
    arrays = values.Cameras(rig).array(views)
    assert arrays["pose"].shape == (1, 5, 3, 4) and arrays["pixel"].shape == (1, 20, 20, 2)
    assert arrays["pixel"][0, 0, 0].tolist() == [0.5, 0.5] and arrays["pixel"][0, 3, 7].tolist() == [7.5, 3.5]


def test_a_spiral_stays_before_the_scene():
    up = np.array([0, 1.0, 0])
    corners = [np.array([x, y, 0.0]) for x in (-1, 1) for y in (-1, 1)]
    poses = np.stack([cameras.look_at(corner + [0, 0, 5], corner / 2, up) for corner in corners])
    rig = Rig(poses, np.float32([30, 30, 8, 8, 0, 0, 0, 0]), (16, 16), "spiral")
    views = values.Cameras(rig).read("spiral:frames=6,width=8", "cameras")
    assert len(views) == 6 and views[0].size == (8, 8)
    for view in views:
        assert np.abs(view.pose[:2, 3]).max() < 1.5 and view.pose[2, 2] > 0.8
    assert values.Camera(rig).read("orbit:azimuth=0", "c").pose[2, 2] > 0.99


def test_cameras_are_read_from_the_files_of_others(scene, rig, tmp_path):
    views = values.Cameras(rig).read("orbit:frames=3", "cameras")
    write_cameras(views, tmp_path / "c.json")
    for rigged in (rig, None):  # The file says everything.
        again = values.Cameras(rigged).read(tmp_path / "c.json", "cameras")
        for a, b in zip(views, again, strict=True):
            np.testing.assert_allclose(a.pose, b.pose)
            np.testing.assert_allclose(a.intrinsics, b.intrinsics)
            assert a.size == b.size
    # nerf_synthetic: an angle for all, no size.
    angle = 2 * np.arctan(0.5 * 20 / rig.intrinsics[0])
    frames = [{"file_path": "x", "transform_matrix": [*p.tolist(), [0, 0, 0, 1]]} for p in scene.pose]
    (tmp_path / "t.json").write_text(json.dumps({"camera_angle_x": float(angle), "frames": frames}))
    found = values.Cameras(rig).read(tmp_path / "t.json", "cameras")
    np.testing.assert_allclose([v.intrinsics for v in found], scene.intrinsics, rtol=1e-4)
    # An angle of its own, and a file that begins with a mark of UTF-8.
    frames[1]["camera_angle_x"] = 0.5
    (tmp_path / "t.json").write_text(json.dumps({"fl_x": 30.0, "frames": frames}), encoding="utf-8-sig")
    found = [view.intrinsics[0] for view in values.Cameras(rig).read(tmp_path / "t.json", "cameras")]
    assert found[:2] == [30, pytest.approx(10 / np.tan(0.25))]
    one = values.Camera(rig).read(scene.pose[2], "camera")
    np.testing.assert_array_equal(one.pose, scene.pose[2])


def test_what_is_no_camera_is_refused_by_name(rig, tmp_path):
    camera, path = values.Camera(rig), values.Cameras(rig)
    for kind, given, message in (
        (camera, "orbit:azimut=3", "camera: unknown 'azimut' in .*; there are azimuth, elevation, distance, width"),
        (camera, "orbit:azimuth=left", "camera: azimuth must be a number, got 'left'"),
        (camera, "orbit:width=0.5", "width must be an integer from 1 to 16384, got 0.5"),
        (camera, "nothing.json", "camera: 'nothing.json': no such file; it must be .*orbit"),
        (camera, np.ones((3, 4)), "axes of transform_matrix are not orthonormal"),
        (camera, np.ones((2, 2)), r"transform_matrix has shape \[2, 2\]"),
        (path, "orbit:frames=0", "frames must be from 1 to 10000, got 0"),
        (path, "spiral:elevation=3", "unknown 'elevation'"),
        (path, "spiral:frames=3", "stand around the scene, and a spiral before it; take orbit"),
        (path, "orbit:distance=0", "distance must be a number above 0, got '0'"),
        (values.Camera(None), "orbit:", "this run kept no cameras to go around"),
    ):
        with pytest.raises(InputError, match=message):
            kind.read(given, "camera")
    at = {"transform_matrix": rig.pose[0].tolist(), "fl_x": 20, "w": 20, "h": 20}
    for field, found in (("k3", 0.1), ("is_fisheye", True), ("rolling_shutter", [0, 0, 1, 0])):
        with pytest.raises(InputError, match=f"camera: `{field}` is .*, of a lens that is not modelled"):
            camera.read({**at, field: found}, "camera")
    with pytest.raises(InputError, match="camera: `camera_model` is 'OPENCV_FISHEYE'; it must be one of OPENCV, "):
        camera.read({**at, "camera_model": "OPENCV_FISHEYE"}, "camera")
    with pytest.raises(InputError, match="camera: there is neither `fl_x` nor `camera_angle_x`"):
        camera.read({"transform_matrix": at["transform_matrix"], "k1": 0.1}, "camera")
    harmless = {"camera_model": "OPENCV", "k3": 0.0, "is_fisheye": False, "sharpness": 30.0, "aabb_scale": 16}
    np.testing.assert_array_equal(
        camera.read({**at, **harmless}, "camera").intrinsics, camera.read(at, "camera").intrinsics
    )
    (tmp_path / "odd.json").write_text('{"frames": [3]}')
    with pytest.raises(InputError, match="camera: cannot be read as a camera"):
        camera.read(tmp_path / "odd.json", "camera")
    (tmp_path / "odd.json").write_text('{"frames": 3}')
    with pytest.raises(InputError, match="must have one camera in `frames`"):
        camera.read(tmp_path / "odd.json", "camera")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(InputError, match="lists no `frames`"):
        path.read(tmp_path / "empty.json", "cameras")
