"""Classifiers: rounds of debiasing by looking (DASH, Kwon et al., EuroVis 2022)."""

import html
import importlib.util
import io
import time

import numpy as np
import panel as pn

from vision_gen.errors import InputError
from vision_gen.studio.debias import drawing, jobs, rounds, steps
from vision_gen.studio.debias.drawing import MOST
from vision_gen.studio.parts import Busy, Checkbox, button, card, styled, text
from vision_gen.studio.visit import SLOW

SYSTEMS = "classifier.Classifier", "resnet_classifier.ResNetClassifier"
TOOL, TITLE = "classify", "Look for bias"
NONE, FIRST = "any", "before"
MOSAIC = "The number in a field: percentage points more (+) or fewer (-) found right. Large fields have many examples."


def fits(model):
    """Is it a classifier of one label?"""
    return not model.experiment.model.answers


def select(label, options, value=None, width=150):
    """A list to choose from."""
    if value is None:
        value = next(iter(options.values() if isinstance(options, dict) else options))
    return styled(pn.widgets.Select(label=label, options=options, value=value, width=width, margin=(0, 12, 6, 0)))


def number(label, value, start, end, width=110):
    """A field for an integer."""
    return styled(
        pn.widgets.IntInput(label=label, value=value, start=start, end=end, width=width, margin=(0, 12, 6, 0))
    )


def title(name, says):
    """A heading of a card, with what it is for."""
    return text(f'<h3>{name}</h3><p class="soft">{says}</p>', margin=(0, 0, 12, 0), sizing_mode="stretch_width")


