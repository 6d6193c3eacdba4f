"""The networks of VITON-HD are the released ones: outputs on weights by name, and parts by their definitions."""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import ROOT, blank
from tests.golden import tryon_by_name as golden
from vision_gen.nets import tryon as nets
from vision_gen.pretrained import named, torch_layers
from vision_gen.pretrained import tryon as pretrained
from vision_gen.systems.tryon import stages

REFERENCE = np.load(ROOT / "tests" / "golden" / "tryon_reference.npz")
GIVEN = {name: np.moveaxis(value, 1, -1) if value.ndim == 4 else value for name, value in golden.inputs().items()}
rngs = lambda: nnx.Rngs(0)


def filled(names, make):
    """A network with weights by their names in the released files."""
    network = blank(make)
    layout = torch_layers._layout(names, (), network)
    theirs = named.written(network, layout)
    file = named.read("drawn", golden.state({name: value.shape for name, value in theirs.items()}), layout)
    return named.put(network, named.fit(file.result(), network)[0])


def close(name, found, tolerance=1e-3):
    """Compares what we compute, channels last, with the reference's digest."""
    found = np.asarray(found, np.float32)
    digest = golden.digest(np.moveaxis(found, -1, 1) if found.ndim == 4 else found)
    assert np.abs(REFERENCE[name]).max() > 0.1
    np.testing.assert_allclose(digest[1:], REFERENCE[name][1:], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(digest[0], REFERENCE[name][0], rtol=tolerance)


def matcher():
    return filled(pretrained.NAMES["warp"], lambda: nets.Matcher(width=golden.WIDTH, size=golden.SIZE, rngs=rngs()))


def segmenter():
    make = lambda: nets.Segmenter(width=golden.WIDTH, size=golden.SMALL, rngs=rngs())
    return filled(pretrained.NAMES["segmentation"], make)


def test_the_grid_is_the_released_codes():
    network = blank(lambda: nets.Matcher(width=1, rngs=rngs()))
    moved = jnp.asarray(GIVEN["moved"]).reshape(2, 2, 25).swapaxes(1, 2)
    grid = network.grid(moved, golden.GRID)
    # digest() takes arrays of four axes for maps, channels last; theirs is not.
    np.testing.assert_allclose(golden.digest(grid), REFERENCE["grid"], atol=1e-4)
    flat = network.grid(jnp.zeros((1, 25, 2)), (4, 3))[0]
    np.testing.assert_allclose(flat[0, 0], [-0.9, -0.9], atol=1e-4)
    np.testing.assert_allclose(flat[3, 2], [0.9, 0.9], atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_a_block_is_the_released_codes(masked):
    make = lambda: nnx.Dict(block=nets.AliasBlock(12, 8, 7 + masked, 128, rngs=rngs()))
    network = filled(lambda network: pretrained.block("block/", "", network["block"]), make)["block"]
    mask = jnp.asarray(GIVEN["missed"]) if masked else None
    call = jax.jit(lambda x, regions: network(x, regions, mask, None, train=False))
    close("masked block" if masked else "block", call(GIVEN["map"], GIVEN["regions"][..., : 7 + masked]))


def test_mask_norm_normalises_both_parts_apart():
    x = np.random.default_rng(0).normal(3, 2, (1, 8, 8, 2)).astype(np.float32)
    mask = np.zeros((1, 8, 8, 1), np.float32)
    mask[:, :2] = 1
    call = jax.jit(nets.mask_norm)
    found = np.asarray(call(x, mask))
    for part in (np.s_[:, :2], np.s_[:, 2:]):
        expected = (x[part] - x[part].mean((1, 2))) / x[part].std((1, 2))
        np.testing.assert_allclose(found[part], expected, atol=1e-3)
    assert np.isfinite(call(x, 0 * mask)).all()


def test_noise_is_the_same_for_all_channels_but_for_its_factor():
    norm = blank(lambda: nets.AliasNorm(3, 7, 4, rngs=rngs()))
    norm.noise[...] = jnp.array([0.0, 1.0, -2.0])
    norm.norm = lambda x: x
    found = norm(jnp.zeros((2, 6, 5, 3)), jnp.zeros((2, 6, 5, 7)), None, jax.random.split(jax.random.key(0), 2))
    assert not found[..., 0].any() and 0.5 < found[..., 1].std() < 1.5
    np.testing.assert_allclose(found[..., 2], -2 * found[..., 1], rtol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.1


def test_kernels_have_norm_one_after_some_training():
    conv = blank(lambda: nets.SpectralConv(3, 4, rngs=rngs()))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    conv.kernel[...], conv.right[...] = jnp.asarray(kernel), jnp.ones(4)
    step = nnx.jit(lambda conv, x: conv(x, train=True))
    impulse = np.eye(3, dtype=np.float32).reshape(1, 3, 1, 3)  # In each row another channel.
    for _ in range(30):
        found = step(conv, impulse)
    left, right = np.asarray(conv.left[...]), np.asarray(conv.right[...])
    matrix = kernel.reshape(-1, 4)
    np.testing.assert_allclose(left @ matrix @ right, np.linalg.norm(matrix, 2), rtol=1e-3)
    expected = kernel[[0, 1, 2], 1, [0, 1, 2]].sum(0) / np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(found[0, 1, 0], expected, rtol=1e-3)


def test_segmentation_sees_and_finds_what_the_released_code_does():
    network = segmenter()
    given = {name: jnp.asarray(GIVEN[name]) for name in ("mask", "cloth", "kept", "pose")}

    @jax.jit
    def call(given, noise):
        seen = stages.segmentation_input(given, golden.SMALL, jax.random.split(jax.random.key(0), 1))
        seen = jnp.concatenate([seen[..., :-1], noise], -1)
        shares = jax.nn.sigmoid(network(seen))
        return seen, shares, stages.labels(shares, golden.SIZE)

    seen, shares, labels = call(given, GIVEN["noise"])
    close("seen", seen)
    close("shares", shares)
    assert (golden.digest(labels)[1:] == REFERENCE["labels"][1:]).mean() > 0.99
    assert len(set(REFERENCE["labels"][1:])) > 3


def test_the_share_of_noise_is_the_released_codes():
    given = {name: jnp.zeros((4, 64, 64, n)) for name, n in dict(mask=1, cloth=3, kept=13, pose=3).items()}
    call = jax.jit(lambda given, keys: stages.segmentation_input(given, (64, 64), keys)[..., -1])
    noise = call(given, jax.random.split(jax.random.key(3), 4))
    assert set(np.unique(noise)) == {0, 1} and abs(float(noise.mean()) - 0.159) < 0.01


@pytest.mark.slow
def test_the_whole_is_the_released_code():
    """Labels as the reference has them, so that no pixel at an edge decides."""
    given = {name: jnp.asarray(GIVEN[name]) for name in ("mask", "cloth", "kept", "pose", "agnostic")}
    widths = tuple(golden.WIDTH * n // 2 for n in (32, 32, 32, 16, 8, 4, 2, 1))
    painter = filled(pretrained.NAMES["synthesis"], lambda: nets.AliasGenerator(widths=widths, rngs=rngs()))
    finder, bender = segmenter(), matcher()

    @jax.jit
    def call(given, noise):
        seen = stages.segmentation_input(given, golden.SMALL, jax.random.split(jax.random.key(0), 1))
        shares = jax.nn.sigmoid(finder(jnp.concatenate([seen[..., :-1], noise], -1)))
        regions = stages.regions(stages.labels(shares, golden.SIZE))
        warped, mask, moved = stages.bent(bender, regions[..., 2:3], given)
        return warped, mask, moved, painter(*stages.synthesis_input(regions, warped, mask, given))

    warped, mask, moved, image = call(given, GIVEN["noise"])
    close("moved", moved.swapaxes(1, 2).reshape(1, 50))
    close("warped", warped)
    close("warped mask", mask)
    close("image", image)


def test_files_are_written_as_they_were_read():
    for name, make in {
        "segmentation": lambda: nets.Segmenter(width=2, levels=3, rngs=rngs()),
        "warp": lambda: nets.Matcher(width=1, rngs=rngs()),
        "synthesis": lambda: nets.AliasGenerator(widths=(8, 8, 8, 4), masked=3, hidden=2, added=2, rngs=rngs()),
    }.items():
        network = filled(pretrained.NAMES[name], make)
        theirs = torch_layers.state(pretrained.NAMES[name], network)
        expected = golden.state({key: value.shape for key, value in theirs.items()})
        for key, value in theirs.items():
            np.testing.assert_array_equal(value, expected[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segmentation", "warp", "synthesis"])
def test_gradients_are_torchs(name):
    torch = pytest.importorskip("torch", reason="the parity extra is not installed")
    from benchmarks.peers import tryon as peers

    narrow = dict(widths=(8, 8, 8, 4), masked=3, hidden=5, added=2)
    ours, theirs, channels = {
        "segmentation": (lambda: nets.Segmenter(width=2, levels=3, rngs=rngs()), peers.Segmenter(2, 3), (21,)),
        "warp": (
            lambda: nets.Matcher(width=2, levels=3, size=(64, 32), rngs=rngs()),
            peers.Matcher(2, 3, (64, 32)),
            (7, 3),
        ),
        "synthesis": (lambda: nets.AliasGenerator(**narrow, rngs=rngs()), peers.Painter(**narrow), (9, 7, 8, 1)),
    }[name]
    network = filled(pretrained.NAMES[name], ours)
    state = golden.state({key: tuple(value.shape) for key, value in theirs.state_dict().items()})
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()}, strict=False)
    rng = np.random.default_rng(0)
    given = [np.float32(rng.uniform(-1, 1, (2, n, 64, 32))) for n in channels]
    if name == "synthesis":
        given[-1] = np.float32(given[-1] > 0.4)
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    goal = None

    @jax.jit
    def run(params):
        def loss(params):
            network = nnx.merge(graph, params, rest, copy=True)
            found = network(*(jnp.asarray(x.transpose(0, 2, 3, 1)) for x in given))
            if name == "segmentation":
                found = jax.nn.sigmoid(found)
            # As torch has it.
            found = found.swapaxes(1, 2).reshape(2, -1) if name == "warp" else found.transpose(0, 3, 1, 2)
            return (found * goal).sum(), found

        return jax.grad(loss, has_aux=True)(params)

    theirs.eval()
    expected = theirs(*map(torch.tensor, given))
    goal = np.float32(rng.normal(size=expected.shape))
    (expected * torch.tensor(goal)).sum().backward()
    gradients, found = run(params)
    assert np.abs(found).max() > 0.1
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-4)
    slopes = named.put(nnx.clone(network), {
        "/".join(str(k.key) for k in path): value
        for path, value in jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(gradients))[0]
    })  # fmt: skip
    written = torch_layers.state(pretrained.NAMES[name], slopes)
    compared = 0
    for key, parameter in theirs.named_parameters():
        if parameter.grad is not None:  # All but the factors of noise.
            wanted, compared = parameter.grad.numpy(), compared + 1
            scale = max(np.abs(wanted).max(), 1e-2)  # A bias before a normalisation moves nothing but for rounding.
            np.testing.assert_allclose(written[key] / scale, wanted / scale, atol=2e-3, err_msg=key)
    assert compared > 15
