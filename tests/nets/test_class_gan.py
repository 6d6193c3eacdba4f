"""The convolutional and maxout nets of class-conditional GANs, against the papers' layers."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.systems.test_pix2pix_parity import close
from vision_gen.nets import class_gan, maxout_gan
from vision_gen.pretrained import named


def drawn(network, seed=0):
    """A network with numbers in every tensor."""
    rng = np.random.default_rng(seed)
    found = {name: jnp.float32(0.2 * rng.normal(size=x.shape)) for name, x in named.flat(network).items()}
    return named.put(network, {n: 1 + abs(x) if n.endswith(("var", "scale")) else x for n, x in found.items()})


def in_torch(name, value):
    """A parameter of ours as torch has it, with a gradient."""
    import torch

    value = np.asarray(value)
    turned = value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim]).copy()
    return torch.tensor(turned, requires_grad=name.endswith(("kernel", "bias", "scale")))


def compare(network, call, theirs):
    """Outputs, and gradients of a weighted sum of them, of a network of ours and the same in torch.

    Args:
      call: function of a network that gives an array.
      theirs: function of {name: torch tensor} that gives the same array.
    """
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    run = lambda params: call(nnx.merge(graphdef, params, rest, copy=True))
    weights = np.float32(np.random.default_rng(1).normal(size=jax.eval_shape(run, params).shape))
    found, gradients = jax.jit(jax.value_and_grad(lambda p: ((run(p) * weights).sum(), run(p)), has_aux=True))(params)
    import torch

    tensors = {name: in_torch(name, value) for name, value in named.flat(network).items()}
    expected = theirs(tensors)
    (expected * torch.tensor(weights)).sum().backward()
    close(found[1], expected.detach().numpy())
    for name, gradient in named.flat(nnx.merge(graphdef, gradients, rest)).items():
        # A bias before a normalisation by the batch moves nothing but for rounding.
        if tensors[name].requires_grad and tensors[name].grad.abs().max() > 1e-3:
            close(in_torch("", gradient).numpy(), tensors[name].grad.numpy())


@pytest.mark.parametrize("kernel", [4, 5])
def test_a_generator_doubles_its_map_by_transposed_convolutions(kernel):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    network = class_gan.Generator(
        size=(16, 8), latent=5, classes=3, widths=(6, 4), channels=3, kernel=kernel, rngs=nnx.Rngs(0)
    )
    network = drawn(network)
    rng = np.random.default_rng(2)
    latent, label = np.float32(rng.normal(size=(4, 5))), np.array([2, 0, 1, 2])
    call = lambda network: network(latent, jax.nn.one_hot(label, 3), train=True)
    padding, more = (1, 0) if kernel == 4 else (2, 1)

    def theirs(p):
        given = torch.cat([torch.tensor(latent), F.one_hot(torch.tensor(label), 3).float()], 1)
        x = F.linear(given, p["start/kernel"], p["start/bias"]).relu().reshape(4, 4, 2, 6).permute(0, 3, 1, 2)
        for i in range(2):
            x = F.conv_transpose2d(x, p[f"up/{i}/kernel"], p[f"up/{i}/bias"], 2, padding, more)
            if i == 0:
                x = F.batch_norm(x, None, None, p["norms/0/scale"], p["norms/0/bias"], training=True).relu()
        return x.tanh().permute(0, 2, 3, 1)

    compare(network, call, theirs)


@pytest.mark.parametrize("head", ["projection", "auxiliary"])
def test_a_discriminator_is_a_trunk_and_its_head(head):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    rng = np.random.default_rng(2)
    image, label = np.float32(rng.normal(size=(4, 9, 8, 1))), np.array([2, 0, 1, 2])
    both = dict(classes=3, widths=(4, 6, 5), channels=1, rngs=nnx.Rngs(0))
    if head == "projection":
        network = drawn(class_gan.ProjectionDiscriminator(norm="batch", **both))
        call = lambda network: network(image, jax.nn.one_hot(label, 3), train=True)
        strides = (2, 2, 2)
    else:
        network = drawn(class_gan.AuxiliaryDiscriminator(size=(9, 8), dropout=0.0, **both))
        strides = (2, 1, 2)

        def call(network):
            source, logits = network(image, train=True)
            return jnp.concatenate([source[:, None], logits], 1)

    def theirs(p):
        x = torch.tensor(image).permute(0, 3, 1, 2)
        for i, stride in enumerate(strides):
            x = F.conv2d(x, p[f"trunk/convs/{i}/kernel"], p[f"trunk/convs/{i}/bias"], stride, 1)
            if i:
                scale, bias = (p[f"trunk/norms/{i}/{part}"] for part in ("scale", "bias"))
                x = F.batch_norm(x, None, None, scale, bias, training=True)
            x = F.leaky_relu(x, 0.2)
        if head == "auxiliary":
            return F.linear(x.permute(0, 2, 3, 1).flatten(1), p["head/kernel"], p["head/bias"])
        phi = x.sum((2, 3))
        embedded = p["embed/kernel"].T[torch.tensor(label)]
        return F.linear(phi, p["score/kernel"], p["score/bias"])[:, 0] + (embedded * phi).sum(1)

    compare(network, call, theirs)


def test_a_spectral_discriminators_slope_is_bounded():
    """Every layer's norm is 1 after some iterations, so scaling a kernel changes nothing."""
    build = lambda: class_gan.ProjectionDiscriminator(classes=3, widths=(4, 6), channels=1, rngs=nnx.Rngs(0))
    image, classes = jax.random.normal(jax.random.key(0), (2, 8, 8, 1)), jnp.eye(3)[:2]
    network = build()
    call = lambda train: nnx.jit(lambda network: network(image, classes, train=train))
    train, look = call(True), call(False)
    for _ in range(40):
        train(network)
    before = look(network)
    for layer in (network.trunk.convs[1], network.score, network.embed):
        layer.kernel[...] = layer.kernel[...] * 7
    np.testing.assert_allclose(look(network), before, rtol=1e-4)
    assert np.linalg.norm(network.embed_norm(network.embed.kernel[...], train=False), 2) == pytest.approx(1, rel=1e-3)


