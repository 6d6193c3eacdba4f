"""StarGAN v2: the released code's files give its outputs and gradients, tools paint in styles, pairs of domains count right.

`benchmarks/peers/stargan_v2.py` has, in plain torch, the same parameter names as the released code, and gave its outputs to the
last bit when both were run with the same weights.
"""

import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from tests.golden import landmarks_by_name
from tests.systems.test_losses import STYLES
from tests.systems.test_pix2pix_parity import close, torch_layout
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine.system import Now
from vision_gen.errors import InputError
from vision_gen.metrics import perceptual
from vision_gen.nets import landmarks
from vision_gen.nets import stargan_v2 as nets
from vision_gen.ops import colour, losses
from vision_gen.pretrained import named, torch_file
from vision_gen.pretrained import stargan_v2 as pretrained
from vision_gen.systems import domain_pairs

SIZE, DOMAINS, WIDTHS, STYLE, LATENT = 32, 3, dict(channel_base=128, channel_max=8), 5, 4
GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "landmarks_reference.npz"
PENALTY = 100.0  # Weight of R1 in the loss whose gradients are compared: as large as those of the rest.
NAMES = ("generator", "mapping_network", "style_encoder", "discriminator")


def ours(high_pass=0.0):
    common = dict(size=SIZE, **WIDTHS, rngs=nnx.Rngs(0))
    return dict(
        generator=nets.Generator(style_dim=STYLE, high_pass=high_pass, **common),
        mapping_network=nets.MappingNetwork(
            domains=DOMAINS, latent_dim=LATENT, style_dim=STYLE, width=8, rngs=nnx.Rngs(0)
        ),
        style_encoder=nets.StyleEncoder(domains=DOMAINS, style_dim=STYLE, **common),
        discriminator=nets.Discriminator(domains=DOMAINS, **common),
    )


def theirs(high_pass=0.0):
    from benchmarks.peers import stargan_v2 as peers

    widths = WIDTHS["channel_base"], WIDTHS["channel_max"]
    return dict(
        generator=peers.Generator(SIZE, STYLE, *widths, high_pass),
        mapping_network=peers.MappingNetwork(DOMAINS, LATENT, STYLE, 8),
        style_encoder=peers.StyleEncoder(DOMAINS, SIZE, STYLE, *widths),
        discriminator=peers.Discriminator(DOMAINS, SIZE, *widths),
    )


