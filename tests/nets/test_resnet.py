"""ResNet: the published number of parameters, and transformers' values, gradients and running statistics."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import blank
from vision_gen.nets import resnet
from vision_gen.pretrained import named, torch_file, torch_layers
from vision_gen.pretrained import resnet as reader


def build(**settings):
    return blank(lambda: resnet.ResNet(**settings, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("depth, count", [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_sizes_have_the_published_number_of_parameters(depth, count):
    model = nnx.eval_shape(lambda: resnet.ResNet(depth=depth, rngs=nnx.Rngs(0)))
    assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == count


@pytest.fixture(scope="module", params=["basic", "bottleneck"])
def both(request, tmp_path_factory):
    """(ours, transformers' own, the file of its weights), of two stages, with numbers in every tensor."""
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    transformers = pytest.importorskip("transformers", reason="the parity extra is not installed")
    bottleneck = request.param == "bottleneck"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 50, ((1, 2), True))
        ours = build(depth=50 if bottleneck else (1, 2), width=8, classes=5)
    wide = [32, 64] if bottleneck else [8, 16]
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=wide, depths=[1, 2], layer_type=request.param, num_labels=5
    )
    theirs = transformers.ResNetForImageClassification(config)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, value in theirs.state_dict().items():
            drawn = rng.normal(size=value.shape) / max(np.prod(value.shape[1:]), 1) ** 0.5
            drawn = 1 + 0.2 * np.abs(drawn) if name.endswith(("normalization.weight", "running_var")) else drawn
            value.copy_(torch.tensor(drawn))
    path = tmp_path_factory.mktemp(request.param) / "pytorch_model.bin"
    torch.save(theirs.state_dict(), path)
    return named.load(reader.read, path, ours), theirs, path


@pytest.mark.parametrize("train", [False, True])
def test_it_computes_and_learns_as_transformers(both, train):
    torch = pytest.importorskip("torch")
    ours, theirs, path = both
    images = np.random.default_rng(1).uniform(-1, 1, (3, 32, 48, 3)).astype(np.float32)

    def loss(params, rest, images):
        model = nnx.merge(graphdef, params, rest, copy=True)
        logits = model(images, train=train)
        return jax.nn.logsumexp(logits, -1).sum(), (logits, nnx.state(model, nnx.BatchStat))

    graphdef, params, rest = nnx.split(ours, nnx.Param, ...)
    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 2), has_aux=True))
    (_, (logits, statistics)), (slopes, of_pixels) = gradient(params, rest, images)
    theirs.load_state_dict(torch.load(path))
    theirs.train(train).zero_grad()
    # Torch's backward pass of maps whose channels are last in memory crashes.
    pixels = torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), requires_grad=True)
    turned = lambda numbers: torch.tensor(numbers)[:, None, None]
    expected = theirs(((pixels + 1) / 2 - turned(resnet.MEAN)) / turned(resnet.DEVIATION)).logits
    torch.logsumexp(expected, -1).sum().backward()
    close = lambda found, true, name: np.testing.assert_allclose(
        found, true, atol=2e-4 * np.abs(true).max() + 1e-7, rtol=1e-3, err_msg=name
    )
    assert expected.abs().max() > 0.3
    close(logits, expected.detach().numpy(), "logits")
    close(of_pixels, pixels.grad.numpy().transpose(0, 2, 3, 1), "pixels")
    found = torch_layers.state(reader.transformers, nnx.merge(graphdef, slopes, statistics))
    parameters = dict(theirs.named_parameters())
    for name, value in {**parameters, **dict(theirs.named_buffers())}.items():
        if not name.endswith("num_batches_tracked"):
            close(found.pop(name), (value.grad if name in parameters else value).numpy(), name)
    assert not found


def test_files_of_torchvision_are_read_and_written(tmp_path):
    network = build(depth=(1, 1), width=4, classes=3)
    rng = np.random.default_rng(0)
    named.put(network, {name: np.float32(rng.normal(size=x.shape)) for name, x in named.flat(network).items()})
    reader.WRITERS["pytorch"].write(tmp_path / "resnet.pth", network, {})
    there = torch_file.read_state_dict(tmp_path / "resnet.pth")
    names = {"conv1.weight", "bn1.running_mean", "layer1.0.bn2.bias", "layer2.0.downsample.1.weight", "fc.weight"}
    assert names <= set(there) and "layer1.0.downsample.0.weight" not in there
    assert there["layer2.0.conv1.weight"].shape == (8, 4, 3, 3) and there["fc.weight"].shape == (3, 8)
    again = named.load(reader.read, tmp_path / "resnet.pth", build(depth=(1, 1), width=4, classes=3))
    for name, value in named.flat(network).items():
        np.testing.assert_array_equal(named.flat(again)[name], value)


def test_small_images_keep_their_size_before_the_first_stage():
    model = nnx.eval_shape(lambda: resnet.ResNet(depth=(1, 1), width=4, stem="small", classes=3, rngs=nnx.Rngs(0)))
    _, inside = nnx.eval_shape(lambda m, x: m(x, intermediates=True), model, jnp.zeros((2, 28, 28, 3)))
    assert inside["stem"].shape == (2, 28, 28, 4)
    assert [maps.shape for maps in inside["stage"]] == [(2, 28, 28, 4), (2, 14, 14, 8)]
    assert inside["pooled"].shape == (2, 8) and inside["logits"].shape == (2, 3)


@pytest.mark.parametrize("settings", [dict(depth=20), dict(depth=()), dict(depth=(1, 0)), dict(stem="tiny")])
def test_other_shapes_are_refused(settings):
    with pytest.raises(ValueError, match="must be"):
        build(**settings)
