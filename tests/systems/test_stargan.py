"""StarGAN: the released code's files give its outputs and gradients, labels ask as it does, and figures count right.

`benchmarks/peers/stargan.py` has, in plain torch, the same parameter names as the released code.
"""

from flax import nnx
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest

from tests.conftest import blank, tiny
from tests.golden.colorization_by_name import weight
from tests.systems.test_pix2pix_parity import close, torch_layout
from vision_gen import data
from vision_gen.configs import stargan_avatars, stargan_joint_avatars, stargan_v2_avatars
from vision_gen.engine import facts, loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import stargan as nets
from vision_gen.ops import losses
from vision_gen.pretrained import named
from vision_gen.pretrained import stargan as pretrained
from vision_gen.systems import stargan

SIZE, LABELS, WIDTH, BLOCKS, STAGES = 32, 5, 4, 2, 4


def ours(running=False):
    sizes = dict(labels=LABELS, width=WIDTH)
    return (
        blank(lambda: nets.Generator(blocks=BLOCKS, running=running, **sizes, rngs=nnx.Rngs(0))),
        blank(lambda: nets.Discriminator(size=(SIZE, SIZE), stages=STAGES, **sizes, rngs=nnx.Rngs(0))),
    )


def test_the_networks_have_as_many_parameters_as_published():
    generator = nnx.eval_shape(lambda: nets.Generator(labels=5, rngs=nnx.Rngs(0)))
    discriminator = nnx.eval_shape(lambda: nets.Discriminator(size=(128, 128), labels=5, rngs=nnx.Rngs(0)))
    count = lambda network: sum(x.size for x in jax.tree.leaves(nnx.state(network, nnx.Param)))
    assert (count(generator), count(discriminator)) == (8_430_528, 44_762_048)


def test_files_give_torchs_outputs_statistics_and_gradients_and_are_written_back(tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import stargan as peers

    theirs = peers.Generator(LABELS, WIDTH, BLOCKS), peers.Discriminator(SIZE, LABELS, WIDTH, STAGES)
    states = []
    for network, letter in zip(theirs, "GD"):
        state = {k: torch.tensor(weight(k, tuple(v.shape))) if v.ndim else v for k, v in network.state_dict().items()}
        network.load_state_dict(state)
        torch.save(state, tmp_path / f"200000-{letter}.ckpt")
        states.append(state)
    readers = pretrained.read_generator, pretrained.read_discriminator
    load = lambda networks: [
        named.load(read, tmp_path / f"200000-{letter}.ckpt", network)
        for read, letter, network in zip(readers, "GD", networks)
    ]
    rng = np.random.default_rng(0)
    image, label = np.float32(rng.uniform(-1, 1, (3, 3, SIZE, SIZE))), np.float32(rng.uniform(size=(3, LABELS)))
    between = np.float32(rng.uniform(-1, 1, image.shape))
    goal = np.float32(rng.normal(size=image.shape))
    last = lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))
    graph, params, rest = nnx.split(nnx.List(load(ours())), nnx.Param, ...)

    @jax.jit
    @jax.value_and_grad
    def of_penalty(params):
        _, discriminator = nnx.merge(graph, params, rest, copy=True)
        return losses.gradient_penalty(lambda x: discriminator(x)[0], last(between))

    @jax.jit
    def of_generator(params):
        def loss(params):
            generator, discriminator = nnx.merge(graph, params, rest, copy=True)
            fake = generator(last(image), label, train=True)
            verdict = discriminator(fake)
            statistics = nnx.state(generator, nnx.BatchStat)
            return (fake * last(goal)).sum() + sum(x.sum() for x in verdict), (fake, verdict, statistics)

        return jax.grad(loss, has_aux=True)(params)

    gradients, (fake, verdict, statistics) = of_generator(params)
    generator, discriminator = theirs
    given = torch.tensor(image), torch.tensor(label)
    expected = generator(*given)
    source, logits = discriminator(expected)
    ((expected * torch.tensor(goal)).sum() + source.sum() + logits.sum()).backward()
    close(fake, last(expected.detach().numpy()))
    close(verdict[0], last(source.detach().numpy()))
    close(verdict[1], logits.detach().numpy())
    assert fake.std() > 0.1 and verdict[0].std() > 1e-3

    def same(gradients):
        """Gradients of both networks equal torch's."""
        for network, found, names in zip(theirs, gradients, (pretrained._generator, pretrained._discriminator)):
            layers = names(ours()["GD".index("G" if network is generator else "D")])
            for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(found))[0]:
                layer, part = "/".join(str(k.key) for k in path[:-1]), path[-1].key
                wanted = network.get_parameter(f"{layers[layer]}.{'bias' if part == 'bias' else 'weight'}").grad
                if wanted is not None:
                    close(torch_layout(value), wanted.numpy())

    parts = lambda tree: [tree[0], tree[1]]
    same(parts(gradients))
    for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(statistics))[0]:
        layer = pretrained._generator(ours()[0])["/".join(str(k.key) for k in path[:-1])]
        close(value, generator.get_buffer(f"{layer}.running_{path[-1].key}").numpy())
    generator.eval()
    generator.load_state_dict(states[0])
    close(load(ours(running=True))[0](last(image), label, train=False), last(generator(*given).detach().numpy()))
    close(load(ours())[0](last(image), label, train=False), fake)

    for network in theirs:
        network.zero_grad()
    value, slopes = of_penalty(params)
    wanted = peers.penalty(discriminator, torch.tensor(between))
    wanted.backward()
    assert float(value) == pytest.approx(wanted.item(), rel=1e-4) and wanted.item() > 0.1
    same([nnx.State({}), slopes[1]])

    writers = pretrained.GENERATOR_WRITERS["pytorch"], pretrained.DISCRIMINATOR_WRITERS["pytorch"]
    for writer, network, state in zip(writers, load(ours()), states):
        path = tmp_path / "written" / writer.file.format(step=7)
        path.parent.mkdir(exist_ok=True)
        writer.write(path, network, {})
        written = torch.load(path, weights_only=True)
        assert written.keys() == {k for k in state if not k.endswith("num_batches_tracked")}
        assert all((written[k] == state[k]).all() for k in written)
    assert sorted(path.name for path in (tmp_path / "written").iterdir()) == ["7-D.ckpt", "7-G.ckpt"]


