"""Pictures of any size come back as they were: no pixel off, no border, nothing squeezed."""

import numpy as np
import pytest

from tests.engine.toy_tools import toolbox
from vision_gen import values
from vision_gen.engine import fitting
from vision_gen.errors import InputError


@pytest.fixture(scope="module")
def box():
    return toolbox()


def copied(box, picture, **options):
    tools, runner = box
    return runner(tools["copy"], *tools["copy"].read((picture,), options))["copy"]


@pytest.mark.parametrize(
    "size", [(1, 1), (7, 5), (8, 8), (64, 64), (65, 63), (200, 131), (97, 301), (1, 20000), (20000, 1), (3, 999)]
)
def test_a_net_that_changes_nothing_gives_every_picture_back_bit_for_bit(box, size):
    """Among them pictures in many overlapping tiles: `tile` is 64."""
    picture = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)
    np.testing.assert_array_equal(copied(box, picture), picture)


def test_tiles_cover_the_canvas_and_begin_at_the_stride():
    plan = fitting.Plan.of((333, 70), stride=8, size=0, tile=64)
    assert plan.canvas == (336, 72)
    covered = np.zeros(plan.canvas)
    for rows, columns in plan.tiles:
        assert rows.start % 8 == columns.start % 8 == 0
        assert (rows.stop - rows.start, columns.stop - columns.start) == (64, 64)
        covered[rows, columns] += plan.weight(rows, columns)[..., 0]
    assert covered.min() > 0
    starts = sorted({rows.start for rows, _ in plan.tiles})
    assert all(a + 64 - b >= plan.overlap for a, b in zip(starts, starts[1:]))


def test_computed_at_another_size_a_ramp_stays_where_it_was(box):
    """Half a pixel off would change every value by one."""
    y, x = np.mgrid[:120, :126]
    ramp = np.uint8(np.stack([2 * x, 2 * y, x + y], -1))
    for size in (40, 60, 240):
        found = copied(box, ramp, size=size)
        inside = (slice(12, -12), slice(12, -12))
        assert found.shape == ramp.shape
        difference = found[inside].astype(float) - ramp[inside]
        assert np.abs(difference.mean((0, 1))[:2]).max() < 0.2 and np.abs(difference).max() <= 1, size


def test_both_sides_are_scaled_alike_and_the_training_size_is_itself():
    for frame in ((900, 1600), (1600, 900), (30, 50), (64, 64), (1, 20000), (713, 401)):
        plan = fitting.Plan.of(frame, stride=16, size=64, tile=0)
        assert plan.full == tuple(n * plan.scale for n in plan.canvas)
        assert all(c % 16 == 0 for c in plan.canvas)
        assert all(full >= n for full, n in zip(plan.full, frame))
    assert fitting.Plan.of((64, 64), stride=16, size=64, tile=0).canvas == (64, 64)
    plan = fitting.Plan.of((900, 1600), stride=16, size=64, tile=0)
    assert plan.canvas == (64, 112) and plan.scale == 15


def test_a_thousand_sizes_are_few_programs():
    sizes = np.random.default_rng(0).integers(1, 2000, (1000, 2))
    own = {fitting.Plan.of(tuple(s), stride=64, size=0, tile=1024).canvas for s in sizes.tolist() if max(s) <= 1024}
    tiles = set()
    for s in sizes.tolist():
        plan = fitting.Plan.of(tuple(s), stride=64, size=0, tile=1024)
        tiles |= {(r.stop - r.start, c.stop - c.start) for r, c in plan.tiles}
    assert len(own) <= len(tiles) <= 120
    small = {fitting.Plan.of(tuple(s), stride=16, size=64, tile=0).canvas for s in sizes.tolist()}
    assert len(small) <= 60


def test_two_pictures_of_one_size_share_a_program(box):
    tools, runner = box
    picture = np.zeros((30, 31, 3), np.uint8)
    copied(box, picture)
    compiled = runner._programs["copy", ()]._cache_size()
    copied(box, np.zeros((32, 27, 3), np.uint8))
    assert runner._programs["copy", ()]._cache_size() == compiled