def test_noise_and_dropout_are_of_training_alone():
    network = class_gan.AuxiliaryDiscriminator(
        size=(8, 8), classes=3, widths=(4, 6), dropout=0.5, noise=0.2, rngs=nnx.Rngs(0)
    )
    image, keys = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)), jax.random.split(jax.random.key(1), 2)
    used = network(image, train=False)
    np.testing.assert_array_equal(used[1], network(image, keys, train=False)[1])
    first, second = network(image, keys, train=True), network(image, keys[::-1], train=True)
    assert np.abs(first[1] - second[1]).max() > 1e-3
    network = class_gan.AuxiliaryDiscriminator(
        size=(8, 8), classes=3, widths=(4,), dropout=0.0, noise=3.0, rngs=nnx.Rngs(0)
    )
    first, second = network(image, keys, train=True), network(image, keys[::-1], train=True)
    assert np.abs(first[1] - second[1]).max() > 1e-3


def test_maxout_nets_are_the_papers():
    sizes = dict(size=(3, 2), classes=4, channels=1, rngs=nnx.Rngs(0))
    generator = drawn(maxout_gan.MaxoutGenerator(latent=5, hidden=(6, 7, 8), **sizes))
    hidden = ((3, 5), (2, 4), (6, 2))
    discriminator = drawn(maxout_gan.MaxoutDiscriminator(hidden=hidden, **sizes))
    rng = np.random.default_rng(2)
    latent, classes, image = rng.random((2, 5)), np.eye(4)[[3, 1]], rng.uniform(-1, 1, (2, 3, 2, 1))
    g, d = ({name: np.asarray(x) for name, x in named.flat(n).items()} for n in (generator, discriminator))
    linear = lambda p, name, x: x @ p[f"{name}/kernel"] + p[f"{name}/bias"]
    relu = lambda x: np.maximum(x, 0)
    both = relu(linear(g, "latent", latent)), relu(linear(g, "label", classes))
    joint = relu(linear(g, "joint", np.concatenate(both, 1)))
    pixels = 1 / (1 + np.exp(-linear(g, "out", joint)))
    np.testing.assert_allclose((generator(latent, classes, train=False) + 1) / 2, pixels.reshape(2, 3, 2, 1), atol=1e-5)
    maxout = lambda name, x, units: linear(d, name, x).reshape(2, units, -1).max(-1)
    both = maxout("image", (image.reshape(2, -1) + 1) / 2, 3), maxout("label", classes, 2)
    logits = linear(d, "out", maxout("joint", np.concatenate(both, 1), 6))[:, 0]
    np.testing.assert_allclose(discriminator(image, classes, train=False), logits, atol=1e-5)
    assert len(set(np.round(pixels.ravel(), 6))) > 6 and logits.std() > 1e-2
    assert [x.shape[-1] for x in (d["image/kernel"], d["label/kernel"], d["joint/kernel"])] == [15, 8, 12]


def test_maxout_nets_drop_half_of_their_units_in_training():
    sizes = dict(size=(3, 2), classes=4, channels=1, rngs=nnx.Rngs(0))
    keys = jax.random.split(jax.random.key(0), 2)
    latent, classes = jnp.ones((2, 5)), jnp.ones((2, 4))
    generator = maxout_gan.MaxoutGenerator(latent=5, hidden=(6, 7, 8), **sizes)
    discriminator = maxout_gan.MaxoutDiscriminator(hidden=((3, 5), (2, 4), (6, 2)), **sizes)
    image = generator(latent, classes, keys, train=True)
    assert np.abs(image[0] - image[1]).max() > 1e-3  # Of one latent and class: their masks differ.
    image = generator(latent, classes, train=False)
    np.testing.assert_allclose(image[0], image[1], atol=1e-6)
    logits = discriminator(image, classes, keys, train=True)
    assert abs(logits[0] - logits[1]) > 1e-4


def test_sides_that_cannot_be_doubled_to_are_refused():
    with pytest.raises(ValueError, match=r"widths \(8, 4, 2\) are 3 doublings: .* multiples of 8, got 28 x 28"):
        class_gan.Generator(size=(28, 28), latent=4, classes=3, widths=(8, 4, 2), rngs=nnx.Rngs(0))
