"""MUNIT and GDWCT: the released codes' files give their outputs and gradients, styles are injected, figures tell.

`benchmarks/peers/munit.py` has, in plain torch, the same parameter names as the released codes.
"""

import functools
import pathlib

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from tests.conftest import tiny
from tests.golden.colorization_by_name import weight
from tests.systems.test_pix2pix_parity import close, torch_layout
from vision_gen.engine import evaluation, loop, use
from vision_gen.engine.experiment import Experiment
from vision_gen.errors import InputError
from vision_gen.nets import munit as nets
from vision_gen.pretrained import munit as pretrained
from vision_gen.pretrained import named, torch_file
from vision_gen.systems import munit

SIZE, WIDTH, BLOCKS = 32, 8, 1
KINDS = {"adain": dict(style=5, hidden=6), "whitening": dict(groups=4, hidden=6)}
SLOPES = {"adain": 0.2, "whitening": 0.01}


def ours(kind):
    make = {"adain": nets.AdaINGenerator, "whitening": nets.WhiteningGenerator}[kind]
    generator = make(width=WIDTH, blocks=BLOCKS, **KINDS[kind], rngs=nnx.Rngs(0))
    return generator, nets.Discriminators(width=WIDTH, stages=2, scales=2, slope=SLOPES[kind], rngs=nnx.Rngs(0))


def test_the_networks_have_as_many_parameters_as_the_released_codes():
    count = lambda make: sum(x.size for x in jax.tree.leaves(nnx.state(nnx.eval_shape(make), nnx.Param)))
    makes = nets.AdaINGenerator, nets.WhiteningGenerator, nets.Discriminators
    counts = [count(lambda make=make: make(rngs=nnx.Rngs(0))) for make in makes]
    assert counts == [15_026_187, 17_241_992, 8_271_171]


