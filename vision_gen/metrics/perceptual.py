"""Perceptual distances: LPIPS, and the path length of a generator's latent space."""

import jax.numpy as jnp

from vision_gen.errors import InputError
from vision_gen.ops import random
from vision_gen.pretrained import features, torch_file, weights

# Activations that are compared, in the order of the published linear weights.
LPIPS_LAYERS = {
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
EFFICIENT_LAYERS = ("stage1", "stage2", "stage3", "stage5", "stage7")  # Of EfficientNet-Lite0.


def load_lpips(name="alexnet", trunk=None, linear=None):
    """LPIPS v0.1 (Zhang et al., CVPR 2018) with its published weights.

    Args:
      name: the trunk, "alexnet" or "vgg16".
      trunk, linear: files of its weights and of the linear weights; by default `weights.find`'s.

    Returns:
      (function, params): function(params, image, truth, size=None) -> [batch] for images
      [batch, height, width, 3] in [-1, 1]; `size` as in `metrics.image`.

    Raises:
      InputError: no such trunk, or a file is missing or another one.
    """
    network, apply, params = _load_lpips(name, trunk, linear)

    def function(params, image, truth, size=None):
        trunk, scales = params
        ours, theirs = apply(trunk, image, size), apply(trunk, truth, size)
        return lpips(ours, theirs, scales, network.sizes(size) if size else None)

    return function, params


def _load_lpips(name, trunk=None, linear=None):
    """(network, function (trunk, images, size) -> {layer: maps}, (trunk, {layer: scales})); see `load_lpips`."""
    if name not in LPIPS_LAYERS:
        raise InputError(f"LPIPS's network must be one of {sorted(LPIPS_LAYERS)}, got {name!r}")
    network, layers = features.load(name, trunk, classes=0)[0], LPIPS_LAYERS[name]
    apply, params = features.apply(network, layers)
    path = weights.find(f"lpips-{name}") if linear is None else linear
    state = torch_file.read_state_dict(path)
    try:
        scales = {layer: jnp.asarray(state[f"lin{i}.model.1.weight"].reshape(-1)) for i, layer in enumerate(layers)}
    except KeyError as error:
        raise InputError(f"{path}: no weight {error}; expected LPIPS's linear weights") from None
    return network, apply, (params, scales)


def load_diversity(name):
    """The mean distance of two of a set of images.

    Args:
      name: "alexnet" or "vgg16" for LPIPS, "efficientnet-lite0" for `feature_distance`.

    Returns:
      (function, params): function(params, images) -> scalar, for images [number, height, width, 3] in [-1, 1].

    Raises:
      InputError: weights are missing.
    """
    if name in LPIPS_LAYERS:
        _, apply, params = _load_lpips(name)
    else:
        apply, params = features.apply(features.load(name)[0], EFFICIENT_LAYERS)
        params = params, None

    def function(params, images):
        trunk, scales = params
        maps = apply(trunk, images)
        return diversity(maps, scales or {layer: jnp.ones(x.shape[-1]) for layer, x in maps.items()})

    return function, params


def diversity(maps, scales):
    """Mean `lpips` of all pairs of a set of images, scalar; maps [number, height, width, channel] and scales as there.

    The squared differences of all pairs of n numbers sum to n times their squares' sum less the square of theirs.
    """
    total = 0.0
    for layer, scale in scales.items():
        x = _unit(maps[layer])
        number = len(x)
        total += jnp.mean((number * jnp.sum(x * x, 0) - jnp.sum(x, 0) ** 2) @ scale) / (number * (number - 1) / 2)
    return total


def lpips(ours, theirs, scales, sizes=None):
    """Weighted squared differences of unit-length features, [batch] (equation 1).

    Args:
      ours, theirs: {layer: [batch, height, width, channel]}.
      scales: {layer: [channel]}, which says what layers count.
      sizes: {layer: (rows, columns)} beyond which features are zero, of images that were extended.
    """
    sizes = sizes or {layer: x.shape[1:3] for layer, x in ours.items()}
    count = {layer: jnp.float32(rows) * columns for layer, (rows, columns) in sizes.items()}
    return sum(
        ((_unit(ours[layer]) - _unit(theirs[layer])) ** 2 @ scale).sum((1, 2)) / count[layer]
        for layer, scale in scales.items()
    )


def _unit(x):
    return x / (jnp.sqrt((x * x).sum(-1, keepdims=True)) + 1e-10)


def feature_distance(ours, theirs):
    """`lpips` with all layers and channels weighing the same, for networks that have no weights of it."""
    return lpips(ours, theirs, {layer: jnp.ones(x.shape[-1]) for layer, x in ours.items()})


def path_length(synthesise, distance, latent_a, latent_b, keys, *, epsilon=1e-4, spherical=False, ends=False):
    """Perceptual path length (Karras et al., CVPR 2019, equation 2), [batch].

    Args:
      synthesise: latents [batch, ...] -> images [batch, height, width, 3] in [-1, 1].
      distance: images, images -> [batch], such as LPIPS.
      latent_a, latent_b: ends of the paths, [batch, dimension].
      keys: [batch], for the place on each path.
      epsilon: the step.
      spherical: along great circles, for normally distributed inputs; otherwise straight.
      ends: at the beginnings of the paths only, as StyleGAN2's published figures are ("ppl2_wend").

    Returns:
      distance / epsilon^2. The published figure is the mean of these without the lowest and the
      highest percent (`path_length_mean`).
    """
    t = jnp.zeros((len(keys), 1)) if ends else random.uniform(keys, (1,))
    at = lambda t: _slerp(latent_a, latent_b, t) if spherical else latent_a + (latent_b - latent_a) * t
    return distance(synthesise(at(t)), synthesise(at(t + epsilon))) / epsilon**2


def _slerp(a, b, t):
    unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    a, b = unit(a), unit(b)
    along = (a * b).sum(-1, keepdims=True)
    angle = t * jnp.arccos(jnp.clip(along, -1, 1))
    return unit(a * jnp.cos(angle) + unit(b - along * a) * jnp.sin(angle))


def path_length_mean(values):
    """Mean of `path_length`s between the 1st and the 99th percentile, as StyleGAN reports it; NaN are left out."""
    values = jnp.asarray(values)
    low = jnp.nanpercentile(values, 1, method="lower")
    high = jnp.nanpercentile(values, 99, method="higher")
    return jnp.mean(values, where=(values >= low) & (values <= high))
