"""Vision Transformer (Dosovitskiy et al., ICLR 2021).

Pre-norm blocks of one shape, their parameters stacked along a leading axis and scanned over, so
that compile time does not grow with depth.
"""

import dataclasses

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import attention as attention_ops
from vision_gen.ops import random, resample

EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class Size:
    """Width of the tokens, of the MLP, attention heads and blocks."""

    width: int
    mlp: int
    heads: int
    depth: int


# Table 1 of the paper; Ti and S as in its code (and DeiT).
SIZES = {
    "Ti": Size(192, 768, 3, 12),
    "S": Size(384, 1536, 6, 12),
    "B": Size(768, 3072, 12, 12),
    "L": Size(1024, 4096, 16, 24),
    "H": Size(1280, 5120, 16, 32),
}
REMAT = {
    "none": None,
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}
POOLS = ("token", "gap", "map")
INITS = dict.fromkeys(("qkv", "out", "expand", "contract"), nnx.initializers.xavier_uniform())


class Attention(nnx.Module):
    """Multi-head self-attention; `qkv` holds the three projections side by side. `causal`: of no later tokens."""

    def __init__(self, width, heads, *, causal=False, inits=INITS, rngs):
        init = inits["qkv"]
        # Each projection drawn for itself: as one matrix they would come out smaller.
        joint = lambda key, shape: jnp.concatenate(
            [init(k, (shape[0], width)) for k in jax.random.split(key, shape[1] // width)], 1
        )
        self.qkv = layers.Linear(width, 3 * width, init=joint, rngs=rngs)
        self.out = layers.Linear(width, width, init=inits["out"], rngs=rngs)
        self.heads, self.causal = heads, causal

    def __call__(self, x, *, maps=False):
        """-> (result [batch, tokens, width], attention [batch, heads, tokens, tokens] or None)."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        attention = None
        if maps:
            scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
            if self.causal:
                scores = jnp.where(jnp.tri(tokens, dtype=bool), scores, -jnp.inf)
            attention = jax.nn.softmax(scores / query.shape[-1] ** 0.5, -1)
        out = attention_ops.multi_head(query, key, value, causal=self.causal)
        return self.out(out.reshape(batch, tokens, width)), attention


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) (equations 2 and 3).

    Args:
      size: a `Size`.
      activation: one of `layers.GELUS`.
      causal: tokens look at no later ones.
      epsilon: of the normalisations.
      inits: initializers of the linear maps, as `INITS`.
    """

    def __init__(self, size, *, activation="gelu", causal=False, epsilon=EPSILON, inits=INITS, rngs):
        self.norm1 = layers.LayerNorm(size.width, epsilon=epsilon, rngs=rngs)
        self.attention = Attention(size.width, size.heads, causal=causal, inits=inits, rngs=rngs)
        self.norm2 = layers.LayerNorm(size.width, epsilon=epsilon, rngs=rngs)
        self.expand = layers.Linear(size.width, size.mlp, init=inits["expand"], rngs=rngs)
        self.contract = layers.Linear(size.mlp, size.width, init=inits["contract"], rngs=rngs)
        self.activation = activation

    def __call__(self, x, keys=None, dropout=0.0, drop_path=0.0, maps=False):
        def drop(x, i):
            if keys is None or not dropout:
                return x
            return layers.dropout(x, random.fold(keys, i), dropout)

        def path(x, i):
            """Stochastic depth (Huang et al. 2016): the branch of some examples is left out."""
            if keys is None:
                return x
            keep = random.bernoulli(random.fold(keys, i), 1 - drop_path)[:, None, None]
            return jnp.where(keep, x / (1 - drop_path).astype(x.dtype), 0)

        out, attention = self.attention(self.norm1(x), maps=maps)
        x = x + path(drop(out, 0), 1)
        hidden = drop(layers.GELUS[self.activation](self.expand(self.norm2(x))), 2)
        return x + path(drop(self.contract(hidden), 3), 4), attention


def stacked(size, *, block=Block, rngs, **settings):
    """As many blocks as `size` says in one, parameters along a leading axis, for `run`; `settings`: of a `block`."""
    graphdef = nnx.split(nnx.eval_shape(lambda: block(size, **settings, rngs=nnx.Rngs(0))))[0]
    keys = jax.random.split(rngs.params(), size.depth)
    return nnx.merge(graphdef, jax.vmap(lambda key: nnx.state(block(size, **settings, rngs=nnx.Rngs(key))))(keys))


def run(blocks, x, keys=None, *, rates=(0.0, 0.0), remat="none", unroll=1, intermediates=False):
    """Tokens [batch, tokens, width] through all of the blocks that `stacked` made.

    Args:
      blocks, x: see above.
      keys: [batch], for dropout and stochastic depth; without, there is none.
      rates, remat, unroll: of a `ViT`; `rates` are (dropout, drop_path).
      intermediates: also keep what happens inside.

    Returns:
      (tokens, attention [depth, batch, heads, tokens, tokens], blocks' outputs [depth, batch, tokens, width]); the last
      two None without `intermediates`.
    """
    graphdef, state = nnx.split(blocks)
    depth = jax.tree.leaves(state)[0].shape[0]
    dropout, drop_path = rates

    def block(x, inputs):
        state, index = inputs
        layer_keys = None if keys is None else random.fold(keys, index)
        rate = drop_path * index / max(depth - 1, 1)
        x, attention = nnx.merge(graphdef, state)(x, layer_keys, dropout, rate, intermediates)
        return x, (attention, x if intermediates else None)

    if remat != "none":
        block = jax.checkpoint(block, policy=REMAT[remat])
    x, (attention, outputs) = lax.scan(block, x, (state, jnp.arange(depth)), unroll=unroll)
    return x, attention, outputs


def patches_of(images, patch):
    """Squares of images [batch, height, width, channel] as rows: [batch, patches, patch * patch * channel].

    Raises:
      ValueError: the sides are no multiples of `patch`.
    """
    batch, height, width, channel = images.shape
    if height % patch or width % patch:
        raise ValueError(f"images of {height} x {width} are not whole patches of {patch}")
    rows, columns = height // patch, width // patch
    # A convolution with the patch as its stride is a product.
    parts = images.reshape(batch, rows, patch, columns, patch, channel)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns, -1)


def size_of(size):
    """A `Size` from itself, its name, four numbers, or these as text, "192,768,3,12".

    Raises:
      ValueError: it is none of these.
    """
    if isinstance(size, Size):
        return size
    if isinstance(size, str) and size in SIZES:
        return SIZES[size]
    try:
        numbers = size.strip("() ").split(",") if isinstance(size, str) else size
        found = Size(*map(int, numbers))
        if min(dataclasses.astuple(found)) < 1:
            raise ValueError
        return found
    except (TypeError, ValueError):
        raise ValueError(
            f"size must be one of {tuple(SIZES)} or four numbers of at least 1, got {size!r}"
        ) from None


class ViT(nnx.Module):
    """Images to logits.

    Args:
      size: "Ti", "S", "B", "L", "H", or the four numbers of a `Size`.
      patch: pixels along a patch's side.
      image: pixels along the side of the images that the positions are for.
      classes: logits; 0 leaves the head out and returns the pooled features.
      channel: of the images.
      positions: "learned" or "sincos" (fixed, two-dimensional).
      pool: "token" (a class token), "gap" (mean over patches) or "map" (attention with a learned
        query, as big_vision's).
      dropout: of the sums with positions, of attention's and the MLP's outputs.
      drop_path: stochastic depth of the last block; linearly less before.
      remat: "none", "full" (keep only the blocks' inputs) or "dots" (keep matrix products).
      unroll: blocks that are written out in one turn of the loop over blocks. All of them is faster on CPU and moves
        less memory on GPU, where the loop copies what it keeps for the backward pass, and takes longer to compile.
    """

    def __init__(
        self,
        *,
        size="B",
        patch=16,
        image=224,
        classes=1000,
        channel=3,
        positions="learned",
        pool="token",
        dropout=0.0,
        drop_path=0.0,
        remat="none",
        unroll=1,
        rngs,
    ):
        for name, value, allowed in (
            ("positions", positions, ("learned", "sincos")),
            ("pool", pool, POOLS),
            ("remat", remat, tuple(REMAT)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
        size = size_of(size)
        if size.width % size.heads:
            raise ValueError(f"size: {size.heads} heads do not divide the width {size.width}")
        if image % patch:
            raise ValueError(f"patch {patch} does not divide the images' side {image}")
        self.size, self.patch, self.pool = size, patch, pool
        self.rates, self.remat, self.unroll = (dropout, drop_path), remat, unroll
        self.grid = image // patch
        width = size.width
        fan_in = patch * patch * channel
        self.embed = layers.Linear(
            fan_in, width, init=nnx.initializers.lecun_normal(), rngs=rngs
        )
        self.token = nnx.Param(jnp.zeros((1, width))) if pool == "token" else None
        count = self.grid**2 + (pool == "token")
        if positions == "learned":
            self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (count, width)))
        else:
            self.positions = None
        self.blocks = stacked(size, rngs=rngs)
        self.norm = layers.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
        self.pooling = AttentionPool(size, rngs=rngs) if pool == "map" else None
        zeros = nnx.initializers.zeros
        self.head = layers.Linear(width, classes, init=zeros, rngs=rngs) if classes else None

    def position_table(self, rows, columns):
        """[tokens, width] for a grid of patches, interpolated from the table's own grid."""
        if self.positions is None:
            table = sincos(rows, columns, self.size.width)
            if self.pool == "token":
                table = jnp.concatenate([jnp.zeros_like(table[:1]), table])
            return table
        return interpolate_positions(self.positions[...], self.grid, (rows, columns))

    def __call__(self, images, keys=None, *, intermediates=False):
        """Logits of images.

        Args:
          images: [batch, height, width, channel] in [-1, 1]; a side other than `image` has the
            positions interpolated.
          keys: [batch], for dropout and stochastic depth; without, there is none.
          intermediates: also return what happens inside.

        Returns:
          [batch, classes], and with `intermediates` a dict: `stem` [batch, patches, width], the
          patches' embeddings; `attention` [depth, batch, heads, tokens, tokens] and `block`
          [depth, batch, tokens, width], the blocks' outputs; `pooled` [batch, width]; `logits`.
        """
        out = {}
        out["stem"] = self.embed(patches_of(images, self.patch))
        x = self._tokens(out["stem"], images)
        if keys is not None and self.rates[0]:
            x = layers.dropout(x, random.fold(keys, self.size.depth), self.rates[0])
        x, out["attention"], out["block"] = run(
            self.blocks, x, keys, rates=self.rates, remat=self.remat, unroll=self.unroll, intermediates=intermediates
        )
        out["pooled"], out["logits"] = self._decision(x)
        return (out["logits"], out) if intermediates else out["logits"]

    def places(self, images):
        """What the decision on images is made of, by place: the tokens that the last block is given.

        Returns:
          ([batch, tokens, width], (rows, columns)): those of the patches are the last.
        """
        tokens = self._tokens(self.embed(patches_of(images, self.patch)), images)
        grid = tuple(side // self.patch for side in images.shape[1:3])
        return run(self._blocks(slice(-1)), tokens, unroll=self.unroll)[0], grid

    def decide(self, places):
        """The logits [batch, classes] that follow from `places`."""
        return self._decision(run(self._blocks(slice(-1, None)), places)[0])[1]

    def _blocks(self, chosen):
        graphdef, state = nnx.split(self.blocks)
        return nnx.merge(graphdef, jax.tree.map(lambda x: x[chosen], state))

    def _tokens(self, stem, images):
        """Patches' embeddings, with a class token and their positions."""
        if self.token is not None:
            token = jnp.broadcast_to(self.token[...], (len(stem), 1, stem.shape[-1]))
            stem = jnp.concatenate([token, stem], 1)
        rows, columns = (side // self.patch for side in images.shape[1:3])
        return add_table(stem, self.position_table(rows, columns).astype(stem.dtype))

    def _decision(self, x):
        """(pooled [batch, width], logits) of the last block's tokens."""
        if self.pool == "token":
            x = self.norm(x[:, 0])
        elif self.pool == "gap":
            x = self.norm(x).mean(1)
        else:
            x = self.pooling(self.norm(x))
        return x, x if self.head is None else self.head(x)


class AttentionPool(nnx.Module):
    """One learned query attends to all tokens, then an MLP (Zhai et al. 2022, as big_vision's)."""

    def __init__(self, size, *, rngs):
        init = dict(init=nnx.initializers.xavier_uniform(), rngs=rngs)
        self.probe = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, size.width)))
        self.query = layers.Linear(size.width, size.width, **init)
        self.key = layers.Linear(size.width, size.width, **init)
        self.value = layers.Linear(size.width, size.width, **init)
        self.out = layers.Linear(size.width, size.width, **init)
        self.norm = layers.LayerNorm(size.width, epsilon=EPSILON, rngs=rngs)
        self.expand = layers.Linear(size.width, size.mlp, **init)
        self.contract = layers.Linear(size.mlp, size.width, **init)
        self.heads = size.heads

    def __call__(self, x):
        split = lambda y: y.reshape(*y.shape[:2], self.heads, -1)
        probe = jnp.broadcast_to(self.probe[...], (x.shape[0], *self.probe.shape))
        out = attention_ops.multi_head(
            split(self.query(probe)), split(self.key(x)), split(self.value(x))
        )
        x = self.out(out.reshape(x.shape[0], -1))
        hidden = layers.gelu(self.expand(self.norm(x)))
        return x + self.contract(hidden)


