"""Line drawings from colour images: XDoG and Sobel."""

import jax.numpy as jnp

from vision_gen.ops import colour


def gaussian_blur(x, sigma):
    """Gaussian blur with a width of its own for every image.

    Separable; each direction is one product with a [size, size] matrix that has the border's
    replication folded in, which every backend does fast whatever sigma is.

    Args:
      x: [batch, height, width, channel].
      sigma: [batch], in pixels.
    """

    def matrix(size):
        position = jnp.arange(size, dtype=jnp.float32)
        # Replicated borders: taps from -size to 2 size, clamped into the image.
        taps = jnp.arange(-size, 2 * size, dtype=jnp.float32)
        weight = jnp.exp(
            -((position[:, None] - taps) ** 2) / (2 * sigma[:, None, None] ** 2)
        )
        weight /= weight.sum(-1, keepdims=True)
        left, inside, right = jnp.split(weight, 3, -1)
        inside = inside.at[..., 0].add(left.sum(-1)).at[..., -1].add(right.sum(-1))
        return inside.astype(x.dtype)

    x = jnp.einsum("bph,bhwc->bpwc", matrix(x.shape[1]), x)
    return jnp.einsum("bqw,bpwc->bpqc", matrix(x.shape[2]), x)


def xdog(image, sigma, *, k=4.5, gamma=0.95, epsilon=-0.1, phi=1e9):
    """Extended difference of Gaussians (Winnemoeller et al. 2012), with Tag2Pix's constants.

    D = G_sigma - gamma G_(k sigma) of the luma in [0, 1]; paper where D >= epsilon, and
    1 + tanh(phi (D - epsilon)) below: with a large phi, ink.

    Args:
      image: [batch, height, width, 3] RGB in [-1, 1].
      sigma: [batch], in pixels; SCFT draws it from {0.3, 0.4, 0.5}.

    Returns:
      [batch, height, width, 1] in [-1, 1]; 1 is paper, -1 is ink.
    """
    grey = colour.luma((image + 1) / 2)
    difference = gaussian_blur(grey, sigma) - gamma * gaussian_blur(grey, sigma * k)
    return 1 + 2 * jnp.tanh(jnp.minimum(phi * (difference - epsilon), 0))


def sobel(image, *, threshold=0.5):
    """Edges by the Sobel operator: the strongest gradient of the three channels.

    Args:
      image: [batch, height, width, 3] RGB in [-1, 1].
      threshold: gradient magnitude (per pixel, colours in [0, 1]) that is full ink.

    Returns:
      [batch, height, width, 1] in [-1, 1]; 1 is paper, -1 is ink.
    """
    dx, dy = slopes((image + 1) / 2)
    magnitude = jnp.sqrt(dx**2 + dy**2 + 1e-12).max(-1, keepdims=True)
    return 1 - 2 * jnp.clip(magnitude / threshold, 0, 1)


def slopes(x):
    """The Sobel operator's slopes of maps [batch, height, width, channel], along rows and along columns, a pixel."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")

    def smooth(x, axis):
        n = x.shape[axis] - 2
        a, b, c = (jnp.take(x, jnp.arange(n) + i, axis) for i in range(3))
        return (a + 2 * b + c) / 4

    def slope(x, axis):
        n = x.shape[axis] - 2
        return (jnp.take(x, jnp.arange(n) + 2, axis) - jnp.take(x, jnp.arange(n), axis)) / 2

    return slope(smooth(x, 1), 2), slope(smooth(x, 2), 1)


def weight(lines):
    """How wide lines are on the mean, from their area and the length of their edges: 2 area / length.

    Right to a sixth for strokes of 2 pixels and more that are long and apart; thinner ones seem 1 to 2 wide, what is
    filled counts as wide.

    Args:
      lines: [batch, height, width, 1] in [-1, 1]; 1 is paper, -1 is ink.

    Returns:
      [batch] in pixels; 0 where there is no ink.
    """
    ink = jnp.pad((1 - lines[..., 0]) / 2, ((0, 0), (1, 1), (1, 1)))

    def length(ink):
        here, below, beside = ink[:, :-1, :-1], ink[:, 1:, :-1], ink[:, :-1, 1:]
        return jnp.sum(jnp.sqrt((below - here) ** 2 + (beside - here) ** 2), (1, 2))

    # Rising and falling diagonals are of one length only on the mean of both ways to look at them.
    edges, area = (length(ink) + length(ink[:, :, ::-1])) / 2, jnp.sum(ink, (1, 2))
    return jnp.where(area > 0, 2 * area / jnp.maximum(edges, 1e-6), 0.0)