def test_a_generator_of_other_labels_is_refused_by_name(tmp_path):
    generator, _ = ours()
    pretrained.GENERATOR_WRITERS["pytorch"].write(tmp_path / "1-G.ckpt", generator, {})
    other = nets.Generator(labels=3, width=WIDTH, blocks=BLOCKS, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"main\.0\.weight has shape \[7, 7, 8, 4\], the network's down/0/kernel"):
        named.load(pretrained.read_generator, tmp_path / "1-G.ckpt", other)


SMALL = dict(width=4, residual_blocks=1, discriminator_width=4, stages=3)
NAMES = ("Black_Hair", "Eyeglasses", "Blond_Hair", "Smiling")
HAIR = dict(exclusive=("Black_Hair Blond_Hair",))


def small(**model):
    config = tiny("stargan_avatars", **SMALL, **HAIR, **model)
    config.data.attributes = NAMES
    config.init.judge = ""
    return config


class Painter(stargan.StarGAN):
    """Translations in whose first row the label that was asked for is written, and a judge that reads it there.

    `spoiled` is written the wrong way round.
    """

    spoiled = ()

    def __init__(self, names=NAMES, classes=0):
        self.model = nnx.static(stargan.Settings(classes=classes, **({} if classes else HAIR)))
        self.names, self.groups = nnx.static(names), nnx.static(stargan._groups(self.model, names))
        self.judge = None

    def generator(self, image, label, *, train):
        assert not train
        label = jnp.where(np.isin(np.arange(label.shape[1]), self.spoiled), 1 - label, label)
        return jnp.asarray(image).at[:, 0, : label.shape[1], 0].set(2 * label - 1)

    def _verdict(self, images):
        return images[:, 0, : len(self.groups), 0] > 0


def asked(painter, label):
    return np.asarray(painter._asked(jnp.float32([label])))[0].astype(int).tolist()


