"""StyleGAN2's networks give what the reference gives, in values and in gradients of first and second order.

`tests/golden/stylegan2_reference.npz` was made by `make_stylegan2.py`, which runs NVlabs/stylegan2-ada-pytorch itself.
"""

import dataclasses
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import stylegan2_by_name as golden
from vision_gen.nets import stylegan2
from vision_gen.pretrained import named
from vision_gen.pretrained import stylegan2 as reader

REFERENCE = np.load(pathlib.Path(__file__).parent.parent / "golden" / "stylegan2_reference.npz")


def seeded(network, layout):
    found = named.read("golden", golden.state_of(network, layout), layout).result()
    return named.put(network, named.fit(found, network)[0])


@pytest.fixture(scope="module", params=sorted(golden.CASES))
def case(request):
    """(name, generator, discriminator) with the reference's weights."""
    generator, discriminator = golden.settings(request.param)
    generator = stylegan2.Generator(generator, nnx.Rngs(0))
    discriminator = stylegan2.Discriminator(discriminator, nnx.Rngs(0))
    return (
        request.param,
        seeded(generator, reader.generator_layout(generator)),
        seeded(discriminator, reader.discriminator_layout(discriminator)),
    )


def close(got, wanted, tolerance=1e-4):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


def gradients_agree(prefix, loss, network, layout):
    """The gradients of `loss`, a function of the network, are the reference's, parameter by parameter."""
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    grads = jax.jit(jax.grad(lambda p: loss(nnx.merge(graphdef, p, rest, copy=True))))(params)
    network = nnx.merge(graphdef, grads, rest, copy=True)
    found = named.written(network, layout)
    compared = 0
    for name, value in found.items():
        if f"{prefix}/{name}" in REFERENCE:  # Buffers have none.
            compared += 1
            wanted = REFERENCE[f"{prefix}/{name}"]
            # Against the largest entry of the largest gradient, so that those that are zero have a scale too.
            scale = max(np.abs(wanted).max(), 1e-3)
            np.testing.assert_allclose(golden.digest(value), wanted, rtol=0, atol=1e-3 * scale, err_msg=name)
    assert compared == len(jax.tree.leaves(params))


def test_images_and_latents_are_the_references(case):
    name, generator, _ = case
    z, label, _, _ = golden.inputs(name)
    run = nnx.jit(lambda g, noise: g.synthesis(g.mapping(z, label), noise), static_argnums=1)
    ws = generator.mapping(z, label, truncation=golden.TRUNCATION, truncation_cutoff=golden.CUTOFF)
    close(ws, REFERENCE[f"{name}/ws"])
    for noise in ("const", "none"):
        image = nnx.jit(lambda g: g.synthesis(ws, noise))(generator)
        close(image.transpose(0, 3, 1, 2), REFERENCE[f"{name}/image_{noise}"])


def path_lengths(generator, z, label, draws):
    ws = generator.mapping(z, label)
    slope = jax.grad(lambda ws: jnp.sum(generator.synthesis(ws, "const") * draws))(ws)
    return jnp.sqrt(jnp.mean(jnp.sum(slope**2, 2), 1))


def test_path_lengths_and_gradients_of_the_generator_are_the_references(case):
    name, generator, discriminator = case
    z, label, _, draws = golden.inputs(name)
    draws = draws.transpose(0, 2, 3, 1)
    close(path_lengths(generator, z, label, draws), REFERENCE[f"{name}/path_lengths"])
    layout = reader.generator_layout(generator)
    penalty = lambda g: jnp.mean((path_lengths(g, z, label, draws) - 0.1) ** 2)
    gradients_agree(f"{name}/path_length", penalty, generator, layout)
    score = lambda g: discriminator(g.synthesis(g.mapping(z, label), "const"), label)
    gradients_agree(f"{name}/generator", lambda g: jax.nn.softplus(-score(g)).mean(), generator, layout)


def test_logits_penalty_and_gradients_of_the_discriminator_are_the_references(case):
    name, _, discriminator = case
    _, label, images, _ = golden.inputs(name)
    images = images.transpose(0, 2, 3, 1)
    penalty = lambda d: jnp.sum(jax.grad(lambda x: d(x, label).sum())(images) ** 2, (1, 2, 3))
    close(discriminator(images, label), REFERENCE[f"{name}/logits"][:, 0])
    close(penalty(discriminator), REFERENCE[f"{name}/r1"])
    layout = reader.discriminator_layout(discriminator)
    gradients_agree(f"{name}/discriminator_r1", lambda d: penalty(d).mean(), discriminator, layout)
    gradients_agree(f"{name}/discriminator", lambda d: jax.nn.softplus(d(images, label)).mean(), discriminator, layout)


@pytest.fixture(scope="module")
def small():
    settings = stylegan2.GeneratorSettings(
        size=8, z_size=3, w_size=4, channel_max=5, mapping_layers=1, half_resolutions=0
    )
    return stylegan2.Generator(settings, nnx.Rngs(0))


def test_the_average_of_w_follows_training_alone(small):
    z = jax.random.normal(jax.random.key(0), (6, 3))
    network = nnx.clone(small)
    before = network.w_average
    ws = network.mapping(z)
    np.testing.assert_array_equal(network.w_average, before)
    network.mapping(z, update=True)
    np.testing.assert_allclose(network.w_average, 0.005 * ws[:, 0].mean(0), rtol=1e-5)
    close(network.mapping(z, truncation=0.0), np.broadcast_to(network.w_average, ws.shape))
    np.testing.assert_array_equal(network.mapping(z, truncation=0.5, truncation_cutoff=0), ws)


