from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.nets import layers, scft


@pytest.mark.parametrize(
    "ours, theirs, tolerance",
    [
        (layers.leaky_relu, lambda x: jax.nn.leaky_relu(x, 0.2), 0),
        (layers.gelu, lambda x: jax.nn.gelu(x, approximate=False), 1e-5),
    ],
)
def test_activations_gradients_of_every_order_are_jaxs(ours, theirs, tolerance):
    x = jnp.asarray([-20.0, -2.0, -1e-3, 0.0, 1e-3, 3.0, 20.0])
    penalty = lambda f: lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(f(x) ** 2))(x) ** 2)
    for function in (lambda f: f, lambda f: jax.grad(lambda x: f(x).sum()), lambda f: jax.grad(penalty(f))):
        np.testing.assert_allclose(function(ours)(x), function(theirs)(x), rtol=tolerance, atol=tolerance)


def test_batch_norms_running_statistics_are_torchs():
    """Momentum 0.1, and the variance over n - 1."""
    norm, x = layers.BatchNorm(3, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (2, 3, 2, 3)) * 3 + 1
    found = norm(x, train=True)
    flat = np.asarray(x, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(norm.mean[...], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found, (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5), atol=1e-5)
    used = norm(x, train=False)
    np.testing.assert_allclose(used, (x - norm.mean[...]) / np.sqrt(norm.var[...] + 1e-5), atol=1e-5)
    norm(x, train=True)
    np.testing.assert_allclose(norm.mean[...], 0.19 * flat.mean(0), rtol=1e-5)


def test_batch_norm_is_of_the_batches_of_all_devices():
    x = jax.random.normal(jax.random.key(0), (16, 3, 2, 3)) * 3 + jnp.arange(16)[:, None, None, None]

    def normalised(x):
        norm = layers.BatchNorm(3, rngs=nnx.Rngs(0))
        return norm(x, train=True), norm.mean[...], norm.var[...]

    mesh, spec = jax.sharding.Mesh(np.array(jax.devices()), layers.BATCH_AXIS), jax.sharding.PartitionSpec
    out = spec(layers.BATCH_AXIS), spec(), spec()
    mapped = jax.shard_map(normalised, mesh=mesh, in_specs=spec(layers.BATCH_AXIS), out_specs=out, check_vma=False)
    for got, want in zip(jax.jit(mapped)(x), normalised(x)):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_spectral_norm_finds_the_largest_singular_value():
    norm, kernel = layers.SpectralNorm(5, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (3, 3, 4, 5))
    largest = np.linalg.svd(np.asarray(kernel).reshape(-1, 5), compute_uv=False)[0]
    for _ in range(60):
        norm(kernel, train=True)
    before = np.asarray(norm.vector[...])
    np.testing.assert_allclose(norm(kernel, train=False), kernel / largest, rtol=1e-4)
    np.testing.assert_array_equal(norm.vector[...], before)
    # The gradient of the matrix's norm is that of its singular value: the kernel's own scale moves nothing.
    slope = jax.grad(lambda scale: norm(kernel * scale, train=False)[0, 0, 0, 0])(1.0)
    assert slope == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("size, output_padding", [(4, 0), (5, 1)])
def test_transposed_convolutions_double_as_torchs(size, output_padding):
    torch = pytest.importorskip("torch")
    layer, x = layers.ConvTranspose(3, 2, size, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (2, 5, 4, 3))
    weight = torch.tensor(np.asarray(layer.kernel[...]).transpose(3, 2, 0, 1).copy())
    given = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())
    padding = 1 + output_padding
    expected = torch.nn.functional.conv_transpose2d(given, weight, None, 2, padding, output_padding)
    np.testing.assert_allclose(layer(x), expected.numpy().transpose(0, 2, 3, 1), atol=1e-5)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_keeps_the_mean(rate):
    found = np.asarray(layers.dropout(jnp.ones((4, 50, 50)), jax.random.split(jax.random.key(0), 4), rate))
    kept = found[found != 0]
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=1e-5)
    assert kept.size / found.size == pytest.approx(1 - rate, abs=0.02)


def test_a_block_normalises_what_its_convolution_gives():
    block = scft.Block(5, 8, norm="layer", rngs=nnx.Rngs(0))
    block.conv.bias[...] = jnp.arange(8.0)
    maps = [jax.random.normal(jax.random.key(i), (2, 6, 6, channel)) for i, channel in enumerate((2, 3))]
    weight = jax.random.normal(jax.random.key(2), (2, 6, 6, 8))
    plain = lambda block: layers.leaky_relu(block.norm(block.conv(jnp.concatenate(maps, -1))))
    np.testing.assert_allclose(block(*maps), plain(block), atol=1e-5)
    gradients = lambda f: nnx.grad(lambda block: (f(block) * weight).sum())(block)
    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4)
    jax.tree.map(close, gradients(lambda block: block(*maps)), gradients(plain))