def test_labels_ask_for_each_domain_as_the_released_code_does():
    # Hair of another colour, or of none of these, takes the colour; glasses and smiles come and go.
    assert asked(Painter(), [1, 0, 0, 1]) == [[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 0]]
    assert asked(Painter(), [0, 1, 0, 0]) == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]]
    assert asked(Painter((), 3), [0, 1, 0]) == np.eye(3).astype(int).tolist()


class JointPainter(Painter, stargan.JointStarGAN):
    """The same of two sets; classes are called 0, 1 and 2."""

    def __init__(self):
        super().__init__()
        self.model = nnx.static(stargan.Settings(classes=3, **HAIR))
        self.groups = nnx.static(stargan._groups(self.model, NAMES))


def test_labels_of_two_sets_are_laid_out_as_in_the_released_code():
    painter, image = JointPainter(), np.zeros((1, 8, 12, 3), np.float32)
    given = lambda strip: ((np.asarray(strip).reshape(8, -1, 12, 3)[0, :, :9, 0] + 1) / 2).tolist()
    # Attributes, classes, and which of the two are given: who is asked for one knows nothing of the other.
    black, classes = painter._of_attributes([[1, 0, 0, 1]]), [[0, 0, 0, 0, *one, 0, 1] for one in np.eye(3).tolist()]
    of_attributes = [[*first, 0, 0, 0, 1, 0] for first in asked(Painter(), [1, 0, 0, 1])]
    assert given(painter._strip(image, painter._asked(black))) == of_attributes + classes
    assert given(painter._strip(image, painter._asked(black + painter._of_classes(jnp.array([1]))))) == of_attributes + classes
    assert given(painter._strip(image, painter._asked(0 * black)))[1] == [0, 1, 0, 0, 0, 0, 0, 1, 0]
    assert given(painter._translated(image, 0 * black)) == [[0, 0, 0, 0, 0, 0, 0, 1, 0]]  # Bald, but of attributes.
    assert given(painter.translate_to(image=image, label=jnp.array([2]))) == classes[2:]
    painter._found = lambda image: jnp.float32([[1, 1, 0, 0, 0, 0, 0]])
    changed = painter.translate(image=image, attributes=jnp.float32([[0, -1, 0, 0.5]]))
    assert given(changed) == [[1, 0, 0, 0.75, 0, 0, 0, 1, 0]]


@pytest.mark.parametrize(
    "config,known",
    [
        (stargan_avatars, ("black", "brown")),
        (stargan_joint_avatars, ("smiling", "laughing")),
        (stargan_v2_avatars, ("no", "yes")),
    ],
)
def test_what_tools_take_is_known_without_drawing_faces(config, known, monkeypatch):
    monkeypatch.setattr(data, "open", lambda *given: pytest.fail("opened"))
    config = config.get_config()
    assert facts.of_data(Experiment(config))["classes"][:2] == known


@pytest.mark.parametrize("system,rows", [(stargan.StarGAN, 2), (stargan.JointStarGAN, 4)])
def test_sheets_have_a_row_a_picture_and_a_named_column_a_domain(system, rows):
    config = tiny("stargan_joint_avatars" if rows == 4 else "stargan_avatars")
    names = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Eyeglasses", "No_Beard", *(["glad", "sad"] if rows == 4 else ["Smiling"])]
    shade = lambda first: np.arange(first, first + 2, dtype=np.float32)[:, None, None, None] / 100
    strip = lambda first: np.repeat(np.arange(len(names)) / 10, 12)[None, None, :, None] + np.tile(shade(first), (8, 1, 3))
    sample = {"source": np.tile(shade(0), (8, 12, 3)), "translations": strip(0)}
    sample |= {"other source": np.tile(shade(2), (8, 12, 3)), "other translations": strip(2)}
    shown = system.shown(Experiment(config), sample, ("glad", "sad"))
    assert list(shown) == ["source", *names]
    for number, images in enumerate(shown.values()):
        wanted = np.arange(rows) / 100 + max(0, number - 1) / 10
        np.testing.assert_allclose(images, np.tile(wanted[:, None, None, None], (8, 12, 3)), atol=1e-6)


