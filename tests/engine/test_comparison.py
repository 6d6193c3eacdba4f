"""Folders of images are compared with figures that say what they are of."""

import functools
import gc
import json
import tempfile
from types import SimpleNamespace
import weakref

import jax
import numpy as np
from PIL import Image
import pytest

from vision_gen.data import images as image_files
from vision_gen.engine import comparison, distances
from vision_gen.errors import InputError
from vision_gen.metrics import extract, resizing
from vision_gen.metrics import image as image_metrics


@pytest.fixture(scope="module", autouse=True)
def cache(as_users, tmp_path_factory):
    """A cache of its own; and each network is compiled once, for few images at a time, to be fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISION_GEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(extract, "Extractor", functools.cache(functools.partial(extract.Extractor, batch_size=8)))
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Smooth pictures, others of their kind, and noise."""
    rng = np.random.default_rng(0)
    found = {}
    for name in ("a", "b", "noise"):
        found[name] = tmp_path_factory.mktemp(name)
        for i in range(12):
            small = rng.integers(0, 256, (32, 32, 3) if name == "noise" else (3, 3, 3), np.uint8)
            picture = Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)
            if i == 3:
                picture = picture.convert("L")
            if i == 4:
                picture = picture.resize((20, 44))
            picture.save(found[name] / f"{i}.png")
    return found


def test_pictures_of_a_kind_are_nearer_than_noise(folders, tmp_path):
    def compare(reference, generated, **more):
        return comparison.compare_folders(
            folders[reference], folders[generated], tmp_path, metrics=("fd", "kid"), **more
        )

    near, far = compare("a", "b"), compare("a", "noise")
    for name in ("Frechet distance (efficientnet-lite0)", "kernel distance (efficientnet-lite0)"):
        assert near[name] < 0.7 * far[name], (near, far)
    record = json.loads((tmp_path / "metrics.json").read_text())["evaluations"]
    assert [evaluation["of"]["generated"] for evaluation in record] == [str(folders["b"]), str(folders["noise"])]
    entry = record[1]["metrics"]["fd"]
    assert entry["images"] == entry["reference_images"] == 12 and entry["resize"] == "clean"
    assert entry["title"] == "Frechet distance (efficientnet-lite0)"
    assert "fewer than the 1280 features" in entry["warning"]
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "<script" not in page
    assert compare("a", "a")["Frechet distance (efficientnet-lite0)"] < 1e-2
    # Another protocol is another figure, whatever lies in the cache, and stands beside the first.
    other = compare("a", "noise", resize="legacy_pytorch")
    assert set(other.values()).isdisjoint(far.values())
    assert "kernel distance (efficientnet-lite0), legacy_pytorch" in other
    page = (tmp_path / "report.html").read_text()
    assert all(f"<td>{title}</td>" in page for title in (*far, *other))


def test_statistics_are_used_again_only_for_the_same_images(folders, tmp_path, monkeypatch):
    first = comparison.compare_folders(folders["a"], folders["b"], tmp_path)
    computed = []
    compute = extract.statistics
    monkeypatch.setattr(extract, "statistics", lambda *a: computed.append(a[2]) or compute(*a))
    assert comparison.compare_folders(folders["a"], folders["b"], tmp_path) == first
    assert not computed
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in folders["a"].iterdir():
        Image.open(path).convert("RGB").rotate(180).save(changed / path.name)
    assert comparison.compare_folders(changed, folders["b"], tmp_path) != first
    assert computed == [12]


def test_eight_devices_find_the_same_features(folders):
    images = [np.full((16, 16, 3), 20 * i, np.uint8) for i in range(11)]
    alone = extract.Extractor(batch_size=4, devices=(jax.devices()[0],))
    together = extract.Extractor("efficientnet-lite0", "clean", path=None)
    assert len(jax.devices()) == 8
    one, eight = (
        np.concatenate([f["features"] for f in e.stream(images)]) for e in (alone, together)
    )
    assert one.shape == (11, 1280)
    np.testing.assert_allclose(one, eight, atol=2e-5)


