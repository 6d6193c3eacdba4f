"""DALL-E's transformer: what its blocks see, transformers' GPT-2 where that is all, and drawing with kept keys."""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained.test_writers import drawn, needed
from vision_gen.nets import dalle
from vision_gen.pretrained import named

TOKENS = np.int32([[7, 3, 8, 0], [7, 2, 1, 8], [7, 8, 0, 0]])  # 8 is the end.


def a_transformer(**settings):
    settings = dict(vocabulary=9, text_length=4, codes=5, grid=(3, 4), width=16, depth=3, head=8, kernel=3) | settings
    return lambda: dalle.Transformer(**settings, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("grid, kernel", [((4, 4), 3), ((3, 5), 5), ((2, 3), 11)])
def test_blocks_see_what_the_paper_says(grid, kernel):
    text, (rows, columns) = 6, grid
    found = dict(zip(dalle.KINDS, dalle.masks(text, grid, kernel), strict=True))
    places = [(row, column) for row in range(rows) for column in range(columns)]
    for kind, seen in found.items():
        assert seen.shape == (text + len(places),) * 2
        for i in range(text):  # The text: what comes before.
            assert list(seen[i]) == [j <= i for j in range(text + len(places))]
        for i, (row, column) in enumerate(places):
            assert seen[text + i, :text].all()  # All of the text.
            expected = np.zeros(len(places), bool)
            if kind == "row":  # Itself and those before it, up to the one above it.
                expected[max(0, i - columns) : i + 1] = True
            elif kind == "column":
                for j, (other_row, other_column) in enumerate(places):
                    expected[j] = other_column == column and other_row <= row
            else:  # A convolution over the line of all codes, folded into rows.
                for down in range(-(kernel // 2), kernel // 2 + 1):
                    for along in range(-(kernel // 2), kernel // 2 + 1):
                        j = i + down * columns + along
                        if 0 <= j <= i:
                            expected[j] = True
            np.testing.assert_array_equal(seen[text + i, text:], expected, err_msg=f"{kind} {row} {column}")


def test_figure_11():
    """Of a grid of 4 x 4: five in a row, and four wide rows of three above one another for a 3 x 3 kernel."""
    row, column, near = dalle.masks(6, (4, 4), 3)[:, 6:, 6:]
    assert list(np.flatnonzero(row[9])) == [5, 6, 7, 8, 9]
    assert list(np.flatnonzero(column[13])) == [1, 5, 9, 13]
    assert list(np.flatnonzero(near[8])) == [3, 4, 5, 7, 8]


def test_the_order_of_blocks_is_the_published_one():
    kinds = [dalle.kind_of(number, 64) for number in range(64)]
    assert kinds[:8] == ["row", "column", "row", "row", "row", "column", "row", "row"]
    # Blocks 1 to 63 see columns where their number less two is a multiple of four.
    assert [number for number, kind in enumerate(kinds, 1) if kind == "column"] == list(range(2, 64, 4))
    assert kinds[-1] == "neighbourhood" and kinds.count("neighbourhood") == 1


def test_with_all_in_sight_blocks_are_gpt2s():
    torch, transformers = needed("torch"), needed("transformers")
    network = drawn(a_transformer(grid=(1, 6), kernel=13, depth=2, sandwich=False))
    assert dalle.masks(4, (1, 6), 13)[[0, 2]].tolist() == [np.tri(10, dtype=bool).tolist()] * 2
    settings = dict(vocab_size=1, n_positions=10, n_embd=16, n_layer=2, n_head=2, activation_function="gelu")
    off = dict(attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    theirs = transformers.GPT2Model(transformers.GPT2Config(**settings, **off))
    names = dict(norm1="ln_1", norm2="ln_2", expand="mlp.c_fc", contract="mlp.c_proj")
    names |= {"attention/qkv": "attn.c_attn", "attention/out": "attn.c_proj"}
    kind = lambda name: {"kernel": "weight", "scale": "weight", "bias": "bias"}[name.split("/")[-1]]
    flat = {name: np.asarray(x) for name, x in named.flat(network).items()}

    def under_their_names(flat):
        blocks = {
            f"h.{i}.{names[name.removeprefix('blocks/').rsplit('/', 1)[0]]}.{kind(name)}": x[i]
            for name, x in flat.items()
            for i in range(2)
            if name.startswith("blocks/")
        }
        return blocks | {f"ln_f.{kind(name)}": flat[name] for name in ("norm/scale", "norm/bias")}

    state = {name: torch.tensor(x) for name, x in under_their_names(flat).items()}
    state |= {"wte.weight": torch.zeros(1, 16), "wpe.weight": torch.zeros(10, 16)}
    theirs.load_state_dict(state)
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 3, 10, 16)).astype(np.float32)
    graphdef, params = nnx.split(network)

    @jax.jit
    def ours(params, x):
        def loss(params, x):
            network = nnx.merge(graphdef, params)
            out = network.norm(network.run(x)[0])
            return (out * weights).sum(), out

        return jax.grad(loss, (0, 1), has_aux=True)(params, x)

    (grads, moved), out = ours(params, x)
    given = torch.tensor(x, requires_grad=True)
    expected = theirs(inputs_embeds=given).last_hidden_state
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-4)
    assert np.std(out) > 0.1
    np.testing.assert_allclose(moved, given.grad.numpy(), atol=1e-3 * np.abs(given.grad.numpy()).max())
    gradients = under_their_names({n: np.asarray(g) for n, g in named.flat(nnx.merge(graphdef, grads)).items()})
    for name, parameter in theirs.named_parameters():
        if name.startswith(("h.", "ln_f")):
            other = parameter.grad.numpy()
            np.testing.assert_allclose(gradients[name], other, atol=1e-3 * np.abs(other).max(), err_msg=name)


@pytest.fixture(scope="module")
def network():
    return drawn(a_transformer())


def test_drawing_with_kept_keys_is_as_without(network):
    codes = np.random.default_rng(1).integers(0, 5, (3, 12)).astype(np.int32)

    @jax.jit
    def look(tokens, codes):
        def one(state, place):
            return network.draw(state, place, 1, lambda logits, at: codes[:, at]), state["logits"]

        state, logits = lax.scan(one, network.begin(tokens), jnp.arange(12))
        greedy = network.draw(network.begin(tokens), 0, 12, lambda logits, at: logits.argmax(-1).astype(jnp.int32))
        return logits.swapaxes(0, 1), state["codes"], network(tokens, codes)[1], greedy["codes"], (
            network(tokens, greedy["codes"])[1].argmax(-1)
        )

    found, kept, expected, greedy, again = look(TOKENS, codes)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(kept, codes)
    np.testing.assert_array_equal(greedy, again)
    assert len(np.unique(greedy)) > 1


def test_nothing_sees_what_comes_later_nor_what_follows_a_texts_end(network):
    codes = np.zeros((3, 12), np.int32)
    look = jax.jit(network.__call__)
    text, image = look(TOKENS, codes)
    later = codes.copy()
    later[:, 7:] = 3
    other_text, other_image = look(TOKENS, later)
    np.testing.assert_array_equal(text, other_text)
    np.testing.assert_array_equal(image[:, :8], other_image[:, :8])
    assert np.abs(np.asarray(image[:, 8:]) - other_image[:, 8:]).max() > 1e-3
    behind = np.where(TOKENS == 0, 5, TOKENS)  # Whatever stands behind an end.
    np.testing.assert_array_equal(image, look(behind, codes)[1])
    # Padding is another token at every place: of 9 words, 9 to 12.
    assert network.padded(TOKENS).tolist() == [[7, 3, 8, 12], [7, 2, 1, 8], [7, 8, 11, 12]]


def test_second_norms_keep_what_is_added_small():
    x = np.float32(100) * np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32)
    added = np.asarray(jax.jit(lambda x: a_transformer(depth=2)().run(x)[0])(x)) - x
    # Each of four branches adds half a normal number.
    assert 0.3 < added.std() < 1.5
