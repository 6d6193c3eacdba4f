"""Gatys' losses and gradients are torch's on the same weights; a picture takes on a style and keeps its content."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vision_gen.configs import gatys as config
from vision_gen.engine import use
from vision_gen.nets import layers
from vision_gen.systems import gatys, restyling


def picture(height, width, *colours, seed=0):
    """Random places of some colours, uint8."""
    chosen = np.random.default_rng(seed).integers(0, len(colours), (height, width))
    return np.uint8(colours)[chosen]


class Small(nnx.Module):
    def __init__(self, *, rngs):
        self.first, self.second = layers.Conv(3, 8, rngs=rngs), layers.Conv(8, 12, stride=2, rngs=rngs)

    def __call__(self, x, *, intermediates=False):
        first = jax.nn.relu(self.first(x))
        second = jax.nn.relu(self.second(first))
        return second, {"first": first, "second": second}


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        looks = restyling.Looks(Small, ("first", "second"), "second", stride=2)
        patch.setitem(gatys.LOOKS, "efficientnet-lite0", looks)
        made = config.get_config()
        made.model.network = "efficientnet-lite0"
        yield use.untrained(made)


CONTENT = picture(16, 24, (30, 60, 90), (220, 210, 60))
STYLE = picture(20, 12, (240, 20, 20), (250, 250, 250), (0, 0, 0), seed=1)


@pytest.mark.parametrize("optimizer, start", [("lbfgs", "content"), ("adam", "content"), ("lbfgs", "noise")])
def test_a_picture_takes_on_the_style_and_keeps_the_content(model, optimizer, start):
    far = {}
    for weight in (0.3, 100.0):
        found = model.restyle(CONTENT, STYLE, steps=150, optimizer=optimizer, start=start, size=0, style_weight=weight)
        assert found.shape == CONTENT.shape and found.dtype == np.uint8
        far[weight] = model.distances(CONTENT, STYLE, found, size=0)
    content, style = far.values()
    assert style["style_distance"] < 0.6 * min(style["style_distance_histogram"], style["style_distance_copy"])
    assert content["content_distance_copy"] == 0 and content["content_distance"] < 0.6 * style["content_distance"]
    unchanged = model.restyle(CONTENT, STYLE, steps=3, size=0, style_weight=0.0, variation_weight=0.0)
    np.testing.assert_array_equal(unchanged, CONTENT)


def test_weights_of_variation_and_the_contents_colours_count(model):
    rough = lambda image: np.abs(np.diff(image.astype(int), axis=1)).mean()
    plain = model.restyle(CONTENT, STYLE, steps=40, size=0)
    assert rough(model.restyle(CONTENT, STYLE, steps=40, size=0, variation_weight=10.0)) < 0.8 * rough(plain)
    kept = model.restyle(CONTENT, STYLE, steps=40, size=0, preserve_colour="yes")
    off = lambda image: np.abs(image.mean((0, 1)) - CONTENT.mean((0, 1))).max()
    assert off(kept) < 0.5 * off(plain)


def test_there_are_early_pictures(model):
    seen = []
    keep = lambda done, total, preview: seen.append((done, preview())) or done >= 4
    found = model.restyle(CONTENT, STYLE, steps=1000, size=0, progress=keep)
    done, images = zip(*seen)
    assert done[-1] < 1000 and images[0]["image"].shape == CONTENT.shape
    np.testing.assert_array_equal(found, images[-1]["image"])


def test_losses_and_their_gradient_are_torchs(model):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    system = model.system()
    weights = [
        tuple(torch.tensor(np.asarray(x)) for x in (conv.kernel[...].transpose(3, 2, 0, 1), conv.bias[...]))
        for conv in (system.network.first, system.network.second)
    ]
    content, style, image = np.random.default_rng(0).uniform(-1, 1, (3, 1, 12, 16, 3)).astype(np.float32)
    given = dict(content_weight=2.0, style_weight=5.0, variation_weight=3.0)
    chosen = dict(preserve_colour="no", optimizer="adam", start="content", seed=None, steps=None)
    numbers = {name: jnp.float32([value]) for name, value in given.items()}
    state = system.restyle_begin(content=content, style=style, **numbers, **chosen)
    ours, slope = jax.jit(jax.value_and_grad(lambda image: system.loss(image, state)))(image)

    def look(image):
        x, found = image.permute(0, 3, 1, 2), []
        for stride, (kernel, bias) in enumerate(weights, 1):
            found.append(x := torch.nn.functional.conv2d(x, kernel, bias, stride=stride, padding=1).relu())
        return found

    def gram(x):
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.numel()

    moved = torch.tensor(image, requires_grad=True)
    far = lambda a, b: ((a - b) ** 2).sum() / (b**2).sum()
    maps, styles, target = look(moved), look(torch.tensor(style)), look(torch.tensor(content))[-1]
    total = 2 * far(maps[-1], target) + 5 * sum(far(gram(a), gram(b)) for a, b in zip(maps, styles)) / 2
    total = total + 3 * sum((moved.diff(dim=axis) ** 2).mean() for axis in (1, 2))
    total.backward()
    np.testing.assert_allclose(ours, total.item(), rtol=1e-4)
    np.testing.assert_allclose(slope, moved.grad.numpy(), atol=1e-4 * np.abs(slope).max())


def test_vgg_looks_with_pools_of_means_as_in_the_paper():
    network = gatys.LOOKS["vgg19"].network(rngs=nnx.Rngs(0))
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    look = jax.jit(lambda x: [network(x, intermediates=True)[1][name] for name in ("relu1_2", "pool1")])
    before, pooled = look(image)
    np.testing.assert_allclose(pooled, before.reshape(1, 16, 2, 16, 2, 64).mean((2, 4)), atol=1e-5)
