"""Places are marked where they are, and the reference is tinted where they look."""

import numpy as np
from PIL import ImageColor

from vision_gen.figures import correspondence, sheets


def test_a_place_is_marked_and_its_attention_is_a_smooth_heat(monkeypatch):
    drawn, written = {}, {}
    monkeypatch.setattr(sheets, "sheet", lambda columns, captions: drawn.update(columns) or written.update(captions))
    sketch = np.ones((1, 32, 64, 1))
    sketch[:, 8:12, 16:20] = -1  # Ink in the cell of row 2, column 4 alone.
    attention = np.full((1, 8, 16, 8, 16), 0.5 / 127)
    attention[0, 2, 4, 5, 10] = 0.5
    truth = np.zeros((1, 128, 2))
    truth[0, 2 * 16 + 4] = 0.5, -0.5
    look = dict(
        sketch=sketch,
        image=np.ones((1, 32, 64, 3)),
        reference=np.ones((1, 32, 64, 3)),
        attention=attention,
        truth=truth,
        valid=np.ones((1, 128), bool),
    )
    correspondence.draw_correspondence(look, points=1)
    tint = np.array(ImageColor.getrgb(correspondence.TINTS[0]))
    (left,), (lit,) = drawn["sketch"], drawn["where 1 looks"]
    assert left.shape == lit.shape == (128, 256, 3)  # 4 pixels each.
    rows, columns = np.nonzero(np.all(left == tint, -1))
    assert abs(rows.mean() - 2.5 * 16) < 1 and abs(columns.mean() - 4.5 * 16) < 1
    rows, columns = np.nonzero(np.all(lit == 0, -1))  # The ring.
    assert abs(rows.mean() - 0.25 * 128) < 1 and abs(columns.mean() - 0.75 * 256) < 1
    heat = 255 - lit[..., 1].astype(float)  # Of a tint that has little green.
    at = np.unravel_index(np.where(np.all(lit == 0, -1), 0, heat).argmax(), heat.shape)
    assert abs(at[0] - 5.5 * 16) <= 4 and abs(at[1] - 10.5 * 16) <= 4
    # Smooth: it falls to half between the cells' middles, by no more than a tenth a pixel.
    along = heat[88, 168:190]
    assert along[-1] < 0.05 * along[0] and np.abs(np.diff(along)).max() < 0.12 * along[0]
    # Nothing of the peak is near the ring, but four of the cells that share the other half.
    assert written == {"sketch": [""], "where 1 looks": ["2% near the ring"]}


def test_places_lie_apart_where_there_is_something():
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    centres = np.stack([x, y], -1).reshape(-1, 2) / 16
    where = ((x < 6) | (x > 9)) & ((y < 6) | (y > 9))  # Four corners.
    found = correspondence._apart(centres, where.ravel(), 4)
    assert where.ravel()[found].all()
    assert sorted(map(tuple, centres[found] > 0.5)) == [(False, False), (False, True), (True, False), (True, True)]
    assert (np.diff(centres[found][:, 1]) >= 0).all()
