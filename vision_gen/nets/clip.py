"""CLIP's two towers (Radford et al., ICML 2021): images and texts to one space of features.

The image tower is a ViT with a normalisation before its blocks, or a ResNet with three convolutions as its stem, mean
pooling before every strided step and attention in the place of the last pooling; the text tower is a causal
transformer, which is read at the end of the text. `CLIP.encode_image` takes pictures in [-1, 1] and normalises them as
published; the towers themselves take what is normalised already.
"""

import dataclasses
import math

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers, vit
from vision_gen.ops import attention as attention_ops
from vision_gen.ops import resample

EPSILON = 1e-5  # Of layer and batch normalisation.
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # Of RGB in [0, 1].
LARGEST_SCALE = 100.0  # Of cosines, as logits.


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of both towers; a ViT's if `image_layers` is a number, of a ResNet the blocks of its four stages.

    Attributes:
      embedding: numbers in a feature of either tower.
      image: pixels of a side.
      image_width: of a ViT's tokens, or of the first stage of a ResNet.
      image_layers: see above.
      patch: pixels of a ViT's patches.
      length: tokens of a text, start and end included.
      vocabulary: different tokens; the end of a text has the highest number.
      text_width, text_layers: of the text tower.
      head: width of an attention head, everywhere.
    """

    embedding: int = 512
    image: int = 224
    image_width: int = 768
    image_layers: int | tuple[int, ...] = 12
    patch: int = 32
    length: int = 77
    vocabulary: int = 49408
    text_width: int = 512
    text_layers: int = 12
    head: int = 64


PRESETS = {
    "RN50": Sizes(embedding=1024, image_width=64, image_layers=(3, 4, 6, 3), patch=0),
    "ViT-B/32": Sizes(),
    "ViT-B/16": Sizes(patch=16),
    "ViT-L/14": Sizes(embedding=768, image_width=1024, image_layers=24, patch=14, text_width=768),
    "ViT-L/14@336": Sizes(embedding=768, image=336, image_width=1024, image_layers=24, patch=14, text_width=768),
}


class CLIP(nnx.Module):
    """Both towers and the scale of their cosines.

    Args:
      sizes: a `Sizes`.
      activation: of the transformers, "quick_gelu" or "gelu".
      remat, unroll: of the transformers' blocks; see `vit.ViT`.
    """

    def __init__(self, sizes, *, activation="quick_gelu", remat="none", unroll=1, rngs):
        of_resnet = isinstance(sizes.image_layers, tuple)
        for name in ("text_width", *(() if of_resnet else ("image_width",))):
            if getattr(sizes, name) % sizes.head:
                raise ValueError(f"{name} is {getattr(sizes, name)}; it must be a multiple of head, {sizes.head}")
        self.sizes = nnx.static(sizes)
        blocks = dict(activation=activation, remat=remat, unroll=unroll)
        if of_resnet:
            self.image = ResNet(sizes, rngs=rngs)
        else:
            self.image = VisionTransformer(sizes, **blocks, rngs=rngs)
        self.text = TextTransformer(sizes, **blocks, rngs=rngs)
        self.temperature = Temperature()

    def encode_image(self, images, *, train=False):
        """Features [batch, embedding], not of length 1, of images [batch, height, width, 3] in [-1, 1].

        `train`: batch normalisation by the batch, of a ResNet.
        """
        return self.image(normalised(images), train=train)

    def encode_text(self, tokens):
        """Features [batch, embedding], not of length 1, of tokens [batch, length] int32."""
        return self.text(tokens)

    def encode_class(self, texts):
        """The feature [embedding], of length 1, of what texts [texts, length] have in common: their mean on the sphere."""
        return unit(unit(self.encode_text(texts)).mean(0))


def normalised(images):
    """Images in [-1, 1] as the published networks take them."""
    mean, deviation = (jnp.asarray(x, images.dtype) for x in (MEAN, DEVIATION))
    return ((images + 1) / 2 - mean) / deviation


def unit(features):
    """Features of length 1, float32."""
    features = features.astype(jnp.float32)
    return features / jnp.maximum(jnp.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


class Temperature(nnx.Module):
    """exp(scale), which cosines are multiplied by, from 1 / 0.07 on and at most 100.

    At its bound no gradient leads further out, so that it can come back: the published code clips the parameter
    instead.
    """

    def __init__(self):
        self.scale = nnx.Param(jnp.asarray(math.log(1 / 0.07)))

    def __call__(self):
        return jnp.exp(_bounded(self.scale[...].astype(jnp.float32)))


@jax.custom_vjp
def _bounded(x):
    """x between 0 and the logarithm of the largest scale."""
    return jnp.clip(x, 0.0, math.log(LARGEST_SCALE))


def _bounded_backward(x, dy):
    # A step goes against the gradient.
    outward = ((x >= math.log(LARGEST_SCALE)) & (dy < 0)) | ((x <= 0) & (dy > 0))
    return (jnp.where(outward, 0.0, dy),)


_bounded.defvjp(lambda x: (_bounded(x), x), _bounded_backward)


def _blocks(width, depth, head, rngs, **settings):
    """(blocks, initializer of what projects from them), drawn as published."""
    fan_in = lambda scale: nnx.initializers.variance_scaling(scale, "fan_in", "normal")
    # What adds to the tokens is smaller by the root of how often that happens.
    inits = dict(qkv=fan_in(1.0), out=fan_in(0.5 / depth), expand=fan_in(0.5), contract=fan_in(2.0 / depth))
    size = vit.Size(width, 4 * width, width // head, depth)
    return vit.stacked(size, epsilon=EPSILON, inits=inits, rngs=rngs, **settings), fan_in(1.0)


class VisionTransformer(nnx.Module):
    """A ViT whose tokens are normalised before its blocks; the class token is normalised and projected."""

    def __init__(self, sizes, *, activation, remat, unroll, rngs):
        if sizes.image % sizes.patch:
            raise ValueError(f"patch {sizes.patch} does not divide the images' side {sizes.image}")
        width = sizes.image_width
        self.patch, self.grid, self.remat, self.unroll = sizes.patch, sizes.image // sizes.patch, remat, unroll
        normal = lambda *shape: nnx.Param(width**-0.5 * jax.random.normal(rngs.params(), shape))
        self.embed = layers.Linear(3 * self.patch**2, width, bias=False, rngs=rngs)
        self.token = normal(1, width)
        self.positions = normal(self.grid**2 + 1, width)
        self.norm_before = layers.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
        self.blocks, init = _blocks(width, sizes.image_layers, sizes.head, rngs, activation=activation)
        self.norm = layers.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
        self.projection = layers.Linear(width, sizes.embedding, bias=False, init=init, rngs=rngs)

    def __call__(self, images, *, train=False, intermediates=False):
        """Features of images.

        Args:
          images: [batch, height, width, 3], normalised; of another side than `image` the positions are interpolated.
          train: makes no difference here.
          intermediates: also return what happens inside.

        Returns:
          [batch, embedding], and with `intermediates` a dict: `stem` [batch, patches, width]; `attention` [depth,
          batch, heads, tokens, tokens] and `block` [depth, batch, tokens, width] of the blocks; `token` [batch, width],
          the class token that comes out of them; `pooled` [batch, width], the same normalised, before it is projected.
        """
        out = {}
        x = out["stem"] = self.embed(vit.patches_of(images, self.patch))
        x = jnp.concatenate([jnp.broadcast_to(self.token[...], (len(x), 1, x.shape[-1])), x], 1)
        grid = tuple(side // self.patch for side in images.shape[1:3])
        table = vit.interpolate_positions(self.positions[...], self.grid, grid).astype(x.dtype)
        x = self.norm_before(vit.add_table(x, table))
        x, out["attention"], out["block"] = vit.run(
            self.blocks, x, remat=self.remat, unroll=self.unroll, intermediates=intermediates
        )
        out["token"] = x[:, 0]
        x = out["pooled"] = self.norm(out["token"])
        x = self.projection(x)
        return (x, out) if intermediates else x


class TextTransformer(nnx.Module):
    """Tokens to the feature of the text's end, the first place of the highest number, which sees all before it."""

    def __init__(self, sizes, *, activation, remat, unroll, rngs):
        width = sizes.text_width
        self.remat, self.unroll = remat, unroll
        normal = lambda deviation, *shape: nnx.Param(deviation * jax.random.normal(rngs.params(), shape))
        self.embed = normal(0.02, sizes.vocabulary, width)
        self.positions = normal(0.01, sizes.length, width)
        self.blocks, init = _blocks(width, sizes.text_layers, sizes.head, rngs, activation=activation, causal=True)
        self.norm = layers.LayerNorm(width, epsilon=EPSILON, rngs=rngs)
        self.projection = layers.Linear(width, sizes.embedding, bias=False, init=init, rngs=rngs)

    def __call__(self, tokens, *, intermediates=False):
        """Features of texts.

        Args:
          tokens: [batch, length] int32; what follows the end counts for nothing.
          intermediates: also return what happens inside.

        Returns:
          [batch, embedding], and with `intermediates` a dict: `stem` [batch, length, width], `attention` and `block` as
          of `VisionTransformer`, `pooled` [batch, width], the end before it is projected.
        """
        out = {}
        x = out["stem"] = layers.spread(jnp.asarray(self.embed[...])[tokens])
        x = vit.add_table(x, self.positions[: tokens.shape[1]])
        x, out["attention"], out["block"] = vit.run(
            self.blocks, x, remat=self.remat, unroll=self.unroll, intermediates=intermediates
        )
        end = jnp.argmax(tokens, -1)[:, None, None]
        x = out["pooled"] = self.norm(jnp.take_along_axis(x, end, 1)[:, 0])
        x = self.projection(x)
        return (x, out) if intermediates else x


