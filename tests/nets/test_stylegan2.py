"""StyleGAN2's networks give what the reference gives, in values and in gradients of first and second order.

`tests/golden/stylegan2_reference.npz` was made by `make_stylegan2.py`, which runs NVlabs/stylegan2-ada-pytorch itself.
"""

import dataclasses
import functools
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import AS_USERS
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


def run(network, function):
    """`function` of the network, compiled."""
    graphdef, state = nnx.split(network)
    return jax.jit(lambda state: function(nnx.merge(graphdef, state, copy=True)))(state)


def gradients_agree(case, losses, network, layout):
    """The gradients of losses, functions of the network by name, are the reference's, parameter by parameter."""
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    of = lambda loss: jax.grad(lambda p: loss(nnx.merge(graphdef, p, rest, copy=True)))
    every = jax.jit(lambda p: {name: of(loss)(p) for name, loss in losses.items()}, compiler_options=AS_USERS)
    for name, grads in every(params).items():
        found = named.written(nnx.merge(graphdef, grads, rest, copy=True), layout)
        wanted = {key: REFERENCE[f"{case}/{name}/{key}"] for key in found if f"{case}/{name}/{key}" in REFERENCE}
        assert len(wanted) == len(jax.tree.leaves(params))  # Buffers have none.
        for key, value in wanted.items():
            # Some are zero but for rounding.
            scale = max(np.abs(value).max(), 1e-3)
            np.testing.assert_allclose(golden.digest(found[key]), value, rtol=0, atol=1e-3 * scale, err_msg=key)


def path_lengths(generator, ws, draws):
    slope = jax.grad(lambda ws: jnp.sum(generator.synthesis(ws, "const") * draws))(ws)
    return jnp.sqrt(jnp.mean(jnp.sum(slope**2, 2), 1))


def test_latents_images_and_path_lengths_are_the_references(case):
    name, generator, _ = case
    z, label, _, draws = golden.inputs(name)

    def found(generator):
        settings = dict(truncation=golden.TRUNCATION, truncation_cutoff=golden.CUTOFF)
        ws = generator.mapping(z, label, **settings)
        images = {f"image_{noise}": generator.synthesis(ws, noise).transpose(0, 3, 1, 2) for noise in ("const", "none")}
        lengths = path_lengths(generator, generator.mapping(z, label, update=True), draws.transpose(0, 2, 3, 1))
        return dict(ws=ws, **images, path_lengths=lengths, w_avg=generator.w_average)

    for key, value in run(generator, found).items():
        close(value, REFERENCE[f"{name}/{key}"])


def test_gradients_of_the_generator_are_the_references(case):
    name, generator, discriminator = case
    z, label, _, draws = golden.inputs(name)
    score = lambda g: discriminator(g.synthesis(g.mapping(z, label), "const"), label)
    penalty = lambda g: (path_lengths(g, g.mapping(z, label), draws.transpose(0, 2, 3, 1)) - 0.1) ** 2
    losses = {"generator": lambda g: jax.nn.softplus(-score(g)).mean(), "path_length": lambda g: penalty(g).mean()}
    gradients_agree(name, losses, generator, reader.generator_layout(generator))


def test_logits_penalty_and_gradients_of_the_discriminator_are_the_references(case):
    name, _, discriminator = case
    _, label, images, _ = golden.inputs(name)
    images = images.transpose(0, 2, 3, 1)
    penalty = lambda d: jnp.sum(jax.grad(lambda x: d(x, label).sum())(images) ** 2, (1, 2, 3))
    logits, penalties = run(discriminator, lambda d: (d(images, label), penalty(d)))
    close(logits, REFERENCE[f"{name}/logits"][:, 0])
    close(penalties, REFERENCE[f"{name}/r1"])
    losses = {
        "discriminator": lambda d: jax.nn.softplus(d(images, label)).mean(),
        "discriminator_r1": lambda d: penalty(d).mean(),
    }
    gradients_agree(name, losses, discriminator, reader.discriminator_layout(discriminator))


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
    # Without the last, only the colours of the smaller size are left, as they come from there.
    silent = small.synthesis.paint([*styles[:-1], 0 * styles[-1]], "const")
    less = small.synthesis.paint([*styles[:2], *(0 * s for s in styles[2:])], "const")
    close(silent, less)


def test_closed_form_directions_change_styles_most(small):
    """Of all moves of w by one, none changes the styles (each scaled to length one) more than the first direction."""
    found, strength = stylegan2.directions(small, 1, 2)
    affine = [layer.affine.kernel[...] for layer in small.synthesis.convs[1:]]
    weights = np.concatenate([np.asarray(w) / np.linalg.norm(w, axis=0) for w in affine], 1)
    lengths = lambda w: np.sum((w @ weights) ** 2, -1)
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(lengths(found), strength, rtol=1e-4)
    moves = np.random.default_rng(0).normal(size=(1000, 4))
    assert (lengths(moves / np.linalg.norm(moves, axis=1, keepdims=True)) <= strength[0] + 1e-5).all()
    assert (np.diff(strength) <= 0).all()
    every, _ = stylegan2.directions(small)
    assert np.abs(every - found).max() > 0.01
    with pytest.raises(ValueError, match="layers must be from 0 to 3, got 2 to 1"):
        stylegan2.directions(small, 2, 1)


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
    # Styles of a hundred thousand would overflow in 16 bits, but for the demodulation that takes them back.
    *styles, last = networks[0][0].synthesis.styles(ws)

    @nnx.jit
    def look(g, d):
        far = g.synthesis.paint([*(1e5 * s for s in styles), last], "none")
        return g.synthesis(ws, "none"), far, d(images.transpose(0, 2, 3, 1), label)

    near, far, logits = zip(*(look(*pair) for pair in networks))
    for exact, rough in (near, logits) + ((far,) if half == "float16" else ()):
        assert rough.dtype == jnp.float32 and np.any(exact != rough)
        close(rough, exact, tolerance)


def test_deviations_are_of_groups_of_the_global_batch():
    """On one device and on four, and so are their gradients; groups are the reference's."""
    x = jax.random.normal(jax.random.key(0), (8, 2, 2, 6))
    whole = functools.partial(stylegan2.group_deviation, group=4, channels=2)
    y = np.asarray(x).reshape(4, 2, 2, 2, 2, 3)
    wanted = np.sqrt(y.var(0) + 1e-8).mean((1, 2, 4))
    np.testing.assert_allclose(whole(x)[:, 1, 0, 6:], wanted[np.arange(8) % 2], rtol=1e-5)
    part = jax.sharding.PartitionSpec("data")
    mesh = jax.sharding.Mesh(jax.devices()[:4], ("data",))
    shared = lambda f: jax.jit(jax.shard_map(f, mesh=mesh, in_specs=part, out_specs=part, check_vma=False))(x)
    close(shared(whole), whole(x))
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(whole(x))))
    close(shared(slope), slope(x))


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
