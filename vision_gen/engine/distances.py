"""Distances of sets of images and of pairs, with what their figures are to be cited with."""

import functools
import logging
import pathlib

import jax
import numpy as np

from vision_gen.errors import InputError
from vision_gen.metrics import extract, perceptual, resizing
from vision_gen.metrics import image as image_metrics
from vision_gen.metrics.phrases import PHRASES
from vision_gen.ops import conv
from vision_gen.values import kind

log = logging.getLogger("vision_gen")

# Of an image beside its truth; and how many pixels a side they need.
PAIRED = {"psnr": 1, "ssim": 11, "ms_ssim": 161, "lpips": 31, "lpips_vgg": 16}
LENGTHS, KEPT = 8, 8  # Of LPIPS: sides that images are extended to, an octave; and programs.
SUBSET = 1000  # Images in a subset of the kernel distance.
CLASSES = 1000  # Of the networks' classifiers, of which the score is.
NEIGHBOURS = 10_000  # Images among which precision and recall are published, at least.


def check(metrics, features, resize):
    """Raises `InputError` where "fid" is asked for of another network than its own, or there is no such network."""
    extract.check(features, resize)
    if "fid" in metrics and features != "inception-2015":
        raise InputError(
            f'--metrics: "fid" is the Frechet distance of features of inception-2015; with {features} ask for '
            '"fd", or give --features=inception-2015'
        )


def least(metrics):
    """How many images of each set `metrics` need."""
    return 4 if {"precision", "recall"} & set(metrics) else 2 if set(extract.DISTANCES) & set(metrics) else 1


def kept(extractor, fingerprint):
    """`extract.Statistics` of the images with a fingerprint, where the cache has them.

    Returns:
      (path in the cache, the statistics or None).

    Raises:
      InputError: the file is damaged.
    """
    path = extract.cache_path(extractor, fingerprint)
    if not path.exists():
        return path, None
    try:
        return path, extract.Statistics.load(path)
    except InputError as error:
        raise InputError(f"{error}; it is of the cache: delete it, and it is computed again") from error


def check_path(path):
    """Raises `InputError` where a path is none for a file of statistics, or its folder cannot be written."""
    if pathlib.Path(path).suffix != ".npz":
        raise InputError(f"--save-stats: {str(path)!r} must end in .npz")
    kind.check_folder(pathlib.Path(path).parent, "--save-stats")


def load_statistics(path, extractor, metrics):
    """`extract.Statistics` of a file.

    Raises:
      InputError: it is none, is of another network or protocol than the extractor's, or cannot tell `metrics`.
    """
    found = extract.Statistics.load(path)
    if found.mean.size != extractor.dimension:
        name = extractor.key["features"]
        raise InputError(f"{path} has {found.mean.size} features an image, {name} gives {extractor.dimension}")
    single = [name for name in ("kid", "precision", "recall") if name in metrics]
    if single and (found.sample is None or len(found.sample) < least(metrics)):
        number = "none" if found.sample is None else len(found.sample)
        need = f"{', '.join(single)} need the reference's images, at least {least(metrics)}"
        raise InputError(f"--metrics: {need}; {path} has {number}")
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
        if why := warning(name, min(counts), reference.mean.size):
            result[name]["warning"] = why
            log.warning("%s: %s", title, why)
    return result


def warning(name, images, features):
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


def mean(name, values, what):
    """What `metrics.json` says of figures [examples]; NaN is left out.

    Raises:
      InputError: a figure is infinite, or none is a number.
    """
    there = values[~np.isnan(values)]
    if not len(there) or np.isinf(there).any():
        raise InputError(f"{name} is {'infinite' if len(there) else 'not a number'}; are the network's weights right?")
    return {
        "mean": float(np.mean(there)),
        "what": what,
        "images": len(there),
        "standard_error": float(np.std(there) / len(there) ** 0.5),
    }


def check_sides(metrics, height, width, what):
    """Raises `InputError` where images are too small for one of `metrics`."""
    for name in metrics:
        if min(height, width) < PAIRED.get(name, 1):
            raise InputError(f"--metrics: {name} needs {PAIRED[name]} px a side; {what} is {width} x {height} px")


def program(size):
    """What LPIPS's programs for images of a size have in common: the size that they are extended to."""
    return resizing.extended_size(size, LENGTHS)


def paired(name):
    """The function (image, truth) -> [batch] of a name of `PAIRED`, of images [batch, height, width, 3] in [-1, 1].

    It takes images of any sizes: they are extended to a few, of which each compiles a program; LPIPS, whose programs
    are large and slow, to eight lengths an octave, and the last few programs are kept.

    Raises:
      InputError: published weights that it needs are not to be had; of the function: images are too small.
    """
    if name.startswith("lpips"):
        function, params = perceptual.load_lpips("vgg16" if name == "lpips_vgg" else "alexnet")

        @functools.lru_cache(maxsize=KEPT)
        def compiled(shape):
            del shape
            return jax.jit(lambda *given: function(*given), compiler_options=conv.compiler_options())

        def compute(image, truth):
            longer = [resizing.extended(x, LENGTHS) for x in (image, truth)]
            return compiled(longer[0].shape)(params, *longer, image.shape[1:3])

    else:
        function = jax.jit(getattr(image_metrics, name))
        compute = lambda image, truth: function(*map(resizing.extended, (image, truth)), image.shape[1:3])

    def of_pairs(image, truth):
        check_sides([name], *image.shape[1:3], "an image")
        return np.asarray(compute(image, truth))

    return of_pairs
