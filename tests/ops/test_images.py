"""Resampling, warps, colours and sketches against independent implementations."""

import pathlib

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from PIL import Image
import pytest
import scipy.interpolate
import scipy.ndimage
import skimage.color
import skimage.exposure

from tests.golden import ops_by_seed
from vision_gen.ops import augment, colour, resample, sketch, tps

RNG = np.random.default_rng(0)
TORCH = np.load(pathlib.Path(__file__).parent.parent / "golden" / "torch_reference.npz")  # See make_torch.py there.


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_equals_torch_with_both_gradients(padding, align_corners):
    image, grid, change = ops_by_seed.sampled()
    sample = lambda i, g: resample.grid_sample(i, g, padding=padding, align_corners=align_corners)
    out, pull = jax.vjp(sample, jnp.asarray(image), jnp.asarray(grid))
    expected = {part: TORCH[f"grid_sample/{padding}/{align_corners}/{part}"] for part in ("out", "image", "grid")}
    np.testing.assert_allclose(out, expected["out"], atol=1e-5)
    d_image, d_grid = pull(jnp.asarray(change))
    np.testing.assert_allclose(d_image, expected["image"], atol=1e-4)
    np.testing.assert_allclose(d_grid, expected["grid"], atol=1e-3)


def test_grid_sample_at_the_identity_returns_the_image():
    image = jnp.asarray(RNG.normal(size=(2, 6, 8, 3)), jnp.float32)
    grid = jnp.broadcast_to(resample.identity_grid(6, 8), (2, 6, 8, 2))
    np.testing.assert_allclose(resample.grid_sample(image, grid), image, atol=1e-6)


@pytest.mark.parametrize("double", [resample.double, resample.double_by_convolution])
@pytest.mark.parametrize("size", [(5, 8), (1, 3)])
def test_double_is_jaxs_bilinear_resize_with_its_gradient(double, size):
    x, dy = (jnp.asarray(RNG.normal(size=(2, n * size[0], n * size[1], 3)), jnp.float32) for n in (1, 2))
    out, pull = jax.vjp(double, x)
    expected, expected_pull = jax.vjp(lambda x: jax.image.resize(x, dy.shape, "bilinear"), x)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    np.testing.assert_allclose(pull(dy)[0], expected_pull(dy)[0], atol=1e-5)


def test_mean_by_convolution_is_the_mean_of_each_window_with_its_gradient():
    x, dy = (jnp.asarray(RNG.normal(size=(2, *size, 3)), jnp.float32) for size in ((6, 12), (2, 3)))
    out, pull = jax.vjp(lambda x: resample.mean_by_convolution(x, (3, 4)), x)
    expected, expected_pull = jax.vjp(lambda x: resample.average_pool(x, (2, 3)), x)
    np.testing.assert_allclose(expected, x.reshape(2, 2, 3, 3, 4, 3).mean((2, 4)), atol=1e-6)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    np.testing.assert_allclose(pull(dy)[0], expected_pull(dy)[0], atol=1e-6)


def test_spline_takes_controls_to_targets_and_reproduces_affine_maps():
    control = jnp.asarray(RNG.uniform(-1, 1, (3, 8, 2)), jnp.float32)
    target = jnp.asarray(RNG.uniform(-1, 1, (3, 8, 2)), jnp.float32)
    coefficients = tps.solve(control, target)
    np.testing.assert_allclose(tps.apply(coefficients, control, control), target, atol=1e-3)
    matrix, shift = jnp.asarray([[0.9, 0.2], [-0.1, 1.1]]), jnp.asarray([0.1, -0.2])
    coefficients = tps.solve(control, control @ matrix + shift)
    points = jnp.asarray(RNG.uniform(-1, 1, (3, 20, 2)), jnp.float32)
    np.testing.assert_allclose(
        tps.apply(coefficients, control, points), points @ matrix + shift, atol=1e-3
    )


def test_spline_is_scipys():
    control, target, points = RNG.uniform(-1, 1, (3, 9, 2))
    expected = scipy.interpolate.RBFInterpolator(control, target, kernel="thin_plate_spline", degree=1)(points)
    control, target, points = (jnp.asarray(x[None], jnp.float32) for x in (control, target, points))
    np.testing.assert_allclose(tps.apply(tps.solve(control, target), control, points)[0], expected, atol=2e-3)


