"""ViT: shapes, positions, pooling, stochastic parts, and agreement with published implementations.

`tests/golden/vit_reference.npz` was made with timm 1.0.31 and torchvision 0.29.1 on torch 2.14.1:
their `VisionTransformer` (64 px, patch 16, width 48, 3 blocks, 3 heads, 7 classes) with weights
drawn by `weight` below, logits and every eighth pixel of the gradient of logsumexp(logits).
"""

import pathlib
import zlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden import ops_by_seed
from vision_gen.errors import InputError
from vision_gen.nets import vit
from vision_gen.ops import resample
from vision_gen.pretrained import named, torch_file
from vision_gen.pretrained import vit as reader

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "vit_reference.npz"
TORCH = GOLDEN.with_name("torch_reference.npz")  # See make_torch.py there.
TINY = vit.Size(32, 64, 2, 3)


def tiny(**overrides):
    settings = dict(size=TINY, patch=4, image=16, classes=5) | overrides
    return vit.ViT(**settings, rngs=nnx.Rngs(0))


def count(**settings):
    model = nnx.eval_shape(lambda: vit.ViT(**settings, rngs=nnx.Rngs(0)))
    return sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param)))


@pytest.mark.parametrize(
    "size, patch, millions", [("Ti", 16, 5.72), ("S", 16, 22.05), ("B", 16, 86.57), ("L", 16, 304.33), ("H", 14, 632.05)]
)
def test_presets_have_the_published_number_of_parameters(size, patch, millions):
    assert count(size=size, patch=patch) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("pool", ["token", "gap"])
def test_the_decision_follows_from_the_tokens_before_the_last_block(pool):
    model = tiny(pool=pool)
    model.head.kernel[...] = jax.random.normal(jax.random.key(0), (32, 5))
    images = jax.random.uniform(jax.random.key(1), (2, 16, 24, 3), minval=-1)
    tokens, grid = model.places(images)
    logits, inside = model(images, intermediates=True)
    assert grid == (4, 6) and tokens.shape == (2, 24 + (pool == "token"), 32)
    np.testing.assert_allclose(tokens, inside["block"][1], atol=1e-5)
    np.testing.assert_allclose(model.decide(tokens), logits, atol=1e-5)
    assert jnp.abs(logits).min() > 1e-3


