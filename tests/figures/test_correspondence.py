"""Dots lie where the queries, their strongest attention and the truth are."""

import numpy as np

from vision_gen.figures import correspondence, sheets

RED = (0xE6, 0x19, 0x4B)  # Of the first query.


def test_a_dot_of_the_querys_colour_lies_where_it_looks(monkeypatch):
    drawn = {}
    monkeypatch.setattr(sheets, "sheet", drawn.update)
    sketch = np.ones((1, 32, 64, 1))
    sketch[:, 8:12, 16:20] = -1  # Ink in the cell of row 2, column 4 alone.
    attention = np.full((1, 8, 16, 8, 16), 1e-3)
    attention[0, 2, 4, 5, 10] = 1
    truth = np.zeros((1, 128, 2))
    truth[0, 2 * 16 + 4] = 0.5, -0.5
    look = dict(
        sketch=sketch,
        reference=np.ones((1, 32, 64, 3)),
        attention=attention,
        truth=truth,
        valid=np.ones((1, 128), bool),
    )
    correspondence.draw_correspondence(look, points=1, scale=4)
    red = lambda name: np.all(drawn[name][0] == RED, -1)
    rows, columns = np.nonzero(red("sketch"))
    assert abs(rows.mean() - 2.5 * 16) < 1 and abs(columns.mean() - 4.5 * 16) < 1
    filled = red("reference")[5 * 16 : 6 * 16, 10 * 16 : 11 * 16]
    assert filled.sum() == red("sketch").sum() > 20
    rows, columns = np.nonzero(red("reference")[: 4 * 16])  # The ring.
    assert abs(rows.mean() - 0.25 * 128) < 1 and abs(columns.mean() - 0.75 * 256) < 1
    heat = drawn["attention of red"][0]
    assert heat.shape == (128, 256, 3) and (heat[5 * 16 : 6 * 16, 10 * 16 : 11 * 16] == 0).all() and heat[0, 0, 0] > 250
