"""A round that trains nothing: what it looks at and makes is known."""

import types

import numpy as np

from vision_gen import values
from vision_gen.engine.tools import Tool
from vision_gen.studio.debias import rounds, steps

CLASSES, BIASES = ("zero", "one"), ("red", "blue")
COLOURS = np.uint8([(200, 30, 30), (30, 60, 200)])


class Scans:
    """So many pictures of a class with a bias, in turns; in training the ones are blue but for the last of them."""

    def __init__(self, count, biased):
        self.label = np.int32(np.arange(count) % 2)
        self.bias = self.label.copy() if biased else np.int32(np.arange(count) // 2 % 2)
        if biased:
            self.bias[-2:] = 1 - self.bias[-2:]

    def __len__(self):
        return len(self.label)

    def __getitem__(self, index):
        colour = np.zeros((12, 12, 3), np.uint8)
        colour[2:-2, 5 - 3 * (self.label[index] == 0) : 7 + 3 * (self.label[index] == 0)] = COLOURS[self.bias[index]]
        return {"colour": colour, "label": self.label[index], "bias": self.bias[index]}


def look(source, predicted, clusters=0, places=None):
    """A `steps.Look` at scans."""
    return steps.Look(
        names=tuple(f"scan {number}" for number in range(len(source))),
        label=source.label,
        predicted=predicted,
        bias=source.bias,
        aligned=np.int32(source.label == source.bias),
        features=np.zeros((len(source), 2), np.float32),
        places=places,
        clusters=source.bias % clusters if clusters else None,
        classes=CLASSES,
        biases=BIASES,
    )


class Round(rounds.Round):
    """Its classifier goes by the colour alone; one that is trained with made pictures is always right."""

    def __init__(self, workdir, translator, *, run, progress):
        self._run, self.translator = run, translator
        self.model = types.SimpleNamespace(grad_cam=lambda picture, label: np.where(label, picture, np.uint8(255)))
        self.source, self.held_out = Scans(40, True), Scans(16, False)
        self.seen, self.chosen, self.made, self.record = None, None, {}, []
        self.models = {"before": "before"}
        self.looks = {"before": look(self.held_out, self.held_out.bias)}

    def look(self, *, clusters, projection, seed=0):
        rng = np.random.default_rng(seed)
        places = np.float32(rng.normal(0, 0.2, (40, 2)) + 2 * self.source.bias[:, None])
        self.seen = look(self.source, self.source.bias, clusters, places)
        return self.seen

    def training(self, step, **given):
        return None

    def translate(self, *, name, targets, each=1, seed=0):
        return self._painted(name, each)

    def jitter(self, *, name, each=1, seed=0):
        return self._painted(name, each)

    def _painted(self, name, each):
        again = np.repeat(self.chosen, each)
        pictures = np.stack([self.source[int(i)]["colour"][..., ::-1] for i in again])
        self.made[name] = steps.Made(pictures, self.source.label[again], tuple(map(str, range(len(again)))), CLASSES)
        return self.made[name]

    def retrain(self, *, name, made="", share=0.5, steps=0, seed=0):
        self.models[name] = name
        self.looks[name] = look(self.held_out, self.held_out.label if made else self.held_out.bias)
        return self.looks[name]


def classifier(answers=()):
    """What stands for a `use.Model`."""
    experiment = types.SimpleNamespace(
        model=types.SimpleNamespace(answers=answers),
        data=types.SimpleNamespace(name="scans", size=12),
        train=types.SimpleNamespace(steps=100),
    )
    tool = Tool("classify", "Says.", {"image": values.Image()}, {"scores": values.Scores(CLASSES)})
    config = types.SimpleNamespace(system="classifier.Classifier")
    return types.SimpleNamespace(
        experiment=experiment, tools={"classify": tool}, facts={"classes": CLASSES}, step=0, config=config
    )
