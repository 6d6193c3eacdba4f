"""Landmarks of faces as maps of heat, by an hourglass (Wang et al., ICCV 2019, "AWing", with one stack), and StarGAN v2's masks.

The network's convolutions see where in the map they are (Liu et al. 2018, CoordConv). Of its 98 landmarks StarGAN v2 makes two
masks of where a generator keeps details of a face.
"""

from flax import nnx
import jax
import jax.numpy as jnp

from vision_gen.nets import layers
from vision_gen.ops import resample

SIDE = 256  # Of the images that it takes.
LANDMARKS, WIDTH, DEPTH = 98, 256, 4
LEAST = 0.1  # Less heat than this counts for none.
# Of StarGAN v2's masks: ranges of landmarks, by how many rows they are moved down, and their exponent.
MOVED = (
    ((8, 25), 0, 3),  # Chin.
    ((33, 51), 7, 2),  # Eyebrows.
    ((55, 60), -8, 4),  # Nostrils.
    ((77, 82), 8, 4),  # Upper lip,
    ((83, 88), -8, 4),  # lower lip,
    ((88, 96), 2, 3),  # and the inside of both.
)
LEFT_OUT = (*range(8), *range(25, 33), 33, 46, 76, 82)
NOSE, EYES = (52, 55), (60, 76)
OF_THE_FIRST_MASK = ((8, 25), (33, 51), (76, 96))  # Chin, eyebrows and mouth are not in the second.


class PlacedConv(nnx.Module):
    """A convolution that also sees the row, the column, each from -1 to 1, and the distance from the middle, to 1."""

    def __init__(self, channel, features, kernel, *, rngs, **settings):
        self.conv = layers.Conv(channel + 3, features, kernel, rngs=rngs, **settings)

    def __call__(self, x):
        row, column = jnp.meshgrid(*(jnp.linspace(-1, 1, n, dtype=x.dtype) for n in x.shape[1:3]), indexing="ij")
        place = jnp.stack([row, column, jnp.hypot(row, column) / 2**0.5], -1)
        return self.conv(x, jnp.broadcast_to(place, (len(x), *place.shape)))


class Block(nnx.Module):
    """Three normalised convolutions, each of the last one's map, whose maps are joined; beside a shortcut."""

    def __init__(self, channel, features, *, rngs):
        widths = [channel, features // 2, features // 4, features // 4]
        self.norms = nnx.List(layers.BatchNorm(n, rngs=rngs) for n in widths[:3])
        self.convs = nnx.List(layers.Conv(a, b, bias=False, rngs=rngs) for a, b in zip(widths, widths[1:]))
        self.short_norm = layers.BatchNorm(channel, rngs=rngs) if channel != features else None
        self.short = layers.Conv(channel, features, 1, bias=False, rngs=rngs) if channel != features else None

    def __call__(self, x):
        maps, y = [], x
        for norm, conv in zip(self.norms, self.convs):
            y = conv(jax.nn.relu(norm(y, train=False)))
            maps.append(y)
        if self.short is not None:
            x = self.short(jax.nn.relu(self.short_norm(x, train=False)))
        return jnp.concatenate(maps, -1) + x


class Hourglass(nnx.Module):
    """A block at the full size beside others at half of it, of which the middle is an hourglass again."""

    def __init__(self, depth, *, rngs):
        block = lambda: Block(WIDTH, WIDTH, rngs=rngs)
        self.above, self.before, self.after = block(), block(), block()
        self.inner = Hourglass(depth - 1, rngs=rngs) if depth > 1 else block()

    def __call__(self, x):
        y = self.before(resample.average_pool(x, (x.shape[1] // 2, x.shape[2] // 2)))
        y = self.after(self.inner(y))
        return self.above(x) + jnp.repeat(jnp.repeat(y, 2, 1), 2, 2)


class FaceLandmarks(nnx.Module):
    """Maps of heat of 98 landmarks of faces, for their published weights: it is never trained here."""

    def __init__(self, *, rngs):
        block = lambda a, b: Block(a, b, rngs=rngs)
        self.start = PlacedConv(3, 64, 7, stride=2, rngs=rngs)
        self.start_norm = layers.BatchNorm(64, rngs=rngs)
        self.blocks = nnx.List([block(64, 128), block(128, 128), block(128, WIDTH)])
        self.place = PlacedConv(WIDTH, WIDTH, 1, rngs=rngs)
        self.hourglass = Hourglass(DEPTH, rngs=rngs)
        self.top = block(WIDTH, WIDTH)
        self.last = layers.Conv(WIDTH, WIDTH, 1, rngs=rngs)
        self.last_norm = layers.BatchNorm(WIDTH, rngs=rngs)
        self.heat = layers.Conv(WIDTH, LANDMARKS + 1, 1, rngs=rngs)  # The last map is of the face's boundary.

    def __call__(self, image):
        """[batch, 64, 64, 98] of images [batch, height, width, 3] in [-1, 1]."""
        x = resample.resize(image, (SIDE, SIDE), antialias=False) * 0.5 + 0.5
        x = jax.nn.relu(self.start_norm(self.start(x), train=False))
        first, *others = self.blocks
        x = first(x)
        x = resample.average_pool(x, (x.shape[1] // 2, x.shape[2] // 2))
        for block in others:
            x = block(x)
        x = self.last(self.top(self.hourglass(self.place(x))))
        return self.heat(jax.nn.relu(self.last_norm(x, train=False)))[..., :LANDMARKS]


def masks(heat):
    """StarGAN v2's masks, [batch, 256, 256, 2] from 0 to 1: of all of a face's features, and of eyes and nose alone.

    Args:
      heat: [batch, 64, 64, 98], of `FaceLandmarks`.
    """
    x = _enlarged(heat.astype(jnp.float32))
    x = jnp.where(x < LEAST, 0, x)
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    x = (x - low) / (high - low + 1e-6)
    down = lambda x, rows: jnp.roll(x, rows, 1)
    for (start, stop), rows, exponent in MOVED:
        x = x.at[..., start:stop].set(down(x[..., start:stop], rows) ** exponent)
    x = x.at[..., jnp.array(LEFT_OUT)].set(0)
    x = x.at[..., slice(*NOSE)].set(down(x[..., slice(*NOSE)], -4))
    eyes = x[..., slice(*EYES)]
    x = x.at[..., slice(*EYES)].set(down(eyes, 8) ** 3 + down(eyes, 24))
    inner = x
    for part in OF_THE_FIRST_MASK:
        inner = inner.at[..., slice(*part)].set(0)
    return jnp.clip(jnp.stack([x.sum(-1), inner.sum(-1)], -1), 0, 1)


def _enlarged(x):
    """Maps four times as large, whose corners stay corners, as torch's align_corners=True."""
    for axis in (1, 2):
        size = x.shape[axis]
        place = jnp.linspace(0, size - 1, 4 * size)
        matrix = jnp.maximum(0, 1 - jnp.abs(place[:, None] - jnp.arange(size)))
        x = jnp.moveaxis(jnp.tensordot(matrix, x, (1, axis), precision="highest"), 0, axis)
    return x
