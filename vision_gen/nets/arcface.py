"""The network by which StyleCLIP tells faces apart: IR-SE50 with ArcFace's loss (Deng et al., CVPR 2019).

As TreB1eN's InsightFace_Pytorch, whose `model_ir_se50.pth` the released code reads: residual blocks that begin with a
normalisation and end with squeeze and excitation (Hu et al., CVPR 2018).
"""

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))  # Channels and blocks; the first block of each halves the size.
SIDE, WHOLE = 112, 256  # Pixels of a face, and of the picture that it is cut out of:
FACE = slice(35, 223), slice(32, 220)  # rows and columns.
REDUCTION = 16


class PReLU(nnx.Module):
    """x where it is positive, elsewhere `slope` [channel] times that."""

    def __init__(self, channel):
        self.slope = nnx.Param(jnp.full(channel, 0.25))

    def __call__(self, x):
        return jnp.where(x > 0, x, self.slope[...].astype(x.dtype) * x)


class Block(nnx.Module):
    """A bottleneck, of `channel` to `features`."""

    def __init__(self, channel, features, stride, *, rngs):
        conv = lambda a, b, size, stride=1: layers.Conv(a, b, size, stride=stride, bias=False, rngs=rngs)
        self.norm_before = layers.BatchNorm(channel, rngs=rngs)
        self.conv1, self.prelu = conv(channel, features, 3), PReLU(features)
        self.conv2, self.norm = conv(features, features, 3, stride), layers.BatchNorm(features, rngs=rngs)
        self.squeeze = conv(features, features // REDUCTION, 1)
        self.excite = conv(features // REDUCTION, features, 1)
        self.shortcut = conv(channel, features, 1, stride) if channel != features else None
        self.shortcut_norm = layers.BatchNorm(features, rngs=rngs) if channel != features else None
        self.stride = stride

    def __call__(self, x):
        y = self.prelu(self.conv1(self.norm_before(x, train=False)))
        y = self.norm(self.conv2(y), train=False)
        gate = jax.nn.relu(self.squeeze(y.mean((1, 2), keepdims=True)))
        y = y * jax.nn.sigmoid(self.excite(gate))
        if self.shortcut is None:
            return x[:, :: self.stride, :: self.stride] + y
        return self.shortcut_norm(self.shortcut(x), train=False) + y


class IRSE50(nnx.Module):
    """Features of faces. Never trained here."""

    def __init__(self, *, rngs):
        width = STAGES[0][0]
        self.conv = layers.Conv(3, width, 3, bias=False, rngs=rngs)
        self.conv_norm, self.prelu = layers.BatchNorm(width, rngs=rngs), PReLU(width)
        self.blocks, channel = nnx.List(), width
        for features, count in STAGES:
            for number in range(count):
                self.blocks.append(Block(channel, features, 1 if number else 2, rngs=rngs))
                channel = features
        self.norm = layers.BatchNorm(channel, rngs=rngs)
        self.out = layers.Linear((SIDE // 2 ** len(STAGES)) ** 2 * channel, channel, rngs=rngs)
        self.out_norm = layers.BatchNorm(channel, rngs=rngs)

    def __call__(self, x):
        """Faces [batch, 112, 112, 3] in [-1, 1] -> features [batch, 512], not of length 1."""
        x = self.prelu(self.conv_norm(self.conv(x), train=False))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x, train=False).transpose(0, 3, 1, 2)  # In the order in which torch flattens maps.
        return self.out_norm(self.out(x.reshape(len(x), -1)), train=False)

    def look(self, images):
        """Features of pictures [batch, side, side, 3] of FFHQ's crop, whose middle is the face."""
        images = adaptive_pool(images, 2 * (WHOLE,))
        return self(adaptive_pool(images[:, *FACE], 2 * (SIDE,)))


def adaptive_pool(x, size):
    """Torch's adaptive_avg_pool2d of maps [batch, height, width, channel] to `size`, (height, width)."""
    rows, columns = (jnp.asarray(_windows(n, m), x.dtype) for n, m in zip(x.shape[1:3], size))
    return jnp.einsum("ip,jq,bpqc->bijc", rows, columns, x, precision="highest")


def _windows(size, out):
    """[out, size]: the share of each place in the mean that it becomes a part of."""
    first, place = np.arange(out)[:, None], np.arange(size)
    inside = (place >= first * size // out) & (place < -(-(first + 1) * size // out))
    return np.float32(inside / inside.sum(1, keepdims=True))
