"""Sample sheets: every picture and every word is there, at a size that can be read."""

import numpy as np
from PIL import Image, ImageColor
import pytest

from vision_gen.figures import sheets


def plain(number, height, width, value=0.0):
    return np.full((number, height, width, 1), value)


def boxes(image, colour):
    """[left, top, right, bottom] of each rectangle that has one colour alone, in reading order."""
    left = np.all(image == colour, -1)
    found = []
    while left.any():
        top, x = np.argwhere(left)[0]
        right = x + int(np.argmin(np.append(left[top, x:], False)))
        bottom = top + int(np.argmin(np.append(left[top:, x], False)))
        assert left[top:bottom, x:right].all()
        left[top:bottom, x:right] = False
        found.append([int(x), int(top), right, bottom])
    return found


RED, BLUE = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8)


def test_pixels_are_rounded_clipped_and_coloured():
    grey = sheets.pixels(np.array([-2.0, -1.0, 0.0, 1.0, 2.0])[:, None, None, None])
    np.testing.assert_array_equal(grey[:, 0, 0, 1], [0, 0, 128, 255, 255])
    assert grey.shape == (5, 1, 1, 3) and grey.dtype == np.uint8
    same = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(sheets.pixels(same), same)


def test_every_picture_is_there_whatever_the_number():
    rng = np.random.default_rng(0)
    for number in (1, 2, 5, 16, 17, 40):
        noise = rng.uniform(-1, 1, (number, 64, 64, 3))
        image = sheets.sheet({"red": np.tile(RED, (number, 64, 64, 1)), "noise": noise})
        found = boxes(image, RED)
        assert len(found) == number
        assert all(right - x == bottom - y == 256 for x, y, right, bottom in found)


def test_rows_are_divided_so_that_the_sheet_is_no_strip():
    for number, columns in ((24, 1), (24, 3), (100, 2), (60, 6)):
        height, width, _ = sheets.sheet({str(i): plain(number, 64, 64) for i in range(columns)}).shape
        assert 1 < width / height < 2.3, (number, columns, width, height)


def test_small_pictures_are_enlarged_by_whole_pixels():
    rng = np.random.default_rng(0)
    digits = rng.integers(1, 200, (3, 8, 8, 1), dtype=np.uint8)
    image = sheets.sheet({"": digits})
    shown = image[10 : 10 + 256, 10 : 10 + 256, 0]
    np.testing.assert_array_equal(shown, np.kron(digits[0, ..., 0], np.ones((32, 32), np.uint8)))
    # 32 beside 128 is brought to it, so that they can be compared; 200 needs nothing.
    image = sheets.sheet({"low": np.tile(RED, (1, 32, 24, 1)), "high": np.tile(BLUE, (1, 128, 96, 1))})
    for colour in (RED, BLUE):
        ((left, top, right, bottom),) = boxes(image, colour)
        assert (right - left, bottom - top) == (192, 256)
    ((left, top, right, bottom),) = boxes(sheets.sheet({"": np.tile(RED, (1, 200, 50, 1))}), RED)
    assert (right - left, bottom - top) == (50, 200)
    # Of 20 columns each has a twentieth of the greatest width.
    image = sheets.sheet({str(i): np.tile(RED, (2, 32, 32, 1)) for i in range(20)})
    assert {(r - l, b - t) for l, t, r, b in boxes(image, RED)} == {(128, 128)}


def test_pictures_of_several_sizes_stand_on_one_line():
    image = sheets.sheet(
        {"a": [np.tile(RED, (170, 180, 1)), np.tile(RED, (200, 164, 1))], "b": np.tile(BLUE, (2, 164, 300, 1))},
        {"b": ["one", "two"]},
    )
    red, blue = boxes(image, RED), boxes(image, BLUE)
    assert sorted((r - l, b - t) for l, t, r, b in red) == [(164, 200), (180, 170)]
    assert sorted(box[3] for box in red) == sorted(box[3] for box in blue)


