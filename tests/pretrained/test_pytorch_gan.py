"""PyTorch-GAN's conditional GAN and ACGAN: their files give torch's outputs and gradients, and are written back.

The modules below compute in plain torch, with the same parameter names, what `cgan.py` and `acgan.py` there do.
"""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.systems.test_pix2pix_parity import close, torch_layout, weight
from vision_gen.errors import InputError
from vision_gen.nets import pytorch_gan as nets
from vision_gen.pretrained import named
from vision_gen.pretrained import pytorch_gan as pretrained

torch = pytest.importorskip("torch", reason="the parity extra is not installed")
nn = torch.nn

SIZE, CLASSES, LATENT = 16, 4, 6
EPSILON = 0.8


def stack(*layers):
    """A Sequential with each of `layers` (number, layer) at its number, and what has no parameters between them."""
    numbered = dict(layers)
    return nn.Sequential(*(numbered.get(i, nn.Identity()) for i in range(max(numbered) + 1)))


class PerceptronGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_emb = nn.Embedding(CLASSES, CLASSES)
        widths = [LATENT + CLASSES, 128, 256, 512, 1024, SIZE * SIZE]
        linear = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
        norms = [nn.BatchNorm1d(n, EPSILON) for n in widths[2:5]]
        relu = [(i, nn.LeakyReLU(0.2)) for i in (1, 4, 7, 10)]
        self.model = stack(*zip((0, 2, 5, 8, 11), linear), *zip((3, 6, 9), norms), *relu, (12, nn.Tanh()))

    def forward(self, latent, label):
        return self.model(torch.cat([self.label_emb(label), latent], 1)).reshape(-1, 1, SIZE, SIZE)


class PerceptronDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_embedding = nn.Embedding(CLASSES, CLASSES)
        widths = [CLASSES + SIZE * SIZE, 512, 512, 512, 1]
        linear = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
        self.model = stack(*zip((0, 2, 5, 8), linear), *((i, nn.LeakyReLU(0.2)) for i in (1, 4, 7)))

    def forward(self, image, label):
        return self.model(torch.cat([image.flatten(1), self.label_embedding(label)], 1))[:, 0]


class ResizeGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.label_emb = nn.Embedding(CLASSES, LATENT)
        self.l1 = nn.Sequential(nn.Linear(LATENT, 128 * (SIZE // 4) ** 2))
        convs = [nn.Conv2d(a, b, 3, padding=1) for a, b in ((128, 128), (128, 64), (64, 1))]
        norms = [nn.BatchNorm2d(128), nn.BatchNorm2d(128, EPSILON), nn.BatchNorm2d(64, EPSILON)]
        others = [(1, nn.Upsample(scale_factor=2)), (5, nn.Upsample(scale_factor=2)), (10, nn.Tanh())]
        relu = [(4, nn.LeakyReLU(0.2)), (8, nn.LeakyReLU(0.2))]
        self.conv_blocks = stack(*zip((2, 6, 9), convs), *zip((0, 3, 7), norms), *others, *relu)

    def forward(self, latent, label):
        x = self.l1(self.label_emb(label) * latent)
        return self.conv_blocks(x.reshape(len(x), 128, SIZE // 4, SIZE // 4))


class ResizeDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [1, 16, 32, 64, 128]
        convs = [nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths, widths[1:])]
        norms = [nn.BatchNorm2d(n, EPSILON) for n in widths[2:]]
        relu = [(i, nn.LeakyReLU(0.2)) for i in (1, 4, 8, 12)]
        self.conv_blocks = stack(*zip((0, 3, 7, 11), convs), *zip((6, 10, 14), norms), *relu)
        cells = (SIZE // 16) ** 2
        self.adv_layer = nn.Sequential(nn.Linear(128 * cells, 1))
        self.aux_layer = nn.Sequential(nn.Linear(128 * cells, CLASSES))

    def forward(self, image, label):
        x = self.conv_blocks(image).flatten(1)
        return torch.cat([self.adv_layer(x), self.aux_layer(x)], 1)


SIZES = dict(size=(SIZE, SIZE), classes=CLASSES, rngs=nnx.Rngs(0))
PAIRS = {
    "perceptron generator": (
        PerceptronGenerator,
        lambda: nets.PerceptronGenerator(latent=LATENT, **SIZES),
        pretrained.PERCEPTRON_GENERATOR,
    ),
    "perceptron discriminator": (
        PerceptronDiscriminator,
        lambda: nets.PerceptronDiscriminator(**SIZES),
        pretrained.PERCEPTRON_DISCRIMINATOR,
    ),
    "resizing generator": (
        ResizeGenerator,
        lambda: nets.ResizeGenerator(latent=LATENT, **SIZES),
        pretrained.RESIZE_GENERATOR,
    ),
    "resizing discriminator": (
        ResizeDiscriminator,
        lambda: nets.ResizeDiscriminator(**SIZES),
        pretrained.RESIZE_DISCRIMINATOR,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_file_gives_torchs_outputs_and_gradients_and_is_written_back(name, tmp_path):
    build, ours, names = PAIRS[name]
    theirs, generates = build(), "generator" in name
    state = {k: torch.tensor(weight(k, tuple(v.shape))) if v.ndim else v for k, v in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    network = named.load(pretrained.reader(names), tmp_path / "net.pth", ours())

    rng = np.random.default_rng(0)
    given = np.float32(rng.normal(size=(3, LATENT) if generates else (3, 1, SIZE, SIZE)))
    label = np.array([0, 3, 1])
    target = np.float32(rng.normal(size=(3, 1, SIZE, SIZE) if generates else (3,)))
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)

    def look(params, train):
        network = nnx.merge(graphdef, params, rest, copy=True)
        if generates:
            return network(given, jax.nn.one_hot(label, CLASSES), train=train).transpose(0, 3, 1, 2)
        image = jnp.asarray(given.transpose(0, 2, 3, 1))
        if name.startswith("resizing"):
            source, logits = network(image, train=train)
            return jnp.concatenate([source[:, None], logits], 1)
        return network(image, jax.nn.one_hot(label, CLASSES), train=train)

    # In training the discriminators' dropout could not agree.
    for train in (True, False) if generates else (False,):
        theirs.load_state_dict(state)
        theirs.train(train).zero_grad()
        expected = theirs(torch.tensor(given), torch.tensor(label))
        weights = target if generates or expected.ndim == 1 else target[:, None]
        (expected * torch.tensor(weights)).sum().backward()
        found, gradients = jax.jit(
            jax.value_and_grad(lambda p: ((look(p, train) * weights).sum(), look(p, train)), has_aux=True),
        )(params)
        close(found[1], expected.detach().numpy())
        assert expected.detach().numpy().std() > 1e-2
        for ours_name, gradient in named.flat(nnx.merge(graphdef, gradients, rest)).items():
            layer, _, part = ours_name.rpartition("/")
            if part in ("mean", "var"):
                continue
            wanted = theirs.get_parameter(f"{names[layer]}.{'bias' if part == 'bias' else 'weight'}").grad.numpy()
            gradient = np.asarray(gradient)
            if layer != "embed":
                gradient = gradient.T if gradient.ndim == 2 else torch_layout(gradient)
            # A bias before a normalisation by the batch moves nothing but for rounding.
            if np.abs(wanted).max() > 1e-3:
                close(gradient, wanted)

    file = "net2.pth"
    pretrained.writers(names, file)["pytorch"].write(tmp_path / file, network, {})
    written = torch.load(tmp_path / file, weights_only=True)
    counters = {k for k in state if k.endswith("num_batches_tracked")}
    assert written.keys() == state.keys() - counters
    for k, value in written.items():
        np.testing.assert_array_equal(value, state[k], err_msg=k)


def test_a_file_of_other_sizes_or_of_the_other_script_is_refused_by_name(tmp_path):
    torch.save(ResizeGenerator().state_dict(), tmp_path / "generator.pth")
    read = pretrained.reader(pretrained.RESIZE_GENERATOR)
    larger = nets.ResizeGenerator(latent=LATENT, size=(32, 32), classes=CLASSES, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"l1\.0\.(weight|bias) has shape"):
        named.load(read, tmp_path / "generator.pth", larger)
    other = nets.PerceptronGenerator(latent=LATENT, **SIZES)
    with pytest.raises(InputError, match="generator.pth: no weight 'model|label_emb.weight has shape"):
        named.load(pretrained.reader(pretrained.PERCEPTRON_GENERATOR), tmp_path / "generator.pth", other)
