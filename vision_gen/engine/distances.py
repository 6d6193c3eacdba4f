"""Distances between sets of images, with what their figures are to be cited with."""

import logging

from vision_gen.errors import InputError
from vision_gen.metrics import extract

log = logging.getLogger("vision_gen")


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


def entries(names, reference, generated, extractor):
    """Distances between two sets, as they stand in `metrics.json`.

    Args:
      names: of `extract.DISTANCES`.
      reference, generated: `extract.Statistics`.
      extractor: what made them.

    Returns:
      {title: {"mean", "images", "reference_images", "standard_error", "warning", ...}}, the last two where there
      are any.
    """
    found = extract.distances(names, reference, generated, extractor)
    entry = {**extractor.key, "images": generated.count, "reference_images": reference.count}
    features = reference.mean.size
    smallest = min(n for n in (generated.count, reference.count) if n)
    result = {}
    for name, (value, error) in found.items():
        result[name] = {"mean": value, **entry}
        if error is not None:
            result[name]["standard_error"] = error
        if name == extractor.title and smallest <= features:
            result[name]["warning"] = (
                f"{smallest} images are fewer than the {features} features: the covariance is singular and the "
                "distance biased; compare it only with others of as many images"
            )
            log.warning("%s: %s", name, result[name]["warning"])
    return result
