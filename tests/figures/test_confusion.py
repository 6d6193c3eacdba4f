"""The confusion matrix shows every class by name and counts what was taken for what."""

from matplotlib import axes as matplotlib_axes
import numpy as np
import pytest
import sklearn.metrics

from vision_gen.figures import confusion


@pytest.fixture
def shown(monkeypatch):
    """{name of a method of the plot: its arguments}."""
    found = {}
    for name in ("imshow", "set_xticks", "set_yticks", "text"):
        method = getattr(matplotlib_axes.Axes, name)

        def note(self, *args, _name=name, _method=method, **named):
            found.setdefault(_name, []).append(args)
            return _method(self, *args, **named)

        monkeypatch.setattr(matplotlib_axes.Axes, name, note)
    return found


def test_counts_and_shares_are_sklearns(shown):
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 3, 200), rng.integers(0, 4, 200)  # None of the last class.
    image = confusion.draw(label, predicted, ("cat", "dog", "emu", "gnu"))
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    counts = sklearn.metrics.confusion_matrix(label, predicted, labels=range(4))
    assert {(row, column): count for column, row, count in shown["text"]} == {
        place: count for place, count in np.ndenumerate(counts) if count
    }
    ((shares,),) = shown["imshow"]
    np.testing.assert_allclose(shares[:3], counts[:3] / counts[:3].sum(1, keepdims=True))
    assert (shares[3] == 0).all()
    assert shown["set_xticks"][0][1] == shown["set_yticks"][0][1] == ("cat", "dog", "emu", "gnu")


def test_a_thousand_classes_are_shades_alone(shown):
    label = np.arange(1000)
    image = confusion.draw(label, label, [str(i) for i in label])
    assert "text" not in shown and "set_xticks" not in shown
    assert max(image.shape) < 1600
