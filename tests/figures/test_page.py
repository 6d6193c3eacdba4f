"""A page shows levels as dashed lines, and pictures with what they show."""

from matplotlib import axes as matplotlib_axes
from PIL import Image

from vision_gen.figures import page


def test_levels_are_dashed_lines_and_pictures_have_legends(tmp_path, monkeypatch):
    drawn = {}
    for name in ("plot", "axhline"):
        method = getattr(matplotlib_axes.Axes, name)

        def note(self, *args, _name=name, _method=method, **named):
            drawn[named["label"]] = _name, named.get("linestyle"), args
            return _method(self, *args, **named)

        monkeypatch.setattr(matplotlib_axes.Axes, name, note)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    curves = {"val/psnr": {"": ([1, 2], [3.0, 4.0]), "sketch": 2.5}}
    page.write(
        tmp_path / "x.html", "Title", ["", "value"], [["psnr", 4.0]], {"a": (tmp_path / "a.png", "what <it> shows")},
        curves, beside=(["", "step 1"], [["psnr", 3.0]]),
    )  # fmt: skip
    assert drawn["sketch"] == ("axhline", "--", (2.5,))
    assert drawn["val/psnr"] == ("plot", None, ([1, 2], [3.0, 4.0]))
    text = (tmp_path / "x.html").read_text()
    assert "<p>what &lt;it&gt; shows</p>" in text and "<td>psnr</td><td>3</td>" in text
    assert text.count("data:image/png;base64,") == 2
    assert text.count("<img width=") == 1 and '<img width="800" alt="a"' in text  # Not the plot.
