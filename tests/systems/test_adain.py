"""AdaIN's networks, losses and gradients are the reference's on the same files; tools restyle pictures of any size."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from vision_gen import data
from vision_gen.configs import adain_photographs
from vision_gen.engine import loop, use
from vision_gen.engine import system as systems
from vision_gen.errors import InputError
from vision_gen.metrics.phrases import PHRASES
from vision_gen.nets import layers
from vision_gen.systems import adain, restyling


class Small(nnx.Module):
    def __init__(self, *, rngs):
        self.first, self.second = layers.Conv(3, 8, stride=2, rngs=rngs), layers.Conv(8, 16, 5, stride=4, rngs=rngs)

    def __call__(self, x, *, intermediates=False):
        first = jax.nn.relu(self.first(x))
        second = jax.nn.relu(self.second(first))
        return second, {"first": first, "second": second}


@pytest.fixture(scope="module")
def small():
    """A small encoder in the place of EfficientNet's."""
    with pytest.MonkeyPatch.context() as patch:
        looks = restyling.Looks(Small, ("first", "second"), "second", stride=8)
        patch.setitem(adain.LOOKS, "efficientnet-lite0", looks)
        patch.setitem(adain.CHANNELS, "efficientnet-lite0", 16)
        patch.setattr(adain.AdaIN, "default_init", classmethod(lambda cls, settings: {}))
        yield


