"""From images to features to statistics: streaming, over all devices, cached on request."""

import dataclasses
import hashlib
import json
import os
import pathlib

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from vision_gen.errors import InputError
from vision_gen.metrics import distribution, resizing
from vision_gen.ops import conv
from vision_gen.pretrained import features as pretrained
from vision_gen.pretrained import weights

# Networks with one vector of features an image.
EXTRACTORS = ("efficientnet-lite0", "inception-2015")
KEPT = 10_000  # Features that are kept for metrics of single images, at most.


class Extractor:
    """A feature network behind a resizing protocol.

    Args:
      name: of `EXTRACTORS`.
      protocol: a key of `resizing.PROTOCOLS`.
      path: the network's weights; by default the published ones.
      batch_size: images computed at a time, over all devices.
      devices: by default this process's.

    Attributes:
      key: what the features depend on: network, its checksum, protocol.
      dimension: features of an image.
    """

    def __init__(
        self, name="efficientnet-lite0", protocol="clean", *, path=None, batch_size=32, devices=None
    ):
        check(name, protocol)
        network, checksum = pretrained.load(name, path)
        self.key = {"features": name, "checksum": checksum, "resize": protocol}
        devices = jax.local_devices() if devices is None else devices
        mesh = Mesh(np.array(devices), "data")
        self._sharding = NamedSharding(mesh, PartitionSpec("data"))
        self._batch = -(-batch_size // len(devices)) * len(devices)
        self.dimension, self._size = network.fc.kernel.shape[0], network.size
        logits = "logits_unbiased" if name == "inception-2015" else "logits"
        apply, params = pretrained.apply(network, ("features", logits))
        self._params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))

        def function(params, images):
            found = apply(params, images / 127.5 - 1)
            return {"features": found["features"], "logits": found[logits]}

        self._function = jax.jit(
            function,
            out_shardings=self._sharding,
            compiler_options=conv.compiler_options(devices[0].platform),
        )

    @property
    def network(self):
        """The network's name; nothing for the published Inception of 2015, which needs no mention."""
        name, checksum = self.key["features"], self.key["checksum"]
        published = checksum.startswith(weights.FILES[name].sha256)
        if name == "inception-2015" and published:
            return ""
        return name if published else f"{name}, weights {checksum[:8]}"

    @property
    def title(self):
        """What distances of these features are called: "FID" is reserved for its network and weights."""
        return f"Frechet distance ({self.network})" if self.network else "FID"

    def stream(self, images):
        """Features of images, in order, in memory that does not grow with their number.

        Args:
          images: iterable of [height, width, 3] uint8, of any sizes.

        Yields:
          dict of `features` and `logits` [images, ...], numpy, a batch at a time.
        """
        waiting = None
        for batch, count in self._batches(images):
            found = self._function(self._params, jax.device_put(batch, self._sharding))
            if waiting:  # The device computes one batch while the last is read and the next decoded.
                yield _fetch(*waiting)
            waiting = found, count
        if waiting:
            yield _fetch(*waiting)

    def _batches(self, images):
        """([batch, size, size, 3] float32, how many of them count)."""
        held = []
        for image in images:
            held.append(image)
            if len(held) == self._batch:
                yield self._resized(held), len(held)
                held = []
        if held:
            count = len(held)
            yield self._resized(held + held[-1:] * (self._batch - count)), count

    def _resized(self, images):
        resize = lambda images: resizing.resize(images, self._size, self.key["resize"])
        if len({image.shape for image in images}) == 1:
            return resize(np.stack(images))
        return np.concatenate([resize(image[None]) for image in images])


def check(name, protocol):
    """Raises `InputError` where there is no such network of `EXTRACTORS`, or no such protocol."""
    resizing.check(protocol)
    if name not in EXTRACTORS:
        raise InputError(f"--features must be one of {EXTRACTORS}, got {name!r}")


def _fetch(found, count):
    return {name: np.asarray(value)[:count] for name, value in jax.device_get(found).items()}


