"""The page of debiasing: a round by hand, whose classifiers are played, and what trains in a process of its own."""

import pathlib
import re
import signal
import time
import types

import numpy as np
import pytest

from tests.studio.debias import played
from vision_gen.errors import InputError
from vision_gen.studio import outputs, views
from vision_gen.studio.debias import drawing, jobs, rounds
from vision_gen.studio.views import debias
from vision_gen.studio.visit import Threads, Visit


@pytest.fixture
def view(play):
    visit = Visit("runs/scans", played.classifier(), Threads())
    found = debias.View(visit, visit.model.tools["classify"])
    found.look()
    yield found
    visit.leave()


def test_a_classifier_of_one_label_has_the_view():
    assert debias in views.of(played.classifier())
    assert debias not in views.of(played.classifier(("hair=red", "hair=blond")))


def test_translators_are_of_the_same_data():
    of = lambda **data: list(rounds.translators(types.SimpleNamespace(data=types.SimpleNamespace(**data))))
    assert of(name="coloured_digits", size=28) == ["xploregan_coloured_digits"]
    assert of(name="coloured_digits", size=8) == of(name="scans", size=28) == []


def test_nothing_is_chosen_while_something_is_made(view):
    view.here.bar.visible = True
    view.points._source.selected.indices = [3]
    assert view.chosen.tolist() == view.points._source.selected.indices == [38, 39]


def test_a_round_by_hand(view):
    assert view.chosen.tolist() == [38, 39], "those misclassified"
    assert "2 chosen</b>, 2 of them misclassified" in view._says.object
    assert view._pictures.object.count("<img") == view._pictures.object.count('class="wrong"') == 2
    assert "zero, taken for one" in view._pictures.object and "one, taken for zero" in view._pictures.object
    view.translate()
    assert "made of it" in view._made.object and view._made.object.count("<img") == 4
    assert view.made.value == "translated_1" and list(view.made.options)[-1] == "translated_1 (2)"
    view.retrain()
    board = view.round.board()
    assert board["before"]["conflicting"] == 0 and board["translated_1"]["conflicting"] == 1
    assert "translated_1" in view._board.object and view._board.object.count("100.0%") == 6
    assert view.second.value == "translated_1" and view._changes.objects
    fields = view.mosaic._source.data
    assert dict(zip(zip(fields["y"], fields["x"]), fields["text"])) == {
        ("zero", "red"): "0", ("zero", "blue"): "+100", ("one", "red"): "+100", ("one", "blue"): "0",
    }  # fmt: skip
    assert "8 became right and 0 wrong" in view._trace_says.object
    assert view._flipped.object.count("<img") == 8 and 'class="wrong"' not in view._flipped.object
    assert view._flipped.object.count("was one, now zero") == 4, "no caption means both a mistake and a change"
    view.mosaic._tapped(types.SimpleNamespace(x=1.5, y=1.5))
    assert "4 became right and 0 wrong</b> of zero, blue" in view._trace_says.object
    view.first.value, view.second.value = "translated_1", "before"
    assert "0 became right and 8 wrong" in view._trace_says.object
    assert view._flipped.object.count('class="wrong"') == 8
    view.made.value = ""
    view.retrain()
    assert list(view.round.models) == ["before", "translated_1", "plain_1"]


def test_examples_are_chosen_by_hand_and_by_what_they_are(view):
    view.points._source.selected.indices = [3, 1]
    assert view.chosen.tolist() == [1, 3] and "2 chosen</b>, 0 of them" in view._says.object
    view.conditions["label"].value, view.conditions["wrong"].value = "one", "yes"
    view.choose_by()
    assert view.chosen.tolist() == view.points._source.selected.indices == [39]
    view.conditions["bias"].value = "blue"
    view.choose_by()
    assert "nothing is selected" in view.said.message and view.chosen.tolist() == [39]
    before = view._pictures.object
    view.heat.value = True
    white = outputs.picture(np.full((12, 12, 3), 255, np.uint8), caption=False)
    assert view._pictures.object != before and re.search('src="([^"]*)"', white)[1] in view._pictures.object
    view.heat.value = False
    assert view._pictures.object == before


def test_points_have_the_colours_of_what_is_asked_for(view):
    fill = lambda: view.points._source.data["fill"]
    assert fill()[:2] == drawing.colours(2) and fill()[38] == fill()[0]
    assert (view.points._source.data["size"] == 10).sum() == 2
    view.colour.value = "bias"
    assert fill()[38] == fill()[1] and "blue" in view._key.object and "misclassified" in view._key.object