def test_colours_computed_small_end_at_the_lines_of_the_picture():
    sketch = np.full((64, 96, 3), 255, np.uint8)
    sketch[:, 46:50] = 0
    kind = values.Image(channels=1, lines=True)
    fitted = fitting.WholePicture(stride=8).fit({"sketch": kind}, {"sketch": sketch}, {"lines": "given", "size": 16})
    assert fitted.parts[0]["sketch"].shape == (1, 16, 24, 1)
    small = np.empty((1, 16, 24, 3), np.float32)
    small[:, :, :12], small[:, :, 12:] = (0.8, -0.6, -0.6), (-0.6, -0.6, 0.8)
    small[:, :, 11:13] = 0.5 * small[:, :, 11:13] - 0.5  # Half of these is ink.
    found = fitted.output(values.Image(), small).astype(int)
    left, right = (np.round((small[0, 0, i] + 1) * 127.5) for i in (0, -1))
    assert found.shape == sketch.shape
    assert np.abs(found[:, :46] - left).max() <= 2 and np.abs(found[:, 50:] - right).max() <= 2
    assert found[:, 46:50].mean() < 50


@pytest.mark.parametrize("size, lines, tile", [(0, "given", 0), (0, "given", 32), (16, "given", 0), (96, "given", 0), (16, "sobel", 0)])
def test_lines_are_multiplied_over_a_layer_at_the_size_of_the_picture(size, lines, tile):
    """A layer of one colour: paper has it, ink is black, at any size that is computed and in tiles."""
    sketch = np.full((48, 80, 3), 255, np.uint8)
    sketch[:, 40:42], sketch[20] = 0, 128
    kind = values.Image(channels=1, lines=True)
    whole = fitting.WholePicture(stride=8, tile=tile)
    options = {"lines": lines, "size": size} | ({"tile": tile} if tile else {})
    fitted = whole.fit({"sketch": kind}, {"sketch": sketch}, options)
    colour = np.float32([0.5, -0.2, 1.0])
    layer = fitted.each(lambda arrays: np.broadcast_to(colour, (*arrays["sketch"].shape[:3], 3)))
    found = fitted.output(values.Image(under="sketch"), layer)
    assert found.shape == sketch.shape
    np.testing.assert_allclose(found[2:14, 8:24], np.broadcast_to((colour + 1) * 127.5, (12, 16, 3)), atol=2)
    if lines == "given":
        assert found[:18, 40:42].max() <= 4
        np.testing.assert_allclose(found[20, 8:24], np.broadcast_to((colour + 1) * 64, (16, 3)), atol=2)
    else:
        assert found[:18, 36:46].min() < 60


def test_a_picture_is_lit_where_it_is_looked_at():
    picture = np.full((48, 80, 3), (200, 100, 0), np.uint8)
    fitted = fitting.CentralSquare(32).fit({"image": values.Image()}, {"image": picture}, {"size": 32})
    found = fitted.output(values.Image(lit="image"), np.float32([[[1, 0], [0, 0]]])).astype(int)
    assert found.shape == (32, 32, 3) and np.abs(found[:6, :6] - [200, 100, 0]).max() <= 1
    assert np.abs(found[24:, 24:] - [117, 102, 87]).max() <= 1


def test_lines_of_a_photograph_are_the_same_small_and_large():
    """What colours are brought up along must be what they were computed with."""
    rng = np.random.default_rng(0)
    photo = np.uint8(np.kron(rng.integers(40, 200, (6, 6, 3)), np.ones((64, 64, 1))))
    kind = values.Image(channels=1, lines=True)
    fitted = fitting.WholePicture(stride=8).fit({"sketch": kind}, {"sketch": photo}, {"lines": "xdog", "size": 48})
    small, large = (np.asarray(x)[0, ..., 0] < 0 for x in (fitted.parts[0]["sketch"], fitted._guide))
    assert small.shape == (48, 48) and large.shape == (384, 384) and small.any()
    share = large.reshape(48, 8, 48, 8).mean((1, 3))
    assert share[small].mean() > 0.4 and share[~small].mean() < 0.01  # Of one in sixty, which are at edges.


def test_what_is_drawn_comes_onto_white_paper_over_what_is_drawn_there():
    rng = np.random.default_rng(0)
    sketch = np.full((60, 90, 3), 255, np.uint8)
    sketch[10:50, 20:60] = 0
    picture = rng.integers(0, 230, (40, 40, 3), np.uint8)
    expected = np.where(sketch == 0, 0, 255).astype(np.uint8)
    expected[10:50, 20:60] = picture
    for before, after in ((0, 0), (3, 70)):  # White paper around it changes nothing.
        given = np.pad(picture, [(before, after), (after, before), (0, 0)], constant_values=250)
        np.testing.assert_array_equal(fitting.on_paper(given, sketch), expected)
    # It keeps its ratio.
    wide = fitting.on_paper(np.zeros((5, 20, 3), np.uint8), sketch)
    assert fitting.drawn(wide) == (slice(25, 35), slice(20, 60)) and set(np.unique(wide)) == {0, 255}
    # Beside the edge, and where there is little to lie over.
    sketch[:] = 255
    sketch[:2, -1] = 0
    assert fitting.drawn(fitting.on_paper(picture, sketch)) == (slice(0, 20), slice(70, 90))
    sketch[:] = 255
    assert fitting.drawn(fitting.on_paper(picture, sketch)) == (slice(0, 60), slice(15, 75))