def test_a_drawn_warp_moves_its_controls_by_no_more_than_its_scale():
    coefficients, control = tps.random_spline(jax.random.split(jax.random.key(0), 300), points=3, scale=0.3)
    side = np.linspace(-1, 1, 3)
    np.testing.assert_array_equal(control[7], [[x, y] for y in side for x in side])
    moved = np.asarray(tps.apply(coefficients, control, control) - control)
    assert 0.29 < np.abs(moved).max() < 0.301 and np.abs(moved.mean((0, 1))).max() < 0.02
    assert moved.std() == pytest.approx(0.3 / 3**0.5, rel=0.05)  # Alike everywhere in between.


def test_cubic_weights_are_keys():
    """Keys 1981 with a = -0.75, at distances of a quarter, three quarters and so on; torch's, where it is not there."""
    impulse = jnp.zeros((1, 8, 8, 1)).at[0, 3, 3, 0].set(1.0)
    weights = np.array([-0.03515625, -0.10546875, 0.26171875, 0.87890625])
    weights = np.concatenate([weights, weights[::-1]])
    found = resample.resize_cubic(impulse, (16, 16))[0, 3:11, 3:11, 0]
    np.testing.assert_allclose(found, np.outer(weights, weights), atol=1e-6)


def test_luma_is_pils():
    picture = RNG.integers(0, 256, (6, 7, 3), np.uint8)
    found = (np.asarray(colour.luma(colour.from_uint8(jnp.asarray(picture))))[..., 0] + 1) * 127.5
    np.testing.assert_allclose(found, np.asarray(Image.fromarray(picture).convert("L"), float), atol=0.6)


def test_lab_equals_scikit_image_and_inverts():
    image = RNG.uniform(0, 1, (4, 5, 3)).astype(np.float32)
    lab = colour.rgb_to_lab(jnp.asarray(image))
    np.testing.assert_allclose(lab, skimage.color.rgb2lab(image), atol=0.02)
    np.testing.assert_allclose(colour.lab_to_rgb(lab), image, atol=1e-4)


def test_jitter_by_hue_keeps_greys_and_changes_colours():
    keys = jax.random.split(jax.random.key(0), 4)
    grey = jnp.broadcast_to(jnp.linspace(-1, 1, 8)[None, None, :, None], (4, 8, 8, 3))
    np.testing.assert_allclose(colour.jitter(grey, keys, hue=0.5), grey, atol=1e-5)
    yellow = jnp.broadcast_to(jnp.asarray([0.8, 0.7, -0.6]), (4, 8, 8, 3))
    changed = colour.jitter(yellow, keys, hue=0.5)
    assert jnp.all(jnp.abs(changed - yellow).max((1, 2, 3)) > 0.05)
    shifted = colour.jitter(grey * 0.5, keys, shift=0.2) - grey * 0.5
    assert jnp.abs(shifted).max() <= 0.2 + 1e-6
    np.testing.assert_allclose(shifted.std((1, 2)), 0, atol=1e-6)  # One shift a channel.
    assert len(np.unique(np.round(shifted[:, 0, 0], 6))) > 6


def test_depths_are_coloured_over_their_own_range():
    """As matplotlib does, without regard to a few that lie far off."""
    depth = np.linspace(3, 5, 4000).reshape(40, 100, 1)
    depth[0, 0], depth[7, 8] = 900, np.nan
    found = np.asarray(colour.to_uint8(colour.of_depth(jnp.asarray(depth))), int)
    assert (found[7, 8] == 222).all()
    share = np.clip((depth[..., 0] - 3.02) / (4.98 - 3.02), 0, 1)
    expected = matplotlib.colormaps["viridis_r"](share)[..., :3] * 255
    seen = ~np.isnan(depth[..., 0])
    assert np.abs(found - expected)[seen].max() < 20  # Straight lines between nine of its colours.
    nothing = colour.to_uint8(colour.of_depth(jnp.full((2, 2, 1), jnp.nan)))
    assert (nothing == 222).all()


def test_uint8_round_trip_is_exact():
    levels = jnp.arange(256, dtype=jnp.uint8)
    np.testing.assert_array_equal(colour.to_uint8(colour.from_uint8(levels)), levels)


def test_sketches_ink_the_outline_and_leave_paper_blank():
    image = np.full((1, 32, 32, 3), 1.0, np.float32)
    image[:, 8:24, 8:24] = [0.9, 0.8, -0.5]
    image[:, 8:24, 8] = image[:, 8:24, 23] = image[:, 8, 8:24] = image[:, 23, 8:24] = -1
    for drawing in (
        sketch.xdog(jnp.asarray(image), jnp.asarray([0.4])),
        sketch.sobel(jnp.asarray(image)),
    ):
        assert drawing.shape == (1, 32, 32, 1)
        assert drawing[0, :5].min() > 0.9 and drawing[0, 14:18, 14:18].min() > 0.9
        assert drawing[0, 16, 7:10].min() < -0.9