@pytest.mark.parametrize("kind", KINDS)
def test_files_give_torchs_outputs_and_gradients_and_are_written_back(kind, tmp_path):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import munit as peers

    make = {"adain": peers.AdaINGenerator, "whitening": peers.WhiteningGenerator}[kind]
    theirs = make(WIDTH, BLOCKS, **KINDS[kind]), peers.Discriminators(WIDTH, 2, 2, SLOPES[kind])
    states, paths = [], [tmp_path / name for name in ("gen_00000007.pt", "dis_00000007.pt")]
    for network, path in zip(theirs, paths):
        state = {k: torch.tensor(weight(k, tuple(v.shape))) if v.ndim else v for k, v in network.state_dict().items()}
        state |= {k: abs(v) % 1 for k, v in state.items() if k.endswith("alpha")}  # Where it is kept.
        network.load_state_dict(state)
        # Of both domains, or of one; older files of the former have statistics that were never used.
        old = {"enc_content.model.0.norm.running_mean": torch.ones(WIDTH)} if kind == "adain" else {}
        torch.save({"a": {}, "b": state | old} if kind == "adain" else state, path)
        states.append(state)
    parts = ("generator_b", "discriminator_b")
    loaded = [named.load(pretrained.READERS[part], *given) for part, *given in zip(parts, paths, ours(kind))]
    rng = np.random.default_rng(0)
    image, exemplar, goal = (np.float32(rng.uniform(-1, 1, (2, 3, SIZE, SIZE))) for _ in range(3))
    last = lambda x: jnp.asarray(x.transpose(0, 2, 3, 1))
    graph, params, rest = nnx.split(nnx.List(loaded), nnx.Param, ...)

    @jax.jit
    def run(params):
        def loss(params):
            generator, discriminator = nnx.merge(graph, params, rest, copy=True)
            content, _ = generator.encode(last(image), train=True)
            _, style = generator.encode(last(exemplar), train=True)
            fake, found = generator.decode(content, style, train=True)
            verdict = discriminator(fake)
            total = (fake * last(goal)).sum() + sum(x.sum() for x in verdict) + sum(map(jnp.log, found.values()))
            return total, (fake, verdict, found, nnx.state(generator, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(params)

    gradients, (fake, verdict, found, statistics) = run(params)
    generator, discriminator = theirs
    content, _ = generator.encode(torch.tensor(image))
    _, style = generator.encode(torch.tensor(exemplar))
    expected, regularisers = generator.decode(content, style)
    judged = discriminator(expected)
    total = (expected * torch.tensor(goal)).sum() + sum(x.sum() for x in judged)
    (total + sum(map(torch.log, regularisers.values()))).backward()
    tolerance = 1e-4 if kind == "adain" else 1e-3
    close(fake, last(expected.detach().numpy()), tolerance)
    assert fake.std() > 0.05 and len(verdict) == 2
    for one, other in zip(verdict, judged):
        close(one, last(other.detach().numpy()), tolerance)
    assert found.keys() == regularisers.keys()
    for name, value in found.items():
        assert float(value) == pytest.approx(regularisers[name].item(), rel=1e-3) and value > 0.01
    for number, (network, mine) in enumerate(zip(theirs, loaded)):
        layers = (pretrained._generator, pretrained._discriminator)[number](mine)
        flat = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(gradients)[number])[0]
        for path, value in flat:
            name, part = "/".join(str(k.key) for k in path), path[-1].key
            layer = layers.get(name) or f"{layers[name.rpartition('/')[0]]}.{'bias' if part == 'bias' else 'weight'}"
            # A bias before a normalisation moves nothing but for rounding, which is that of its kernel's gradient.
            beside = layer.replace(".bias", ".weight").replace(".alpha", ".mlp_CT.main.4.fc.weight")
            wanted, beside = (network.get_parameter(n).grad.numpy() for n in (layer, beside))
            scale = max(np.abs(wanted).max(), np.abs(beside).max(), 1e-6)
            found = value.T if value.ndim == 2 else torch_layout(value)
            np.testing.assert_allclose(found / scale, wanted / scale, atol=tolerance, err_msg=layer)
    for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(statistics))[0]:
        layer = pretrained._generator(loaded[0])["/".join(str(k.key) for k in path[:-1])]
        close(value, generator.get_buffer(f"{layer}.running_{path[-1].key}").numpy())

    format = {"adain": "munit", "whitening": "gdwct"}[kind]
    for part, network, state in zip(parts, loaded, states):
        writer = pretrained.WRITERS[part][format]
        path = tmp_path / "written" / writer.file.format(step=7)
        path.parent.mkdir(exist_ok=True)
        writer.write(path, network, {})
        if kind == "adain":  # The other domain goes into the same file.
            pretrained.WRITERS[part.replace("_b", "_a")][format].write(path, network, {})
        written = torch.load(path, weights_only=True)
        for found in (written["a"], written["b"]) if kind == "adain" else (written,):
            assert found.keys() == {k for k in state if not k.endswith("num_batches_tracked")}
            assert all((found[k] == state[k]).all() for k in found if "running" not in k or kind == "whitening")
    names = {
        "adain": ["dis_00000007.pt", "gen_00000007.pt"],
        "whitening": ["D_B_vision_gen_7.pth", "G_B_vision_gen_7.pth"],
    }
    assert sorted(path.name for path in (tmp_path / "written").iterdir()) == names[kind]
    if kind == "whitening":  # The released code tests with running statistics and, of one image, its own mean.
        generator.eval()
        generator.load_state_dict(states[0])
        one = lambda x: torch.tensor(x[:1])
        expected, _ = generator.decode(generator.encode(one(image))[0], generator.encode(one(exemplar))[1])
        found, _ = loaded[0].decode(loaded[0].encode(last(image))[0], loaded[0].encode(last(exemplar))[1])
        close(found[:1], last(expected.detach().numpy()), tolerance)


def small(kind):
    config = tiny("munit_folders", **KINDS[kind], width=8, residual_blocks=1)
    config.model.update(injection=kind, discriminator_width=4, stages=2, scales=2)
    config.init.features = ""
    return config


@functools.cache
def model(kind):
    config = small(kind)
    with config.data.unlocked():  # Of which none is needed.
        config.data.update(name="unpaired", parts=dict(a=dict(name="openmoji"), b=dict(name="twemoji")))
    return use.untrained(config)


def picture(seed, *size):
    return np.random.default_rng(seed).integers(0, 256, (*(size or (SIZE, SIZE)), 3), np.uint8)


