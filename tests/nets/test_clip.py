"""CLIP's towers against transformers' and torch's own layers, in features, logits and gradients."""

import dataclasses

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained.test_writers import ABOUT, drawn, needed
from vision_gen.nets import clip, vit
from vision_gen.pretrained import clip as of_clip
from vision_gen.pretrained import named, torch_file
from vision_gen.systems import clip as systems

SMALL = clip.Sizes(
    embedding=24,
    image=16,
    image_width=32,
    image_layers=2,
    patch=8,
    length=7,
    vocabulary=30,
    text_width=48,
    text_layers=2,
    head=16,
)
RESNET = dataclasses.replace(SMALL, image=64, image_width=16, image_layers=(1, 2, 1, 1), patch=0)
TOKENS = np.int32([[28, 3, 9, 29, 0, 0, 0], [28, 29, 0, 0, 0, 0, 0], [28, 5, 1, 7, 2, 4, 29]])


def a_clip(sizes=SMALL, **settings):
    return lambda: clip.CLIP(sizes, **settings, rngs=nnx.Rngs(0))


def drawn_clip(sizes, **settings):
    """With numbers in every tensor, and a scale as training has it."""
    return named.put(drawn(a_clip(sizes, **settings)), {"temperature/scale": np.float32(2.0)})


def pictures(sizes, count=3):
    return np.random.default_rng(1).uniform(-1, 1, (count, sizes.image, sizes.image, 3)).astype(np.float32)


def agrees(sizes, activation, tokens, folder):
    torch, transformers = needed("torch"), needed("transformers")
    network = drawn_clip(sizes, activation=activation)
    of_clip.WRITERS["transformers"].write(folder / "model.safetensors", network, ABOUT)
    theirs, report = transformers.CLIPModel.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    graphdef, state = nnx.split(network)
    images = pictures(sizes, len(tokens))

    @jax.jit
    def ours(state):
        def loss(state):
            network = nnx.merge(graphdef, state)
            image, text = network.encode_image(images), network.encode_text(tokens)
            logits = network.temperature() * clip.unit(image) @ clip.unit(text).T
            return systems.symmetric(image, text, network.temperature()), (clip.unit(image), clip.unit(text), logits)

        return jax.value_and_grad(loss, has_aux=True)(state)

    (loss, found), grads = ours(state)
    pixels = torch.tensor(np.array(clip.normalised(jnp.asarray(images))).transpose(0, 3, 1, 2))
    out = theirs(input_ids=torch.tensor(tokens, dtype=torch.long), pixel_values=pixels, return_loss=True)
    out.loss.backward()
    features = out.image_embeds, out.text_embeds
    close = lambda a, b, tolerance: np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(b).max()))
    for mine, other in zip(found, (*features, out.logits_per_image), strict=True):
        close(mine, other.detach().numpy(), 1e-4)
    close(loss, out.loss.detach().numpy(), 1e-4)
    # Gradients under the names of the file, so that each is compared.
    gradients = named.written(nnx.merge(graphdef, grads), of_clip._layout(of_clip.RELEASES["transformers"], network))
    expected = {name: x.grad.numpy() for name, x in theirs.named_parameters()}
    assert gradients.keys() == expected.keys()
    for name, other in expected.items():
        # A key's bias has none: it moves all scores of a query alike.
        np.testing.assert_allclose(gradients[name], other, atol=1e-3 * max(np.abs(other).max(), 1e-3), err_msg=name)


@pytest.mark.parametrize("activation", ["quick_gelu", pytest.param("gelu", marks=pytest.mark.slow)])
def test_a_small_one_is_transformers(activation, tmp_path):
    agrees(SMALL, activation, TOKENS, tmp_path)


@pytest.mark.slow
def test_b32_is_transformers(tmp_path):
    tokens = np.zeros((2, 77), np.int32)
    tokens[:, :5] = [[49406, 320, 1125, 539, 49407], [49406, 2368, 49407, 0, 0]]
    agrees(clip.PRESETS["ViT-B/32"], "quick_gelu", tokens, tmp_path)