def test_statistics_of_pytorch_fid_serve_as_reference(folders, tmp_path):
    extractor = extract.Extractor("efficientnet-lite0", "clean", path=None)
    images = [np.full((16, 16, 3), 20 * i, np.uint8) for i in range(11)]
    found = extract.statistics(extractor, images, 11)
    np.savez(tmp_path / "stats.npz", mu=found.mean, sigma=found.covariance)
    value = comparison.compare_folders(tmp_path / "stats.npz", folders["a"], tmp_path)
    # From the features themselves: the root of a product of covariances X'X Y'Y has the trace of XY''s singular values.
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folders["a"].iterdir())]
    of = lambda some: np.concatenate([f["features"] for f in extractor.stream(some)]).astype(np.float64)
    (mean, x), (mean2, y) = ((f.mean(0), (f - f.mean(0)) / (len(f) - 1) ** 0.5) for f in map(of, (images, pictures)))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    expected = ((mean - mean2) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * cross
    assert value["Frechet distance (efficientnet-lite0)"] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(InputError, match="kid need the reference's images, at least 2; .*stats.npz has none"):
        comparison.compare_folders(tmp_path / "stats.npz", folders["a"], tmp_path, metrics=("kid",))
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(InputError, match="not a file of statistics with mu and sigma"):
        comparison.compare_folders(tmp_path / "other.npz", folders["a"], tmp_path)


def test_what_cannot_be_compared_is_named(folders, tmp_path):
    compare = lambda a, b, **more: comparison.compare_folders(a, b, tmp_path / "out", **more)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--generated: no images .* below .*empty"):
        compare(folders["a"], tmp_path / "empty")
    with pytest.raises(InputError, match="--reference: .*nowhere.* is not a folder"):
        compare(tmp_path / "nowhere", folders["a"])
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folders["a"].iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[: -30 if path.stem == "7" else None])
    with pytest.raises(InputError, match="7.png: truncated"):
        compare(folders["a"], broken)
    with pytest.raises(InputError, match="unknown 'top1'; two folders have fd, fid, kid, .*psnr, ssim"):
        compare(folders["a"], folders["b"], metrics=("top1",))
    with pytest.raises(InputError, match='"fid" is the Frechet distance of features of inception-2015'):
        compare(folders["a"], folders["b"], metrics=("fid",))
    with pytest.raises(InputError, match="--features must be one of .*'vgg16'"):
        compare(folders["a"], folders["b"], features="vgg16")
    assert not (tmp_path / "out").exists()


def test_nothing_is_computed_where_something_is_wrong(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "fingerprint", None)

    def compare(output=tmp_path / "out", **more):
        comparison.compare_folders(folders["a"], folders["b"], output, **more)

    with pytest.raises(InputError, match="--features must be one of .*'vgg'"):
        compare(metrics=("psnr",), features="vgg")
    with pytest.raises(InputError, match="--resize must be one of .*'box'"):
        compare(metrics=("psnr",), resize="box")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output: .*file' is a file, not a folder"):
        compare(output=tmp_path / "file" / "out")
    with pytest.raises(InputError, match="--save-stats: .*file' is a file, not a folder"):
        comparison.save_statistics(folders["a"], tmp_path / "file" / "a.npz")
    with pytest.raises(InputError, match="--metrics: ms_ssim needs 161 px a side; .*0.png is 32 x 32 px"):
        compare(metrics=("ms_ssim",))
    few = tmp_path / "few"
    few.mkdir()
    for name in "012":
        (few / f"{name}.png").write_bytes((folders["a"] / f"{name}.png").read_bytes())
    with pytest.raises(InputError, match="--reference: .*few has 3 of the 4 images that are needed at least"):
        comparison.compare_folders(few, folders["b"], tmp_path / "out", metrics=("recall",))
    (tmp_path / "empty.npz").touch()
    with pytest.raises(InputError, match="empty.npz: not a file of statistics"):
        comparison.compare_folders(tmp_path / "empty.npz", folders["b"], tmp_path / "out")
    np.savez(tmp_path / "other.npz", mu=np.zeros(9), sigma=np.eye(9))
    with pytest.raises(InputError, match="other.npz has 9 features an image, efficientnet-lite0 gives 1280"):
        comparison.compare_folders(tmp_path / "other.npz", folders["b"], tmp_path / "out")

    def refuse(dir):
        raise PermissionError(1, "Operation not permitted", dir)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(InputError, match="--output: the folder .* cannot be written .Operation not permitted"):
        compare()
    assert not (tmp_path / "out").exists()


