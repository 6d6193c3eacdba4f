"""Metrics equal the implementations that papers cite.

`tests/golden/metrics_reference.npz` is made by `python -m tests.golden.make_metrics`: pytorch-fid
0.3.0, clean-fid 0.1.35, torch-fidelity 0.4.0 and lpips 0.1.4.
"""

import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import features_by_name, metrics_by_seed as golden
from vision_gen.errors import InputError
from vision_gen.metrics import accuracy, distribution, extract, image, masked, perceptual, resizing
from vision_gen.pretrained import features as reader
from vision_gen.pretrained import torch_file

REFERENCE = np.load(pathlib.Path(__file__).parent.parent / "golden" / "metrics_reference.npz")
TORCH = np.load(pathlib.Path(__file__).parent.parent / "golden" / "torch_reference.npz")  # See make_torch.py there.
SETS = golden.feature_sets()


def moments(x, parts=1):
    """Of `parts` accumulators that each saw some of the features, in pieces, and were merged."""
    whole = distribution.Moments(x.shape[1])
    for part in np.array_split(x, parts):
        each = distribution.Moments(x.shape[1])
        for piece in np.array_split(part, 3):
            each.update(piece)
        whole.merge(each)
    return whole.result()


@pytest.mark.parametrize("name", SETS)
def test_moments_of_parts_are_those_of_the_whole(name):
    a = SETS[name][0] + 1e3  # Far from the origin, where sums of squares lose digits.
    for parts in (1, 7):
        mean, covariance = moments(a, parts)
        np.testing.assert_allclose(mean, a.mean(0), rtol=1e-12)
        expected = np.cov(a, rowvar=False)
        np.testing.assert_allclose(covariance, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("name", SETS)
def test_frechet_distance_is_pytorch_fids(name):
    a, b = SETS[name]
    found = distribution.frechet_distance(*moments(a), *moments(b))
    assert found == pytest.approx(float(REFERENCE[f"frechet/{name}"]), rel=1e-6)
    assert distribution.frechet_distance(*moments(a), *moments(a)) < 1e-5 * np.trace(moments(a)[1])


@pytest.mark.parametrize("name", SETS)
def test_kid_and_precision_recall_are_torch_fidelitys(name):
    a, b = SETS[name]
    # Subsets of everything: nothing is left to chance.
    kid, error = distribution.kernel_distance(a, b, subsets=2, subset_size=len(a))
    assert kid == pytest.approx(float(REFERENCE[f"kid/{name}"]), rel=1e-5)
    assert error is None
    found = distribution.precision_recall(b, a, rows=37)
    assert found.precision == pytest.approx(float(REFERENCE[f"precision/{name}"]), abs=1e-6)
    assert found.recall == pytest.approx(float(REFERENCE[f"recall/{name}"]), abs=1e-6)


def test_kid_of_one_distribution_is_zero_within_its_error():
    a, b = np.random.default_rng(0).standard_normal((2, 2000, 16))
    kid, error = distribution.kernel_distance(a, b, subsets=50, subset_size=200)
    assert 0 < error < 0.05 and abs(kid) < 5 * error + 0.02


def test_inception_score_is_torch_fidelitys_in_one_pass():
    logits = golden.logits()
    score = distribution.InceptionScore(len(logits), logits.shape[1])
    for part in np.array_split(logits, 13):
        score.update(part)
    assert score.result()[0] == pytest.approx(float(REFERENCE["inception_score"]), rel=1e-5)


@pytest.mark.parametrize("protocol", resizing.PROTOCOLS)
@pytest.mark.parametrize("name", golden.pictures())
def test_resizing_is_the_references(protocol, name):
    picture = golden.pictures()[name]
    ours = features_by_name.some(resizing.resize(picture[None], 299, protocol)[0])
    np.testing.assert_allclose(ours, REFERENCE[f"{protocol}/{name}"], atol=1e-3)


def test_an_unknown_protocol_is_named():
    with pytest.raises(InputError, match="--resize must be one of .*'box'"):
        resizing.resize(np.zeros((1, 8, 8, 3), np.uint8), 299, "box")


@pytest.mark.parametrize("net, trunk", [("alex", "alexnet"), ("vgg", "vgg16")])
def test_lpips_is_the_reference_implementation(net, trunk):
    network = nnx.eval_shape(lambda: reader.NETWORKS[trunk](classes=0, rngs=nnx.Rngs(0)))
    reader.fill(network, features_by_name.state_of(network))
    ours, theirs = (network(image, intermediates=True)[1] for image in golden.pair())
    scales = features_by_name.lpips_scales(perceptual.LPIPS_LAYERS[trunk], ours)
    found = perceptual.lpips(ours, theirs, scales)
    np.testing.assert_allclose(found, REFERENCE[f"lpips/{net}"], rtol=1e-4)
    np.testing.assert_allclose(perceptual.lpips(ours, ours, scales), 0, atol=1e-7)


@pytest.mark.parametrize("trunk, size", [("alexnet", (70, 91)), ("vgg16", (33, 50))])
def test_lpips_is_the_same_of_images_that_were_extended(trunk, size, monkeypatch, tmp_path):
    network = nnx.eval_shape(lambda: reader.NETWORKS[trunk](classes=0, rngs=nnx.Rngs(0)))
    reader.fill(network, features_by_name.state_of(network))
    monkeypatch.setattr(reader, "load", lambda *_, **__: (network, ""))
    pair = [x[:, : size[0], : size[1]] for x in golden.pair()]
    layers = network(pair[0], intermediates=True)[1]
    assert {layer: x.shape[1:3] for layer, x in layers.items()} == network.sizes(size)
    scales = features_by_name.lpips_scales(perceptual.LPIPS_LAYERS[trunk], layers)
    state = {f"lin{i}.model.1.weight": scale[None, :, None, None] for i, scale in enumerate(scales.values())}
    torch_file.write(state, tmp_path / "linear.pth")
    function, params = perceptual.load_lpips(trunk, linear=tmp_path / "linear.pth")
    longer = [np.pad(x, [(0, 0), (0, 96 - size[0]), (0, 96 - size[1]), (0, 0)], constant_values=0.5) for x in pair]
    np.testing.assert_allclose(jax.jit(function)(params, *longer, size), function(params, *pair), rtol=1e-4)


def test_ssim_is_scikit_images():
    x, y = golden.smooth_pair()
    metrics = pytest.importorskip("skimage.metrics", reason="the test extra is not installed")
    for i, ours in enumerate(image.ssim(x, y)):
        theirs = metrics.structural_similarity(
            (x[i] + 1) / 2, (y[i] + 1) / 2, channel_axis=2, data_range=1.0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        assert float(ours) == pytest.approx(theirs, abs=5e-5)


# Of `golden.smooth_pair()` by torchmetrics 1.9.
MS_SSIM = [0.9458428, 0.9446365]


def test_ms_ssim_is_torchmetrics():
    x, y = golden.smooth_pair()
    np.testing.assert_allclose(image.ms_ssim(x, y), MS_SSIM, atol=1e-3)
    with pytest.raises(InputError, match="at least 161 px a side"):
        image.ms_ssim(x[:, :100], y[:, :100])


def test_torchmetrics_gives_what_is_kept_of_it():
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    torchmetrics = pytest.importorskip(
        "torchmetrics.functional.image", reason="the parity extra is not installed"
    )
    a, b = (torch.tensor((v.transpose(0, 3, 1, 2) + 1) / 2) for v in golden.smooth_pair())
    theirs = torchmetrics.multiscale_structural_similarity_index_measure(
        a, b, data_range=1.0, reduction="none"
    )
    np.testing.assert_allclose(theirs.numpy(), MS_SSIM, rtol=1e-5)


def test_masked_pixels_do_not_count():
    rng = np.random.default_rng(0)
    truth, found = (jnp.float32(rng.uniform(-1, 1, (2, 24, 30, 3))) for _ in range(2))
    mask = jnp.zeros((2, 24, 30, 1), bool).at[:, :, 12:].set(True)
    whole = jnp.ones_like(mask)
    np.testing.assert_allclose(
        masked.psnr(found, truth, mask), image.psnr(found[:, :, 12:], truth[:, :, 12:]), rtol=1e-5
    )
    other, hidden = found.at[:, :, :12].set(0.5), truth.at[:, :, :12].set(-0.5)
    for metric, plain in ((masked.psnr, image.psnr), (masked.ssim, image.ssim)):
        np.testing.assert_allclose(metric(found, truth, whole), plain(found, truth), atol=1e-5)
        np.testing.assert_array_equal(metric(found, truth, mask), metric(other, hidden, mask))
    # Where nothing is right, the windows that count are as wrong as all.
    assert np.abs(masked.ssim(found, truth, mask)).max() < 0.15
    np.testing.assert_allclose(masked.ssim(truth, truth, mask), 1, atol=1e-5)


def test_psnr_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    truth = rng.uniform(-0.5, 0.5, (3, 8, 9, 3)).astype(np.float32)
    found = image.psnr(truth + np.float32([0.2, 0.02, 0.0])[:, None, None, None], truth)
    # Errors of a tenth and a hundredth of the range; and at most one of 255 levels.
    np.testing.assert_allclose(found, [20, 40, 20 * np.log10(255)], atol=1e-3)
    noisy = truth + rng.normal(0, 0.2, truth.shape).astype(np.float32)
    expected = 10 * np.log10(2**2 / ((noisy - truth) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(image.psnr(noisy, truth), expected, atol=1e-3)
    # What is brighter than white is white.
    np.testing.assert_allclose(image.psnr(truth + 9, truth), image.psnr(np.ones_like(truth), truth))


@pytest.mark.parametrize("name, size", [("psnr", (40, 31)), ("ssim", (40, 31)), ("ms_ssim", (170, 163))])
def test_what_images_were_extended_by_does_not_count(name, size):
    pair = [np.asarray(v)[:, : size[0], : size[1]] for v in golden.smooth_pair()]
    more = [(0, 0), (0, 256 - size[0]), (0, 256 - size[1]), (0, 0)]
    longer = [np.pad(v, more, constant_values=i) for i, v in enumerate(pair)]
    function = getattr(image, name)
    np.testing.assert_allclose(jax.jit(function)(*longer, size), function(*pair), rtol=1e-5)


def a_set(features, **more):
    moments = features.mean(0), np.cov(features, rowvar=False)
    return extract.Statistics(len(features), *moments, features, (2.0, 0.1), **more)


class Named:
    title, network, key = "FID", "", {"features": "some"}


def test_precision_is_of_the_generated_and_recall_of_the_real():
    """Half of the real pictures are of a kind that is never generated, and all that is generated is like the others."""
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 1, (60, 4)), rng.normal(100, 1, (60, 4))
    real, generated = a_set(np.concatenate([near, far])), a_set(near + 1e-3)
    found = extract.distances(("precision", "recall"), real, generated, Named)
    assert found == {"precision": ("precision", 1.0, None), "recall": ("recall", 0.5, None)}
    found = extract.distances(("precision", "recall"), generated, real, Named)
    assert found["precision"][1] == 0.5 and found["recall"][1] == 1.0


def test_distances_that_are_not_finite_are_errors():
    rng = np.random.default_rng(0)
    good, huge = a_set(rng.normal(size=(9, 4))), a_set(rng.normal(size=(9, 4)) * 1e200)
    for name, title in (("fd", "FID"), ("kid", "KID")):
        with np.errstate(all="ignore"), pytest.raises(InputError, match=f"{title} is (inf|nan)"):
            extract.distances((name,), good, huge, Named)
    collector = extract.Collector(4)
    features = np.ones((4, 3))
    features[2, 1] = np.nan
    with pytest.raises(InputError, match="the features of image 2 are not finite"):
        collector.add({"features": features, "logits": np.ones((4, 5))})


@pytest.mark.parametrize(
    "case", ["empty", "text", "cut", "flipped", "array", "no sigma", "nan", "shapes", "sample", "objects"]
)
def test_damaged_statistics_are_refused(case, tmp_path):
    path = tmp_path / "stats.npz"
    whole = a_set(np.random.default_rng(0).normal(size=(9, 4)), made_of={"features": "some"})
    whole.save(path)
    data = path.read_bytes()
    found = extract.Statistics.load(path)
    assert (found.count, found.made_of) == (9, whole.made_of) and (found.covariance == whole.covariance).all()
    mu, sigma = whole.mean, whole.covariance
    arrays = {
        "no sigma": dict(mu=mu),
        "nan": dict(mu=mu, sigma=sigma * np.nan),
        "shapes": dict(mu=mu, sigma=sigma[:3]),
        "sample": dict(mu=mu, sigma=sigma, sample=np.ones((9, 5))),
        "objects": dict(mu=mu, sigma=sigma, made_of=np.array(None)),
    }
    if case in arrays:
        np.savez(path, **arrays[case])
    elif case == "array":
        np.save(path.open("wb"), mu)
    else:
        middle = data.index(mu.tobytes()) + 3
        flipped = data[:middle] + bytes([data[middle] ^ 64]) + data[middle + 1 :]
        path.write_bytes({"empty": b"", "text": b"mu sigma", "cut": data[:-40], "flipped": flipped}[case])
    with pytest.raises(InputError, match="stats.npz: not a file of statistics with mu and sigma") as caught:
        extract.Statistics.load(path)
    assert "\n" not in str(caught.value)


def test_path_length_is_the_distance_over_the_step():
    """Of a generator that scales, under squared error, it is known."""
    keys = jax.random.split(jax.random.key(0), 64)
    a, b = jax.random.normal(jax.random.key(1), (2, 64, 5))
    synthesise = lambda z: 3 * z
    distance = lambda x, y: ((x - y) ** 2).sum(-1)
    found = perceptual.path_length(synthesise, distance, a, b, keys, epsilon=1e-2)
    np.testing.assert_allclose(found, 9 * ((a - b) ** 2).sum(-1), rtol=1e-2)
    along = perceptual.path_length(synthesise, distance, a, b, keys, epsilon=1e-2, spherical=True)
    unit = lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)
    angle = np.arccos((unit(a) * unit(b)).sum(-1))
    np.testing.assert_allclose(along, 9 * angle**2, rtol=2e-2)
    values = np.r_[np.arange(1000.0), 1e9]
    assert perceptual.path_length_mean(values) == pytest.approx(500, abs=6)


def test_points_and_classes():
    truth = jnp.zeros((2, 4, 2))
    found = truth.at[0, :2, 0].set(0.9).at[1, 0, 1].set(1.1)
    np.testing.assert_allclose(accuracy.pck(found, truth, jnp.array([10.0, 10.0])), [1, 0.75])
    visible = jnp.array([[True] * 4, [True, True, False, False]])
    np.testing.assert_allclose(accuracy.pck(found, truth, jnp.array([5.0, 10.0]), visible=visible), [0.5, 0.5])
    logits = jnp.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    label = jnp.array([2, 0])
    np.testing.assert_allclose(accuracy.top_k(logits, label, 1), [0, 0])
    np.testing.assert_allclose(accuracy.top_k(logits, label, 2), [1, 0])


def test_a_reservoir_is_a_uniform_sample():
    sample = distribution.Reservoir(500)
    for part in np.array_split(np.arange(5000.0)[:, None], 9):
        sample.update(part)
    assert sample.count == 5000
    found = sample.result()
    assert found.shape == (500, 1) and len(np.unique(found)) == 500
    assert abs(found.mean() - 2500) < 300