def test_mixed_styles_change_over_at_a_layer(small):
    a, b = jnp.zeros((2, 4, 3)), jnp.ones((2, 4, 3))
    np.testing.assert_array_equal(stylegan2.mixed(a, b, 1)[..., 0], [[0, 1, 1, 1]] * 2)
    np.testing.assert_array_equal(stylegan2.mixed(a, b, jnp.array([0, 3]))[..., 0], [[1, 1, 1, 1], [0, 0, 0, 1]])


def test_noise_is_drawn_for_each_example(small):
    small = nnx.clone(small)
    for layer in small.synthesis.convs:
        layer.noise_strength[...] = jnp.ones(())
    ws = small.mapping(jnp.ones((2, 3)))
    keys = jax.random.split(jax.random.key(1))
    image = small.synthesis(ws, key=keys)
    assert np.abs(image[0] - image[1]).max() > 0.01
    close(small.synthesis(ws[1:], key=keys[1:])[0], image[1])  # An example's draw is its key's, whatever the batch.
    np.testing.assert_array_equal(small.synthesis(ws, key=jax.random.key(1)), image)  # Or split from one.
    given = [jnp.broadcast_to(n, (2, *n.shape)) for n in small.synthesis.noises()]
    close(small.synthesis(ws, given), small.synthesis(ws, "const"))


def test_style_space_is_what_layers_scale_their_channels_by(small):
    ws = small.mapping(jnp.ones((2, 3)))
    styles = small.synthesis.styles(ws)
    assert [s.shape for s in styles] == [(2, 5)] * 5  # conv1 and to_rgb at 4; conv0, conv1 and to_rgb at 8.
    close(small.synthesis.paint(styles, "const"), small.synthesis(ws, "const"))
    styles[-1] = styles[-1] * 0
    image = small.synthesis.paint(styles, "const") - small.synthesis.paint(styles[:-1] + [styles[-1]], "const")
    assert not np.any(image)


@pytest.mark.parametrize("half,tolerance", [("float16", 0.02), ("bfloat16", 0.1)])
def test_high_resolutions_in_16_bits_agree(half, tolerance):
    generator, discriminator = golden.settings("residual")
    networks = []
    for count in (0, 1):
        settings = dict(half_resolutions=count, half=half, conv_clamp=256.0)
        pair = (
            stylegan2.Generator(dataclasses.replace(generator, **settings), nnx.Rngs(0)),
            stylegan2.Discriminator(dataclasses.replace(discriminator, **settings), nnx.Rngs(0)),
        )
        networks.append(pair)
    z, label, images, _ = golden.inputs("residual")
    ws = networks[0][0].mapping(z, label)
    # Styles of a hundred thousand would overflow in 16 bits.
    far = [g.synthesis.paint([s * 1e5 for s in g.synthesis.styles(ws)[:-1]] + g.synthesis.styles(ws)[-1:], "none") for g, _ in networks]
    near = [g.synthesis(ws, "none") for g, _ in networks]
    logits = [d(images.transpose(0, 2, 3, 1), label) for _, d in networks]
    for exact, rough in (near, logits) + ((far,) if half == "float16" else ()):
        assert rough.dtype == jnp.float32 and np.any(exact != rough)
        close(rough, exact, tolerance)


def test_frozen_layers_do_not_learn():
    _, settings = golden.settings("orig")
    network = stylegan2.Discriminator(dataclasses.replace(settings, frozen=2), nnx.Rngs(0))
    images = golden.inputs("orig")[2].transpose(0, 2, 3, 1)
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    grads = jax.grad(lambda p: nnx.merge(graphdef, p, rest)(images).sum())(params)
    flat = {"/".join(map(str, path)): np.abs(leaf[...]).max() for path, leaf in nnx.to_flat_state(grads)}
    still = {name.rsplit("/", 1)[0] for name, largest in flat.items() if not largest}
    assert still == {"blocks/0/from_rgb", "blocks/0/conv0"}


def test_what_does_not_fit_is_named(small):
    with pytest.raises(ValueError, match="size must be a power of two from 8 on, got 48"):
        stylegan2.GeneratorSettings(size=48)
    with pytest.raises(ValueError, match=r"z must be \[batch, 3\], got \(1, 4\)"):
        small.mapping(jnp.ones((1, 4)))
    with pytest.raises(ValueError, match="has 0 classes, and a label is given"):
        small.mapping(jnp.ones((1, 3)), jnp.array([1]))
    with pytest.raises(ValueError, match=r"ws must be \[batch, 4, 4\]"):
        small.synthesis(jnp.ones((1, 5, 4)), "none")
    with pytest.raises(ValueError, match='noise must be "random" with a key'):
        small.synthesis(jnp.ones((1, 4, 4)))
    _, settings = golden.settings("residual")
    network = stylegan2.Discriminator(settings, nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"image must be \[batch, 8, 8, 3\]"):
        network(jnp.ones((2, 16, 16, 3)))
    with pytest.raises(ValueError, match="has 3 classes, and no label is given"):
        network(jnp.ones((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="group 2 does not divide the batch of 3"):
        network(jnp.ones((3, 8, 8, 3)), jnp.zeros(3, int))
