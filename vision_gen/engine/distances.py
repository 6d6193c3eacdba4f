"""Distances of sets of images and of pairs, with what their figures are to be cited with."""

import logging
import pathlib

import jax
import numpy as np

from vision_gen.errors import InputError
from vision_gen.metrics import extract, perceptual
from vision_gen.metrics import image as image_metrics
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import conv

log = logging.getLogger("vision_gen")

# Of an image beside its truth.
PAIRED = ("psnr", "ssim", "ms_ssim", "lpips", "lpips_vgg")
SUBSET = 1000  # Images in a subset of the kernel distance.
CLASSES = 1000  # Of the networks' classifiers, of which the score is.
NEIGHBOURS = 10_000  # Images among which precision and recall are published, at least.


def open_extractor(metrics, features, weights, resize):
    """An `extract.Extractor` of the given network, weights and protocol.

    Raises:
      InputError: "fid" is asked for of another network than that of 2015, or there is no such network or file.
    """
    if "fid" in metrics and features != "inception-2015":
        raise InputError(
            f'--metrics: "fid" is the Frechet distance of features of inception-2015; with {features} ask for '
            '"fd", or give --features=inception-2015'
        )
    return extract.Extractor(features, resize, path=weights)


def statistics(extractor, fingerprint, images, count, progress):
    """`extract.Statistics` of images, from the cache if it has them, otherwise computed and kept there.

    Args:
      extractor: an `extract.Extractor`.
      fingerprint: of the images.
      images: iterable of [height, width, 3] uint8.
      count: how many.
      progress: function of (done, total).
    """
    cache = extract.cache_path(extractor, fingerprint)
    if not cache.exists():
        extract.statistics(extractor, images, count, progress).save(cache)
    found = extract.Statistics.load(cache)
    found.made_of = {**extractor.key, "images": fingerprint}
    return found


def check_path(path):
    """Raises `InputError` where a path is none for a file of statistics."""
    if pathlib.Path(path).suffix != ".npz":
        raise InputError(f"--save-stats: {str(path)!r} must end in .npz")


def load_statistics(path, extractor):
    """`extract.Statistics` of a file.

    Raises:
      InputError: it is none, or is known to be of another network or protocol than the extractor's.
    """
    found = extract.Statistics.load(path)
    made_of = {name: (found.made_of or {}).get(name, value) for name, value in extractor.key.items()}
    if made_of != extractor.key:
        raise InputError(
            f"{path} has statistics of {made_of}; --features, --weights and --resize ask for {extractor.key}"
        )
    return found


def entries(names, reference, generated, extractor):
    """Distances between two sets, as they stand in `metrics.json`.

    Args:
      names: of `extract.DISTANCES`.
      reference, generated: `extract.Statistics`.
      extractor: what made them.

    Returns:
      {name: {"title", "mean", "what", "images", "reference_images", "standard_error", "warning", ...}}, the last two
      where there are any.
    """
    result = {}
    for name, (title, value, error) in extract.distances(names, reference, generated, extractor).items():
        result[name] = {
            "title": title,
            "mean": value,
            "what": PHRASES[name],
            **extractor.key,
            "images": generated.count,
            "reference_images": reference.count,
        }
        if error is not None:
            result[name]["standard_error"] = error
        counts = [generated.count] if name == "is" else [n for n in (generated.count, reference.count) if n]
        if warning := _warning(name, min(counts), reference.mean.size):
            result[name]["warning"] = warning
            log.warning("%s: %s", title, warning)
    return result


def _warning(name, images, features):
    """Why a distance of so few images is to be taken with care, or None."""
    if name in ("fd", "fid") and images <= features:
        return (
            f"{images} images are fewer than the {features} features: the covariance is singular and the distance "
            "biased; compare it only with others of as many images"
        )
    if name == "kid" and images < SUBSET:
        return (
            f"{images} images are fewer than the {SUBSET} of a subset: every subset has nearly all of them, and the "
            "standard error says little"
        )
    if name == "is" and images < 10 * CLASSES:
        return (
            f"{images} images in ten parts are fewer a part than the {CLASSES} classes: the score is too low, at most "
            f"{max(images // 10, 1)}"
        )
    if name in ("precision", "recall") and images < NEIGHBOURS:
        return (
            f"among {images} images neighbours are far and the manifolds wide; figures are published of {NEIGHBOURS} "
            "and more: compare it only with others of as many images"
        )
    return None


def mean(values, what):
    """What `metrics.json` says of figures [examples]; NaN is left out."""
    kept = np.isfinite(values).sum()
    return {
        "mean": float(np.nanmean(values)),
        "what": what,
        "images": int(kept),
        "standard_error": float(np.nanstd(values) / max(kept, 1) ** 0.5),
    }


def paired(name):
    """The function (image, truth) -> [batch] of a name of `PAIRED`, of images [batch, height, width, 3] in [-1, 1].

    Raises:
      InputError: published weights that it needs are not to be had.
    """
    if name.startswith("lpips"):
        function, params = perceptual.load_lpips("vgg16" if name == "lpips_vgg" else "alexnet")
        function = jax.jit(function, compiler_options=conv.compiler_options())
        return lambda image, truth: np.asarray(function(params, image, truth))
    return jax.jit(getattr(image_metrics, name))
