"""DALL-E's transformer (Ramesh et al., ICML 2021): a text and the codes of a picture, as one sequence.

Every token looks at those before it. All of the text is seen from the picture; of the picture a block sees a part, by
its kind (appendix B.1): the row, the column, and in the last block a neighbourhood. Places behind a text's end have
padding tokens of their own. Blocks are scanned over, as a ViT's; drawing keeps keys and values.
"""

import functools

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers, vit
from vision_gen.ops import attention as attention_ops

EPSILON = 1e-5
KINDS = ("row", "column", "neighbourhood")


def kind_of(number, depth):
    """Which of `KINDS` block `number` of `depth` is, from 0: row, column, row, row, and again; the last a neighbourhood."""
    return "neighbourhood" if number == depth - 1 else "column" if number % 4 == 1 else "row"


def image_mask(kind, grid, kernel):
    """Which codes a code looks at, [codes, codes] bool, row by row of the picture (figure 11 of the paper).

    Args:
      kind: "row": itself and as many before it as a row has, the last right above it; "column": itself and all above
        it; "neighbourhood": those that a convolution of side `kernel` sees and that are not later, wrapped around the
        edges of rows.
      grid: (rows, columns).
    """
    place = np.arange(grid[0] * grid[1])
    back = place[:, None] - place
    if kind == "row":
        return (back >= 0) & (back <= grid[1])
    if kind == "column":
        return (back >= 0) & (back % grid[1] == 0)
    reach = np.arange(-(kernel // 2), kernel // 2 + 1)
    return (back >= 0) & np.isin(back, reach[:, None] * grid[1] + reach)


def masks(text, grid, kernel):
    """Of each of `KINDS` which tokens a token looks at, [kinds, tokens, tokens] bool; `text` tokens come first."""
    whole = np.tri(text + grid[0] * grid[1], dtype=bool)
    found = np.stack([whole] * len(KINDS))
    found[:, text:, text:] = [image_mask(kind, grid, kernel) for kind in KINDS]
    return found


class Block(nnx.Module):
    """x + norm(attention(norm(x))), then x + norm(mlp(norm(x))).

    The second norm of each (Ding et al., NeurIPS 2021) keeps what is added small, so that bfloat16 suffices.

    Args:
      size: a `vit.Size`.
      sandwich: with the second norms; without, a block is GPT-2's.
      inits: as of a `vit.Block`.
    """

    def __init__(self, size, *, sandwich, inits, rngs):
        norm = lambda: layers.LayerNorm(size.width, epsilon=EPSILON, rngs=rngs)
        self.norm1, self.norm2 = norm(), norm()
        self.after1, self.after2 = (norm(), norm()) if sandwich else (None, None)
        if sandwich:  # All blocks together add about 1.
            for after in (self.after1, self.after2):
                after.scale[...] = jnp.full(size.width, (2 * size.depth) ** -0.5)
        self.attention = vit.Attention(size.width, size.heads, inits=inits, rngs=rngs)
        self.expand = layers.Linear(size.width, size.mlp, init=inits["expand"], rngs=rngs)
        self.contract = layers.Linear(size.mlp, size.width, init=inits["contract"], rngs=rngs)

    def __call__(self, x, attend):
        """(tokens, what is kept) of tokens [batch, tokens, width].

        Args:
          x: see above.
          attend: function of queries, keys and values [batch, tokens, heads, d] that gives (what they see, of that shape;
            what is kept).
        """
        batch, tokens, width = x.shape
        qkv = self.attention.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.attention.heads, -1)
        seen, kept = attend(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        after = lambda norm, y: y if norm is None else norm(y)
        x = x + after(self.after1, self.attention.out(seen.reshape(batch, tokens, width)))
        return x + after(self.after2, self.contract(layers.gelu(self.expand(self.norm2(x))))), kept


class Transformer(nnx.Module):
    """Texts and codes to logits of their next tokens.

    Args:
      vocabulary: of texts; the end of one has the highest number in it.
      text_length: tokens of a text, at least 2.
      codes: of pictures.
      grid: (rows, columns) of codes.
      width, depth: of the tokens; blocks.
      head: width of an attention head.
      kernel: side of the last block's neighbourhood, odd.
      sandwich: of a `Block`.
      remat, unroll: of a `vit.ViT`; drawing has all blocks written out.
    """

    def __init__(
        self,
        *,
        vocabulary,
        text_length,
        codes,
        grid,
        width,
        depth,
        head=64,
        kernel=11,
        sandwich=True,
        remat="none",
        unroll=1,
        rngs,
    ):
        if width % head:
            raise ValueError(f"width is {width}; it must be a multiple of head, {head}")
        if not kernel % 2:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.vocabulary, self.text_length, self.grid = vocabulary, text_length, tuple(grid)
        self.depth, self.kernel, self.remat, self.unroll = depth, kernel, remat, unroll
        # A token and its place are about as large as what all blocks add.
        normal = lambda *shape: nnx.Param(0.5 * jax.random.normal(rngs.params(), shape))
        # Behind the words, a padding token for each place.
        self.text = normal(vocabulary + text_length, width)
        self.text_positions = normal(text_length, width)
        self.code = normal(codes, width)
        self.rows, self.columns = normal(grid[0], width), normal(grid[1], width)
        fan_in = lambda scale: nnx.initializers.variance_scaling(scale, "fan_in", "normal")
        inits = dict(qkv=fan_in(1.0), out=fan_in(0.5 / depth), expand=fan_in(0.5), contract=fan_in(2.0 / depth))
        size = vit.Size(width, 4 * width, width // head, depth)
        self.blocks = vit.stacked(size, block=Block, sandwich=sandwich, inits=inits, rngs=rngs)
        self.norm = layers.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
        self.text_head = layers.Linear(width, vocabulary + text_length, init=fan_in(1.0), rngs=rngs)
        self.code_head = layers.Linear(width, codes, init=fan_in(1.0), rngs=rngs)

    @property
    def places(self):
        """Codes of a picture."""
        return self.grid[0] * self.grid[1]

    @property
    def _kinds(self):
        """Of each block the number in `KINDS`."""
        return np.array([KINDS.index(kind_of(number, self.depth)) for number in range(self.depth)])

    def _masks(self):
        return masks(self.text_length, self.grid, self.kernel)

    def padded(self, tokens):
        """Tokens [batch, text_length] with the padding of its place behind each text's end, the first highest number."""
        place = jnp.arange(self.text_length)
        return jnp.where(place > jnp.argmax(tokens, -1, keepdims=True), self.vocabulary + place, tokens)

    def _texts(self, tokens):
        return vit.add_table(layers.spread(jnp.asarray(self.text[...])[self.padded(tokens)]), self.text_positions[...])

    def _codes(self, codes, places):
        """Embeddings [batch, codes, width] of codes at places [codes]."""
        rows, columns, code = (jnp.asarray(x[...]) for x in (self.rows, self.columns, self.code))
        table = rows[places // self.grid[1]] + columns[places % self.grid[1]]
        return vit.add_table(layers.spread(code[codes]), table)

    def run(self, x, keep=False):
        """Tokens [batch, tokens, width], a whole sequence's first ones, through all blocks.

        Returns:
          (tokens, keys and values [depth, batch, tokens, heads, d] each, or None if they are not to be kept).
        """
        graphdef, state = nnx.split(self.blocks)
        seen = jnp.asarray(self._masks()[:, : x.shape[1], : x.shape[1]])

        def block(x, inputs):
            state, kind = inputs

            def attend(query, key, value):
                out = attention_ops.multi_head(query, key, value, mask=seen[kind])
                return out, (key, value) if keep else None

            return nnx.merge(graphdef, state)(x, attend)

        if self.remat != "none":
            block = jax.checkpoint(block, policy=vit.REMAT[self.remat])
        return lax.scan(block, x, (state, jnp.asarray(self._kinds)), unroll=self.unroll)

    def __call__(self, tokens, codes):
        """Logits of the texts' tokens from the second on, and of all codes.

        Args:
          tokens: [batch, text_length] int32.
          codes: [batch, rows * columns] int32.

        Returns:
          [batch, text_length - 1, vocabulary + text_length], of `padded` tokens, and [batch, rows * columns, codes].
        """
        x = [self._texts(tokens), self._codes(codes[:, :-1], np.arange(self.places - 1))]
        x = self.norm(self.run(jnp.concatenate(x, 1))[0])
        last = self.text_length - 1
        return self.text_head(x[:, :last]), self.code_head(x[:, last:])

    # Drawing.

    def begin(self, tokens):
        """What `draw` goes on from, of texts [batch, text_length]: all with a leading axis of the batch.

        A dict: `codes` [batch, rows * columns] int32, none of which is drawn yet, `logits` [batch, codes] of the first,
        `keys` and `values`, of each block [batch, heads, tokens, d].
        """
        x, kept = self.run(self._texts(tokens), keep=True)
        room = lambda x: jnp.pad(x.swapaxes(1, 2), ((0, 0), (0, 0), (0, self.places), (0, 0)))
        keys, values = (tuple(room(x[number]) for number in range(self.depth)) for x in kept)
        codes = jnp.zeros((len(tokens), self.places), jnp.int32)
        return {"codes": codes, "logits": self.code_head(self.norm(x[:, -1])), "keys": keys, "values": values}

    def draw(self, state, first, count, choose):
        """The state after `count` more codes, from place `first` on.

        Args:
          state: from `begin`, or from here.
          first: may be traced.
          count: a number.
          choose: function of logits [batch, codes] and the place that gives codes [batch].
        """
        graphdef, stacked = nnx.split(self.blocks)
        # Apart before the loop, as slices in it would be copies of all weights for every token.
        blocks = [nnx.merge(graphdef, jax.tree.map(lambda x: x[number], stacked)) for number in range(self.depth)]
        seen = jnp.asarray(self._masks())

        def one(number, state):
            place = first + number
            code = choose(state["logits"], place)
            x, keys, values = self._codes(code[:, None], place[None]), [], []
            for block, kind, *kept in zip(blocks, self._kinds, state["keys"], state["values"]):
                at = self.text_length + place
                x, kept = block(x, functools.partial(_attend_one, kept, at, seen[kind, at]))
                keys.append(kept[0])
                values.append(kept[1])
            codes = lax.dynamic_update_slice_in_dim(state["codes"], code[:, None], place, 1)
            logits = self.code_head(self.norm(x[:, 0]))
            return {"codes": codes, "logits": logits, "keys": tuple(keys), "values": tuple(values)}

        return lax.fori_loop(0, count, one, state)


def _attend_one(kept, at, seen, query, key, value):
    """What one token sees: `kept` are keys and values [batch, heads, tokens, d], its own, at place `at`, not yet among them.

    Args:
      seen: [tokens] bool.
      query, key, value: [batch, 1, heads, d].
    """
    put = lambda x, new: lax.dynamic_update_slice_in_dim(x, new.swapaxes(1, 2), at, 2)
    keys, values = put(kept[0], key), put(kept[1], value)
    scores = jnp.einsum("bqhd,bhkd->bhqk", query, keys, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(jnp.where(seen, scores * query.shape[-1] ** -0.5, -jnp.inf), -1)
    return jnp.einsum("bhqk,bhkd->bqhd", weights.astype(values.dtype), values), (keys, values)
