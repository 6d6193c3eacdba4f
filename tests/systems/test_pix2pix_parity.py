"""pix2pix with the reference implementation's weights gives its outputs and gradients.

Two references. `tests/golden/pix2pix_reference.npz` was made by running
junyanz/pytorch-CycleGAN-and-pix2pix (`UnetGenerator`, `NLayerDiscriminator`, BSD licence) itself,
with weights drawn by `colorization_by_name.weight`, and has its parameters' names and shapes, so that no torch is needed; and
`benchmarks/peers/pix2pix.py`, in plain torch, has the same names.
"""

import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import blank
from tests.golden.colorization_by_name import weight
from vision_gen.errors import InputError
from vision_gen.nets.patchgan import PatchDiscriminator
from vision_gen.nets.unet import UNet
from vision_gen.pretrained import named, torch_file
from vision_gen.pretrained import pix2pix as reader

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "pix2pix_reference.npz"
SIZE, WIDTH = 256, 4


def inputs():
    rng = np.random.default_rng(0)
    return [np.float32(rng.uniform(-1, 1, (2, 3, SIZE, SIZE))) for _ in range(2)]


def digest(value):
    """A few numbers that tell an array: its norm and 32 entries."""
    flat = np.asarray(value, np.float64).ravel()
    return np.concatenate([[np.linalg.norm(flat)], flat[:: max(1, flat.size // 32)][:32]])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with both networks as the reference implementation saves them."""
    folder = tmp_path_factory.mktemp("weights")
    for part in "GD":
        parts = (entry.split(":") for entry in np.load(GOLDEN)[f"{part}_names"])
        shapes = {name: tuple(map(int, filter(None, shape.split(",")))) for name, shape in parts}
        state = {name: weight(name, shape) if shape else np.array(0) for name, shape in shapes.items()}
        torch_file.write(state, folder / f"latest_net_{part}.pth")
    return folder


@pytest.fixture(scope="module")
def torch_peers(files):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import pix2pix as peers

    networks = peers.UNet(8, WIDTH, dropout=False), peers.PatchDiscriminator(6, WIDTH)
    for part, network in zip("GD", networks):
        network.load_state_dict(torch.load(files / f"latest_net_{part}.pth", weights_only=True))
    return networks


def ours(folder):
    """Our networks with the files' weights: {name: (graphdef, params, rest)}."""
    networks = {}
    for name, network, read in (
        ("G", lambda: UNet(size=SIZE, width=WIDTH, rngs=nnx.Rngs(0)), reader.read_generator),
        ("D", lambda: PatchDiscriminator(channel=6, width=WIDTH, rngs=nnx.Rngs(0)), reader.read_discriminator),
    ):
        graphdef, params, rest = nnx.split(
            named.load(read, folder / f"latest_net_{name}.pth", blank(network)), nnx.Param, ...
        )
        networks[name] = graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    return networks


def run(networks):
    """Outputs with stored and with batch statistics, and gradients of a loss of both networks."""
    source, target = (jnp.asarray(x.transpose(0, 2, 3, 1)) for x in inputs())
    (g, g_params, g_rest), (d, d_params, d_rest) = networks["G"], networks["D"]
    stored = jax.jit(lambda params: nnx.merge(g, params, g_rest)(source, train=False))(g_params)

    def loss(g_params, d_params):
        generator = nnx.merge(g, g_params, g_rest, copy=True)
        generator.dropout_stages = ()  # Noise could not agree.
        fake = generator(source, train=True)
        logits = nnx.merge(d, d_params, d_rest, copy=True)(source, fake, train=True)
        return jnp.mean(jax.nn.softplus(-logits)) + 100 * jnp.mean(jnp.abs(fake - target)), (
            fake,
            logits,
        )

    (value, (fake, logits)), grads = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        g_params, d_params
    )
    return stored, fake, logits, value, grads


def torch_layout(gradient):
    gradient = np.asarray(gradient)
    return gradient.transpose(3, 2, 0, 1) if gradient.ndim == 4 else gradient


@pytest.fixture(scope="module")
def result(files):
    return run(ours(files))


def close(got, want, tolerance=1e-4):
    """To `tolerance` of the largest entry."""
    scale = max(np.abs(want).max(), 1e-6)
    np.testing.assert_allclose(np.asarray(got) / scale, np.asarray(want) / scale, atol=tolerance)


def test_outputs_and_gradients_equal_plain_torch(torch_peers, result):
    import torch
    from torch.nn import functional

    generator, discriminator = torch_peers
    source, target = (torch.tensor(x) for x in inputs())
    generator.eval()
    with torch.no_grad():
        stored = generator(source)
    generator.train(), discriminator.train()
    fake = generator(source)
    logits = discriminator(torch.cat([source, fake], 1))
    value = functional.softplus(-logits).mean() + 100 * functional.l1_loss(fake, target)
    value.backward()
    nhwc = lambda x: x.detach().numpy().transpose(0, 2, 3, 1)
    close(result[0], nhwc(stored))
    close(result[1], nhwc(fake))
    close(result[2], nhwc(logits))
    assert float(result[3]) == pytest.approx(value.item(), rel=1e-5)
    g_grads, d_grads = result[4]
    for i in range(8):
        stage = generator.model
        for _ in range(i):
            stage = next(m for m in stage.model if isinstance(m, type(generator.model)))
        kinds = lambda kind: [m for m in stage.model if isinstance(m, kind)]
        close(torch_layout(g_grads["down"][i]["kernel"]), kinds(torch.nn.Conv2d)[0].weight.grad.numpy())
        close(
            torch_layout(g_grads["up"][i]["kernel"]),
            kinds(torch.nn.ConvTranspose2d)[0].weight.grad.numpy(),
        )
    convs = [m for m in discriminator.model if isinstance(m, torch.nn.Conv2d)]
    for i, conv in enumerate(convs):
        close(torch_layout(d_grads["convs"][i]["kernel"]), conv.weight.grad.numpy())


def test_outputs_and_gradients_equal_the_reference_implementation(result):
    golden = np.load(GOLDEN)
    nchw = lambda x: np.asarray(x).transpose(0, 3, 1, 2)
    close(digest(nchw(result[0])), golden["stored"])
    close(digest(nchw(result[1])), golden["fake"])
    close(digest(nchw(result[2])), golden["logits"])
    assert float(result[3]) == pytest.approx(float(golden["loss"]), rel=1e-5)
    g_grads, d_grads = result[4]
    for i in range(8):
        for side in ("down", "up"):
            close(digest(torch_layout(g_grads[side][i]["kernel"])), golden[f"{side}{i}"])
    for i in range(5):
        close(digest(torch_layout(d_grads["convs"][i]["kernel"])), golden[f"convs{i}"])


def test_a_file_of_another_size_is_refused_by_name(files):
    network = UNet(size=SIZE, width=8, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"model\.model\.0\.weight has shape"):
        named.load(reader.read_generator, files / "latest_net_G.pth", network)
    network = UNet(size=128, width=WIDTH, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="another architecture|has shape"):
        named.load(reader.read_generator, files / "latest_net_G.pth", network)