def test_misclassified_ones_keep_their_ring_where_others_are_chosen(view):
    rings = view.points._source.data["ring"]
    assert (rings[[38, 39]] > 0.5).all() and (rings[:38] < 0.5).all()


def test_the_page_says_that_examples_are_left_out(view):
    assert "are drawn" not in view._key.object
    view.round.seen.places[:30] = np.nan
    view.colour.value = "bias"
    assert "10 of 40 examples are drawn" in view._key.object


def test_what_follows_the_last_example_is_no_full_bar(view):
    view.here.show(20, 40)
    assert view.here.bar.value == 50
    view.here.show(40, 40)
    assert view.here.bar.value == -1


CARDS = {"look": "_looking", "choose": "_chosen_card", "make": "_make_card", "train": "_train_card"}


def test_how_far_it_is_is_seen_on_the_card_whose_button_was_pressed(view, monkeypatch):
    acts = {"look": view.look, "make": view.jitter, "train": view.retrain}
    for name, act in acts.items():
        seen = []
        do = lambda work, then, failed, pool=None: seen.append(shown(view)) or failed("broken")
        with monkeypatch.context() as patch:
            patch.setattr(view.visit.threads, "do", do)
            act()
        ((where, says, bar),) = seen
        assert (where, bar) == ([name], True) and says, name
        assert shown(view) == ([name], "broken", False)
    view.conditions["label"].value, view.conditions["predicted"].value = "one", "one"
    view.conditions["wrong"].value = "yes"
    view.choose_by()
    assert shown(view)[0] == ["choose"] and "nothing is selected" in view.said.message


def shown(view):
    """(the cards on which something is said, what, whether progress is seen there)."""
    said = {name: view.busy[name] for name in view.busy if view.busy[name].said.message or view.busy[name].bar.visible}
    for name, part in said.items():
        assert part.view in list(getattr(view, CARDS[name]))
    return list(said), *[(part.said.message, part.bar.visible) for part in said.values()][0]


def test_what_trains_is_stopped_on_the_card_that_began_it(view, monkeypatch):
    asked = []
    job = types.SimpleNamespace(stop=lambda: asked.append(True))
    begun = lambda threads, work, arguments, workdir, progress, then, failed: begun.__dict__.update(
        progress=progress, failed=failed
    ) or job
    monkeypatch.setattr(jobs, "Job", begun)
    monkeypatch.setattr(view.round, "training", lambda step, **given: (None, (), "nowhere"))
    view.retrain()
    here = view.busy["train"]
    assert here.stop.visible and not view.busy["look"].stop.visible and not asked
    begun.progress(10, 40)
    assert here.bar.value == 25
    here.stop.clicks += 1
    assert asked and here.stop.disabled
    begun.failed("stopped at step 10")
    assert here.said.message == "stopped at step 10" and not here.stop.visible


def test_the_page_says_which_step_each_classifier_is_of(view):
    found = lambda card: " ".join(part.object for part in card if hasattr(part, "object"))
    assert "after the last step" in found(view._train_card)
    assert "checkpoint of step 0" in found(view._compare_card) and "after their last step" in found(view._compare_card)


def test_the_recording_has_all_choices(view):
    view.jitter()
    view.retrain()
    assert [step["step"] for step in view.round.record] == ["look", "select", "jitter", "retrain"]


def trains(log, steps_in_all):
    """Writes a log as a run does, until it is done or asked to stop."""
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    for number in range(1, steps_in_all + 1):
        pathlib.Path(log).write_text(f"2026 INFO step {number}/{steps_in_all}: loss 1\n")
        time.sleep(0.2)
        if stopped:
            raise InputError(f"stopped at step {number}")


@pytest.mark.slow
def test_what_trains_tells_how_far_it_is_and_stops(tmp_path):
    told, ended = [], []
    job = lambda count: jobs.Job(
        Threads(), trains, (str(tmp_path / "train.log"), count), tmp_path, lambda *of: told.append(of),
        lambda: ended.append("done"), ended.append,
    )  # fmt: skip
    job(3)
    wait(lambda: ended)
    assert ended == ["done"] and told[-1] == (3, 3) and jobs.step(tmp_path / "train.log") == (3, 3)
    (tmp_path / "train.log").unlink()
    long = job(10_000)
    wait(lambda: told[-1][1] == 10_000)
    waits = job(3)
    waits.stop()
    long.stop()
    wait(lambda: len(ended) == 3)
    assert ended[1].startswith("stopped at step") and ended[2] == "stopped before its first step"


def wait(until):
    for _ in range(1200):
        if until():
            return
        time.sleep(0.1)
    raise AssertionError("it takes too long")