def test_classes_and_what_is_kept_beside_them_are_figures_of_two_sets():
    painter, labels = JointPainter(), [[1, 0, 0, 1], [0, 1, 0, 0]]
    image = np.full((2, 8, 12, 3), 255, np.uint8)
    image[:, 0, :7, 0] = np.where([[*labels[0], 0, 1, 0], [*labels[1], 1, 0, 0]], 255, 0)  # What a judge sees.
    batch = {"colour": image, "attributes": np.array(labels, bool), "other_colour": image, "label": np.array([1, 0])}
    painter._found = lambda image: jnp.float32([[0] * 7] * 2)
    found = {name: np.asarray(value).round(4).tolist() for name, value in painter.evaluate(batch, None).items()}
    # What is asked of the classes is there, but the attributes are gone that it says nothing of.
    assert found["changed"] == [1, 1] and found["kept"][0] < 1
    # Of 3 attributes that change others stay, 2, 3, 2 of them; of 3 classes 4 are to stay, of which 2 were there.
    np.testing.assert_allclose(found["kept"][0], (2 + 3 + 3 + 3 * 2) / (2 + 3 + 3 + 3 * 4), atol=1e-3)
    np.testing.assert_allclose(found["right"], [3 / 6, 4 / 7], atol=1e-3)
    # Images of classes are as they were only where their own is asked for.
    assert 0 < found["moved_other"][0] and found["cycle_other"][0] > 0