@pytest.mark.parametrize("positions", ["learned", "sincos"])
@pytest.mark.parametrize("pool", vit.POOLS)
def test_every_position_and_pooling_works_at_other_resolutions(positions, pool):
    model = tiny(positions=positions, pool=pool)
    model.head.kernel[...] = jax.random.normal(jax.random.key(0), (32, 5))
    for shape in ((2, 16, 16, 3), (2, 24, 16, 3)):
        images = jax.random.uniform(jax.random.key(1), shape, minval=-1)
        logits, inside = model(images, intermediates=True)
        np.testing.assert_allclose(model(images), logits, atol=1e-5)
        np.testing.assert_array_equal(inside["logits"], logits)
        np.testing.assert_allclose(model.head(inside["pooled"]), logits, atol=1e-5)
        tokens = shape[1] * shape[2] // 16 + (pool == "token")
        assert inside["attention"].shape == (3, 2, 2, tokens, tokens)
        assert inside["block"].shape == (3, 2, tokens, 32)
        np.testing.assert_allclose(inside["attention"].sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(vit.rollout(inside["attention"]).sum(-1), 1, atol=1e-5)
        # Position matters: patches in another order are another image.
        assert jnp.abs(model(images[:, ::-1]) - logits).max() > 1e-3


def test_rollout_is_the_product_of_layers_with_their_residuals():
    """Abnar & Zuidema 2020: heads are averaged, the residual counts as much as they, later layers come from the left."""
    attention = np.random.default_rng(0).dirichlet([0.3] * 4, (3, 2, 2, 4)).astype(np.float32)  # 3 layers, 2 heads.
    expected = np.eye(4)
    for layer in attention:
        mixed = layer.mean(1) + np.eye(4)
        expected = mixed / mixed.sum(-1, keepdims=True) @ expected
    np.testing.assert_allclose(vit.rollout(jnp.asarray(attention)), expected, atol=1e-6)


def test_fixed_positions_are_big_visions():
    """Wave lengths from 2 pi to 20,000 pi cells; sines and cosines of the column, then of the row."""
    found = vit.sincos(2, 3, 12)
    waves = lambda place: [f(place * rate) for f in (np.sin, np.cos) for rate in (1, 1e-2, 1e-4)]
    expected = [waves(column) + waves(row) for row in range(2) for column in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rematerialisation_changes_no_gradient():
    images = jax.random.uniform(jax.random.key(1), (2, 16, 16, 3), minval=-1)

    def gradient(remat):
        graphdef, state = nnx.split(tiny(remat=remat, classes=0))
        return jax.grad(lambda s: (nnx.merge(graphdef, s)(images) ** 3).sum())(state)

    plain = gradient("none")
    for remat in ("full", "dots"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), plain, gradient(remat)
        )


def test_dropout_and_stochastic_depth_follow_each_examples_key():
    model = tiny(dropout=0.2, drop_path=0.5, classes=0)
    images = jnp.repeat(jax.random.uniform(jax.random.key(1), (1, 16, 16, 3), minval=-1), 6, 0)
    keys = jax.random.split(jax.random.key(2), 6)
    out = model(images, keys)
    np.testing.assert_allclose(model(images[2:4], keys[2:4]), out[2:4], atol=1e-4)
    assert jnp.abs(out[0] - out[1]).max() > 1e-2
    np.testing.assert_allclose(model(images)[0], model(images)[1], atol=1e-5)


def test_a_branch_that_stochastic_depth_keeps_is_scaled():
    block = vit.Block(TINY, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (24, 5, 32))
    keys = jax.random.split(jax.random.key(1), 24)
    for branch, other in ((block.attention.out, block.contract), (block.contract, block.attention.out)):
        kernel = other.kernel[...]
        other.kernel[...] = jnp.zeros_like(kernel)
        whole = block(x)[0] - x
        scale = (block(x, keys, drop_path=jnp.float32(0.25))[0] - x) / whole
        other.kernel[...] = kernel
        scale = np.median(scale, (1, 2))
        np.testing.assert_allclose(scale[scale > 0.5], 4 / 3, rtol=1e-3)
        np.testing.assert_allclose(scale[scale <= 0.5], 0, atol=1e-5)
        assert 12 <= (scale > 0.5).sum() < 24


def test_rates_of_stochastic_depth_grow_to_that_of_the_last_block(monkeypatch):
    rates = []
    monkeypatch.setattr(vit.lax, "scan", lambda f, x, xs, unroll: jax.tree.map(jnp.asarray, unrolled(f, x, xs)))

    def unrolled(f, x, xs):
        found = []
        for i in range(3):
            x, y = f(x, jax.tree.map(lambda leaf: leaf[i], xs))
            found.append(y)
        return x, jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    monkeypatch.setattr(vit.Block, "__call__", lambda self, x, keys, dropout, rate, maps: (x, rates.append(float(rate))))
    tiny(drop_path=0.3)(jnp.zeros((1, 16, 16, 3)), jax.random.split(jax.random.key(0), 1))
    np.testing.assert_allclose(rates, [0, 0.15, 0.3], atol=1e-6)


def test_bad_settings_are_named():
    for settings, match in (
        (dict(patch=5), "^patch 5 does not divide"),
        (dict(pool="max"), "^pool must be one of"),
        (dict(size="XXL"), "^size must be one of"),
    ):
        with pytest.raises(ValueError, match=match):
            tiny(**settings)


def older(name):
    for new, old in (
        ("vit.layers.", "vit.encoder.layer."),
        *((f".attention.{n[0]}_proj.", f".attention.attention.{n}.") for n in ("query", "key", "value")),
        (".attention.o_proj.", ".attention.output.dense."),
        (".mlp.fc1.", ".intermediate.dense."),
        (".mlp.fc2.", ".output.dense."),
    ):
        name = name.replace(new, old)
    return name


@pytest.mark.parametrize(
    "size, patch, image",
    [
        ("S", 32, 224),
        pytest.param("Ti", 16, 224, marks=pytest.mark.slow),
        pytest.param("B", 16, 224, marks=pytest.mark.slow),
        pytest.param("Ti", 16, 384, marks=pytest.mark.slow),
    ],
)
def test_transformers_weights_give_its_logits_and_gradients(size, patch, image, tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    transformers = pytest.importorskip("transformers", reason="the parity extra is not installed")
    shape = vit.SIZES[size]
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=shape.width, intermediate_size=shape.mlp, num_attention_heads=shape.heads,
        num_hidden_layers=shape.depth, patch_size=patch, image_size=224, num_labels=7,
        layer_norm_eps=1e-6, hidden_act="gelu", attn_implementation="eager",
    )
    theirs = transformers.ViTForImageClassification(config).eval()
    with torch.no_grad():
        for name, value in theirs.named_parameters():
            if value.ndim == 1:
                value += 0.1 * torch.randn_like(value)
        theirs.vit.embeddings.cls_token += 0.3 * torch.randn_like(theirs.vit.embeddings.cls_token)
        theirs.vit.embeddings.position_embeddings += 0.3 * torch.randn_like(
            theirs.vit.embeddings.position_embeddings
        )
    model = vit.ViT(size=size, patch=patch, image=224, classes=7, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(model)
    path = tmp_path / "pytorch_model.bin"
    torch.save(theirs.state_dict(), path)
    params = loaded(path, model)
    # The names of its older releases, which the files on its hub have.
    torch.save({older(name): value for name, value in theirs.state_dict().items()}, path)
    again = loaded(path, model)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    images = np.random.default_rng(0).uniform(-1, 1, (1, image, image, 3)).astype(np.float32)
    pixels = torch.tensor(images.transpose(0, 3, 1, 2), requires_grad=True)
    expected = theirs(pixels, interpolate_pos_encoding=image != 224).logits
    torch.logsumexp(expected, -1).sum().backward()

    def loss(params, images):
        logits = nnx.merge(graphdef, nnx.State(params))(images)
        return jax.nn.logsumexp(logits, -1).sum(), logits

    (_, logits), (of_params, of_images) = jax.jit(
        jax.value_and_grad(loss, (0, 1), has_aux=True)
    )(params, images)
    np.testing.assert_allclose(logits, expected.detach(), atol=1e-4)

    def same(ours, gradient):
        gradient = gradient.numpy()
        np.testing.assert_allclose(ours, gradient, atol=1e-3 * np.abs(gradient).max())

    same(of_images.transpose(0, 3, 1, 2), pixels.grad)
    same(of_params["head"]["kernel"].T, theirs.classifier.weight.grad)
    same(of_params["positions"], theirs.vit.embeddings.position_embeddings.grad[0])
    same(of_params["norm"]["scale"], theirs.vit.layernorm.weight.grad)


def loaded(path, model):
    """The parameters of a model with the weights of a file, positions and head adapted."""
    return nnx.to_pure_dict(nnx.state(named.load(reader.read, path, model, adapt=reader.adapt)))


def weight(name, shape):
    """The value of a parameter, from its name alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    value = rng.normal(size=shape)
    if len(shape) >= 2 and "token" not in name and "pos" not in name:
        return np.float32(value / np.prod(shape[1:]) ** 0.5)
    norms = tuple(f"{norm}.weight" for norm in ("norm", "norm1", "norm2", "ln", "ln_1", "ln_2"))
    return np.float32(1 + 0.1 * value if name.endswith(norms) else 0.1 * value)


@pytest.mark.parametrize("release", ["timm", "torchvision", "transformers"])
def test_weights_of_other_releases_give_their_logits_and_gradients(release, tmp_path):
    golden = np.load(TORCH if release == "transformers" else GOLDEN)
    state = {}
    for entry in golden[f"{release}_names"]:
        name, shape = entry.split(":")
        state[name] = weight(name, tuple(map(int, shape.split(","))))
    path = tmp_path / "weights.pth"
    torch_file.write(state, path)
    model = vit.ViT(size=vit.Size(48, 192, 3, 3), patch=16, image=64, classes=7, rngs=nnx.Rngs(0))
    graphdef, start = nnx.split(model)
    params = loaded(path, model)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 64)).astype(np.float32)

    def loss(images):
        logits = nnx.merge(graphdef, nnx.State(params))(images)
        return jax.nn.logsumexp(logits, -1).sum(), logits

    (_, logits), gradient = jax.value_and_grad(loss, has_aux=True)(
        jnp.asarray(images.transpose(0, 2, 3, 1))
    )
    np.testing.assert_allclose(logits, golden[f"{release}_logits"], atol=1e-4)
    theirs = golden[f"{release}_image_gradient"]
    ours = gradient.transpose(0, 3, 1, 2)[:, :, ::8, ::8]
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


def test_files_of_other_networks_are_named(tmp_path):
    path = tmp_path / "other.pth"
    torch_file.write({"layer.weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(InputError, match="not a ViT of timm, torchvision, transformers, transformers 5; its first weight is 'layer.weight'"):
        reader.read(path, tiny())


def numbers(shape, seed=[0]):
    seed[0] += 1
    return np.float32(np.random.default_rng(seed[0]).normal(size=shape))


def test_the_original_release_fits_with_its_heads_split(tmp_path):
    """Written as the release writes it from a model of ours, and read back."""
    model = tiny()
    params = jax.tree.map(lambda x: numbers(x.shape), nnx.to_pure_dict(nnx.state(model)))
    file = {
        "embedding/kernel": params["embed"]["kernel"].reshape(4, 4, 3, 32),
        "embedding/bias": params["embed"]["bias"],
        "cls": params["token"][None],
        "Transformer/posembed_input/pos_embedding": params["positions"][None],
        "Transformer/encoder_norm/scale": params["norm"]["scale"],
        "Transformer/encoder_norm/bias": params["norm"]["bias"],
        "head/kernel": params["head"]["kernel"],
        "head/bias": params["head"]["bias"],
    }
    blocks = params["blocks"]
    for i in range(3):
        prefix = f"Transformer/encoderblock_{i}"
        attention = f"{prefix}/MultiHeadDotProductAttention_1"
        for n, name in enumerate(("query", "key", "value")):
            part = slice(32 * n, 32 * n + 32)
            file[f"{attention}/{name}/kernel"] = blocks["attention"]["qkv"]["kernel"][i, :, part].reshape(32, 2, 16)
            file[f"{attention}/{name}/bias"] = blocks["attention"]["qkv"]["bias"][i, part].reshape(2, 16)
        file[f"{attention}/out/kernel"] = blocks["attention"]["out"]["kernel"][i].reshape(2, 16, 32)
        file[f"{attention}/out/bias"] = blocks["attention"]["out"]["bias"][i]
        for theirs, ours in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            for field in ("scale", "bias"):
                file[f"{prefix}/{theirs}/{field}"] = blocks[ours][field][i]
        for theirs, ours in (("Dense_0", "expand"), ("Dense_1", "contract")):
            for field in ("kernel", "bias"):
                file[f"{prefix}/MlpBlock_3/{theirs}/{field}"] = blocks[ours][field][i]
    path = tmp_path / "B_16.npz"
    np.savez(path, **file)
    found = loaded(path, tiny())
    jax.tree.map(np.testing.assert_array_equal, found, params)
    # For another resolution and number of classes: positions interpolated, the new head kept.
    other = nnx.to_pure_dict(nnx.state(tiny(image=24, classes=9)))
    found = loaded(path, tiny(image=24, classes=9))
    assert found["positions"].shape == (37, 32)
    np.testing.assert_array_equal(found["head"]["kernel"], other["head"]["kernel"])
    with pytest.raises(InputError, match="weights that the network has not: 'Transformer/encoderblock_2"):
        loaded(path, tiny(size=vit.Size(32, 64, 2, 2)))


@pytest.mark.parametrize("size", ops_by_seed.CUBIC)
def test_cubic_resizing_is_torchs(size):
    x = ops_by_seed.pooled()
    expected = np.load(TORCH)[f"cubic/{size[0]}"]
    np.testing.assert_allclose(resample.resize_cubic(jnp.asarray(x), size), expected, atol=1e-5)
