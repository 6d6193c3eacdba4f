"""Projection of a picture into StyleGAN2's latent space (Karras et al., CVPR 2020, section 5 and appendix D).

A latent w, alike in all layers, and the noise of every convolution are moved until the generated picture looks like the
given one to a network of features; the noise is kept from carrying a signal. Steps, rates and weights are the reference
implementation's. A tool of a system is `begin`, `advance` at every turn, and what is left in its state.
"""

import jax
import jax.numpy as jnp
import optax

from vision_gen.metrics import perceptual
from vision_gen.ops import colour, random, resample

RATE = 0.1  # Of Adam, at its highest.
RISE, FALL = 0.05, 0.25  # Shares of the turns in which the rate rises, and falls at the end.
WANDER = 0.05  # Noise on w at the start, in its deviations.
CALM = 0.75  # Share of the turns after which there is none.
NOISE_WEIGHT = 1e5
SAMPLES = 10_000  # Latents that the middle and the deviation of w are taken of.
LARGEST = 256  # Pixels of a side at which pictures are looked at.
FRAMES = 50  # Of the film.
ADAM = optax.scale_by_adam()


def begin(generator, look, image, key, label=None):
    """The state before the first turn.

    Args:
      generator: a `nets.stylegan2.Generator`.
      look: function of images [batch, side, side, channels] in [-1, 1] that gives maps by layer, {name: [batch, height,
        width, channel]}.
      image: [1, size, size, channels] in [-1, 1].
      key: of random draws.
      label: [1], of the picture's class where there are classes.

    Returns:
      A dict of arrays: `latent` [1, w_size] and `film`, as `values.Clip` takes it, are what the tool gives.
    """
    many, start = jax.random.split(key)
    z = jax.random.normal(many, (SAMPLES, generator.settings.z_size))
    label = None if label is None else jnp.broadcast_to(label, SAMPLES)
    w = generator.mapping(z, label)[:, 0]
    middle = w.mean(0, keepdims=True)
    noises = generator.synthesis.noises()
    keys = jax.random.split(start, len(noises))
    moved = {"latent": middle, "noises": [jax.random.normal(k, n.shape) for k, n in zip(keys, noises)]}
    size, channels = generator.settings.size, generator.settings.channels
    return {
        **moved,
        "moments": ADAM.init(moved),
        "target": look(_seen(image)),
        "deviation": jnp.sqrt(jnp.sum((w - middle) ** 2) / SAMPLES),
        "distance": jnp.full(1, jnp.nan),
        "film": {"frames": jnp.zeros((1, FRAMES, size, size, channels), jnp.uint8), "count": jnp.zeros(1, jnp.int32)},
    }


def advance(generator, look, state, now):
    """The state after one more turn; `now` is an `engine.system.Now`, whose progress is that of the projection."""
    wander = state["deviation"] * WANDER * jnp.maximum(0, 1 - now.progress / CALM) ** 2
    fluctuation = wander * random.normal(now.keys, state["latent"].shape[1:])

    def loss(moved):
        image = picture(generator, moved["latent"] + fluctuation, moved["noises"])
        distance = perceptual.feature_distance(look(_seen(image)), state["target"])
        correlation = sum(map(_correlation, moved["noises"]))
        return distance.sum() + NOISE_WEIGHT * correlation, (image, distance)

    moved = {name: state[name] for name in ("latent", "noises")}
    (_, (image, distance)), slope = jax.value_and_grad(loss, has_aux=True)(moved)
    updates, moments = ADAM.update(slope, state["moments"])
    moved = jax.tree.map(lambda x, dx: x - rate(now.progress) * dx, moved, updates)
    moved["noises"] = [_normalised(noise) for noise in moved["noises"]]
    place = jnp.int32(now.progress * FRAMES)
    later = jnp.arange(FRAMES)[:, None, None, None] >= place  # Of few turns each stands for several frames.
    frames = jnp.where(later, colour.to_uint8(image)[:, None], state["film"]["frames"])
    film = {"frames": frames, "count": jnp.full(1, place + 1)}
    return {**state, **moved, "moments": moments, "distance": distance, "film": film}


def picture(generator, latent, noise="const"):
    """Images [batch, size, size, channels] of latents [batch, w_size]."""
    return generator.synthesis(jnp.repeat(latent[:, None], generator.settings.layers, 1), noise)


def rate(progress, highest=RATE):
    """Adam's, at a share of all turns: it rises in a line and falls as a cosine."""
    fall = jnp.minimum(1, (1 - progress) / FALL)
    return highest * (0.5 - 0.5 * jnp.cos(fall * jnp.pi)) * jnp.minimum(1, progress / RISE)


def _seen(image):
    """Images as they are compared: no larger than what the networks of features were trained on."""
    smaller = image.shape[1] > LARGEST
    return resample.average_pool(image, (LARGEST, LARGEST)) if smaller else image


def _correlation(noise):
    """How alike neighbours are in a noise map [side, side], at its size and at halves of it down to 8 pixels."""
    total = 0.0
    while True:
        total += jnp.mean(noise * jnp.roll(noise, 1, 1)) ** 2 + jnp.mean(noise * jnp.roll(noise, 1, 0)) ** 2
        if len(noise) <= 8:
            return total
        noise = resample.average_pool(noise[None, ..., None], (len(noise) // 2,) * 2)[0, ..., 0]


def _normalised(noise):
    noise = noise - noise.mean()
    return noise * jax.lax.rsqrt(jnp.mean(noise**2))