def numbered(network, torch):
    """A state dict with numbers in every parameter, of He's spread, which is the network's."""
    rng = np.random.default_rng(0)
    spread = lambda shape: (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.3
    draw = lambda shape: torch.tensor(np.float32(spread(shape) * rng.normal(size=shape)))
    state = {k: v if k == "hpf.filter" else draw(tuple(v.shape)) for k, v in network.state_dict().items()}
    network.load_state_dict(state)
    return state


def test_the_networks_have_as_many_parameters_as_the_released_codes():
    built = nnx.eval_shape(
        lambda: [
            nets.Generator(rngs=nnx.Rngs(0)),
            nets.MappingNetwork(domains=3, rngs=nnx.Rngs(0)),
            nets.StyleEncoder(domains=3, rngs=nnx.Rngs(0)),
            nets.Discriminator(domains=3, rngs=nnx.Rngs(0)),
        ]
    )
    count = lambda network: sum(x.size for x in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert [count(network) for network in built] == [33_892_995, 3_259_072, 20_949_760, 20_852_803]


def test_files_give_torchs_outputs_and_gradients_and_are_written_back(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import stargan_v2 as peers

    networks = theirs()
    states = {name: numbered(network, torch) for name, network in networks.items()}
    # As DataParallel's names, and not.
    path = tmp_path / "100000_nets.ckpt"
    torch.save(states | {"generator": {f"module.{k}": v for k, v in states["generator"].items()}}, path)
    read = {name: named.load(pretrained.READERS[name], path, network) for name, network in ours().items()}
    graph, params = nnx.split(nnx.Dict(read))

    rng = np.random.default_rng(0)
    image, reference, goal = np.float32(rng.uniform(-1, 1, (3, 2, 3, SIZE, SIZE)))
    latent, label, target = np.float32(rng.normal(size=(2, LATENT))), np.array([2, 0]), np.array([1, 2])
    last = lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))

    @jax.jit
    def look(params):
        def total(params):
            found = nnx.merge(graph, params)
            of_latent = found["mapping_network"](latent, target)
            of_reference = found["style_encoder"](last(reference), target)
            fake = found["generator"](last(image), of_latent + of_reference)
            verdict = found["discriminator"](fake, target)
            penalty, _ = losses.r1(lambda x: found["discriminator"](x, label), last(image))
            outputs = of_latent, of_reference, fake, verdict, penalty
            return (fake * last(goal)).sum() + verdict.sum() + PENALTY * penalty, outputs

        return jax.grad(total, has_aux=True)(params)

    gradients, outputs = look(params)
    given = lambda x: torch.tensor(x)
    of_latent = networks["mapping_network"](given(latent), given(target))
    of_reference = networks["style_encoder"](given(reference), given(target))
    fake = networks["generator"](given(image), of_latent + of_reference)
    verdict = networks["discriminator"](fake, given(target))
    penalty, _ = peers.r1(networks["discriminator"], given(image), given(label))
    ((fake * given(goal)).sum() + verdict.sum() + PENALTY * penalty).backward()
    expected = of_latent, of_reference, last(fake.detach().numpy()), verdict, penalty
    for one, other in zip(outputs, expected):
        other = other if isinstance(other, jax.Array) else other.detach().numpy()
        close(one, other)
        assert np.abs(other).max() > 1e-3

    for name in NAMES:
        layers = pretrained._NAMES[name](read[name])
        of = lambda p: torch.zeros(1) if p.grad is None else p.grad  # Of the heads of other domains.
        # A bias before a norm has none but rounding.
        rounding = 2e-6 * max(of(p).abs().max() for p in networks[name].parameters()).item()
        for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(gradients[name]))[0]:
            layer, part = "/".join(str(k.key) for k in path[:-1]), path[-1].key
            theirs_part = f"{layers[layer]}.{'bias' if part == 'bias' else 'weight'}"
            wanted = of(networks[name].get_parameter(theirs_part)).numpy()
            value = value.T if value.ndim == 2 else torch_layout(value)
            limit = max(1e-4 * np.abs(wanted).max(), rounding)
            wanted = np.broadcast_to(wanted, value.shape)
            np.testing.assert_allclose(value, wanted, atol=limit, err_msg=f"{name}: {layer}")

    written = tmp_path / "000007_nets_ema.ckpt"
    for name, writer in pretrained.WRITERS.items():
        assert writer["pytorch"].file.format(step=7) == written.name
        writer["pytorch"].write(written, read[name], {})
    found = torch.load(written, weights_only=True)
    assert found.keys() == set(NAMES[:3])
    for name in found:
        assert found[name].keys() == states[name].keys()
        assert all((found[name][k] == states[name][k]).all() for k in found[name])


def test_high_pass_skips_are_torchs_and_their_file_is_written_back(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    network, path = theirs(2.0)["generator"], tmp_path / "1_nets_ema.ckpt"
    state = numbered(network, torch)
    torch.save({"generator": state, "fan": {"conv1.weight": torch.zeros(1)}}, path)
    generator = named.load(pretrained.READERS["generator"], path, ours(2.0)["generator"])
    rng = np.random.default_rng(0)
    image, masks = np.float32(rng.uniform(-1, 1, (2, 3, SIZE, SIZE))), np.float32(rng.random((2, 2, 12, 12)))
    style = np.float32(rng.normal(size=(2, STYLE)))
    last = lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))
    paint = nnx.jit(lambda generator, *given: generator(*given))
    expected = lambda masks: last(
        network(torch.tensor(image), torch.tensor(style), [torch.tensor(x[:, None]) for x in masks]).detach().numpy()
    )
    given = lambda masks: paint(generator, last(image), style, last(masks.swapaxes(0, 1)))
    masked, everywhere = given(masks), given(np.ones_like(masks))
    close(masked, expected(masks))
    assert np.abs(masked - everywhere).max() > 0.01
    pretrained.WRITERS["generator"]["pytorch"].write(tmp_path / "written", generator, {})
    found = torch.load(tmp_path / "written", weights_only=True)["generator"]
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in state.items()}
    unused = {k for k in state if k.startswith("decode") and "conv1x1" in k}
    assert unused and all((found[k] == state[k]).all() for k in state if k not in unused)
    # Without these skips it is another network.
    with pytest.raises(InputError, match="has weights that the network has not: 'encode.3|no weight|has shape"):
        named.load(pretrained.READERS["generator"], path, ours()["generator"])


def test_masks_are_the_released_codes():
    golden = np.load(GOLDEN)
    masks = jax.jit(landmarks.masks)(landmarks_by_name.heat())
    np.testing.assert_allclose(masks[:, ::2, ::2], golden["masks"], atol=2e-3)
    assert golden["masks"].std((0, 1, 2)).min() > 0.2 and np.abs(np.diff(golden["masks"])).max() > 0.5