def torch_resnet(state, x, layers):
    """OpenAI's image tower of torch's own functions, by the names of its state dict."""
    import torch
    from torch.nn import functional as F

    def conv(x, name, norm, **more):
        x = F.conv2d(x, state[f"{name}.weight"], **more)
        scale, shift, mean, var = (
            state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return F.batch_norm(x, mean, var, scale, shift)

    for i, stride in ((1, 2), (2, 1), (3, 1)):
        x = F.relu(conv(x, f"conv{i}", f"bn{i}", stride=stride, padding=1))
    x = F.avg_pool2d(x, 2)
    for stage, count in enumerate(layers, 1):
        for number in range(count):
            at, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            y = F.relu(conv(x, f"{at}.conv1", f"{at}.bn1"))
            y = F.avg_pool2d(F.relu(conv(y, f"{at}.conv2", f"{at}.bn2", padding=1)), stride)
            y = conv(y, f"{at}.conv3", f"{at}.bn3")
            if f"{at}.downsample.0.weight" in state:
                x = conv(F.avg_pool2d(x, stride), f"{at}.downsample.0", f"{at}.downsample.1")
            x = F.relu(x + y)
    x = x.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(0, keepdim=True), x]) + state["attnpool.positional_embedding"][:, None]
    part = lambda kind: [state[f"attnpool.{name}_proj.{kind}"] for name in "qkv"]
    channel = x.shape[-1]
    out, _ = F.multi_head_attention_forward(
        x[:1], x, x, channel, channel // 64, None, torch.cat(part("bias")), None, None, False, 0.0,
        state["attnpool.c_proj.weight"], state["attnpool.c_proj.bias"], use_separate_proj_weight=True,
        q_proj_weight=part("weight")[0], k_proj_weight=part("weight")[1], v_proj_weight=part("weight")[2],
    )  # fmt: skip
    return out[0]


def test_the_resnet_is_that_of_the_released_code(tmp_path):
    torch = needed("torch")
    network = drawn(a_clip(RESNET))
    of_clip.WRITERS["open_clip"].write(tmp_path / "x.pt", network, ABOUT)
    state = {
        name.removeprefix("visual."): torch.tensor(x)
        for name, x in torch_file.read(tmp_path / "x.pt").items()
        if name.startswith("visual.")
    }
    images = pictures(RESNET)
    ours = jax.jit(lambda images: network.encode_image(images))(images)
    pixels = torch.tensor(np.array(clip.normalised(jnp.asarray(images))).transpose(0, 3, 1, 2))
    theirs = torch_resnet(state, pixels, RESNET.image_layers).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_texts_are_read_at_their_first_end_whatever_follows():
    encode = jax.jit(drawn(a_clip()).encode_text)
    padded = np.where(np.cumsum(TOKENS == 29, 1) > 0, 29, TOKENS)  # As transformers pads.
    np.testing.assert_allclose(encode(padded), encode(TOKENS), atol=1e-5)
    earlier = TOKENS.copy()
    earlier[0, 2] = 10
    assert np.abs(encode(earlier) - encode(TOKENS))[0].max() > 1e-2


def test_the_scale_is_bounded_and_comes_back():
    temperature = clip.Temperature()
    assert temperature() == pytest.approx(1 / 0.07, rel=1e-5)
    graphdef, state = nnx.split(temperature)

    def look(scale, sign):
        at = jax.tree.map(lambda _: jnp.float32(scale), state)
        return jax.value_and_grad(lambda s: sign * nnx.merge(graphdef, s)())(at)

    for scale, sign, moves in ((9.0, -1, False), (9.0, 1, True), (-1.0, 1, False), (-1.0, -1, True), (3.0, 1, True)):
        value, grads = look(scale, sign)
        assert 1 <= sign * value <= 100.001
        assert bool(jax.tree.leaves(grads)[0] != 0) == moves, (scale, sign)


def test_the_blocks_of_both_towers_are_vits():
    network = nnx.eval_shape(a_clip())
    assert isinstance(network.image.blocks, vit.Block) and not network.image.blocks.attention.causal
    assert isinstance(network.text.blocks, vit.Block) and network.text.blocks.attention.causal
