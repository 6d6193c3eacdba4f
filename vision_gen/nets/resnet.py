"""Residual networks that classify (He et al., CVPR 2016), as torchvision's: of a bottleneck the 3 x 3 strides."""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import pool

# Blocks of each stage, and whether they are bottlenecks, which give four times as many channels.
DEPTHS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}
EXPANSION = 4
# Of ImageNet's pictures in 0..1, by which published weights were trained.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HE = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class Block(nnx.Module):
    """Two convolutions of 3 x 3, or three of which only the middle one is; what comes in is added.

    Args:
      channel: of what comes in.
      features: channels inside.
      stride: of its first convolution of 3 x 3.
      bottleneck: of the second kind.
    """

    def __init__(self, channel, features, *, stride, bottleneck, rngs):
        out = EXPANSION * features if bottleneck else features
        kernels = [(1, 1), (3, stride), (1, 1)] if bottleneck else [(3, stride), (3, 1)]
        self.convs, self.norms, before = nnx.List(), nnx.List(), channel
        for number, (kernel, step) in enumerate(kernels):
            after = out if number == len(kernels) - 1 else features
            self.convs.append(_conv(before, after, kernel, step, rngs))
            self.norms.append(layers.BatchNorm(after, rngs=rngs))
            before = after
        changes = stride > 1 or channel != out
        self.shortcut = _conv(channel, out, 1, stride, rngs) if changes else None
        self.shortcut_norm = layers.BatchNorm(out, rngs=rngs) if changes else None

    def __call__(self, x, *, train):
        y = x
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            y = norm(conv(jax.nn.relu(y) if number else y), train=train)
        if self.shortcut is not None:
            x = self.shortcut_norm(self.shortcut(x), train=train)
        return jax.nn.relu(x + y)


class ResNet(nnx.Module):
    """Images to logits.

    Args:
      depth: 18, 34, 50, or the numbers of blocks of the stages, (1, 1, 1), which are no bottlenecks then.
      width: channels of the first stage, which double from stage to stage.
      stem: what comes before: "large", a convolution of 7 x 7 and a maximum that make maps a fourth as wide; "small",
        for small images, a convolution of 3 x 3.
      classes: logits.
    """

    def __init__(self, *, depth=50, width=64, stem="large", classes=1000, rngs):
        if depth not in DEPTHS and (isinstance(depth, int) or not depth or min(depth) < 1):
            right = f"one of {list(DEPTHS)} or blocks of stages, such as (1, 1, 1)"
            raise ValueError(f"depth must be {right}, got {depth!r}")
        if stem not in ("large", "small"):
            raise ValueError(f"stem must be 'large' or 'small', got {stem!r}")
        self.blocks, self.bottleneck = DEPTHS.get(depth) or (tuple(depth), False)
        self.width, self.large = width, stem == "large"
        self.stem = _conv(3, width, 7, 2, rngs) if self.large else _conv(3, width, 3, 1, rngs)
        self.stem_norm, self.stages, channel = layers.BatchNorm(width, rngs=rngs), nnx.List(), width
        for number, count in enumerate(self.blocks):
            features, stage = width * 2**number, nnx.List()
            for i in range(count):
                stride = 2 if number and not i else 1
                stage.append(Block(channel, features, stride=stride, bottleneck=self.bottleneck, rngs=rngs))
                channel = features * (EXPANSION if self.bottleneck else 1)
            self.stages.append(stage)
        self.head = layers.Linear(channel, classes, rngs=rngs)

    def __call__(self, images, *, train=False, intermediates=False):
        """Logits of images.

        Args:
          images: [batch, height, width, 3] in [-1, 1].
          train: normalise by the batch, and follow its statistics.
          intermediates: also return what happens inside.

        Returns:
          [batch, classes], and with `intermediates` a dict: `stem` [batch, height, width, channel] and `stage`, a tuple
          of such, the maps after each; `pooled` [batch, channel]; `logits`.
        """
        out = {}
        x = ((images + 1) / 2 - jnp.asarray(MEAN, images.dtype)) / jnp.asarray(DEVIATION, images.dtype)
        x = jax.nn.relu(self.stem_norm(self.stem(x), train=train))
        x = out["stem"] = pool.max_pool(x, 3, stride=2, padding=1) if self.large else x
        maps = []
        for stage in self.stages:
            for block in stage:
                x = block(x, train=train)
            maps.append(x)
        out["stage"] = tuple(maps)
        out["pooled"] = x.mean((1, 2))
        x = out["logits"] = self.head(out["pooled"])
        return (x, out) if intermediates else x

    def places(self, images):
        """What the decision on images is made of, by place: ([batch, places, channel], (rows, columns))."""
        maps = self(images, intermediates=True)[1]["stage"][-1]
        return maps.reshape(len(maps), -1, maps.shape[-1]), maps.shape[1:3]

    def decide(self, places):
        """The logits [batch, classes] that follow from `places`."""
        return self.head(places.mean(1))


def _conv(channel, features, kernel, stride, rngs):
    return layers.Conv(channel, features, kernel, stride=stride, bias=False, init=_HE, rngs=rngs)