@dataclasses.dataclass
class Statistics:
    """What the metrics need to know of a set of images.

    Attributes:
      count: images.
      mean, covariance: of their features.
      sample: [at most KEPT, dimension] features, drawn at random.
      inception_score: (mean, standard deviation over splits), or None where it is not known.
      made_of: an `Extractor.key` with the fingerprint of the `images`, or None where it is not known.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray
    sample: np.ndarray | None = None
    inception_score: tuple[float, float] | None = None
    made_of: dict | None = None

    def save(self, path):
        """Writes an `.npz` that pytorch-fid reads, too (`mu`, `sigma`)."""
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(
            part,
            mu=self.mean,
            sigma=self.covariance,
            count=self.count,
            sample=self.sample,
            inception_score=self.inception_score,
            made_of=json.dumps(self.made_of),
        )
        part.rename(path)

    @classmethod
    def load(cls, path):
        """Reads `save`'s file, or pytorch-fid's, which has no more than `mu` and `sigma`.

        Raises:
          InputError: it is neither, or damaged.
        """
        try:
            with np.load(path) as file:
                found = dict(file)
            result = cls(
                int(found.get("count", 0)),
                found["mu"],
                found["sigma"],
                found.get("sample"),
                tuple(map(float, found["inception_score"])) if "inception_score" in found else None,
                json.loads(str(found.get("made_of", "null"))),
            )
            size, sample = result.mean.size, result.sample
            shapes = result.mean.shape, result.covariance.shape, () if sample is None else sample.shape[1:]
            if not size or shapes != ((size,), (size, size), () if sample is None else (size,)):
                raise ValueError(f"their shapes are {shapes}")
            numbers = (result.mean, result.covariance, [] if sample is None else sample, result.inception_score or [])
            if not all(np.isfinite(x).all() for x in numbers):
                raise ValueError("some of their numbers are not finite")
            return result
        except Exception as error:  # As a damaged archive has it.
            why = f"there is no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
            raise InputError(f"{path}: not a file of statistics with mu and sigma ({why})") from error


class Collector:
    """`Statistics` in the making, in memory that does not grow with the number of images.

    Args:
      count: images that there will be.
    """

    def __init__(self, count):
        if count < 2:
            raise InputError(f"statistics need at least 2 images, got {count}")
        self.count, self._moments = count, None

    @property
    def seen(self):
        """Images so far."""
        return self._moments.count if self._moments else 0

    def add(self, found):
        """Adds what `Extractor.stream` yields.

        Raises:
          InputError: a feature is not finite.
        """
        features, logits = found["features"], found["logits"]
        finite = np.isfinite(features).all(1) & np.isfinite(logits).all(1)
        if not finite.all():
            number = self.seen + int(np.argmin(finite))
            raise InputError(f"the features of image {number} are not finite; are the network's weights right?")
        if self._moments is None:
            self._moments = distribution.Moments(features.shape[1])
            self._sample = distribution.Reservoir(KEPT)
            self._score = distribution.InceptionScore(self.count, logits.shape[1])
        self._moments.update(features)
        self._sample.update(features)
        self._score.update(logits)

    def result(self):
        """The `Statistics`."""
        return Statistics(
            self.count, *self._moments.result(), self._sample.result(), self._score.result()
        )


def statistics(extractor, images, count, progress=None):
    """`Statistics` of `count` images, in one pass."""
    collector = Collector(count)
    for found in extractor.stream(images):
        collector.add(found)
        if progress:
            progress(collector.seen, count)
    return collector.result()


def cache_path(extractor, fingerprint):
    """Where the statistics of the images with a fingerprint are kept, by all that they depend on."""
    key = {**extractor.key, "images": fingerprint, "kept": KEPT, "version": 1}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(os.environ.get("VISION_GEN_CACHE", "~/.cache/vision_gen")).expanduser()
    return folder / "statistics" / f"{digest[:32]}.npz"


def distances(names, reference, generated, extractor):
    """Metrics of two `Statistics`.

    Args:
      names: of `DISTANCES`.
      reference, generated: the statistics.
      extractor: whose features they are of.

    Returns:
      {name: (title, value, standard error or None)}.

    Raises:
      InputError: a figure is not finite.
    """
    network = f" ({extractor.network})" if extractor.network else ""
    found = {}
    for name in [name for name in names if name in ("fd", "fid")]:
        value = distribution.frechet_distance(
            reference.mean, reference.covariance, generated.mean, generated.covariance
        )
        found[name] = extractor.title, value, None
    if "kid" in names:
        title = f"kernel distance{network}" if network else "KID"
        found["kid"] = title, *distribution.kernel_distance(reference.sample, generated.sample)
    if "is" in names:
        mean, _ = generated.inception_score
        found["is"] = f"class score{network}" if network else "Inception Score", mean, None
    if {"precision", "recall"} & set(names):
        both = distribution.precision_recall(reference.sample, generated.sample)
        for name in [name for name in names if name in ("precision", "recall")]:
            found[name] = f"{name}{network}", getattr(both, name), None
    for title, value, _ in found.values():
        if not np.isfinite(value):
            raise InputError(f"{title} is {value}: the features are too large or too many are alike")
    return found


DISTANCES = ("fd", "fid", "kid", "is", "precision", "recall")