@pytest.fixture
def written(monkeypatch):
    """What is drawn as text: (text, left, top, right, bottom)."""
    found = []
    draw = sheets.ImageDraw.ImageDraw.text

    def text(self, place, words, **how):
        found.append((words, *self.textbbox(place, words, font=how["font"], anchor=how["anchor"])))
        return draw(self, place, words, **how)

    monkeypatch.setattr(sheets.ImageDraw.ImageDraw, "text", text)
    return found


NAMES = ("sketch", "correspondence_all_identity", "Donaudampfschifffahrtsgesellschaftskapitän", "a b")


def test_no_word_is_lost_cut_off_or_written_over_another(written):
    long = "a long text of more words than a narrow column holds in four lines, " * 3
    captions = ["", "short", "is smileys-emotion", long]
    image = sheets.sheet(
        {name: plain(4, 64, 64) for name in NAMES}, {name: captions[i:] + captions[:i] for i, name in enumerate(NAMES)}
    )
    together = "".join(text.replace(" ", "") for text, *_ in written)
    for words in (*NAMES, *captions):
        assert words.replace(" ", "") in together
    for i, (_, left, top, right, bottom) in enumerate(written):
        assert 0 <= left and 0 <= top and right <= image.shape[1] and bottom <= image.shape[0]
        for _, left2, top2, right2, bottom2 in written[:i]:
            assert left >= right2 or left2 >= right or top >= bottom2 or top2 >= bottom


def test_captions_stand_under_their_pictures(written):
    image = sheets.sheet({"picture": np.tile(RED, (5, 64, 64, 1))}, {"picture": [f"number {i}" for i in range(5)]})
    captions = sorted((entry for entry in written if entry[0].startswith("number")), key=lambda e: (e[2], e[1]))
    found = sorted(boxes(image, RED), key=lambda box: (box[1], box[0]))
    assert len(captions) == len(found) == 5
    for (_, left, top, right, _), (x, _, x2, bottom) in zip(captions, found):
        assert x <= left and right <= x2 and bottom < top < bottom + 12


def test_a_column_without_a_name_has_no_space_for_one():
    named, unnamed = (sheets.sheet({name: plain(1, 64, 64)}) for name in ("name", ""))
    assert unnamed.shape == (256 + 20, 256 + 20, 3) and named.shape[0] > unnamed.shape[0] + 12


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="columns, {'a': 2, 'b': 3}, and of captions for them, {}, must agree"):
        sheets.sheet({"a": plain(2, 8, 8), "b": plain(3, 8, 8)})
    with pytest.raises(ValueError, match="{'a': 2}, and of captions for them, {'c': 2}, must agree"):
        sheets.sheet({"a": plain(2, 8, 8)}, {"c": ["x", "y"]})
    with pytest.raises(ValueError, match="{'a': 2}, and of captions for them, {'a': 1}, must agree"):
        sheets.sheet({"a": plain(2, 8, 8)}, {"a": ["x"]})


def test_pictures_and_films_are_saved(tmp_path):
    picture = np.tile(RED, (4, 6, 1))
    sheets.save(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    sheets.save(tmp_path / "film.gif", np.stack([picture, picture[..., ::-1], picture]))
    film = Image.open(tmp_path / "film.gif")
    assert film.n_frames == 3 and film.size == (6, 4)


def test_marked_rows_stand_out_in_red():
    columns = {"": np.tile(BLUE, (3, 256, 256, 1))}
    image = sheets.sheet(columns, {"": ["a", "b", "c"]}, marked=[1])
    mark = np.all(image == ImageColor.getrgb(sheets.MARK), -1)
    plain = np.all(sheets.sheet(columns, {"": ["a", "b", "c"]}) == ImageColor.getrgb(sheets.MARK), -1)
    left, top, right, bottom = sorted(boxes(image, BLUE))[1]
    assert mark[top - 3 : top, left - 3 : right + 3].all() and mark[top:bottom, right : right + 3].all()
    assert mark[bottom + 3 :, left:right].any() and not plain.any()  # The text, too.
    assert not mark[:, [x for box in boxes(image, BLUE) if box[0] != left for x in range(box[0], box[2])]].any()