def test_sketches_are_those_of_their_equations():
    """XDoG softer than it is used, so that every number counts; Sobel of scipy, an eighth of its sums."""
    image = scipy.ndimage.gaussian_filter(RNG.uniform(-1, 1, (40, 36, 3)), (1, 1, 0)).astype(np.float32)
    grey = (image + 1) / 2 @ [0.299, 0.587, 0.114]
    blurred = lambda sigma: scipy.ndimage.gaussian_filter(grey, sigma, mode="nearest", truncate=12)
    beyond = blurred(0.5) - 0.95 * blurred(4.5 * 0.5) + 0.1
    assert (beyond < 0.1).any() and (beyond > 0.13).any()
    expected = 1 + 2 * np.tanh(np.minimum(10 * (beyond - 0.22), 0))
    found = sketch.xdog(jnp.asarray(image)[None], jnp.asarray([0.5]), phi=10, epsilon=0.12)
    np.testing.assert_allclose(found[0, ..., 0], expected, atol=1e-3)
    slope = lambda channel, axis: scipy.ndimage.sobel((channel + 1) / 2, axis, mode="nearest") / 8
    steepest = np.max([np.hypot(slope(channel, 0), slope(channel, 1)) for channel in np.moveaxis(image, -1, 0)], 0)
    expected = 1 - 2 * np.clip(steepest / 0.2, 0, 1)
    np.testing.assert_allclose(sketch.sobel(jnp.asarray(image)[None], threshold=0.2)[0, ..., 0], expected, atol=1e-4)


def test_sketches_are_drawn_by_their_shares():
    image = RNG.integers(0, 256, (400, 6, 6, 3), np.uint8)
    batch = {"colour": jnp.asarray(image), "line": jnp.full((400, 6, 6, 1), 200, jnp.uint8)}
    draw = jax.jit(lambda batch, keys: augment.sketches(batch, keys, line_share=0.25, xdog_share=0.6))
    found = np.asarray(draw(batch, jax.random.split(jax.random.key(0), 400)))
    like = lambda other: np.abs(found - other).max((1, 2, 3)) < 1e-5
    lines, edges = like(200 / 127.5 - 1), like(sketch.sobel(jnp.asarray(image / np.float32(127.5) - 1)))
    assert lines.mean() == pytest.approx(0.25, abs=0.07) and edges.mean() == pytest.approx(0.75 * 0.4, abs=0.07)
    assert (np.abs(found[~lines & ~edges]) == 1).all()  # XDoG is ink or paper.


def test_pairs_give_their_source_for_lines_and_hands_are_unsteady_up_to_a_limit():
    keys = jax.random.split(jax.random.key(2), 8)
    source = np.full((8, 24, 24, 3), 255, np.uint8)
    source[:, 10:13, 4:20] = 200, 0, 30
    batch = {"colour": jnp.asarray(RNG.integers(0, 256, source.shape, np.uint8)), "source": jnp.asarray(source)}
    found = augment.sketches(batch, keys)
    np.testing.assert_allclose(found, source @ np.float32([0.299, 0.587, 0.114])[:, None] / 127.5 - 1, atol=1e-5)
    changed = [np.abs(augment.sketches(batch, keys, unsteady=u) - found).mean((1, 2, 3)) for u in (0.1, 1.0)]
    assert (changed[0] > 0).all() and changed[1].mean() > 2 * changed[0].mean()
    assert changed[1].max() > 2 * changed[1].min()  # Each by its own amount.


@pytest.mark.parametrize("angle", [0, 20, 45])
def test_the_width_of_lines_is_measured(angle):
    y, x = np.mgrid[:384, :384] / 4
    across = (x - 48) * np.sin(np.radians(angle)) - (y - 48) * np.cos(np.radians(angle))
    found = []
    for width in (1.0, 2.5, 6.0):
        ink = (np.abs(across) < width / 2).reshape(96, 4, 96, 4).mean((1, 3), dtype=np.float32)
        found.append(float(sketch.weight(jnp.asarray(1 - 2 * ink)[None, ..., None])[0]))
    assert found[1:] == [pytest.approx(2.5, rel=0.17), pytest.approx(6, rel=0.17)] and found[0] < 1.6
    assert sketch.weight(jnp.ones((1, 8, 8, 1))) == 0


