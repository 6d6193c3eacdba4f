"""Global directions of StyleCLIP (section 6): what moving each channel of style space does to what CLIP sees.

That is measured once for a generator and a CLIP, as in the released code: the statistics of the styles of many latents;
then each channel of some pictures is set to five deviations below and above its mean, and the difference of CLIP's
features, averaged over the pictures, is the channel's relevance. It is kept in the cache by what the networks make of
some seeds; so is what has been measured when it is interrupted. CLIP sees these pictures as it was trained.
"""

import dataclasses
import logging
import time

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from vision_gen import cache
from vision_gen.engine.fitting import Fitted, Fitting
from vision_gen.errors import InputError
from vision_gen.systems.clip import read_templates

log = logging.getLogger("vision_gen")
REACH = 5.0  # Deviations that a channel is moved either way.
TRUNCATED = 8  # Of the layers of w, the first so many.
SAMPLES, TOGETHER = 100_000, 1000  # Latents that statistics are taken of, and how many at a time.
PROBES = 4  # Seeds that tell networks apart.
PIXELS = 2**19  # That are painted at a time.
BETWEEN_SAVES = 60.0  # Seconds.


def direction(relevance, change, threshold):
    """Equation 5 and below: which way styles go, in deviations, how many channels move, and how relevant the most is.

    Args:
      relevance: [channels, embedding].
      change: [embedding], of the texts, of length 1.
      threshold: beta, [1].
    """
    along = jnp.matmul(relevance, change, precision="highest")
    size = jnp.abs(along)
    chosen = jnp.where(size < threshold, 0.0, along)
    return chosen / jnp.maximum(size.max(), 1e-12), jnp.sum(chosen != 0), size.max()


@dataclasses.dataclass(frozen=True)
class Directions(Fitting):
    """Texts in their templates, and what is known of the channels.

    Attributes:
      encode: function of a text that gives its tokens [1, length].
      size: pixels of a side of the generator's pictures.
    """

    encode: object
    size: int
    prepares = True

    def fit(self, kinds, inputs, options, called=None):
        if inputs["neutral"] == inputs["target"]:
            raise InputError(f"neutral and target are the same text, {inputs['target']!r}; nothing would change")
        templates = read_templates(options)
        texts = {
            name: np.stack([self.encode(text.replace("{}", inputs[name]))[0] for text in templates])[None]
            for name in ("neutral", "target")
        }
        return _Fitted({"latent": kinds["latent"].array(inputs["latent"]), **texts}, options["pictures"], self.size)


class _Fitted(Fitted):
    def __init__(self, arrays, pictures, size):
        super().__init__([arrays])
        self._pictures, self._size = pictures, size

    def option(self, kind, value, name):
        return None if name in ("templates", "pictures") else kind.array(value)

    def each(self, call):
        mean, deviation, relevance = measured(call, self._pictures, self._size, self.progress)
        found = jax.device_get(call({**self.parts[0], "relevance": relevance, "deviation": deviation}))
        if not found["count"]:
            raise InputError(
                f"threshold: no channel is so relevant to this change; the most relevant has {found['most']:.3f}"
            )
        log.info("%d of %d channels are moved", found["count"], np.any(relevance, 1).sum())
        return found


def measured(call, pictures, size, progress=None):
    """(mean, deviation, relevance) of the channels of style space, [channels] and [channels, embedding].

    Args:
      call: function of arrays and the name of a method of `editing.StyleCLIP`.
      pictures: how many relevance is measured on.
      size: pixels of their sides.
      progress: function of (channels done, channels in all, preview); a true value stops.

    Raises:
      InputError: it was stopped.
    """
    ask = lambda method, **arrays: jax.device_get(call(arrays, method))
    probe = ask("fingerprint", seed=np.arange(PROBES, dtype=np.uint32))
    path = cache.place("directions", probe["styles"], probe["seen"], pictures, SAMPLES, 1)
    known = cache.load(path)
    if not known:
        known = _statistics(ask) | {"done": np.array(0)}
        known["relevance"] = np.zeros((len(known["mean"]), probe["seen"].shape[-1]), np.float32)
    todo = np.flatnonzero(probe["moves"])
    if known["done"] < len(todo):
        _measure(ask, known, todo, pictures, size, path, progress)
    return known["mean"], known["deviation"], known["relevance"]


def _statistics(ask):
    means, variances = [], []
    for at in tqdm.tqdm(range(0, SAMPLES, TOGETHER), "statistics of styles"):
        mean, variance = ask("statistics", seed=np.arange(at, at + TOGETHER, dtype=np.uint32))
        means.append(np.float64(mean))
        variances.append(np.float64(variance))
    variance = np.mean(variances, 0) + np.var(means, 0)
    return {"mean": np.float32(np.mean(means, 0)), "deviation": np.float32(np.sqrt(variance))}


def _measure(ask, known, todo, pictures, size, path, progress):
    """Fills in the relevance of channels `todo`, those that are not `done`; saves now and then, and at the end."""
    together = max(1, PIXELS // (2 * size**2))  # Pictures, each moved down and up.
    parts = np.array_split(np.arange(pictures, dtype=np.uint32), -(-pictures // together))
    step = max(1, together // len(parts[0]))
    saved = time.monotonic()
    start, shown = int(known["done"]), "relevance of channels"
    bar = tqdm.tqdm(total=len(todo), initial=start, desc=shown, unit="channel", disable=progress is not None)
    try:
        while known["done"] < len(todo):
            channel = todo[known["done"] : known["done"] + step]
            given = dict(mean=known["mean"], deviation=known["deviation"], channel=np.resize(channel, step))
            total = sum(ask("differences", seed=part, **given).sum(1) for part in parts)[: len(channel)]
            known["relevance"][channel] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
            known["done"] = known["done"] + len(channel)
            bar.update(len(channel))
            done = int(known["done"])
            if progress and progress(done, len(todo), lambda: None):
                raise InputError(f"stopped: the relevance of {done} of {len(todo)} channels is measured, and kept")
            if time.monotonic() - saved > BETWEEN_SAVES:
                cache.save(path, **known)
                saved = time.monotonic()
    finally:
        bar.close()
        cache.save(path, **known)