def test_damaged_statistics_of_the_cache_are_named_before_the_others_are_computed(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_GEN_CACHE", str(tmp_path))
    comparison.save_statistics(folders["b"], tmp_path / "b.npz")
    (cached,) = (tmp_path / "statistics").iterdir()
    cached.write_bytes(cached.read_bytes()[:1000])
    monkeypatch.setattr(extract, "statistics", None)
    with pytest.raises(InputError, match=f"{cached.name}: not a file of statistics .* of the cache: delete it"):
        comparison.compare_folders(folders["a"], folders["b"], tmp_path / "out")


def test_files_are_not_turned_as_pytorch_fid_and_clean_fid_do_not(tmp_path):
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, more in (("turned", {"exif": exif}), ("plain", {})):
        (tmp_path / name).mkdir()
    for i in range(4):
        picture = Image.fromarray(rng.integers(0, 256, (20, 44, 3), np.uint8))
        picture.save(tmp_path / "turned" / f"{i}.png", exif=exif)
        picture.save(tmp_path / "plain" / f"{i}.png")
    found = comparison.compare_folders(
        tmp_path / "plain", tmp_path / "turned", tmp_path / "out", metrics=("psnr", "fd", "precision")
    )
    assert found["psnr"] == pytest.approx(20 * np.log10(255), abs=1e-3)
    assert found["precision (efficientnet-lite0)"] == 1 and found["Frechet distance (efficientnet-lite0)"] < 1e-2


def test_many_sizes_share_a_few_programs(monkeypatch):
    traced, ssim = [], image_metrics.ssim
    monkeypatch.setattr(image_metrics, "ssim", lambda *given: traced.append(given[0].shape) or ssim(*given))
    function, rng = distances.paired("ssim"), np.random.default_rng(0)
    for side in range(33, 63, 3):
        pair = rng.uniform(-1, 1, (2, 1, side, side + 1, 3)).astype(np.float32)
        pair[1] = (pair[0] + pair[1]) / 2  # Alike, so that SSIM is not about 0.
        np.testing.assert_allclose(function(*pair), ssim(*pair), rtol=1e-4)
    assert traced == [(1, 64, 64, 3)]
    extractor = extract.Extractor("efficientnet-lite0", "clean", path=None)
    resizing._resized.clear_cache()
    list(extractor.stream(np.zeros((33 + i, 60 - i, 3), np.uint8) for i in range(20)))
    assert extractor._function._cache_size() == resizing._resized._cache_size() == 1


def test_lpips_keeps_a_few_programs_for_all_sizes(monkeypatch):
    inside = lambda x, size: x.sum((1, 2, 3)) / (size[0] * size[1] * 3)
    lpips = lambda params, a, b, size: params * (inside(a, size) - inside(b, size))
    monkeypatch.setattr(distances.perceptual, "load_lpips", lambda name: (lpips, 2.0))
    monkeypatch.setattr(distances, "KEPT", 1)
    function, alive = distances.paired("lpips"), []
    compiled = distances.jax.jit
    monkeypatch.setattr(distances.jax, "jit", lambda *a, **k: alive.append(weakref.ref(a[0])) or compiled(*a, **k))
    sizes = [(31, 40), (32, 40), (33, 40), (35, 40), (36, 37), (31, 31)]
    for size in sizes:
        pair = np.ones((2, 1, *size, 3), np.float32) * np.float32([3, 1])[:, None, None, None, None]
        np.testing.assert_allclose(function(*pair), 4, rtol=1e-6)
    assert [distances.program(size) for size in sizes] == [(32, 40), (32, 40), (36, 40), (36, 40), (36, 40), (32, 32)]
    gc.collect()
    assert [reference() is not None for reference in alive] == [False, False, True]


def test_figures_that_are_not_finite_are_errors(folders, tmp_path, monkeypatch):
    assert distances.mean("x", np.array([1, np.nan, 3.0]), "")["images"] == 2
    for values, message in (([np.nan, np.nan], "x is not a number"), ([1, np.inf, np.nan], "x is infinite")):
        with pytest.raises(InputError, match=message):
            distances.mean("x", np.array(values), "")
    monkeypatch.setattr(distances, "paired", lambda name: lambda image, truth: np.array([np.nan]))
    with pytest.raises(InputError, match="psnr of 0 is nan"):
        comparison.compare_folders(folders["a"], folders["b"], tmp_path, metrics=("psnr",))


@pytest.mark.parametrize(
    "name,enough,few",
    [("fd", 1281, "fewer than the 1280 features"), ("kid", 1000, "fewer than the 1000 of a subset"),
     ("is", 10_000, "fewer a part than the 1000 classes: the score is too low, at most 999"),
     ("precision", 10_000, "neighbours are far"), ("recall", 10_000, "neighbours are far")],
)  # fmt: skip
def test_every_distance_warns_of_too_few_images_by_a_rule_of_its_own(name, enough, few, monkeypatch, caplog):
    monkeypatch.setattr(extract, "distances", lambda *_: {name: ("Title", 1.0, None)})
    extractor = SimpleNamespace(key={})
    of = lambda count: extract.Statistics(count, np.zeros(1280), None)
    with caplog.at_level("WARNING", "vision_gen"):
        assert "warning" not in distances.entries((name,), of(enough), of(enough), extractor)[name]
        # Statistics of pytorch-fid do not say how many images they are of.
        assert "warning" not in distances.entries((name,), of(0), of(enough), extractor)[name]
        assert not caplog.messages
        entry = distances.entries((name,), of(enough), of(enough - 1), extractor)[name]
    assert f"{enough - 1} images" in entry["warning"] and few in entry["warning"]
    assert caplog.messages == [f"Title: {entry['warning']}"]


def test_statistics_are_saved_and_read_in_place_of_the_folder(folders, tmp_path):
    metrics = ("fd", "kid", "precision")
    whole = comparison.compare_folders(folders["a"], folders["b"], tmp_path / "whole", metrics=metrics)
    path = comparison.save_statistics(folders["a"], tmp_path / "new" / "a.npz")
    assert comparison.compare_folders(path, folders["b"], tmp_path / "saved", metrics=metrics) == whole
    read = lambda name: json.loads((tmp_path / name / "metrics.json").read_text())["evaluations"][0]
    assert read("whole")["of"]["fingerprints"] == read("saved")["of"]["fingerprints"]
    with pytest.raises(InputError, match="a.npz has statistics of .*'clean'.*; --features.* for .*'legacy_pytorch'"):
        comparison.compare_folders(path, folders["b"], tmp_path, resize="legacy_pytorch")
    with pytest.raises(InputError, match="--save-stats: 'a.txt' must end in .npz"):
        comparison.save_statistics(folders["a"], "a.txt")


def test_files_of_one_name_are_pairs(folders, tmp_path):
    compare = lambda other, *metrics: comparison.compare_folders(folders["a"], other, tmp_path / "out", metrics=metrics)
    shifted = tmp_path / "shifted"
    (shifted).mkdir()
    read = lambda path: np.asarray(Image.open(path).convert("RGB"))
    errors = []
    for path in sorted(folders["a"].iterdir()):
        image = Image.fromarray(np.uint8(np.clip(read(path).astype(int) + 16, 0, 255)))
        image.save(shifted / path.with_suffix(".webp").name, lossless=True)
        errors.append(np.mean((read(path) / 255.0 - np.asarray(image) / 255.0) ** 2))
    found = compare(shifted, "psnr", "ssim")
    assert found["psnr"] == pytest.approx(np.mean(-10 * np.log10(errors)), abs=1e-3) and 0.5 < found["ssim"] < 1
    entry = json.loads((tmp_path / "out" / "metrics.json").read_text())["evaluations"][0]["metrics"]["psnr"]
    assert entry["images"] == 12 and entry["standard_error"] == pytest.approx(
        np.std(-10 * np.log10(errors)) / 12**0.5, abs=1e-3
    )
    assert (tmp_path / "out" / "pairs.png").exists()
    with pytest.raises(InputError, match="'psnr' needs the reference's images, not the statistics x.npz"):
        comparison.compare_folders("x.npz", shifted, tmp_path, metrics=("psnr",))
    Image.new("RGB", (20, 44)).save(shifted / "5.webp")
    with pytest.raises(InputError, match="5.png is 32 x 32 px, but .*5.webp 20 x 44; pairs must be of one size"):
        compare(shifted, "psnr")
    (shifted / "0.png").write_bytes((folders["a"] / "0.png").read_bytes())
    with pytest.raises(InputError, match="--generated: 0.png and 0.webp have one name"):
        compare(shifted, "psnr")
    (shifted / "0.png").rename(shifted / "new.png")
    (shifted / "7.webp").unlink()
    with pytest.raises(InputError, match="11 pairs, 1 of --reference without .* in --generated: 7; 1 of .*: new"):
        compare(shifted, "psnr")
