"""CycleGAN: the reference implementation's files give its outputs and gradients, pools are kept, folders are read.

`benchmarks/peers/cyclegan.py` has, in plain torch, the same parameter names as the reference implementation.
"""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.conftest import blank
from tests.golden.colorization_by_name import weight
from tests.systems.test_pix2pix_parity import close, torch_layout
from vision_gen import data
from vision_gen.errors import InputError
from vision_gen.nets import patchgan, resnet_generator
from vision_gen.pretrained import cyclegan as pretrained
from vision_gen.pretrained import named
from vision_gen.systems import cyclegan

WIDTH, BLOCKS, SIZE = 4, 1, 32


def ours():
    return (
        blank(lambda: resnet_generator.ResNetGenerator(width=WIDTH, blocks=BLOCKS, rngs=nnx.Rngs(0))),
        blank(lambda: patchgan.PatchDiscriminator(channel=3, width=WIDTH, norm="instance", rngs=nnx.Rngs(0))),
    )


def test_the_networks_have_as_many_parameters_as_published():
    generator = nnx.eval_shape(lambda: resnet_generator.ResNetGenerator(rngs=nnx.Rngs(0)))
    discriminator = nnx.eval_shape(lambda: patchgan.PatchDiscriminator(channel=3, norm="instance", rngs=nnx.Rngs(0)))
    count = lambda network: sum(x.size for x in jax.tree.leaves(nnx.state(network, nnx.Param)))
    # 11.378 M and 2.765 M, as the reference implementation prints them.
    assert (count(generator), count(discriminator)) == (11_378_179, 2_764_737)


def test_files_give_torchs_outputs_and_gradients_and_are_written_back(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import cyclegan as peers

    theirs = peers.Generator(WIDTH, BLOCKS), peers.Discriminator(WIDTH)
    states = []
    for network, letter in zip(theirs, "GD"):
        state = {k: torch.tensor(weight(k, tuple(v.shape))) for k, v in network.state_dict().items()}
        network.load_state_dict(state)
        # As older versions have it.
        old = {"model.2.running_mean": torch.zeros(WIDTH), "model.2.num_batches_tracked": torch.tensor(3)}
        torch.save(state | old, tmp_path / f"latest_net_{letter}_A.pth")
        states.append(state)
    generator, discriminator = ours()
    named.load(pretrained.read_generator, tmp_path / "latest_net_G_A.pth", generator)
    named.load(pretrained.read_discriminator, tmp_path / "latest_net_D_A.pth", discriminator)
    image = np.float32(np.random.default_rng(0).uniform(-1, 1, (2, 3, SIZE, SIZE)))
    goal = np.float32(np.random.default_rng(1).normal(size=image.shape))
    last = lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))
    graph, params, rest = nnx.split(nnx.List([generator, discriminator]), nnx.Param, ...)

    @jax.jit
    def run(params):
        def loss(params):
            generator, discriminator = nnx.merge(graph, params, rest, copy=True)
            fake = generator(last(image))
            verdict = discriminator(fake, train=True)
            return (fake * last(goal)).sum() + verdict.sum(), (fake, verdict)

        return jax.grad(loss, has_aux=True)(params)

    gradients, (fake, verdict) = run(params)
    expected = theirs[0](torch.tensor(image))
    judged = theirs[1](expected)
    ((expected * torch.tensor(goal)).sum() + judged.sum()).backward()
    close(fake, last(expected.detach().numpy()))
    close(verdict, last(judged.detach().numpy()))
    layouts = pretrained._generator, pretrained.pix2pix.discriminator
    for number, (network, mine, names) in enumerate(zip(theirs, (generator, discriminator), layouts)):
        for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(gradients)[number])[0]:
            layer = "/".join(str(k.key) for k in path[:-1])
            part = "bias" if path[-1].key == "bias" else "weight"
            wanted = network.get_parameter(f"{names(mine)[layer]}.{part}").grad.numpy()
            # A bias before a normalisation moves nothing but for rounding.
            if part == "weight" or np.abs(wanted).max() > 1e-2:
                close(torch_layout(value), wanted)
    for (attribute, network), state in zip((("generator_b", generator), ("discriminator_b", discriminator)), states):
        writer = pretrained.WRITERS[attribute]["pytorch"]
        writer.write(tmp_path / f"new_{writer.file}", network, {})
        written = torch.load(tmp_path / f"new_{writer.file}", weights_only=True)
        assert written.keys() == state.keys() and all((written[k] == state[k]).all() for k in written)
    assert {path.name for path in tmp_path.glob("new*")} == {"new_latest_net_G_A.pth", "new_latest_net_D_A.pth"}


def test_a_pool_shows_what_was_painted_before():
    pool = cyclegan.Pool(3, (1,))
    query = nnx.jit(lambda pool, images, keys: pool(images, keys))
    key, shown = jax.random.key(0), []
    for number in range(0, 40, 2):
        images = jnp.float32([[number], [number + 1]])
        seen = np.asarray(query(pool, images, jax.random.split(jax.random.fold_in(key, number), 2)))[:, 0]
        assert (seen <= images[:, 0]).all()
        shown += seen.tolist()
    assert shown[:3] == [0, 1, 2]  # There is room.
    late = np.array(shown[3:]) == np.arange(3, 40)
    # Every other image is kept instead, and shown later; it is shown once, as what is kept now will be.
    assert 8 < late.sum() < 29 and len(set(shown[3:])) == 37 and int(pool.count[...]) == 3
    assert not set(np.asarray(pool.images[...])[:, 0].tolist()) & set(shown[3:])


def pictures(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 10 * number, np.uint8)).save(path)


@pytest.mark.parametrize("layout", ["{split}{side}/{name}", "{split}/{side}/{name}"])
def test_two_folders_are_two_domains(tmp_path, layout):
    place = lambda split, side, name: layout.format(split=split, side=side, name=name)
    names = [place("train", "A", f"{i}.png") for i in range(12)] + [place("train", "B", f"{i}.png") for i in range(5)]
    pictures(tmp_path, *names, place("test", "A", "x.png"), place("test", "B", "y.png"))
    settings = data.Settings(name="domains", dir=str(tmp_path), size=16)
    opened = {split: data.open(settings, split) for split in data.SPLITS}
    assert [len(opened[split]) for split in ("val", "test")] == [1, 1] and len(opened["train"]) == 11
    example = opened["test"][0]
    assert opened["test"].name(0) == "x.png+y.png"
    assert (example["a_colour"].max(), example["b_colour"].max()) == (170, 180)
    order = opened["train"].order(0, 0)
    names = [opened["train"].name(i).split("+") for i in order]
    assert len({a for a, _ in names}) == 11 and len({b for _, b in names}) == 4


def test_a_domain_that_is_not_there_is_named(tmp_path):
    pictures(tmp_path, "trainA/1.png", "trainA/2.png")
    with pytest.raises(InputError, match=r"config.data.dir: .* must have trainA/ and trainB/, or .* \['trainA'\]"):
        data.open(data.Settings(name="domains", dir=str(tmp_path)), "train")
