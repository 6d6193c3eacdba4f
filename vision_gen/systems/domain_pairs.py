"""Figures of translations between all ordered pairs of domains, as StarGAN v2 is evaluated (Choi et al. 2020, section 4).

Every held-out image is translated into each other domain 10 times, by latents or by held-out references of the domain. The
Frechet distance is that of all translations of a pair of domains to the real training images of the second; the diversity
the mean distance of two of the 10. Both are means over the pairs.
"""

import logging

import jax
import numpy as np

from vision_gen.engine import distances
from vision_gen.metrics import distribution, perceptual
from vision_gen.ops import conv

log = logging.getLogger("vision_gen")
OUTPUTS = 10  # Of an image in a domain.
MEASURES = {
    "fd": "Frechet distance of translations {by} to real images of the domain, mean over pairs of domains; lower is better",
    "diversity": "distance, by features of EfficientNet-Lite0, of two translations {by} of an image, mean over pairs of "
    "domains; 0: all are alike",
    "lpips": "LPIPS (AlexNet) of two translations {by} of an image, mean over pairs of domains; 0: all are alike",
}
BY = {"latent": "by latents", "reference": "by references"}
EXPLAINED = {f"{name}_{guide}": text.format(by=by) for name, text in MEASURES.items() for guide, by in BY.items()}
FIGURES = tuple(EXPLAINED)
NETWORKS = {"diversity": "efficientnet-lite0", "lpips": "alexnet"}


def figures(names, model, source, real, extractor, progress):
    """Some of `FIGURES`, as entries of `metrics.json`.

    Args:
      names: which.
      model: an `engine.use.Model` whose system has `styles`, which gives styles [batch, ...] of images themselves, and
        `outputs`, which gives `outputs` [batch, (domains - 1) * OUTPUTS, height, width, 3] uint8: translations into
        the next domain, and the others in turn, in the styles `styles` [batch, the same number, ...] of the batch, or
        by latents.
      source: held-out examples with `colour` and `label`.
      real: the training examples.
      extractor: an `extract.Extractor`.
      progress: function of a label that gives a function of (done, total).

    Returns:
      {name: {"mean", "what", "images", "pairs", ...}}.
    """
    truths = _truths(real, extractor, progress("features of real images")) if any(n.startswith("fd") for n in names) else {}
    measures = {name: _diversity(of) for name, of in NETWORKS.items() if any(n.startswith(name) for n in names)}
    found = {}
    for guide, by in BY.items():
        asked = [name.partition("_")[0] for name in names if name.endswith(f"_{guide}")]
        if asked:
            examples = _Guided(source, model, len(source.classes), guide == "reference")
            functions = {name: measure for name, measure in measures.items() if name in asked}
            fakes = extractor if "fd" in asked else None
            of_pairs, counts = _measured(model, examples, functions, fakes, truths, progress(f"translating {by}"))
            for name in asked:
                found[f"{name}_{guide}"] = _entry(f"{name}_{guide}", of_pairs[name], counts, source.classes)
            if fakes:
                least = min(*counts.values(), *(truth.count for truth in truths.values()))
                found[f"fd_{guide}"] |= _of_features(f"{extractor.title}, {by}", extractor, least)
    return found


def _entry(name, of_pairs, counts, classes):
    return {
        "mean": float(np.mean(list(of_pairs.values()))),
        "what": EXPLAINED[name],
        "images": sum(counts.values()),
        "pairs": {f"{classes[a]} to {classes[b]}": value for (a, b), value in of_pairs.items()},
    }


def _of_features(title, extractor, least):
    """What a distance of sets is to be cited with, the smallest of which has `least` images."""
    found = {"title": title, **extractor.key}
    if why := distances.warning("fd", least, extractor.dimension):
        log.warning("%s: %s", title, why)
        found["warning"] = why
    return found


def _measured(model, examples, functions, extractor, truths, progress):
    """({figure: {(from, to): value}}, {(from, to): how many translations})."""
    domains = len(examples.classes)
    moments, counts = {}, {}
    values = {name: {} for name in functions}
    labels = iter(examples.labels)
    for found in model.each("outputs", examples, progress):
        for made in found["outputs"]:
            label = int(next(labels))
            for number, group in enumerate(made.reshape(domains - 1, OUTPUTS, *made.shape[1:])):
                pair = label, (label + 1 + number) % domains
                counts[pair] = counts.get(pair, 0) + OUTPUTS
                for name, function in functions.items():
                    values[name].setdefault(pair, []).append(function(group))
                if extractor:
                    _add(moments.setdefault(pair, distribution.Moments(extractor.dimension)), extractor, group)
    of_pairs = {name: {pair: float(np.mean(x)) for pair, x in each.items()} for name, each in values.items()}
    if extractor:
        distance = distribution.frechet_distance
        of_pairs["fd"] = {pair: distance(*truths[pair[1]].result(), *x.result()) for pair, x in moments.items()}
    return of_pairs, counts


def _truths(real, extractor, progress):
    """{label: `distribution.Moments` of the features of its images}."""
    labels, found = real.column("label"), {}
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        moments = found[int(label)] = distribution.Moments(extractor.dimension)
        _add(moments, extractor, (real[int(i)]["colour"] for i in members))
        progress(sum(each.count for each in found.values()), len(labels))
    return found


def _add(moments, extractor, images):
    for found in extractor.stream(images):
        moments.update(found["features"])


def _diversity(network):
    """Function of images [outputs, height, width, 3] uint8 that gives their mean distance, a float."""
    function, params = perceptual.load_diversity(network)
    compiled = jax.jit(function, compiler_options=conv.compiler_options())
    return lambda images: float(compiled(params, images / np.float32(127.5) - 1))


class _Guided:
    """A source of held-out images and, by references, of the styles that they are to be translated in."""

    def __init__(self, source, model, domains, by_references):
        self._source, self.classes = source, source.classes
        self.labels = source.column("label")
        self._styles = None
        if by_references:
            self._styles = np.concatenate([found["styles"] for found in model.each("styles", source)])
            self._members = [np.flatnonzero(self.labels == label) for label in range(domains)]

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        whole = self._source[index]
        example = {name: whole[name] for name in ("colour", "label")}
        if self._styles is None:
            return example
        rng, domains = np.random.default_rng(index), len(self._members)
        chosen = []
        for number in range(domains - 1):
            members = self._members[(int(example["label"]) + 1 + number) % domains]
            chosen.append(rng.choice(members, OUTPUTS, replace=len(members) < OUTPUTS))
        return {**example, "styles": self._styles[np.concatenate(chosen)]}