def test_points_go_along_with_their_picture():
    tool_inputs = {"image": values.Image(), "points": values.Points()}
    points = np.float32([[0, 0], [33.5, 20], [50, 40]])
    whole = fitting.WholePicture(stride=16, size=16)
    inputs = {"image": np.zeros((40, 50, 3), np.uint8), "points": points}
    fitted = whole.fit(tool_inputs, inputs, {"size": 16})
    plan = fitting.Plan.of((40, 50), stride=16, size=16, tile=0)
    there = fitted.parts[0]["points"]
    np.testing.assert_allclose(there[0], (points + [plan.offset[1], plan.offset[0]]) / float(plan.scale), rtol=1e-6)
    np.testing.assert_allclose(fitted.output(values.Points(), there), points, atol=1e-4)


def test_a_photograph_is_made_into_lines_and_line_art_is_left(caplog, monkeypatch):
    monkeypatch.setattr(fitting.log, "propagate", True)
    rng = np.random.default_rng(0)
    art = np.full((96, 96, 3), 255, np.uint8)
    art[20:24, 10:80] = art[20:80, 10:14] = 0
    photo = np.uint8(np.kron(rng.integers(40, 200, (12, 12, 3)), np.ones((8, 8, 1))))
    kind, whole = {"sketch": values.Image(channels=1, lines=True)}, fitting.WholePicture(stride=8)

    def lines(picture, how):
        found = whole.fit(kind, {"sketch": picture}, {"size": 0, "lines": how})
        return np.asarray(found.parts[0]["sketch"])[0, ..., 0]

    with caplog.at_level("INFO", logger="vision_gen"):
        np.testing.assert_array_equal(lines(art, "auto"), lines(art, "given"))
        assert "sketch: taken for a line drawing" in caplog.text
        np.testing.assert_array_equal(lines(photo, "auto"), lines(photo, "xdog"))
        assert "sketch: taken for a photograph, and made into lines by XDoG" in caplog.text
        # Grey, and with colours on much paper.
        grey, coloured = photo[..., :1].repeat(3, -1), art.copy()
        coloured[40:70, 40:70] = 200, 60, 60
        for picture in (grey, coloured):
            np.testing.assert_array_equal(lines(picture, "auto"), lines(picture, "xdog"))
    drawn = lines(photo, "xdog")
    # Ink at the borders of the blocks, paper inside them.
    assert set(np.unique(drawn)) <= {-1.0, 1.0} and 0.02 < (drawn < 0).mean() < 0.5
    inside = drawn.reshape(12, 8, 12, 8)[:, 3:5, :, 3:5]
    assert (inside == 1).mean() > 0.97
    assert lines(photo, "sobel").min() < 0 < lines(photo, "sobel").max()


def test_a_central_square_is_what_evaluation_sees():
    from vision_gen.data import images

    picture = np.random.default_rng(0).integers(0, 256, (50, 81, 3), np.uint8)
    square = fitting.CentralSquare(32, multiple=8)
    kinds = {"image": values.Image()}
    found = square.fit(kinds, {"image": picture}, {"size": 32}).parts[0]["image"]
    np.testing.assert_allclose((found[0] + 1) * 127.5, images.fit(picture, 32), atol=1e-3)
    assert square.fit(kinds, {"image": picture}, {"size": 64}).parts[0]["image"].shape == (1, 64, 64, 3)
    with pytest.raises(InputError, match="size must be a multiple of 8, got 33"):
        square.fit(kinds, {"image": picture}, {"size": 33})
    wide = fitting.CentralSquare((16, 32)).fit(kinds, {"image": picture}, {"size": 16})
    assert wide.parts[0]["image"].shape == (1, 16, 32, 3)