def test_a_class_has_a_softmax():
    logits, label = np.random.default_rng(0).normal(size=(4, 3)), np.eye(3)[[2, 0, 1, 2]]
    expected = -(label * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum() / 4
    assert float(Painter((), 3)._class_loss(jnp.float32(logits), label)) == pytest.approx(expected, rel=1e-5)
    # Of two sets, images of classes say nothing of attributes.
    both, label = np.concatenate([np.full((4, 4), 9.0), logits], 1), np.concatenate([np.zeros((4, 4)), label], 1)
    assert float(JointPainter()._class_loss(jnp.float32(both), label)) == pytest.approx(expected, rel=1e-5)
    attributes = np.float32([[1, 0, 0, 1, 0, 0, 0]] * 4)
    expected = np.log1p(np.exp(-9.0)) * 2 + np.log1p(np.exp(9.0)) * 2
    assert float(JointPainter()._class_loss(jnp.float32(both), attributes)) == pytest.approx(expected, rel=1e-5)


def evaluated(painter, labels):
    image = np.full((len(labels), 8, 8, 3), 255, np.uint8)
    # What a judge sees in the images themselves.
    image[:, 0, : len(NAMES), 0] = np.where(labels, 255, 0)
    found = painter.evaluate({"colour": image, "attributes": np.array(labels, bool)}, None)
    return {name: np.asarray(value).round(4).tolist() for name, value in found.items()}


def test_figures_tell_what_changed_and_what_stayed():
    labels = [[1, 0, 0, 1], [0, 1, 0, 0]]
    found = evaluated(Painter(), labels)
    assert found["changed"] == found["kept"] == found["right"] == [1, 1]
    assert found["changed_source"] == [0, 0] and found["kept_source"] == [1, 1]
    # Hair that is black already is not asked to become it.
    assert np.isnan(found["Black_Hair"][0]) and found["Black_Hair"][1] == 1 and found["Smiling"] == [1, 1]
    assert found["moved"][0] > 0 and found["cycle"] == [0, 0]
    painter = Painter()
    painter.spoiled = (3,)
    found = evaluated(painter, labels)
    # Of three changes, two are made, and these spoil the smile; of four, three.
    np.testing.assert_allclose(found["changed"], [2 / 3, 3 / 4], atol=1e-3)
    assert found["Smiling"] == [0, 0] and found["right"] == [0, 0]
    # Of the attributes that nothing was asked of, glasses where a hair colour was, say, all but the smiles.
    np.testing.assert_allclose(found["kept"], [6 / 8, 7 / 10], atol=1e-3)


def test_of_a_judge_of_traits_the_values_are_asked_which_an_attribute_is():
    config = small()
    with config.unlocked():
        answers = ("hair_colour=grey", "hair_colour=blond", "hair_colour=black", "glasses=none", "glasses=round")
        answers += ("glasses=sunglasses", "Smiling=no", "Smiling=yes")
        origin = dict(run="runs/x", attribute="network", system="classifier.Classifier", data={})
        config.origin = ConfigDict(dict(judge=origin | dict(model=dict(answers=answers, classes=8))))
    attributes = ((0, 3, (2,)), (3, 6, (1, 2)), (0, 3, (1,)), (6, 8, (1,)))
    assert stargan._answers(Experiment(config), NAMES, "") == attributes
    config.model.classes = 3  # Of two sets, the classes come behind.
    found = stargan._answers(Experiment(config), NAMES, "glasses")
    assert found == (*attributes, (3, 6, (0,)), (3, 6, (1,)), (3, 6, (2,)))
    message = "config.init.judge must be .* traits that tell 'Hoodie', got runs/x: network of .*, which judges hair"
    with pytest.raises(InputError, match=message):
        stargan._answers(Experiment(config), (*NAMES, "Hoodie"), "")


def test_tools_ask_for_what_is_named_and_leave_the_rest_as_the_discriminator_finds_it():
    config = small()
    config.data.name = "celeba"  # Of which none is needed.
    model = use.untrained(config)
    graph, state = nnx.split(model.system())
    find = jax.jit(lambda image: nnx.merge(graph, state)._found(image)[0])
    paint = jax.jit(lambda image, label: nnx.merge(graph, state).generator(image, label[None], train=False)[0])
    rng = np.random.default_rng(0)
    for _ in range(100):
        picture = np.uint8(rng.uniform(0, 256) * rng.uniform(size=(32, 32, 3)))
        image = jnp.asarray(picture[None] / 127.5 - 1, jnp.float32)
        found = np.asarray(find(image))
        if found[2] and not found.all():  # It takes the hair for blond.
            break
    assert found[2] and not found.all()
    same = lambda painted, label: close(painted / 127.5 - 1, paint(image, jnp.float32(label)), 0.01)
    same(model.translate(picture, ""), found)
    same(model.translate(picture, "Black_Hair"), [1, found[1], 0, found[3]])
    same(model.translate(picture, "Black_Hair=-0.5,Eyeglasses=0.5,Blond_Hair=-1,Smiling"), [0.25, 0.75, 0, 1])
    assert np.abs(paint(image, jnp.float32([0, 1, 0, 0])) - paint(image, jnp.float32([1, 0, 1, 0]))).max() > 0.05
    sheet = model.sheet(picture)
    assert sheet.shape == (32, 5 * 32, 3)
    np.testing.assert_array_equal(sheet[:, :32], picture)
    same(sheet[:, 96:128], [0, found[1], 1, found[3]])
    same(sheet[:, 64:96], [found[0], 1 - found[1], found[2], found[3]])
    with pytest.raises(InputError, match="attributes: unknown attribute 'Beard'; it must be .* Black_Hair, Eyeglasses"):
        model.translate(picture, "Beard")


@pytest.mark.slow
def test_classes_of_a_folder_are_learned(tmp_path):
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 155)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            picture = np.full((32, 32, 3), rng.integers(low, low + 100), np.uint8)
            picture[8:24, 8:24] = rng.integers(0, 256, 3)
            Image.fromarray(picture).save(tmp_path / "images" / name / f"{i}.png")
    config = tiny("stargan_folders", **(SMALL | dict(width=16, discriminator_width=16, classes=2)))
    config.data.dir = str(tmp_path / "images")
    for player in config.players.values():
        player.learning_rate = 1e-3
    config.train.update(steps=400, log_every=100, checkpoint_every=400)
    loop.train(config, tmp_path / "run")
    model = use.load(tmp_path / "run")
    picture = np.full((32, 32, 3), 40, np.uint8)
    edges = lambda image: image[:6].mean()
    assert edges(model.translate(picture, "light")) > edges(model.translate(picture, "dark")) + 60
    assert model.sheet(picture).shape == (32, 96, 3)