@jax.custom_vjp
def add_table(x, table):
    """x + table: [batch, tokens, width] and [tokens, width].

    The table's gradient is a product: for a sum over the batch XLA:GPU lays all activations out with the batch last, and
    turns them round at every product.
    """
    return x + table


add_table.defvjp(
    lambda x, table: (x + table, None),
    lambda _, dy: (dy, jnp.einsum("b,bnd->nd", jnp.ones(len(dy), dy.dtype), dy)),
)


def sincos(rows, columns, width, temperature=10_000.0):
    """Fixed positions of a grid [rows * columns, width] (Chen et al. 2021, MoCo v3)."""
    if width % 4:
        raise ValueError(f"sincos positions need a width that 4 divides, got {width}")
    omega = 1 / temperature ** (jnp.arange(width // 4) / (width // 4 - 1))
    y, x = jnp.meshgrid(jnp.arange(rows), jnp.arange(columns), indexing="ij")
    y, x = (v.reshape(-1, 1) * omega for v in (y, x))
    return jnp.concatenate([jnp.sin(x), jnp.cos(x), jnp.sin(y), jnp.cos(y)], 1)


def interpolate_positions(table, grid, size):
    """Learned positions for another number of patches, bicubic.

    Args:
      table: [tokens, width], those of `grid` x `grid` patches, any others (a class token) before.
      grid: patches along a side.
      size: (rows, columns) wanted.

    Returns:
      [others + rows * columns, width].
    """
    if tuple(size) == (grid, grid):
        return table
    others = table.shape[0] - grid * grid
    patches = table[others:].reshape(1, grid, grid, -1)
    patches = resample.resize_cubic(patches, size).reshape(size[0] * size[1], -1)
    return jnp.concatenate([table[:others], patches])


def rollout(attention):
    """Attention rollout (Abnar & Zuidema 2020): how much the output looks at every token.

    Args:
      attention: [depth, batch, heads, tokens, tokens].

    Returns:
      [batch, tokens, tokens]; row i is what token i is made of. Rows sum to 1.
    """
    mean = attention.mean(2) + jnp.eye(attention.shape[-1])
    mean = mean / mean.sum(-1, keepdims=True)
    return lax.scan(lambda total, a: (a @ total, None), mean[0], mean[1:])[0]