class ResNet(nnx.Module):
    """ResNet-D (He et al. 2019) with pooling before strides (Zhang 2019), and attention at its end."""

    def __init__(self, sizes, *, rngs):
        width, init = sizes.image_width, nnx.initializers.he_normal()
        if sizes.image % 32:
            raise ValueError(f"sides of images must be multiples of 32 for a ResNet, got {sizes.image}")
        if len(sizes.image_layers) != 4:
            raise ValueError(f"image_layers of a ResNet must be the blocks of four stages, got {sizes.image_layers}")
        ends = (3, width // 2, width // 2, width)
        self.stem = nnx.List(
            ConvNorm(a, b, 3, stride=1 + (i == 0), init=init, rngs=rngs) for i, (a, b) in enumerate(zip(ends, ends[1:]))
        )
        self.blocks, channel = nnx.List(), width
        # Stage, from 1, and number in it of each block.
        self.places = tuple((stage, n) for stage, count in enumerate(sizes.image_layers, 1) for n in range(count))
        for stage, number in self.places:
            narrow = width * 2 ** (stage - 1)
            self.blocks.append(Bottleneck(channel, narrow, 2 if stage > 1 and not number else 1, rngs=rngs))
            channel = 4 * narrow
        heads = max(1, channel // 64)
        self.pool = AttentionPool(channel, heads, (sizes.image // 32) ** 2, sizes.embedding, rngs=rngs)

    def __call__(self, images, *, train=False, intermediates=False):
        """Features of images.

        Args:
          images: [batch, height, width, 3], normalised; another side than `image` has the positions interpolated.
          train: normalise by the batch, and update the running statistics.
          intermediates: also return what happens inside.

        Returns:
          [batch, embedding], and with `intermediates` a dict: `stem` [batch, height / 4, width / 4, width], and
          `block1`, `block2`, ..., each block's map.
        """
        out, x = {}, images.astype(self.stem[0].conv.kernel.dtype)
        for conv in self.stem:
            x = jax.nn.relu(conv(x, train=train))
        x = out["stem"] = _halved(x)
        for number, block in enumerate(self.blocks, 1):
            x = out[f"block{number}"] = block(x, train=train)
        x = self.pool(x)
        return (x, out) if intermediates else x


class ConvNorm(nnx.Module):
    """A convolution and batch normalisation."""

    def __init__(self, channel, features, kernel, *, stride=1, init=None, scale_init=None, rngs):
        self.conv = layers.Conv(channel, features, kernel, stride=stride, bias=False, init=init, rngs=rngs)
        self.norm = layers.BatchNorm(features, epsilon=EPSILON, scale_init=scale_init, rngs=rngs)

    def __call__(self, x, *, train):
        return self.norm(self.conv(x), train=train)


class Bottleneck(nnx.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, four times as wide at the end; strides are means of 2 x 2 pixels."""

    def __init__(self, channel, width, stride, *, rngs):
        zeros = nnx.initializers.zeros  # So that every block begins as the identity, as published.
        self.reduce = ConvNorm(channel, width, 1, rngs=rngs)
        self.middle = ConvNorm(width, width, 3, rngs=rngs)
        self.expand = ConvNorm(width, 4 * width, 1, scale_init=zeros, rngs=rngs)
        self.shortcut = ConvNorm(channel, 4 * width, 1, rngs=rngs) if stride > 1 or channel != 4 * width else None
        self.stride = stride

    def __call__(self, x, *, train):
        y = jax.nn.relu(self.reduce(x, train=train))
        y = jax.nn.relu(self.middle(y, train=train))
        if self.stride > 1:
            x, y = _halved(x), _halved(y)
        y = self.expand(y, train=train)
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x, train=train)))


def _halved(x):
    return resample.average_pool(x, (x.shape[1] // 2, x.shape[2] // 2))


class AttentionPool(nnx.Module):
    """The mean of all places, which looks at them and at itself, in the place of a pooling."""

    def __init__(self, channel, heads, places, embedding, *, rngs):
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        self.positions = nnx.Param(channel**-0.5 * jax.random.normal(rngs.params(), (places + 1, channel)))
        self.query, self.key, self.value = (layers.Linear(channel, channel, init=init, rngs=rngs) for _ in range(3))
        self.out = layers.Linear(channel, embedding, init=init, rngs=rngs)
        self.heads, self.grid = heads, math.isqrt(places)

    def __call__(self, x):
        """Features [batch, embedding] of a map [batch, height, width, channel]."""
        size = x.shape[1:3]
        x = x.reshape(len(x), -1, x.shape[-1])
        x = jnp.concatenate([x.mean(1, keepdims=True), x], 1)
        x = vit.add_table(x, vit.interpolate_positions(self.positions[...], self.grid, size).astype(x.dtype))
        split = lambda y: y.reshape(*y.shape[:2], self.heads, -1)
        looked = attention_ops.multi_head(split(self.query(x[:, :1])), split(self.key(x)), split(self.value(x)))
        return self.out(looked.reshape(len(x), -1))
