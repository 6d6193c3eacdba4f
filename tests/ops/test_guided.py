"""Colours brought up to the size of a drawing stop at its lines and stay where they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.ops import colour, guided, resample

LEVEL = 2 / 255
upsample = jax.jit(guided.upsample)


def drawing(height, width, ratio):
    """Four flat regions parted by black lines four pixels wide, a slanting one and a curve.

    Returns:
      (colours, lines, the colours' means in small pixels), [1, ...].
    """
    y, x = np.mgrid[:height, :width] + 0.5
    slant = (x - 0.55 * width + 0.3 * (y - height / 2)) / 1.3
    ring = np.hypot(x - 0.3 * width, y - 0.45 * height) - 0.3 * height
    region = np.where(ring < 0, 0, np.where(slant < 0, 1, np.where(y < 0.6 * height, 2, 3)))
    palette = np.float32([[0.9, -0.2, -0.8], [1, 1, 1], [-0.7, 0.1, 0.9], [-0.2, 0.8, -0.4]])
    across = np.where(slant > 0, np.abs(y - 0.6 * height), 9)
    ink = np.clip(2.5 - np.minimum(np.minimum(np.abs(slant), np.abs(ring)), across), 0, 1)[..., None]
    colours = np.float32(palette[region] * (1 - ink) - ink)
    small = colours.reshape(height // ratio, ratio, width // ratio, ratio, 3).mean((1, 3))
    return colours[None], np.float32(1 - 2 * ink)[None], small[None]


def test_flat_regions_keep_their_colours_up_to_the_lines():
    colours, lines, small = drawing(192, 320, 8)
    found = np.asarray(upsample(small, lines))
    error = np.abs(found - colours).max(-1)
    paper = lines[..., 0] == 1
    assert error[paper].max() < 2 * LEVEL
    plain = np.abs(np.asarray(resample.resize(jnp.asarray(small), (192, 320))) - colours).max(-1)
    assert np.mean(plain[paper] > 20 * LEVEL) > 0.1
    # And the lines are as dark as the small image says.
    assert error[lines[..., 0] == -1].max() < 20 * LEVEL


@pytest.mark.parametrize("size", [(40, 56), (37, 50)])
def test_without_lines_a_ramp_is_the_same_ramp_to_the_last_half_of_a_small_pixel(size):
    ramp = lambda height, width: jnp.stack(
        [(a + 0.5) / n * 1.6 - 0.8 for a, n in zip(jnp.mgrid[:height, :width], (height, width))]
        + [jnp.full((height, width), 0.3)],
        -1,
    )[None]
    found = upsample(ramp(5, 7), jnp.ones((1, *size, 1)))
    y, x = (-(-n // (2 * m)) for n, m in zip(size, (5, 7)))
    inside = (slice(None), slice(y, -y), slice(x, -x))
    np.testing.assert_allclose(found[inside], ramp(*size)[inside], atol=1e-5)
    # Beyond the middles of the outermost pixels there is no more to know: their colour goes on.
    np.testing.assert_allclose(found[:, 0, :, 0], -0.64, atol=1e-5)


def test_turned_and_mirrored_drawings_come_out_turned_and_mirrored():
    _, lines, small = drawing(96, 160, 8)
    plain = upsample(small, lines)
    for turn in (lambda x: x[:, ::-1], lambda x: x[:, :, ::-1]):
        np.testing.assert_allclose(upsample(turn(small), turn(lines)), turn(plain), atol=1e-4)


def test_lines_have_their_own_colours():
    """A red line on blue and yellow, which the small image knows by its mean alone."""
    red, blue, yellow = np.float32([[0.8, -0.9, -0.9], [-0.8, -0.2, 0.9], [0.9, 0.8, -0.7]])
    ink = np.zeros((64, 96, 1), np.float32)
    ink[:, 43:46] = 1
    side = np.where(np.arange(96)[:, None] < 44, blue, yellow)
    colours = side * (1 - ink) + red * ink
    small = colours.reshape(8, 8, 12, 8, 3).mean((1, 3))
    found = np.asarray(upsample(small[None], 1 - 2 * ink[None]))[0]
    np.testing.assert_allclose(found, colours, atol=4 * LEVEL)


def test_lines_over_a_layer_that_was_small_are_those_over_the_large_one():
    """The layer has the regions' colours; what it has beneath the lines is not known."""
    colours, lines, small = drawing(192, 320, 8)
    ink = 1 - (lines.reshape(1, 24, 8, 40, 8, 1).mean((2, 4)) + 1) / 2
    layer = (small + ink) / np.maximum(1 - ink, 0.3)  # Of colours = (1 - ink) layer - ink.
    found = np.asarray(jax.jit(guided.layer)(layer, lines))
    error = np.abs(colour.multiply(found, lines) - colours).max(-1)
    assert error[lines[..., 0] == 1].max() < 4 * LEVEL
    assert error[lines[..., 0] == -1].max() == 0
    assert np.percentile(error, 99) < 10 * LEVEL


def test_memory_is_300_bytes_a_pixel():
    image, lines = (jax.ShapeDtypeStruct((1, *s), jnp.float32) for s in ((45, 80, 3), (450, 800, 1)))
    used = upsample.lower(image, lines).compile().memory_analysis().temp_size_in_bytes
    assert used < 310 * 450 * 800


def test_a_drawing_that_is_smaller_than_its_colours_is_refused():
    with pytest.raises(ValueError, match=r"lines \(8, 9\) must be no smaller than image \(8, 10\)"):
        guided.upsample(jnp.zeros((1, 8, 10, 3)), jnp.zeros((1, 8, 9, 1)))


def test_the_guided_filter_keeps_what_follows_the_guide_and_sharpens_what_bleeds_over_its_edges():
    guide = np.float32(np.arange(24) >= 12)[None, None, :, None].repeat(24, 1)
    follows = np.concatenate([0.5 * guide + 0.1, -guide], -1)
    kept = guided.filtered(follows, guide, radius=3, epsilon=1e-6)
    np.testing.assert_allclose(kept, follows, atol=1e-3)
    bled = np.asarray(guided.filtered(follows, np.zeros_like(guide), radius=1, epsilon=1.0))  # A mean of means.
    assert np.abs(bled[0, 10, 12] - follows[0, 10, 12]).max() > 0.3
    found = np.asarray(guided.filtered(bled, guide, radius=3, epsilon=1e-6))
    errors = [np.abs(x - follows)[:, :, 11:13].max() for x in (found, bled)]
    assert errors[0] < 0.7 * errors[1]
    flat = guided.filtered(follows, guide, radius=30, epsilon=1e9)
    np.testing.assert_allclose(flat, np.broadcast_to(follows.mean((1, 2), keepdims=True), flat.shape), atol=1e-4)
