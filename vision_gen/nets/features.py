"""Networks that are never trained here, whose activations metrics and perceptual losses read.

Inception-v3 as FID uses it, VGG, that of AdaIN's release, AlexNet and EfficientNet-Lite0. A network maps images
[batch, height, width, 3] in [-1, 1] to logits [batch, classes], or without classes to its last map;
with `intermediates` to that and a dict of its activations by name, in order, the output among them;
what is not used is not computed under `jit`. VGG and AlexNet take a `size`, (rows, columns) that count of images that
were extended at the bottom and on the right (see `ops.pool.inside`): their maps are zero beyond their `sizes`. Their
batch normalisations are folded into the convolutions by the reader (`pretrained.features`), whose names of the layers
are those of the published files.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import pool

# Mean and standard deviation of ImageNet's channels, of images in [-1, 1].
IMAGENET = (2 * 0.485 - 1, 2 * 0.456 - 1, 2 * 0.406 - 1), (2 * 0.229, 2 * 0.224, 2 * 0.225)


def _normalise(x):
    mean, deviation = (jnp.asarray(v, x.dtype) for v in IMAGENET)
    return (x - mean) / deviation


class Inception(nnx.Module):
    """Inception-v3 with the weights of 2015, as FID has used it since Heusel et al. 2017.

    The graph of `inception-2015-12-05.tgz`: average pooling does not count the padding, the last
    block pools by maxima, and there are 1,008 classes. Images are to be 299 px.

    Intermediates: `pool1` (64 channels), `pool2` (192), `mixed5b` ... `mixed7c`, each block's map
    (`mixed6e`: 768), `features` [batch, 2048], `logits` [batch, 1008] and `logits_unbiased`, which
    the Inception Score is taken of.
    """

    size = 299

    def __init__(self, *, rngs):
        convs = {}

        def add(name, channel, features, kernel=1, stride=1, padding=None):
            convs[name] = layers.Conv(
                channel, features, kernel, stride=stride, padding=padding, rngs=rngs
            )

        valid = dict(padding=0)
        add("Conv2d_1a_3x3", 3, 32, 3, 2, **valid)
        add("Conv2d_2a_3x3", 32, 32, 3, **valid)
        add("Conv2d_2b_3x3", 32, 64, 3)
        add("Conv2d_3b_1x1", 64, 80)
        add("Conv2d_4a_3x3", 80, 192, 3, **valid)
        for block, channel, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
            name = f"Mixed_{block}."
            add(name + "branch1x1", channel, 64)
            add(name + "branch5x5_1", channel, 48)
            add(name + "branch5x5_2", 48, 64, 5)
            add(name + "branch3x3dbl_1", channel, 64)
            add(name + "branch3x3dbl_2", 64, 96, 3)
            add(name + "branch3x3dbl_3", 96, 96, 3)
            add(name + "branch_pool", channel, pooled)
        add("Mixed_6a.branch3x3", 288, 384, 3, 2, **valid)
        add("Mixed_6a.branch3x3dbl_1", 288, 64)
        add("Mixed_6a.branch3x3dbl_2", 64, 96, 3)
        add("Mixed_6a.branch3x3dbl_3", 96, 96, 3, 2, **valid)
        for block, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            name = f"Mixed_{block}."
            add(name + "branch1x1", 768, 192)
            add(name + "branch7x7_1", 768, width)
            add(name + "branch7x7_2", width, width, (1, 7))
            add(name + "branch7x7_3", width, 192, (7, 1))
            add(name + "branch7x7dbl_1", 768, width)
            add(name + "branch7x7dbl_2", width, width, (7, 1))
            add(name + "branch7x7dbl_3", width, width, (1, 7))
            add(name + "branch7x7dbl_4", width, width, (7, 1))
            add(name + "branch7x7dbl_5", width, 192, (1, 7))
            add(name + "branch_pool", 768, 192)
        add("Mixed_7a.branch3x3_1", 768, 192)
        add("Mixed_7a.branch3x3_2", 192, 320, 3, 2, **valid)
        add("Mixed_7a.branch7x7x3_1", 768, 192)
        add("Mixed_7a.branch7x7x3_2", 192, 192, (1, 7))
        add("Mixed_7a.branch7x7x3_3", 192, 192, (7, 1))
        add("Mixed_7a.branch7x7x3_4", 192, 192, 3, 2, **valid)
        for block, channel in (("7b", 1280), ("7c", 2048)):
            name = f"Mixed_{block}."
            add(name + "branch1x1", channel, 320)
            add(name + "branch3x3_1", channel, 384)
            add(name + "branch3x3_2a", 384, 384, (1, 3))
            add(name + "branch3x3_2b", 384, 384, (3, 1))
            add(name + "branch3x3dbl_1", channel, 448)
            add(name + "branch3x3dbl_2", 448, 384, 3)
            add(name + "branch3x3dbl_3a", 384, 384, (1, 3))
            add(name + "branch3x3dbl_3b", 384, 384, (3, 1))
            add(name + "branch_pool", channel, 192)
        self.convs = nnx.Dict(convs)
        self.fc = layers.Linear(2048, 1008, rngs=rngs)

    def __call__(self, x, *, intermediates=False):
        conv = lambda name, x: jax.nn.relu(self.convs[name](x))

        def chain(x, block, branch, parts):
            for i in range(1, parts + 1):
                x = conv(f"Mixed_{block}.{branch}_{i}", x)
            return x

        def fork(x, block, branch):
            return [conv(f"Mixed_{block}.{branch}{end}", x) for end in "ab"]

        for name in ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"):
            x = conv(name, x)
        out = {}
        x = out["pool1"] = pool.max_pool(x, 3, stride=2)
        x = conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", x))
        x = out["pool2"] = pool.max_pool(x, 3, stride=2)
        for block in ("5b", "5c", "5d"):
            parts = [
                conv(f"Mixed_{block}.branch1x1", x),
                chain(x, block, "branch5x5", 2),
                chain(x, block, "branch3x3dbl", 3),
                jax.nn.relu(pool.average_pool(self.convs[f"Mixed_{block}.branch_pool"](x), 3, padding=1)),
            ]
            x = out[f"mixed{block}"] = jnp.concatenate(parts, -1)
        parts = [conv("Mixed_6a.branch3x3", x), chain(x, "6a", "branch3x3dbl", 3)]
        x = out["mixed6a"] = jnp.concatenate([*parts, pool.max_pool(x, 3, stride=2)], -1)
        for block in ("6b", "6c", "6d", "6e"):
            parts = [
                conv(f"Mixed_{block}.branch1x1", x),
                chain(x, block, "branch7x7", 3),
                chain(x, block, "branch7x7dbl", 5),
                jax.nn.relu(pool.average_pool(self.convs[f"Mixed_{block}.branch_pool"](x), 3, padding=1)),
            ]
            x = out[f"mixed{block}"] = jnp.concatenate(parts, -1)
        parts = [chain(x, "7a", "branch3x3", 2), chain(x, "7a", "branch7x7x3", 4)]
        x = out["mixed7a"] = jnp.concatenate([*parts, pool.max_pool(x, 3, stride=2)], -1)
        for block in ("7b", "7c"):
            if block == "7b":
                pooled = pool.average_pool(x, 3, padding=1)
            else:  # An oversight of the original, and what everybody's FID is computed with.
                pooled = pool.max_pool(x, 3, stride=1, padding=1)
            parts = [
                conv(f"Mixed_{block}.branch1x1", x),
                *fork(conv(f"Mixed_{block}.branch3x3_1", x), block, "branch3x3_2"),
                *fork(chain(x, block, "branch3x3dbl", 2), block, "branch3x3dbl_3"),
                conv(f"Mixed_{block}.branch_pool", pooled),
            ]
            x = out[f"mixed{block}"] = jnp.concatenate(parts, -1)
        features = out["features"] = x.mean((1, 2))
        logits = out["logits"] = self.fc(features)
        out["logits_unbiased"] = features @ self.fc.kernel[...]
        return (logits, out) if intermediates else logits


# Convolutions in each block.
VGG_BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
NORMALISED_BLOCKS = (2, 2, 4, 1)


class VGG(nnx.Module):
    """VGG-16 and VGG-19 (Simonyan & Zisserman, ICLR 2015) as torchvision has them, without batch norm.

    Intermediates: `relu1_1` ... `relu5_4`, and `pool1` ... `pool5`, each block's pooled map; with
    `classes`, for 224 px, `fc6` and `fc7`, [batch, 4096] after ReLU, and `logits`.

    Args:
      depth: 16 or 19.
      classes: 0 for the convolutions alone, whose output is `pool5`.
      average: maps are pooled by means, as Gatys et al. do, and not by maxima.
    """

    size = 224

    def __init__(self, depth, *, classes=1000, average=False, rngs):
        if depth not in VGG_BLOCKS:
            raise ValueError(f"VGG's depth must be one of {sorted(VGG_BLOCKS)}, got {depth}")
        self.depth, self.average = depth, average
        convs, channel, index = {}, 3, 0
        for block, count in enumerate(VGG_BLOCKS[depth]):
            features = min(64 * 2**block, 512)
            for _ in range(count):
                convs[f"features.{index}"] = layers.Conv(channel, features, rngs=rngs)
                channel, index = features, index + 2
            index += 1
        self.convs = nnx.Dict(convs)
        self.linears = _linears((0, 3, 6), 512 * 7 * 7, classes, rngs)

    def sizes(self, size):
        """{intermediate: (rows, columns)} of images of a size."""
        found = {}
        for block, count in enumerate(VGG_BLOCKS[self.depth], 1):
            found |= {f"relu{block}_{i}": size for i in range(1, count + 1)}
            size = found[f"pool{block}"] = tuple(side // 2 for side in size)
        return found

    def __call__(self, x, *, intermediates=False, size=None):
        x, out, index = pool.inside(_normalise(x), size), {}, 0
        sizes = self.sizes(size) if size else {}
        for block, count in enumerate(VGG_BLOCKS[self.depth], 1):
            for i in range(1, count + 1):
                before = self.convs[f"features.{index}"](x)
                x = out[f"relu{block}_{i}"] = pool.inside(jax.nn.relu(before), sizes.get(f"relu{block}_{i}"))
                index += 2
            if self.average:
                pooled = pool.average_pool(x, 2, stride=2)
            else:  # The same as the largest after ReLU, and a backward pass needs but the map before both.
                pooled = jax.nn.relu(pool.max_pool(before, 2, stride=2))
            x = out[f"pool{block}"] = pool.inside(pooled, sizes.get(f"pool{block}"))
            index += 1
        if self.linears:
            x = _classify([self.linears[f"classifier.{i}"] for i in (0, 3, 6)], x, (7, 7), out)
        return (x, out) if intermediates else x


class NormalisedVGG(nnx.Module):
    """VGG-19 up to `relu4_1` as released with AdaIN (Huang & Belongie, ICCV 2017), `vgg_normalised.pth`.

    Its weights are scaled so that activations have a mean of one. A convolution of 1 x 1 takes the place of the
    normalisation, edges are reflected, and a last odd row or column is pooled alone.

    Intermediates: `relu1_1` ... `relu4_1`.
    """

    size = 224

    def __init__(self, *, rngs):
        convs, channel, index = {"0": layers.Conv(3, 3, 1, rngs=rngs)}, 3, 2
        for block, count in enumerate(NORMALISED_BLOCKS):
            for _ in range(count):
                convs[str(index)] = layers.Conv(channel, 64 * 2**block, padding=0, rngs=rngs)
                channel, index = 64 * 2**block, index + 3
            index += 1
        self.convs, self.linears = nnx.Dict(convs), nnx.Dict({})

    def __call__(self, x, *, intermediates=False):
        x, out, index = self.convs["0"]((x + 1) / 2), {}, 2
        for block, count in enumerate(NORMALISED_BLOCKS, 1):
            if block > 1:
                odd = [(0, 0), *((0, n % 2) for n in x.shape[1:3]), (0, 0)]
                x = pool.max_pool(jnp.pad(x, odd), 2, stride=2)  # After ReLU zeros are no larger than what there is.
            for i in range(1, count + 1):
                x = out[f"relu{block}_{i}"] = jax.nn.relu(self.convs[str(index)](pool.reflected(x)))
                index += 3
            index += 1
        return (x, out) if intermediates else x


def _linears(places, channel, classes, rngs):
    """The classifier's layers by their places in torch's; none without classes."""
    widths = (channel, 4096, 4096, classes)
    found = {
        f"classifier.{place}": layers.Linear(width, following, rngs=rngs)
        for place, width, following in zip(places, widths, widths[1:])
        if classes
    }
    return nnx.Dict(found)


def _classify(linears, x, size, out):
    """Logits of VGG's and AlexNet's classifier on a map of `size`, in torch's order; intermediates go to `out`."""
    if x.shape[1:3] != size:
        raise ValueError(f"the classifier reads a map of {size}, got {x.shape[1:3]}; give it 224 px")
    first, second, last = linears
    x = jnp.moveaxis(x, 3, 1).reshape(x.shape[0], -1)
    x = out["fc6"] = jax.nn.relu(first(x))
    x = out["fc7"] = jax.nn.relu(second(x))
    x = out["logits"] = last(x)
    return x