@pytest.fixture(scope="module")
def config(small, tmp_path_factory):
    """Content of blocks, grey; styles of two colours each."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4), ("test", 4)):
        for part, colours in (("content", 1), ("style", 3)):
            (folder / part / split).mkdir(parents=True)
            for i in range(count):
                chosen = rng.integers(0, 256, (2, 1 if colours == 1 else 3))
                picture = chosen[rng.integers(0, 2, (4, 4)).repeat(8, 0).repeat(8, 1)] + np.zeros((1, 1, 3), int)
                Image.fromarray(picture.astype(np.uint8)).save(folder / part / split / f"{i}.png")
    made = adain_photographs.get_config()
    made.model.update(width=8, crop=0)
    made.data.size = 32
    for part in ("content", "style"):
        made.data.parts[part].dir = str(folder / part)
    made.train.update(
        batch_size=8, steps=300, log_every=100, sample_every=0, eval_every=0, eval_images=4, checkpoint_every=300
    )
    made.players.decoder.learning_rate = 1e-3
    return made


@pytest.fixture(scope="module")
def model(config):
    """Before training: what its tools do with styles, masks and tiles does not depend on it."""
    return use.untrained(config)


def test_the_decoder_learns_to_paint_styles(config, model, tmp_path):
    source = data.open(model.experiment.data, "test")
    before = model.evaluate(source)[0]
    loop.train(config, tmp_path)
    figures = use.load(tmp_path, "last").evaluate(source)[0]
    assert figures["objective"] < before["objective"] / 4, (before, figures)
    assert figures["style_distance"] < figures["style_distance_copy"]
    assert set(figures) == {*restyling.EXPLAINED, "objective"} <= set(PHRASES | model.experiment.system.explained)
    assert figures["content_distance_copy"] == 0 < figures["style_distance_histogram"] < figures["style_distance_copy"]
    assert all(np.isfinite(value) for value in figures.values())


def test_what_is_painted_is_seen_from_between_the_places_too():
    image, keys = jnp.asarray(noise(8, 12)[None].repeat(64, 0), jnp.float32), jax.random.split(jax.random.key(0), 64)
    edged = np.pad(np.asarray(image[0]), ((1, 0), (1, 0), (0, 0)), "edge")
    places = [edged[y : y + 8, x : x + 12] for y in (0, 1) for x in (0, 1)]
    looks = lambda step: restyling.Looks(Small, ("first",), "first", stride=8, step=step)
    moved = looks(2).moved(image, keys)
    counts = [sum(np.array_equal(one, place) for one in moved) for place in places]
    assert sum(counts) == 64 and min(counts) >= 4
    assert looks(1).moved(image, keys) is image


def noise(height, width, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


A, B = noise(40, 24, 1, 150), noise(40, 24, 2, 0, 90)


def test_styles_are_mixed_and_alpha_says_how_far(model):
    content = noise(30, 45)
    of = lambda styles, **more: model.restyle(content, styles, **more).astype(int)
    assert of(A).shape == (30, 45, 3)
    np.testing.assert_allclose(of([A, B], weights="3,0"), of(A), atol=1)
    np.testing.assert_allclose(of([A, B]), of([A, B], weights=[2, 2]), atol=1)
    assert all(np.abs(of(A) - other).mean() > 2 for other in (of(B), of([A, B]), of(A, preserve_colour="yes")))
    np.testing.assert_allclose(of(A, alpha=0.0), of(B, alpha=0.0), atol=1)
    with pytest.raises(InputError, match="weights are 3 numbers, styles 2 pictures; give one for each"):
        of([A, B], weights="1,1,1")


def test_a_mask_says_where(model):
    content, mask = noise(30, 120), np.zeros((30, 120), bool)
    mask[:, :60] = True
    alone = model.restyle_region(content, A, mask)
    np.testing.assert_array_equal(alone[:, 60:], content[:, 60:])
    np.testing.assert_allclose(alone[:, :60].astype(int), model.restyle(content, A)[:, :60], atol=1)
    both = model.restyle_region(content, [A, B], mask)
    far = lambda style, part: np.abs(both[:, part].astype(int) - model.restyle(content, style)[:, part]).max()
    left, right = slice(0, 16), slice(104, 120)  # The decoder sees no farther than the mask's edge from there.
    assert far(A, left) <= 1 and far(B, right) <= 1 and far(A, right) > 5
    with pytest.raises(InputError, match="mask has 119 x 30 pixels, but content 120 x 30; they must be of one size"):
        model.restyle_region(content, A, mask[:, 1:])
    with pytest.raises(InputError, match="styles are 3 pictures; give one for inside the mask"):
        model.restyle_region(content, [A, B, A], mask)


def test_tiles_share_the_statistics_of_the_whole_picture(model):
    content = noise(8, 20, high=60).repeat(16, 0).repeat(16, 1)  # The smaller whole picture keeps its statistics.
    content[:, 160:] += 180
    whole, tiled = (model.restyle(content, A, tile=tile).astype(int) for tile in (1024, 160))
    alone = model.restyle(content[:, 192:], A).astype(int)  # As a tile that knows of no other.
    far = lambda found: np.abs(found - whole[:, 240:304]).mean()
    assert far(tiled[:, 240:304]) < 0.5 * far(alone[:, 48:112])


def test_networks_losses_and_gradients_are_the_references(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import adain as peers

    torch.manual_seed(0)
    encoder, decoder = peers.encoder(), peers.decoder(width=4)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5 if parameter.ndim == 4 else 0.1)
    # The released file has the layers of the classifier that follow, too.
    later = {"32.weight": torch.ones(1), "32.bias": torch.ones(1)}
    torch.save(encoder.state_dict() | later, tmp_path / "vgg_normalised.pth")
    torch.save(decoder.state_dict(), tmp_path / "decoder.pth")
    config = adain_photographs.get_config()
    config.model.update(encoder="vgg19-normalised", width=4, crop=0)
    config.init.update(encoder=str(tmp_path / "vgg_normalised.pth"), decoder=str(tmp_path / "decoder.pth"))
    model = use.from_config(config)
    model.export("pytorch", tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth")
    assert again.keys() == decoder.state_dict().keys()
    assert all(torch.equal(value, decoder.state_dict()[name]) for name, value in again.items())

    content, style = (noise(24, 16, seed)[None] for seed in (3, 4))
    graphdef, params, rest = nnx.split(model.system(), nnx.Param, ...)
    params = nnx.to_pure_dict(params)

    @jax.jit
    def losses(own):
        system = nnx.merge(graphdef, params | {"decoder": own}, rest, copy=True)
        batch = {"content_colour": content, "style_colour": style}
        now = systems.Now(jax.random.split(jax.random.key(0), 1), jnp.int32(0), jnp.float32(0))
        out = system.forward(batch, now)
        terms = system.decoder_loss(out, batch, now)
        odd = system.encoder(jnp.asarray(content[:, :21, :13] / 127.5 - 1, jnp.float32))
        return sum(terms.values()), (terms, out["image"], odd)

    (_, (terms, image, odd)), slope = jax.value_and_grad(losses, has_aux=True)(params["decoder"])
    there = lambda x: torch.tensor(x).permute(0, 3, 1, 2) / 255
    back = lambda x: x.detach().permute(0, 2, 3, 1).numpy()
    encoder.requires_grad_(False)
    painted, of_content, of_style = peers.losses(encoder, decoder, there(content), there(style))
    (of_content + 10 * of_style).backward()
    for name, value in (("content", of_content), ("style", 10 * of_style)):
        np.testing.assert_allclose(terms[name], value.item(), rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(image, back(painted) * 2 - 1, atol=1e-4)
    theirs = back(encoder(there(content[:, :21, :13])))
    assert odd.shape == theirs.shape == (1, 3, 2, 512)
    np.testing.assert_allclose(odd, theirs, atol=1e-4 * np.abs(theirs).max())
    for number, layer in enumerate(layer for layer in decoder if isinstance(layer, torch.nn.Conv2d)):
        ours, theirs = slope["convs"][number]["kernel"], layer.weight.grad.permute(2, 3, 1, 0).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max(), err_msg=str(number))


def test_files_of_another_encoder_and_sides_that_do_not_fit_are_refused_by_name(tmp_path):
    for part in ("content", "style"):
        (tmp_path / part).mkdir()
        for i in range(3):
            Image.fromarray(noise(32, 32, i)).save(tmp_path / part / f"{i}.png")
    config = adain_photographs.get_config()
    for part in ("content", "style"):
        config.data.parts[part].dir = str(tmp_path / part)
    for changes, message in (
        ({"model.crop": 30}, "config.model.crop is 30; it must be a multiple of 8, and no larger than the pictures"),
        ({"model.crop": 0, "data.size": 36}, "config.data.size is 36; it must be a multiple of 8"),
        ({"model.encoder": "vgg19-normalised"}, "config.init.encoder must name vgg_normalised.pth"),
    ):
        wrong = config.copy_and_resolve_references()
        wrong.update_from_flattened_dict(changes)
        with pytest.raises(InputError, match=message):
            loop.train(wrong, tmp_path / "run")