@pytest.mark.slow  # A large network.
def test_landmarks_are_the_released_codes(tmp_path):
    golden = np.load(GOLDEN)
    shapes = dict(name.split(":") for name in golden["names"])
    shapes = {name: np.empty([*map(int, filter(None, shape.split(",")))]) for name, shape in shapes.items()}
    state = landmarks_by_name.state(shapes)
    torch_file.write({"fan": state, "generator": {}}, tmp_path / "1_nets_ema.ckpt")
    torch_file.write({"epoch": 3, "state_dict": state}, tmp_path / "wing.ckpt")
    image = landmarks_by_name.image().transpose(0, 2, 3, 1)
    for name in ("1_nets_ema.ckpt", "wing.ckpt"):
        network = nnx.eval_shape(lambda: landmarks.FaceLandmarks(rngs=nnx.Rngs(0)))
        network = named.load(pretrained.read_landmarks, tmp_path / name, network)
    found = landmarks_by_name.digest(nnx.jit(lambda network, x: network(x))(network, image))
    np.testing.assert_allclose(found, golden["heat"], atol=1e-4 * np.abs(golden["heat"][1:]).max(), rtol=1e-4)


class Domains:
    """Held-out or real images of three shades, one a domain, and a `Model` whose outputs are known."""

    classes = ("dark", "middle", "light")

    def __init__(self, count):
        self._labels = np.arange(count) % 3

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        shade = 40 + 80 * self._labels[index] + index % 5
        return {"colour": np.full((4, 4, 3), shade, np.uint8), "label": np.int32(self._labels[index])}

    def column(self, name):
        return self._labels