def test_tiles_get_the_whole_picture_and_others_made_smaller_until_they_fit():
    fit = fitting.WholePicture(stride=8, tile=64, overview="content")
    kinds = {"content": values.Image(), "styles": values.Images(folder=True)}
    wide = np.linspace(0, 255, 200).astype(np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    options = {"size": 0, "tile": 64}
    found = fit.fit(kinds, {"content": wide, "styles": (wide, wide[:40, :40])}, options)
    assert len(found.parts) > 2
    for part in found.parts:
        overview, (large, small) = part["overview"], part["styles"]
        assert part["content"].shape == (1, 64, 64, 3)
        assert max(overview.shape) <= 64 and overview.min() < -0.9 and overview.max() > 0.9
        np.testing.assert_array_equal(large, overview)
        assert small.shape == (1, 40, 40, 3)
    assert "overview" not in fit.fit(kinds, {"content": wide[:64, :64], "styles": (wide,)}, options).parts[0]


def test_pictures_and_places_on_them_come_onto_the_paper_alike():
    """Dots of references, tied to a place of the sketch, are where the ties then say."""
    sketch = np.full((48, 96, 3), 255, np.uint8)
    sketch[8:40, 20:76] = 0
    small, large = np.full((30, 40, 3), 200, np.uint8), np.full((300, 210, 3), 255, np.uint8)
    small[12:18, 30:36] = 0
    large[60:290, 40:180] = 200
    large[100:130, 50:80] = 0
    kinds = {"sketch": values.Image(channels=1, lines=True), "reference": values.Images()}
    whole = fitting.WholePicture(stride=16, size=32, apart=("reference",), paper=True)
    inputs = {"sketch": sketch, "reference": (small, large)}
    fitted = whole.fit(kinds, inputs, {"lines": "given", "size": 32})
    pictures = np.stack(fitted.parts[0]["reference"], 1)
    assert pictures.shape == (1, 2, *fitted.parts[0]["sketch"].shape[1:3], 3)
    alone = whole.fit(kinds, {**inputs, "reference": (large,)}, {"lines": "given", "size": 32})
    np.testing.assert_array_equal(alone.parts[0]["reference"][0], pictures[:, 1])
    ties = values.Ties("sketch", "reference").read([[24, 12, 33, 15, 1], [90, 40, 65, 115, 2]], "ties")
    found = fitted.option(values.Ties("sketch", "reference"), ties, "ties")[0]
    plan = fitting.Plan.of((48, 96), stride=16, size=32, tile=0)
    np.testing.assert_allclose(found[:, :2], plan.inside([[24, 12], [90, 40]]), rtol=1e-6)
    for picture, (x, y) in zip(pictures[0], found[:, 2:4]):
        rows, columns = np.nonzero(picture[..., 0] < -0.5)
        np.testing.assert_allclose([columns.mean() + 0.5, rows.mean() + 0.5], [x, y], atol=0.5)
    assert found[:, 4].tolist() == [1, 2]
    outside = [[24, 12, 33, 15, 1], [24, 12, 41, 15, 1]]
    with pytest.raises(InputError, match="^ties: tie 2 of 2: 41,15 lies outside reference, which has 40 x 30 pixels"):
        fitted.option(values.Ties("sketch", "reference"), outside, "ties")
    with pytest.raises(InputError, match="^ties: tie 1 of 1: there is no reference 3; there are 2"):
        fitted.option(values.Ties("sketch", "reference"), [[24, 12, 3, 1, 3]], "ties")


@pytest.mark.parametrize("size", [0, 40])
def test_regions_that_lines_close_get_one_colour(size):
    """A box with a gap of 3 pixels, painted in colours that run: inside and outside are one colour each."""
    sketch = np.full((80, 80, 3), 255, np.uint8)
    sketch[20:60, 10:14] = sketch[20:60, 46:50] = sketch[20:24, 10:50] = sketch[56:60, 10:50] = 0
    sketch[38:41, 10:14] = 255
    kinds = {"sketch": values.Image(channels=1, lines=True)}
    whole = fitting.WholePicture(stride=8, size=size)
    assert whole.options(kinds)["flat"].default == 0

    def painted(flat):
        fitted = whole.fit(kinds, {"sketch": sketch}, {"lines": "given", "size": size, "flat": flat})
        height, width = fitted.parts[0]["sketch"].shape[1:3]
        ramp = np.linspace(-1, 1, width, dtype=np.float32)[None, None, :, None]
        return fitted.output(values.Image(), np.broadcast_to(ramp, (1, height, width, 3)))

    colours = lambda picture: np.unique(picture[sketch[..., 0] == 255].reshape(-1, 3), axis=0)
    assert len(colours(painted(0))) > 40
    assert len(colours(painted(1))) == 1  # Colour gets out by the gap.
    closed = painted(4)
    assert len(colours(closed)) == 2 and (closed[sketch == 0] == 0).all()
    np.testing.assert_allclose(closed[30, 30], np.median(painted(0)[24:56, 14:46], (0, 1)), atol=4)