def test_blur_keeps_means_and_equals_scipy():
    image = RNG.uniform(0, 1, (1, 20, 24, 1)).astype(np.float32)
    blurred = sketch.gaussian_blur(jnp.asarray(image), jnp.asarray([1.3]))
    expected = scipy.ndimage.gaussian_filter(image[0, ..., 0], 1.3, mode="nearest", truncate=12)
    np.testing.assert_allclose(blurred[0, ..., 0], expected, atol=1e-4)


def test_crop_and_flip_keep_pictures_together():
    keys = jax.random.split(jax.random.key(1), 16)
    picture = jnp.asarray(RNG.uniform(-1, 1, (16, 16, 16, 1)), jnp.float32)
    a, b = augment.crop(keys, picture, picture, scale=286 / 256)
    np.testing.assert_array_equal(a, b)
    assert a.shape == picture.shape and jnp.abs(a - picture).max() > 0.1
    (flipped,) = augment.flip(keys, picture)
    both = augment.flip(keys, picture, jnp.repeat(-picture, 3, -1))
    np.testing.assert_array_equal(both[0], flipped)
    np.testing.assert_array_equal(both[1], jnp.repeat(-flipped, 3, -1))
    mirrored = jnp.all(flipped == picture[:, :, ::-1], (1, 2, 3))
    same = jnp.all(flipped == picture, (1, 2, 3))
    assert jnp.all(mirrored | same) and mirrored.any() and same.any()


def test_histograms_are_those_of_the_other_picture():
    image, other = RNG.integers(40, 90, (2, 9, 8, 3), np.uint8), RNG.integers(0, 256, (2, 9, 8, 3), np.uint8)
    found = colour.to_uint8(colour.with_histograms_of(colour.from_uint8(image), colour.from_uint8(other)))
    for ours, a, b in zip(found, image, other):
        # Between levels that the other has, scikit-image interpolates.
        theirs = skimage.exposure.match_histograms(a, b, channel_axis=-1)
        assert np.abs(ours.astype(int) - theirs).max() <= 16 and np.abs(ours.astype(int) - theirs).mean() < 4
        assert all(np.isin(ours[..., i], b[..., i]).all() for i in range(3))
    same = colour.from_uint8(other)
    np.testing.assert_allclose(colour.with_histograms_of(same, same), same, atol=1e-6)


def test_colours_get_the_mean_and_covariance_of_others():
    turn = RNG.normal(size=(3, 3))
    image, other = RNG.normal(size=(1, 20, 30, 3)), RNG.normal(size=(1, 25, 16, 3)) @ turn * 0.3 + [0.1, -0.2, 0.4]
    found = np.asarray(colour.with_colours_of(jnp.float32(image), jnp.float32(other)))
    flat = lambda x: x.reshape(-1, 3)
    np.testing.assert_allclose(flat(found).mean(0), flat(other).mean(0), atol=1e-3)
    np.testing.assert_allclose(np.cov(flat(found).T), np.cov(flat(other).T), rtol=0.02, atol=2e-3)
    grey = jnp.full((1, 4, 4, 3), 0.5)
    assert np.isfinite(colour.with_colours_of(grey, jnp.float32(other))).all()
    np.testing.assert_allclose(colour.with_colours_of(jnp.float32(other), jnp.float32(other)), other, atol=1e-3)


@pytest.mark.parametrize("size, out", [(64, 14), (16, 8), (32, 224), (24, 36)])
def test_means_over_parts_are_those_of_repeated_pixels(size, out):
    """StyleCLIP repeats pixels 7 times and takes means of size / 32: 224 of any size."""
    times, window = out // np.gcd(size, out), size // np.gcd(size, out)
    x = np.random.default_rng(0).normal(size=(1, size, 8, 2)).astype(np.float32)
    wanted = x.repeat(times, 1).reshape(1, out, window, 8, 2).mean(2)
    np.testing.assert_allclose(resample.area(x, (out, 8)), wanted, atol=1e-5)
    np.testing.assert_allclose(resample.area(x.swapaxes(1, 2), (8, out)), wanted.swapaxes(1, 2), atol=1e-5)


def test_what_is_not_lit_is_told_apart_on_black_and_on_white():
    share = np.zeros((1, 2, 2), np.float32)
    share[:, 0] = 1
    for value in (-1.0, 1.0):
        image = np.full((1, 8, 8, 3), value, np.float32)
        found = np.asarray(colour.lit(image, share))
        np.testing.assert_allclose(found[:, 0], value, atol=1e-6)
        assert (np.abs(found[:, -1] - value) > 0.5).all()