class View:
    """Examples as points, what is chosen of them, pictures made of that, classifiers trained anew, and how they differ.

    Args:
      visit: a `visit.Visit` of a classifier.
      tool: its tool, which is not called.

    Attributes:
      view: what the page shows.
      busy: {card: its `parts.Busy`}, of those whose buttons begin something; here: that of the last one.
      said: a `parts.Said`, of the last one.
      round: the `rounds.Round`, from the first look on.
      chosen: indices of training examples, as selected last.
    """

    def __init__(self, visit, tool):
        self.visit, self.round, self.chosen = visit, None, np.array([], int)
        self._job, self._folder, self._told, self._buttons = None, None, 0.0, []
        self.busy = {name: Busy(self._stop) for name in ("look", "choose", "make", "train", "compare")}
        self.here = self.busy["look"]
        known = rounds.translators(visit.model.experiment)
        wide = dict(margin=(0, 0, 20, 0), sizing_mode="stretch_width")
        self._looking = self._look_card(wide)
        self._points_card, self._chosen_card = self._points_part(), self._chosen_part()
        self._make_card, self._train_card = self._make_part(known), self._train_part()
        self._compare_card = self._compare_part(wide)
        self._rest = pn.Column(margin=0, sizing_mode="stretch_width")
        self.view = pn.Column(self._looking, self._rest, margin=0, sizing_mode="stretch_width")

    @property
    def said(self):
        return self.here.said

    def _at(self, name):
        """What is said from now on is said on this card, and no longer on that of before."""
        self.here.said.note("")
        self.here = self.busy[name]

    def _button(self, name, clicked, **settings):
        """A button that cannot be pressed while something runs."""
        self._buttons.append(button(name, clicked, **settings))
        return self._buttons[-1]

    # What is shown first.

    def _look_card(self, wide):
        model = self.visit.model
        projections = {"PCA": "pca", "t-SNE": "tsne"} | ({"UMAP": "umap"} if importlib.util.find_spec("umap") else {})
        self.projection = select("Projection", projections, "tsne", 120)
        self.clusters = number("Clusters", max(2, len(model.facts["classes"])), 2, 100)
        says = (
            "What the classifier makes of its training examples: those that it holds for alike lie together. Find a "
            "group that is wrong for one reason, paint its pictures as those of other groups, and train with them."
        )
        look = self._button("Look", lambda _: self.look(), primary=True, width=110, align="end")
        self.save = styled(
            pn.widgets.FileDownload(
                callback=lambda: io.BytesIO(self.round.text().encode()),
                filename="round.json",
                label="Save the round",
                button_type="default",
                width=150,
                margin=(4, 12),
                align="end",
                visible=False,
            )
        )
        row = pn.FlexBox(self.projection, self.clusters, look, self.save, margin=0, align_items="flex-end")
        return card(title("Look for bias", says), row, self.busy["look"].view, **wide)

    def _points_part(self):
        self.points = drawing.Points(self.choose)
        self.colour = styled(
            pn.widgets.RadioButtonGroup(label="Colour", options=["class", "taken for", "cluster"], margin=(0, 0, 8, 0))
        )
        self.colour.param.watch(lambda _: self._draw(), "value")
        self._key = text("", drawing.PICTURES, margin=(8, 0, 0, 0), width=620)
        says = "Draw around points to choose them, or click one; the wheel zooms."
        parts = title("Examples", says), self.colour, self.points.view, self._key
        return card(*parts, margin=(0, 20, 20, 0), width=670)

    def _chosen_part(self):
        self._says = text("", margin=(0, 0, 8, 0), sizing_mode="stretch_width")
        self._pictures = text("", drawing.PICTURES, margin=0, sizing_mode="stretch_width")
        self.heat = styled(Checkbox(label="Where it looks (Grad-CAM)", value=False, margin=(8, 0)))
        self.heat.param.watch(lambda _: self._show_chosen(), "value")
        self.conditions = {name: select(label, [NONE], width=104) for name, label in {
            "label": "Class", "predicted": "Taken for", "cluster": "Cluster", "bias": "Bias", "wrong": "Misclassified",
        }.items()}  # fmt: skip
        pick = self._button("Choose", lambda _: self.choose_by(), align="end", margin=(0, 0, 6, 0))
        by = pn.FlexBox(*self.conditions.values(), pick, margin=(0, 0, 4, 0), align_items="flex-end")
        return card(
            title("Chosen", "By hand in the plane, or all that are:"), by, self.busy["choose"].view, self._says,
            self.heat, self._pictures, margin=(0, 0, 20, 0), min_width=420, sizing_mode="stretch_width",
        )  # fmt: skip

    def _make_part(self, known):
        self.translator = select("Translator", known or {"none": None}, width=220)
        self.translator_steps = number(
            "Steps of training it", next(iter(known.values())).train.steps if known else 0, 1, 10**6, 150
        )
        count = next(iter(known.values())).model.clusters if known else 0
        clusters = {f"cluster {n}": n for n in range(count)}
        self.targets = select("As those of", {"other clusters": "others"} | clusters)
        self.each = number("Of each", 1, 1, 100, 80)
        make = self._button("Make pictures", lambda _: self.translate(), primary=True, margin=(4, 8, 4, 0))
        jitter = self._button("Draw colours at random instead", lambda _: self.jitter())
        self._made = text("", drawing.PICTURES, margin=(10, 0, 0, 0), sizing_mode="stretch_width")
        says = (
            "Paints those that are chosen as pictures of other clusters; their classes stay. The translator that does "
            "so is trained first, once; its clusters are its own, not those of the points."
        )
        if not known:
            make.visible = False
            says = "No translator's config is of this data: colours can be drawn at random, as a baseline."
        rows = pn.FlexBox(self.translator, self.translator_steps, self.targets, self.each, margin=0)
        return card(
            title("Make pictures", says), rows, pn.FlexBox(make, jitter, margin=0), self.busy["make"].view, self._made,
            margin=(0, 20, 20, 0), min_width=420, sizing_mode="stretch_width",
        )  # fmt: skip

    def _train_part(self):
        self.made = select("With", {"no pictures": ""}, "", 170)
        self.share = number("Share (%)", 50, 1, 99, 90)
        self.train_steps = number("Steps", self.visit.model.experiment.train.steps, 1, 10**7)
        train = self._button("Train", lambda _: self.retrain(), primary=True, margin=(4, 8, 4, 0))
        says = (
            'The first classifier, "before", is trained further with pictures that were made; share: how many of those '
            "it sees are made. With no pictures it is plain training, to compare with. What comes of it is the "
            "classifier after the last step; none before it is chosen by validation."
        )
        rows = pn.FlexBox(self.made, self.share, self.train_steps, margin=0)
        return card(title("Train anew", says), rows, train, self.busy["train"].view, margin=(0, 0, 20, 0), width=460)

    def _compare_part(self, wide):
        self._board = text("", drawing.PICTURES, margin=(0, 0, 14, 0), sizing_mode="stretch_width")
        self.first, self.second = (select(label, [FIRST], width=170) for label in ("From", "To"))
        for widget in (self.first, self.second):
            widget.param.watch(lambda _: self._compare(), "value")
        self.mosaic = drawing.Mosaic(lambda label, bias: self._trace((label, bias)))
        self._flipped = text("", drawing.PICTURES, margin=0, sizing_mode="stretch_width")
        self._trace_says = text("", margin=(0, 0, 8, 0), sizing_mode="stretch_width")
        self._flips = pn.Column(self._trace_says, self._flipped, margin=(0, 0, 0, 24), sizing_mode="stretch_width")
        self._changes = pn.Column(margin=0, sizing_mode="stretch_width")
        says = (
            "Held-out examples that are found right: all (top1); those whose bias goes with their class as in training "
            "(aligned); the others (conflicting); every pair of class and bias alike (unbiased); the worst pair. "
            f'"before" is what this page has opened, its checkpoint of step {self.visit.model.step:,}: the best by '
            "validation, where there was one. The others are each after their last step."
        )
        return card(title("Classifiers", says), self._board, self._changes, self.busy["compare"].view, **wide)

    # What is done.

    def _do(self, says, work, then):
        """Does `work()` in a thread, and `then(what it gave)` on the page; meanwhile no button can be pressed."""
        self._begin(says)
        self.visit.threads.do(work, lambda found: (self._idle(), then(found)), self._failed, SLOW)

    def _train(self, says, step, given, then):
        """Trains what a step needs in a process of its own, then makes the step, then calls `then(what it gave)`."""
        make = lambda: self._do(says, lambda: self.round.do(step, **given), then)
        try:
            training = self.round.training(step, **given)
        except InputError as error:
            self.said.wrong(str(error))
            return
        if training is None or step == "translate" and self.translator.disabled:  # That is trained already.
            make()
            return
        self._begin(says, stops=True)
        work, arguments, workdir = training
        trained = lambda: (self._idle(), make())
        self._job = jobs.Job(self.visit.threads, work, arguments, workdir, self.here.show, trained, self._failed)

    def _stop(self):
        self.here.stop.disabled = True
        self._job.stop()

    def _begin(self, says, stops=False):
        self.here.begin(says, stops)
        for one in self._buttons:
            one.disabled = True

    def _idle(self):
        self.here.end()
        for one in self._buttons:
            one.disabled = False
        self.save.visible = self.round is not None

    def _failed(self, why):
        self._idle()
        self.said.wrong(why)

    def _report(self, label):
        """What a `Round` tells how far it is; called in a thread."""

        def told(done, total):
            if done == total or time.monotonic() - self._told > 0.3:
                self._told = time.monotonic()
                self.visit.threads.soon(self.here.show, done, total)

        return told

    def look(self):
        """Looks at the training examples."""
        self._at("look")
        given = dict(clusters=self.clusters.value, projection=self.projection.value)

        def work():
            if self.round is None:
                self._folder = self._folder or self.visit.new_folder()
                self.round = rounds.Round(self._folder, self._config(), run=self.visit.name, progress=self._report)
            return self.round.do("look", **given)

        how = {value: name for name, value in self.projection.options.items()}[self.projection.value]
        self._do(f"The classifier looks at its examples, then {how} places them", work, self._looked)

    def _looked(self, seen):
        kinds = ["class", "taken for", "cluster", *(["bias"] if seen.bias is not None else [])]
        self.colour.options = kinds
        options = {
            "label": list(seen.classes),
            "predicted": list(seen.classes),
            "cluster": [str(number) for number in range(seen.clusters.max() + 1)],
            "bias": list(seen.biases),
            "wrong": ["yes", "no"],
        }
        for name, widget in self.conditions.items():
            widget.options, widget.value = [NONE, *options[name]], NONE
            widget.visible = len(options[name]) > 0
        self._draw()
        given = {"wrong": True} if seen.wrong.any() else {"indices": list(range(min(MOST, len(seen.label))))}
        self._choose(**given)
        if not self._rest.objects:  # Figures that were hidden, or are filled as soon as they are shown, stay empty.
            stretch = dict(margin=0, sizing_mode="stretch_width")
            self._rest.objects = [
                pn.Row(self._points_card, self._chosen_card, **stretch),
                pn.Row(self._make_card, self._train_card, **stretch),
                self._compare_card,
            ]
        self._compare()

    @property
    def _groups(self):
        """(number of each example, names) of what points are coloured by."""
        seen = self.round.seen
        return {
            "class": (seen.label, seen.classes),
            "taken for": (seen.predicted, seen.classes),
            "cluster": (seen.clusters, [f"cluster {number}" for number in range(seen.clusters.max() + 1)]),
            "bias": (seen.bias, seen.biases),
        }[self.colour.value]

    def _draw(self):
        if self.round is None:
            return
        seen = self.round.seen
        numbers, names = self._groups
        fill = drawing.colours(len(names))
        says = [
            f"{seen.classes[label]}{'' if label == taken else f' taken for {seen.classes[taken]}'}: {name}"
            for label, taken, name in zip(seen.label, seen.predicted, seen.names)
        ]
        self.points.show(seen.places, [fill[number] for number in numbers], seen.wrong, says)
        self.points.select(self.chosen)
        drawn = int(np.isfinite(seen.places[:, 0]).sum())
        left_out = "" if drawn == len(seen.label) else (
            f"{drawn:,} of {len(seen.label):,} examples are drawn, as t-SNE of more takes long; "
            "the others are chosen by class, cluster and so on, or with PCA."
        )  # fmt: skip
        self._key.object = drawing.key(names, fill, left_out)

    def choose(self, indices):
        """Chooses examples by their numbers; not while something is made of those that are chosen."""
        if self.here.bar.visible:
            self.points.select(self.chosen)
        elif indices:
            self._choose(indices=sorted(map(int, indices)))

    def choose_by(self):
        """Chooses all examples of a class, cluster and so on."""
        given = {}
        for name, widget in self.conditions.items():
            if widget.visible and widget.value != NONE:
                given[name] = widget.value == "yes" if name == "wrong" else widget.options.index(widget.value) - 1
        self._choose(**given)

    def _choose(self, **given):
        self._at("choose")
        try:
            self.chosen = self.round.do("select", **given)
        except InputError as error:
            self.said.wrong(str(error))
            return
        self.points.select(self.chosen)
        self._show_chosen()

    def _show_chosen(self):
        seen, chosen = self.round.seen, self.chosen
        wrong = int(seen.wrong[chosen].sum())
        self._says.object = f"<p><b>{len(chosen):,} chosen</b>, {wrong:,} of them misclassified</p>"
        some = chosen[np.argsort(~seen.wrong[chosen], kind="stable")][:MOST]  # What is wrong first.

        def work():
            found = [self.round.source[int(index)]["colour"] for index in some]
            if self.heat.value:
                taken = seen.predicted[some]
                found = [self.round.model.grad_cam(picture, label=int(n)) for picture, n in zip(found, taken)]
            return found

        def then(found):
            self._pictures.object = drawing.pictures(
                found, self._captions(seen, some), seen.wrong[some], len(chosen) - len(some)
            )

        self.visit.threads.do(work, then, self.busy["choose"].said.wrong)

    def _captions(self, seen, some):
        name = lambda number: seen.classes[number]
        return [
            name(label) if label == taken else f"{name(label)}, taken for {name(taken)}"
            for label, taken in zip(seen.label[some], seen.predicted[some])
        ]

    def translate(self):
        """Paints what is chosen as pictures of other clusters."""
        self._at("make")
        name = self._new_name("translated", self.round.made)
        targets = self.targets.value
        given = dict(name=name, targets=targets, **({"each": self.each.value} if targets == "others" else {}))
        self.round.translator = self._config()

        def then(made):
            self.translator.disabled = self.translator_steps.disabled = True  # A round has one.
            self._are_made(name, made)

        self._train("The translator is being trained; then it paints", "translate", given, then)

    def jitter(self):
        """Draws what is chosen in random colours."""
        self._at("make")
        name = self._new_name("jittered", self.round.made)
        given = dict(name=name, each=self.each.value)
        self._do("Colours are drawn", lambda: self.round.do("jitter", **given), lambda made: self._are_made(name, made))

    def _config(self):
        """That of the translator, or None."""
        if self.translator.value is None:
            return None
        config = self.translator.value.copy_and_resolve_references()
        config.train.steps = self.translator_steps.value
        return config

    def _new_name(self, what, known):
        return next(name for n in range(1, 1000) if (name := f"{what} {n}".replace(" ", "_")) not in known)

    def _are_made(self, name, made):
        self.made.options = {**self.made.options, f"{name} ({len(made.label):,})": name}
        self.made.value = name
        some = np.linspace(0, len(made.label) - 1, min(len(made.label), MOST // 2)).astype(int)
        each = len(made.label) // len(self.chosen)

        def work():
            return [self.round.source[int(self.chosen[index // each])]["colour"] for index in some]

        def then(sources):
            both = [picture for pair in zip(sources, made.pictures[some]) for picture in pair]
            captions = [text for index in some for text in (made.classes[made.label[index]], "made of it")]
            self._made.object = drawing.pictures(both, captions, more=len(made.label) - len(some))

        self.visit.threads.do(work, then, self.busy["make"].said.wrong)

    def retrain(self):
        """Trains the classifier further, with made pictures or without."""
        self._at("train")
        name = self._new_name(self.made.value.partition("_")[0] or "plain", self.round.models)
        given = dict(name=name, made=self.made.value, steps=self.train_steps.value)
        given |= {"share": self.share.value / 100} if self.made.value else {}
        self._train("The classifier is being trained", "retrain", given, lambda look: self._are_trained(name))

    def _are_trained(self, name):
        self.first.options = self.second.options = list(self.round.looks)
        self.second.value = name  # Which compares them.

    # How classifiers differ.

    def _compare(self):
        if self.round is None:
            return
        self._board.object = drawing.board(self.round.board())
        before, after = (self.round.looks[widget.value] for widget in (self.first, self.second))
        if len(self.round.looks) == 1:
            return
        if before.bias is not None:
            self.mosaic.show(*steps.mosaic(before, after), before.classes, before.biases)
        if not self._changes.objects:  # As above.
            mosaic = [] if before.bias is None else [self.mosaic.view]
            both = pn.Row(*mosaic, self._flips, margin=0, sizing_mode="stretch_width")
            self._changes.objects = [pn.FlexBox(self.first, self.second, margin=0), both]
        self._trace()

    def _trace(self, field=None):
        """Shows what flipped, of a field (class, bias) of the mosaic or of all."""
        before, after = (self.round.looks[widget.value] for widget in (self.first, self.second))
        flips = steps.trace(before, after)
        of = f" of {before.classes[field[0]]}, {before.biases[field[1]]}" if field else ""
        if field:
            flips = np.where((before.label == field[0]) & (before.bias == field[1]), flips, 0)
        right, wrong = np.flatnonzero(flips > 0), np.flatnonzero(flips < 0)
        self._trace_says.object = (
            f"<p><b>{len(right):,} became right and {len(wrong):,} wrong</b>{html.escape(of)}"
            f"{'' if before.bias is None else '; click a field to see its own'}</p>"
            f'<p class="soft small">{"" if before.bias is None else MOSAIC}</p>'
        )
        some = [*right[: MOST // 3], *wrong[: MOST // 3]]
        name = lambda number: before.classes[number]
        captions = [f"was {name(before.predicted[i])}, now {name(after.predicted[i])}" for i in some]

        def work():
            return [self.round.held_out[int(index)]["colour"] for index in some]

        def then(found):
            self._flipped.object = drawing.pictures(found, captions, np.isin(some, wrong))

        self.visit.threads.do(work, then, self.busy["compare"].said.wrong)