class AlexNet(nnx.Module):
    """AlexNet as torchvision has it (Krizhevsky 2014, 'One weird trick').

    Intermediates: `relu1` ... `relu5`; with `classes`, for 224 px, `fc6`, `fc7` and `logits`.

    Args:
      classes: 0 for the convolutions alone, whose output is `relu5`.
    """

    size = 224

    def __init__(self, *, classes=1000, rngs):
        conv = lambda *args, **named: layers.Conv(*args, **named, rngs=rngs)
        self.convs = nnx.Dict(
            {
                "features.0": conv(3, 64, 11, stride=4, padding=2),
                "features.3": conv(64, 192, 5),
                "features.6": conv(192, 384),
                "features.8": conv(384, 256),
                "features.10": conv(256, 256),
            }
        )
        self.linears = _linears((1, 4, 6), 256 * 6 * 6, classes, rngs)

    def sizes(self, size):
        """{intermediate: (rows, columns)} of images of a size."""
        found, size = {}, tuple((side - 7) // 4 + 1 for side in size)
        for i in range(1, 6):
            if i in (2, 3):
                size = tuple((side - 3) // 2 + 1 for side in size)
            found[f"relu{i}"] = size
        return found

    def __call__(self, x, *, intermediates=False, size=None):
        x, out = pool.inside(_normalise(x), size), {}
        sizes = self.sizes(size) if size else {}
        for i, index in enumerate((0, 3, 6, 8, 10), 1):
            inside = sizes.get(f"relu{i}")
            if i in (2, 3):
                x = pool.inside(pool.max_pool(x, 3, stride=2), inside)
            x = out[f"relu{i}"] = pool.inside(jax.nn.relu(self.convs[f"features.{index}"](x)), inside)
        if self.linears:
            linears = [self.linears[f"classifier.{i}"] for i in (1, 4, 6)]
            x = _classify(linears, pool.max_pool(x, 3, stride=2), (6, 6), out)
        return (x, out) if intermediates else x


# Blocks, kernel, stride of the first, expansion, features: efficientnet_lite_builder.py.
LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nnx.Module):
    """EfficientNet-Lite0 (Tan & Le, ICML 2019; without squeeze-and-excitation, ReLU6).

    Intermediates: `stem` (32 channels, half the size), `stage1` (16, half the size) ... `stage7`
    (320, a 32nd); `expand1` ... `expand15`, what a block widens its input to, after ReLU6;
    `features` [batch, 1280], their mean after the last convolution, and `logits` [batch, 1000] at
    224 px.
    """

    size = 224

    def __init__(self, *, rngs):
        same = dict(padding="same", rngs=rngs)
        convs = {"_conv_stem": layers.Conv(3, 32, 3, stride=2, **same)}
        channel, index = 32, 0
        for count, kernel, stride, expansion, features in LITE0:
            for i in range(count):
                name, inner = f"_blocks.{index}.", channel * expansion
                step = stride if i == 0 else 1
                if expansion > 1:
                    convs[name + "_expand_conv"] = layers.Conv(channel, inner, 1, **same)
                convs[name + "_depthwise_conv"] = layers.DepthwiseConv(
                    inner, kernel, stride=step, **same
                )
                convs[name + "_project_conv"] = layers.Conv(inner, features, 1, **same)
                channel, index = features, index + 1
        convs["_conv_head"] = layers.Conv(channel, 1280, 1, **same)
        self.convs = nnx.Dict(convs)
        self.fc = layers.Linear(1280, 1000, rngs=rngs)

    def __call__(self, x, *, intermediates=False):
        conv = lambda name, x: self.convs[name](x)
        out, index = {}, 0
        x = out["stem"] = jax.nn.relu6(conv("_conv_stem", _normalise(x)))
        for stage, (count, _, _, expansion, _) in enumerate(LITE0, 1):
            for i in range(count):
                name, inner = f"_blocks.{index}.", x
                if expansion > 1:
                    inner = out[f"expand{index}"] = jax.nn.relu6(conv(name + "_expand_conv", inner))
                inner = jax.nn.relu6(conv(name + "_depthwise_conv", inner))
                inner = conv(name + "_project_conv", inner)
                x = inner if i == 0 else inner + x
                index += 1
            out[f"stage{stage}"] = x
        x = out["features"] = jax.nn.relu6(conv("_conv_head", x)).mean((1, 2))
        x = out["logits"] = self.fc(x)
        return (x, out) if intermediates else x