class Painter:
    """Paints the shade of the domain, but the dark as if it were middle; by latents always alike."""

    def each(self, method, source, progress=None):
        if method == "styles":
            return [{"styles": np.float32([[source[i]["colour"][0, 0, 0]] for i in range(len(source))])}]
        found = []
        for example in map(source.__getitem__, range(len(source))):
            targets = (example["label"] + 1 + np.arange(20) // 10) % 3
            shades = 42 + 80 * np.maximum(targets, 1)
            if "styles" in example:
                shades = example["styles"][:, 0]
            found.append(np.broadcast_to(np.uint8(shades)[:, None, None, None], (20, 4, 4, 3)))
        return [{"outputs": np.stack(found)}]


class Extractor:
    """Whose feature is the shade."""

    dimension, title, key = 1, "shades", {"features": "shades"}

    def stream(self, images):
        yield {"features": np.float64([[image.mean()] for image in images])}


def test_pairs_of_domains_are_compared_each_with_its_own_real_images(monkeypatch):
    spread = lambda network: (lambda images: np.float32(images.reshape(10, -1)[:, 0].std()))
    monkeypatch.setattr(domain_pairs, "_diversity", spread)
    names = ("fd_latent", "fd_reference", "diversity_latent", "diversity_reference")
    progress = lambda label: lambda done, total: None
    held_out, real = Domains(30), Domains(60)
    found = domain_pairs.figures(names, Painter(), held_out, real, Extractor(), progress)
    assert tuple(sorted(found)) == tuple(sorted(names))
    pairs = found["fd_latent"]["pairs"]
    assert len(pairs) == 6 and set(pairs) >= {"dark to light", "light to dark"}
    # To dark they are 80 away; to the others only as far as the spread of the real ones, whose shades vary by 1.4.
    assert pairs["middle to dark"] == pytest.approx(80**2 + 2, rel=0.05) and pairs["dark to light"] < 3
    assert found["fd_latent"]["mean"] == pytest.approx(np.mean(list(pairs.values())))
    assert all(value < 1 for value in found["fd_reference"]["pairs"].values())
    assert found["fd_reference"]["images"] == 30 * 20 and found["fd_reference"]["title"] == "shades, by references"
    assert found["diversity_latent"]["mean"] == 0 and found["diversity_reference"]["mean"] > 1
    (only,) = domain_pairs.figures(("diversity_latent",), Painter(), held_out, None, None, progress)
    assert only == "diversity_latent"


def test_the_diversity_of_a_set_is_the_mean_distance_of_its_pairs():
    rng = np.random.default_rng(0)
    maps = {name: np.float32(rng.normal(size=(4, 3, 2, 5))) for name in "ab"}
    scales = {name: np.float32(rng.random(5)) for name in "ab"}
    one = lambda i: {name: x[i : i + 1] for name, x in maps.items()}
    pairs = [perceptual.lpips(one(i), one(j), scales)[0] for i in range(4) for j in range(i)]
    assert float(perceptual.diversity(maps, scales)) == pytest.approx(np.mean(pairs), rel=1e-5)


def folders(folder, shades, count):
    """Pictures with a square of any colour before a ground that is of their domain."""
    rng = np.random.default_rng(0)
    for name, low in shades.items():
        for split in ("train", "val"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                picture = np.full((32, 32, 3), rng.integers(low, low + 60), np.uint8)
                picture[8:24, 8:24] = rng.integers(0, 256, 3)
                Image.fromarray(picture).save(folder / split / name / f"{i}.png")
    return dict(images=dict(name="image_folder", labels=True, dir=str(folder)))


def small(parts, **model):
    config = tiny("stargan_v2_folders", **STYLES | dict(classes=2) | model)
    with config.data.unlocked():
        config.data.parts = parts
    return config


def test_tools_paint_in_styles_of_latents_and_of_references(tmp_path):
    config = small(folders(tmp_path, dict(dark=0, light=190), 3))
    config.data.size = 16
    model = use.untrained(config)
    picture, *references = np.uint8(np.random.default_rng(0).uniform(0, 256, (3, 16, 16, 3)))
    graph, state = nnx.split(model.system())

    @jax.jit
    def painted(images, seeds, light):
        """By seeds; the sheet; both films; by references."""
        system = nnx.merge(graph, state)
        image, first, second = (x[None] for x in images)
        one = lambda seed, label: system.translate(image=image, label=label, seed=seed[None])[0]
        film = system.interpolate_begin(image=image, label=light, seed=seeds[:1], other=seeds[1:2], frames=3)
        of_references = system.interpolate_like_begin(image=image, label=light, first=first, second=second, frames=2)
        for number in range(3):
            film = system.interpolate_advance(film, Now(None, number, None))
            of_references = system.interpolate_like_advance(of_references, Now(None, min(number, 1), None))
        like = [system.translate_like(image=image, reference=x, label=light)[0] for x in (first, second)]
        single = [one(seed, light) for seed in seeds], one(seeds[0], 0 * light)
        return *single, system.sheet(image=image, seed=seeds[:1])[0], film["film"], of_references["film"], like

    images = np.stack([picture, *references]) / np.float32(127.5) - 1
    light, dark, sheet, film, film_like, like = painted(images, np.uint32([3, 4, 5]), np.int32([1]))
    bytes_of = lambda x: np.int32(colour.to_uint8(x))
    same = lambda a, b: np.testing.assert_allclose(bytes_of(a) if a.dtype != np.uint8 else a, bytes_of(b), atol=1)
    apart = lambda a, b: np.abs(a - b).max()
    assert apart(light[0], dark) > 0.01 < apart(light[0], light[1]) and apart(*like) > 0.01
    assert sheet.shape == (32, 5 * 16, 3) and film["count"][0] == 3
    same(sheet[:16, :16], images[0])
    same(sheet[:16, 16:32], dark)
    for number in range(3):
        same(sheet[16:, 16 * (1 + number) : 16 * (2 + number)], light[number])
    same(film["frames"][0, 0], light[0])
    same(film["frames"][0, 2], light[1])
    for number in range(2):
        same(film_like["frames"][0, number], like[number])
    same(model.translate(picture, "light", seed=4), light[1])
    with pytest.raises(InputError, match="label must be one of 2 classes, .*: dark, light, got 'grey'"):
        model.translate(picture, "grey")


@pytest.mark.slow
def test_domains_are_learned_and_evaluated_by_the_protocol(tmp_path):
    config = small(folders(tmp_path / "images", dict(dark=0, light=190), 12), channel_base=512, channel_max=32)
    for name, player in config.players.items():
        player.learning_rate, player.ema_half_life = 1e-3, player.ema_half_life and 100
    config.train.update(steps=300, log_every=100, checkpoint_every=300)
    loop.train(config, tmp_path / "run")
    model = use.load(tmp_path / "run")
    picture = np.full((32, 32, 3), 30, np.uint8)
    edges = lambda image: image[:6].mean()
    assert edges(model.translate(picture, "light")) > edges(model.translate(picture, "dark")) + 60
    names = ["cycle", "fd_latent", "diversity_reference"]
    found, paths = evaluation.evaluate_run(tmp_path / "run", "last", "val", metrics=names)
    assert len(found) == 3 and all(np.isfinite(value) for value in found.values())
    assert {"latents-val.png", "references-val.png"} <= {path.name for path in map(type(tmp_path), paths)}