@pytest.mark.slow
def test_styles_are_drawn_by_a_seed():
    image = picture(0)
    first, again, other = (model("adain").to_b(image, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1
    system = model("adain").system()
    style = jax.random.normal(jax.random.key(3), (KINDS["adain"]["style"],))[None]
    content, _ = system.generator_a.encode(jnp.asarray(image[None] / np.float32(127.5) - 1))
    expected, _ = system.generator_b.decode(content, style)
    np.testing.assert_allclose(first, (np.asarray(expected)[0] + 1) * 127.5, atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_sheet_has_every_image_in_every_style(kind):
    images, exemplars = [picture(0), picture(1)], [picture(i) for i in (2, 3, 4)]
    sheet = model(kind).sheet_a(images, exemplars)
    assert sheet.shape == (3 * SIZE, 4 * SIZE, 3) and (sheet[:SIZE, :SIZE] == 255).all()
    cell = lambda row, column: sheet[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE]
    np.testing.assert_array_equal(cell(0, 3), exemplars[2])
    np.testing.assert_array_equal(cell(2, 0), images[1])
    for row, column in ((1, 1), (1, 3), (2, 2)):
        alone = model(kind).to_a_like(images[row - 1], exemplars[column - 1])
        np.testing.assert_allclose(cell(row, column).astype(int), alone, atol=1)
    apart = lambda one, other: np.abs(cell(*one).astype(int) - cell(*other)).mean()
    assert apart((1, 1), (1, 2)) > 0.5 and apart((1, 1), (2, 1)) > 0.5


def test_styles_are_drawn_of_adain_alone():
    names = lambda kind: [tool.name for tool in munit.MUNIT.tools(Experiment(small(kind)), {})]
    assert names("whitening") == ["to_b_like", "sheet_b", "to_a_like", "sheet_a"]
    assert names("adain") == ["to_b", "to_b_like", "sheet_b", "to_a", "to_a_like", "sheet_a"]


@pytest.mark.slow
def test_an_exemplar_may_have_another_shape_than_the_image():
    image = picture(0, 40, 60)
    tall, wide = (model("whitening").to_b_like(image, picture(1, *size)) for size in ((90, 32), (32, 70)))
    assert tall.shape == wide.shape == image.shape and np.abs(tall.astype(int) - wide).mean() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_translations_of_an_example_do_not_hang_on_others(kind):
    """Other than in training, where GDWCT's contents lose the mean of the batch."""
    system = model(kind).system()
    image, exemplar = (jnp.asarray(np.stack([picture(i), picture(i + 1)]) / np.float32(127.5) - 1) for i in (0, 5))
    paint = nnx.jit(lambda system, image, exemplar: system.to_b_like(image=image, exemplar=exemplar))
    both = paint(system, image, exemplar)
    close(both[1:], paint(system, image[1:], exemplar[1:]))


def test_every_figure_has_a_phrase():
    config = small("adain")
    config.init.features = "efficientnet-lite0"
    experiment = Experiment(config)
    example = {f"{side}_colour": jax.ShapeDtypeStruct((4, SIZE, SIZE, 3), np.uint8) for side in "ab"}
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    evaluate = lambda batch, keys: munit.MUNIT(experiment, rngs=nnx.Rngs(0)).evaluate(batch, keys)
    found = jax.eval_shape(evaluate, example, keys)
    figures = {name for name, value in found.items() if value.shape == (4,)}
    assert figures | set(munit.MUNIT.figures_of_set(experiment)) == set(munit.MUNIT.explained)


def folders(path):
    for number in range(8):
        for part in ("trainA", "trainB", "testA", "testB"):
            (path / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(number + len(part) * ord(part[-1]))).save(path / part / f"{number}.png")
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_evaluated_and_written(kind, tmp_path):
    config = small(kind)
    config.data.dir, config.train.best_metric = folders(tmp_path / "images"), "again_a"
    loop.train(config, tmp_path / "run")
    figures, paths = evaluation.evaluate_run(tmp_path / "run", metrics=("again_a", "diversity_b"))
    assert all(np.isfinite(value) for value in figures.values())
    assert {pathlib.Path(path).name for path in paths} >= {"exemplars_a.png", "exemplars_b.png", "test.png"}
    run, format = use.load(tmp_path / "run"), {"adain": "munit", "whitening": "gdwct"}
    with pytest.raises(InputError, match=f"config.model.injection is '{kind}'; ask for the format {format.pop(kind)}"):
        run.export(*format.values(), tmp_path / "out")
    paths = run.export({"adain": "munit", "whitening": "gdwct"}[kind], tmp_path / "out")
    assert len(paths) == (2 if kind == "adain" else 4)
    for part in pretrained.PARTS:
        for side in "ab":
            name = {"adain": f"{part[:1]}*.pt", "whitening": f"{part[0].upper()}_{side.upper()}_*"}[kind]
            config.init[f"{part}_{side}"] = str(next((tmp_path / "out").glob(name)))
    given = picture(0), picture(1)
    np.testing.assert_array_equal(use.from_config(config).to_b_like(*given), run.to_b_like(*given))


def test_a_file_without_the_domain_is_refused_by_name(tmp_path):
    torch_file.write({"a": {}}, tmp_path / "gen.pt")
    with pytest.raises(InputError, match=r"gen.pt: has no entry 'b', found \['a'\]"):
        named.load(pretrained.READERS["generator_b"], tmp_path / "gen.pt", ours("adain")[0])
