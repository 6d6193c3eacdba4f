"""Distances between sets of images, of the features that a network finds in them.

Everything here is numpy in float64 on the host. Features are [images, dimension].
"""

import dataclasses
import math

import numpy as np

from vision_gen.errors import InputError


class Moments:
    """Mean and covariance of features in one pass, in memory that does not grow with their number.

    Chan, Golub & LeVeque 1979: parts that were seen apart merge exactly.
    """

    def __init__(self, dimension):
        self.count = 0
        self.mean = np.zeros(dimension)
        self._scatter = np.zeros((dimension, dimension))

    def update(self, features):
        """Adds [images, dimension]."""
        features = np.asarray(features, np.float64)
        if not len(features):
            return
        mean = features.mean(0)
        centred = features - mean
        self._join(len(features), mean, centred.T @ centred)

    def merge(self, other):
        """Adds all that another `Moments` has seen."""
        if other.count:
            self._join(other.count, other.mean, other._scatter)

    def _join(self, count, mean, scatter):
        total = self.count + count
        apart = mean - self.mean
        self._scatter += scatter
        if self.count:
            self._scatter += np.outer(apart, apart) * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def result(self):
        """(mean, unbiased covariance), as numpy.mean and numpy.cov give them."""
        if self.count < 2:
            raise InputError(f"a covariance needs at least 2 images, got {self.count}")
        return self.mean, self._scatter / (self.count - 1)


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
    """Squared Frechet (2-Wasserstein) distance of two normal distributions (Dowson & Landau 1982).

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). With a = C_a^(1/2) the last trace is that
    of (a C_b a)^(1/2), a symmetric matrix: its eigenvalues are real, whatever the ranks, where a
    general square root needs an offset for singular products. NaN where numbers overflow.
    """
    try:
        values, vectors = np.linalg.eigh(covariance_a)
        root = vectors * np.sqrt(np.maximum(values, 0))
        # root root^T = C_a; root^T C_b root has the eigenvalues of C_a C_b.
        product = root.T @ covariance_b @ root
        eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    except np.linalg.LinAlgError:
        return math.nan
    cross = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    difference = mean_a - mean_b
    total = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross
    return float(max(total, 0.0))


def kernel_distance(a, b, *, subsets=100, subset_size=1000, seed=0):
    """Kernel Inception distance (Binkowski et al., ICLR 2018): unbiased squared MMD with the kernel
    (x.y / d + 1)^3, mean over random subsets.

    Args:
      a, b: [images, dimension].
      subsets, subset_size: at most as many images as there are of either.
      seed: of the choice of subsets.

    Returns:
      (mean, standard error of the mean over subsets; None where every subset is everything).
    """
    size = min(subset_size, len(a), len(b))
    if size < 2:
        raise InputError(f"KID needs at least 2 images of each set, got {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(1 if len(a) == len(b) == size else subsets):
        x, y = (f[rng.choice(len(f), size, replace=False)].astype(np.float64) for f in (a, b))
        values.append(polynomial_mmd(x, y))
    whole = len(a) == len(b) == size
    return float(np.mean(values)), None if whole else float(np.std(values) / math.sqrt(subsets))


def polynomial_mmd(x, y):
    """Unbiased squared maximum mean discrepancy of two sets of one size, kernel (x.y / d + 1)^3."""
    m, dimension = x.shape
    kernel = lambda a, b: (a @ b.T / dimension + 1) ** 3
    inside = lambda k: (k.sum() - np.trace(k)) / (m * (m - 1))
    return inside(kernel(x, x)) + inside(kernel(y, y)) - 2 * kernel(x, y).mean()


class InceptionScore:
    """exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al. 2016), one pass.

    Args:
      images: how many there will be.
      splits: contiguous parts; the score is the mean over them.
    """

    def __init__(self, images, classes, splits=10):
        self.splits = min(splits, images)
        self._images, self._seen = images, 0
        self._total = np.zeros((self.splits, classes))
        self._negative_entropy = np.zeros(self.splits)
        self._count = np.zeros(self.splits, int)

    def update(self, logits):
        """Adds logits [images, classes], in order."""
        logits = np.asarray(logits, np.float64)
        log = logits - logits.max(1, keepdims=True)
        log -= np.log(np.exp(log).sum(1, keepdims=True))
        p = np.exp(log)
        split = (self._seen + np.arange(len(p))) * self.splits // self._images
        np.add.at(self._total, split, p)
        np.add.at(self._negative_entropy, split, (p * log).sum(1))
        np.add.at(self._count, split, 1)
        self._seen += len(p)

    def result(self):
        """(mean, standard deviation over splits)."""
        p = self._total / self._count[:, None]
        marginal = (p * np.log(np.maximum(p, 1e-300))).sum(1)
        scores = np.exp(self._negative_entropy / self._count - marginal)
        return float(scores.mean()), float(scores.std())


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Shares of generated images within the real manifold, and of real ones within the generated."""

    precision: float
    recall: float


def precision_recall(real, generated, *, neighbours=3, rows=1000):
    """Improved precision and recall (Kynkaanniemi et al., NeurIPS 2019).

    A set's manifold is the union of balls around its features that reach to their k-th neighbour.

    Args:
      real, generated: [images, dimension].
      neighbours: k.
      rows: images whose distances to all others exist at a time.
    """
    for name, features in (("real", real), ("generated", generated)):
        if len(features) <= neighbours:
            raise InputError(
                f"precision and recall need more than {neighbours} {name} images, got {len(features)}"
            )
    return PrecisionRecall(
        precision=_covered(real, generated, neighbours, rows),
        recall=_covered(generated, real, neighbours, rows),
    )


def _covered(manifold, points, neighbours, rows):
    # The smallest distance of all is to the feature itself.
    radius = np.concatenate(
        [np.partition(d, neighbours, 1)[:, neighbours] for d in _distances(manifold, manifold, rows)]
    )
    inside = [(d <= radius).any(1) for d in _distances(points, manifold, rows)]
    return float(np.concatenate(inside).mean())


def _distances(a, b, rows):
    """Squared distances [rows, len(b)], block by block."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squares = (b * b).sum(1)
    for start in range(0, len(a), rows):
        part = a[start : start + rows]
        distance = (part * part).sum(1)[:, None] + squares - 2 * part @ b.T
        if a is b:  # Rounding must not make an image a neighbour of itself at some distance.
            distance[np.arange(len(part)), start + np.arange(len(part))] = 0
        yield np.maximum(distance, 0)


class Reservoir:
    """A uniform random sample of at most `size` features of a stream (Vitter 1985, algorithm R)."""

    def __init__(self, size, seed=0):
        self._size, self._rng = size, np.random.default_rng(seed)
        self._rows, self.count = [], 0

    def update(self, features):
        """Adds [images, dimension]."""
        for row in np.asarray(features, np.float32):
            if len(self._rows) < self._size:
                self._rows.append(row)
            else:
                place = self._rng.integers(self.count + 1)
                if place < self._size:
                    self._rows[place] = row
            self.count += 1

    def result(self):
        """[images, dimension]."""
        return np.stack(self._rows)
