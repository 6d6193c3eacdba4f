"""The networks of StyleGAN2 and StyleGAN2-ADA (Karras et al., CVPR 2020 and NeurIPS 2020).

Learning rates are equalised: weights are drawn from a standard normal distribution and scaled where they are used
(Karras et al. 2018). A modulated convolution scales what comes in by the style and what goes out by the demodulation,
so that all examples share one kernel. As in the reference, convolutions of the highest resolutions may run in 16 bits,
their results clamped; the mapping, styles, what becomes the image, and the discriminator's end are always in float32.
"""

import dataclasses
import itertools
import math
from typing import Literal

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.nets import layers
from vision_gen.ops import conv, fir, random
from vision_gen.settings import Count, CountOrNone, NotNegative

GAIN = 2**0.5  # Of an activation, so that it keeps the variance.
EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Common:
    """What generator and discriminator have alike.

    Raises:
      ValueError: the size is no power of two from 8 on.
    """

    size: Count = 256  # Pixels of a side: a power of two, 8 or more.
    channels: Count = 3  # Of an image.
    classes: CountOrNone = 0  # 0: without labels.
    channel_base: Count = 32768  # A map of side n has channel_base / n channels, but
    channel_max: Count = 512  # this many at most.
    mapping_layers: CountOrNone = 8  # The discriminator has a mapping for labels only.
    mapping_rate: float = 0.01  # The multiplier of the mapping's learning rate.
    conv_clamp: NotNegative = 256.0  # Convolutions give at most so much; 0: anything.
    half_resolutions: CountOrNone = 4  # So many of the highest resolutions in 16 bits.
    half: Literal["bfloat16", "float16"] = "bfloat16"
    taps: tuple = fir.TAPS  # Of the filter of every resampling.

    def __post_init__(self):
        if self.size < 8 or self.size & (self.size - 1):
            raise ValueError(f"size must be a power of two from 8 on, got {self.size}")

    def width(self, resolution):
        """Channels of a map of that side."""
        return max(1, min(self.channel_base // resolution, self.channel_max))

    def dtype(self, resolution):
        """What convolutions of that side are computed in."""
        lowest = max(2 * self.size >> self.half_resolutions, 8)
        return jnp.dtype(self.half if resolution >= lowest else jnp.float32)

    @property
    def resolutions(self):
        """Sides of the maps, ascending: 4, 8, ..., `size`."""
        return [2**i for i in range(2, self.size.bit_length())]


@dataclasses.dataclass(frozen=True)
class GeneratorSettings(Common):
    """Of a `Generator`; see `Common`."""

    architecture: Literal["skip", "residual", "orig"] = "skip"
    z_size: Count = 512
    w_size: Count = 512
    w_average_decay: float = 0.995  # A training step.

    @property
    def layers(self):
        """How many latents w a picture has: one for each convolution, and one for the last that makes colours of it."""
        return 2 * len(self.resolutions)


@dataclasses.dataclass(frozen=True)
class DiscriminatorSettings(Common):
    """Of a `Discriminator`; see `Common`."""

    architecture: Literal["skip", "residual", "orig"] = "residual"
    group: CountOrNone = 4  # Examples whose deviation is measured together, or fewer if the batch is smaller; 0: all.
    group_channels: CountOrNone = 1  # That the deviation is measured in.
    frozen: CountOrNone = 0  # Convolutions, from the image on, that do not learn (Freeze-D).


def activate(x, bias=None, gain=1.0, clamp=0.0, linear=False):
    """Bias, LeakyReLU unless `linear`, gain, clamp to +-`clamp` where that is not 0; in x's dtype."""
    x = x if bias is None else x + bias.astype(x.dtype)
    if not linear:
        x, gain = layers.leaky_relu(x), gain * GAIN
    x = x if gain == 1 else x * gain
    return jnp.clip(x, -clamp, clamp) if clamp else x


def normalised(x):
    """`x` [batch, channel] scaled to a mean square of one."""
    return x * lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + EPSILON)


def conv_resampled(x, kernel, taps, *, up=1, down=1):
    """Convolution that keeps the size, then or before that resampling by `taps`.

    Args:
      x: [batch, height, width, channel].
      kernel: [size, size, channel, features] of odd size, in x's dtype.
      taps, up, down: as of `ops.fir`; one of `up` and `down` is 1.
    """
    size, count = kernel.shape[0], len(taps)
    if up > 1 and size == 1:
        return fir.upsample(conv.conv(x, kernel), taps, up)
    if down > 1 and size == 1:
        return conv.conv(fir.downsample(x, taps, down), kernel)
    half = size // 2
    if up > 1:
        # The map between has all places that the kernel reaches; what is too much of it is cut off with the filter's.
        x = conv.conv_transpose(x, kernel.swapaxes(2, 3), stride=up, padding=0)
        padding = (half + (count + up - 1) // 2 - size + 1, half + (count - up) // 2 - size + up)
        return fir.upfirdn(x, taps, padding=padding, gain=up**2)
    if down > 1:
        padding = (half + (count - down + 1) // 2, half + (count - down) // 2)
        return conv.conv(fir.upfirdn(x, taps, padding=padding), kernel, stride=down)
    return conv.conv(x, kernel, padding=half)


def modulated_conv(x, kernel, style, taps=fir.TAPS, *, up=1, demodulate=True):
    """A convolution whose kernel is scaled by a style for each example (Karras et al. 2020, section 2.2).

    Args:
      x: [batch, height, width, channel]; the result is in its dtype.
      kernel: [size, size, channel, features], float32.
      style: [batch, channel], float32.
      taps, up: as of `conv_resampled`.
      demodulate: scale so that outputs of independent inputs of unit variance have unit variance.
    """
    if demodulate and x.dtype == jnp.float16:
        # Both are scaled to small numbers that do not overflow in 16 bits; the demodulation takes that back.
        largest = jnp.abs(lax.stop_gradient(kernel)).max((0, 1, 2))
        kernel = kernel / (largest * math.prod(kernel.shape[:3]) ** 0.5)
        style = style / jnp.abs(lax.stop_gradient(style)).max(1, keepdims=True)
    x = x * style.astype(x.dtype)[:, None, None]
    x = conv_resampled(x, kernel.astype(x.dtype), taps, up=up)
    if demodulate:
        square = jnp.matmul(style**2, jnp.sum(kernel**2, (0, 1)), precision="highest")
        x = x * lax.rsqrt(square + EPSILON).astype(x.dtype)[:, None, None]
    return x


class Dense(nnx.Module):
    """An affine map with an equalised learning rate times `rate`, in float32; `kernel` [channel, features]."""

    def __init__(self, channel, features, *, rate=1.0, start=0.0, linear=True, rngs):
        self.kernel = nnx.Param(rngs.params.normal((channel, features)) / rate)
        self.bias = nnx.Param(jnp.full(features, start, jnp.float32))
        self.rate, self.linear = rate, linear

    def __call__(self, x):
        kernel = self.kernel[...].astype(jnp.float32) * (self.rate / self.kernel.shape[0] ** 0.5)
        return activate(x @ kernel, self.bias[...] * self.rate, linear=self.linear)


class Conv(nnx.Module):
    """A convolution with equalised learning rate, resampling and activation; `kernel` [size, size, channel, features].

    Args:
      up, down: factors of resampling.
      clamp: of what it gives.
      plain: without bias and activation.
      frozen: it does not learn.
    """

    def __init__(
        self, channel, features, size, taps, *, up=1, down=1, clamp=0.0, plain=False, frozen=False, rngs
    ):
        self.kernel = nnx.Param(rngs.params.normal((size, size, channel, features)))
        self.bias = None if plain else nnx.Param(jnp.zeros(features))
        self.taps, self.up, self.down = nnx.static(tuple(taps)), up, down
        self.clamp, self.frozen = clamp, frozen

    def __call__(self, x, gain=1.0):
        """`gain`: of what it gives, and of the clamp."""
        kernel, bias = self.kernel[...], None if self.bias is None else self.bias[...]
        if self.frozen:
            kernel, bias = lax.stop_gradient((kernel, bias))
        kernel = (kernel * math.prod(kernel.shape[:3]) ** -0.5).astype(x.dtype)
        x = layers.spread(conv_resampled(x, kernel, self.taps, up=self.up, down=self.down))
        return activate(x, bias, gain, self.clamp * gain, linear=bias is None)


class Mapping(nnx.Module):
    """From latents z, labels or both to latents w.

    Args:
      z_size: of a latent; 0: there is none, only labels.
      w_size: of what comes out.
      classes: of labels; 0: there are none.
      depth, rate: how many layers, and the multiplier of their learning rate.
      count: how many times w is repeated; 0: it is given as it is, [batch, w_size], and no average is kept.
      decay: of the average of w.
    """

    def __init__(self, *, z_size, w_size, classes, depth, rate, count=0, decay=0.995, rngs):
        self.z_size, self.classes, self.count, self.decay = z_size, classes, count, decay
        self.embed = Dense(classes, w_size, rngs=rngs) if classes else None
        channels = [z_size + (w_size if classes else 0)] + [w_size] * depth
        self.dense = nnx.List(
            Dense(a, b, rate=rate, linear=False, rngs=rngs) for a, b in zip(channels[:-1], channels[1:])
        )
        self.average = nnx.BatchStat(jnp.zeros(w_size)) if count else None

    def __call__(self, z=None, label=None, *, truncation=1.0, truncation_cutoff=None, update=False):
        """-> ws [batch, layers, w_size], float32.

        Args:
          z: [batch, z_size], standard normal.
          label: [batch] integers, or [batch, classes] such as one-hot; left out where there are no classes.
          truncation: psi, how far w is from its average; 1: where it is.
          truncation_cutoff: only this many of the first layers are truncated; None: all.
          update: move the average towards that of this batch, as in training.

        Raises:
          ValueError: shapes do not fit, or a label is missing or too much.
        """
        parts = []
        if self.z_size:
            if z is None or z.shape[1:] != (self.z_size,):
                raise ValueError(f"z must be [batch, {self.z_size}], got {None if z is None else z.shape}")
            parts.append(normalised(z.astype(jnp.float32)))
        if (label is None) != (not self.classes):
            given = "no" if label is None else "a"
            raise ValueError(f"the network has {self.classes} classes, and {given} label is given")
        if self.classes:
            label = jax.nn.one_hot(label, self.classes) if jnp.issubdtype(label.dtype, jnp.integer) else label
            if label.shape[1:] != (self.classes,):
                raise ValueError(f"label must be [batch] or [batch, {self.classes}], got {label.shape}")
            parts.append(normalised(self.embed(label.astype(jnp.float32))))
        w = jnp.concatenate(parts, -1)
        for dense in self.dense:
            w = dense(w)
        if not self.count:
            return w
        if update:
            mean, old = layers.across_devices(lax.stop_gradient(w).mean(0)), self.average[...]
            self.average[...] = mean + self.decay * (old - mean)
        ws = jnp.repeat(w[:, None], self.count, 1)
        if isinstance(truncation, (int, float)) and truncation == 1:
            return ws
        average = self.average[...].astype(jnp.float32)
        near = average + truncation * (ws - average)
        cutoff = self.count if truncation_cutoff is None else truncation_cutoff
        return jnp.where(jnp.arange(self.count)[:, None] < cutoff, near, ws)


def mixed(ws, others, crossover):
    """Style mixing: `ws` in the layers before `crossover`, a number or one for each example [batch], then `others`."""
    first = jnp.arange(ws.shape[1])[:, None] < jnp.asarray(crossover)[..., None, None]
    return jnp.where(first, ws, others)


class StyledConv(nnx.Module):
    """A modulated 3x3 convolution with noise, bias and activation.

    `noise` [resolution, resolution] is drawn once and kept; `noise_strength` is learned.
    """

    def __init__(self, channel, features, resolution, settings, *, up=1, rngs):
        self.affine = Dense(settings.w_size, channel, start=1.0, rngs=rngs)
        self.kernel = nnx.Param(rngs.params.normal((3, 3, channel, features)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.noise_strength = nnx.Param(jnp.zeros(()))
        self.noise = nnx.BatchStat(rngs.params.normal((resolution, resolution)))
        self.taps, self.up, self.clamp = nnx.static(settings.taps), up, settings.conv_clamp

    def __call__(self, x, style, noise=None, gain=1.0):
        """`noise`: [resolution, resolution], [batch, resolution, resolution] or None."""
        kernel = self.kernel[...].astype(jnp.float32)
        x = layers.spread(modulated_conv(x, kernel, style, self.taps, up=self.up))
        if noise is not None:
            x = x + (noise * self.noise_strength[...].astype(jnp.float32)).astype(x.dtype)[..., None]
        return activate(x, self.bias[...], gain, self.clamp * gain)


class ToRGB(nnx.Module):
    """A modulated 1x1 convolution from features to colours, not demodulated."""

    def __init__(self, channel, settings, *, rngs):
        self.affine = Dense(settings.w_size, channel, start=1.0, rngs=rngs)
        self.kernel = nnx.Param(rngs.params.normal((1, 1, channel, settings.channels)))
        self.bias = nnx.Param(jnp.zeros(settings.channels))
        self.clamp = settings.conv_clamp

    def __call__(self, x, style):
        kernel = self.kernel[...].astype(jnp.float32)
        style = style * kernel.shape[2] ** -0.5
        x = modulated_conv(x, kernel, style, demodulate=False)
        return activate(x, self.bias[...], clamp=self.clamp, linear=True)


class SynthesisBlock(nnx.Module):
    """One resolution of the generator: `conv0`, which doubles the size (the first has none), `conv1` and `to_rgb`."""

    def __init__(self, resolution, settings, *, rngs):
        first, last = resolution == 4, resolution == settings.size
        width = settings.width(resolution)
        before = settings.width(resolution // 2)
        self.const = nnx.Param(rngs.params.normal((4, 4, width))) if first else None
        self.conv0 = None if first else StyledConv(before, width, resolution, settings, up=2, rngs=rngs)
        self.conv1 = StyledConv(width, width, resolution, settings, rngs=rngs)
        has_rgb = last or settings.architecture == "skip"
        self.to_rgb = ToRGB(width, settings, rngs=rngs) if has_rgb else None
        has_skip = settings.architecture == "residual" and not first
        self.skip = Conv(before, width, 1, settings.taps, up=2, plain=True, rngs=rngs) if has_skip else None
        self.taps, self.dtype = nnx.static(settings.taps), settings.dtype(resolution)

    @property
    def styled(self):
        """What takes a style, in order."""
        return [layer for layer in (self.conv0, self.conv1, self.to_rgb) if layer is not None]

    def __call__(self, x, image, styles, noises):
        """-> (x, image), both None at first; `styles` and `noises` are iterators over those of all layers."""
        x = self.const[...][None] if x is None else x  # Its style makes a batch of it.
        x, skip, gain = x.astype(self.dtype), None, 1.0
        if self.skip is not None:
            gain = 0.5**0.5
            skip = self.skip(x, gain)
        if self.conv0 is not None:
            x = self.conv0(x, next(styles), next(noises))
        x = self.conv1(x, next(styles), next(noises), gain)
        x = x if skip is None else skip + x
        image = image if image is None else fir.upsample(image, self.taps)
        if self.to_rgb is not None:
            colours = self.to_rgb(x, next(styles)).astype(jnp.float32)
            image = colours if image is None else image + colours
        return x, image


class Synthesis(nnx.Module):
    """From latents w to an image; see `Generator`."""

    def __init__(self, settings, *, rngs):
        self.blocks = nnx.List(SynthesisBlock(r, settings, rngs=rngs) for r in settings.resolutions)
        self.layers, self.w_size = settings.layers, settings.w_size

    def __call__(self, ws, noise="random", key=None):
        """-> image [batch, size, size, channels], float32, about in [-1, 1].

        Args:
          ws: [batch, layers, w_size].
          noise: "random": drawn by `key`; "const": the one that the network keeps; "none"; or a list of arrays as
            `noises` gives them, [resolution, resolution] or [batch, resolution, resolution].
          key: of random noise: one, or one for each example [batch].

        Raises:
          ValueError: `ws` has another shape, there is no such noise, or random noise has no key.
        """
        return self.paint(self.styles(ws), noise, key)

    def styles(self, ws):
        """Style space: what each layer's channels are scaled by, a list of [batch, channel], in order of computation.

        Those of a resolution are of its one or two convolutions, and of the layer that makes colours if it has one.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.layers, self.w_size):
            raise ValueError(f"ws must be [batch, {self.layers}, {self.w_size}], got {ws.shape}")
        ws, found, index = ws.astype(jnp.float32), [], 0
        for block in self.blocks:
            found += [layer.affine(ws[:, index + i]) for i, layer in enumerate(block.styled)]
            index += 1 if block.conv0 is None else 2  # A layer that makes colours shares the next convolution's.
        return found

    def paint(self, styles, noise="random", key=None):
        """An image from styles as `styles` gives them; otherwise as a call."""
        x, image = None, None
        noises, styles = iter(self._noises(noise, key, len(styles[0]))), iter(styles)
        for block in self.blocks:
            x, image = block(x, image, styles, noises)
        return image

    @property
    def styled(self):
        """What takes a style, in order."""
        return [layer for block in self.blocks for layer in block.styled]

    @property
    def convs(self):
        """The styled convolutions, in order."""
        return [layer for layer in self.styled if isinstance(layer, StyledConv)]

    def noises(self):
        """The noise that the network keeps: a list of [resolution, resolution], one for each convolution."""
        return [layer.noise[...].astype(jnp.float32) for layer in self.convs]

    def _noises(self, noise, key, batch):
        if isinstance(noise, (list, tuple)):
            return noise
        if noise == "const":
            return self.noises()
        if noise == "none":
            return [None] * len(self.convs)
        if noise != "random" or key is None:
            raise ValueError(f'noise must be "random" with a key, "const", "none" or a list, got {noise!r}, key {key}')
        keys = key if key.ndim else jax.random.split(key, batch)
        draw = lambda i, shape: jax.vmap(lambda key: jax.random.normal(key, shape))(random.fold(keys, i))
        return [draw(i, layer.noise.shape) for i, layer in enumerate(self.convs)]


class Generator(nnx.Module):
    """StyleGAN2's generator: `mapping` (a `Mapping`) gives ws, and `synthesis` (a `Synthesis`) images of them.

    Args:
      settings: a `GeneratorSettings`.
    """

    def __init__(self, settings, rngs):
        self.settings = nnx.static(settings)
        self.mapping = Mapping(
            z_size=settings.z_size,
            w_size=settings.w_size,
            classes=settings.classes,
            depth=settings.mapping_layers,
            rate=settings.mapping_rate,
            count=settings.layers,
            decay=settings.w_average_decay,
            rngs=rngs,
        )
        self.synthesis = Synthesis(settings, rngs=rngs)

    @property
    def w_average(self):
        """[w_size], the running average of w that `mapping(..., update=True)` keeps."""
        return self.mapping.average[...]


class DiscriminatorBlock(nnx.Module):
    """One resolution of the discriminator: `from_rgb` where colours come in, `conv0`, `conv1`, which halves the size.

    Args:
      index: of its first convolution, counted from the image.
    """

    def __init__(self, resolution, settings, index, *, rngs):
        self.skips_image = settings.architecture == "skip"
        width, after = settings.width(resolution), settings.width(resolution // 2)
        number = itertools.count(index)

        def layer(channel, features, size, **kwargs):
            frozen = next(number) < settings.frozen
            return Conv(channel, features, size, settings.taps, frozen=frozen, rngs=rngs, **kwargs)

        clamp, has_rgb = dict(clamp=settings.conv_clamp), resolution == settings.size or self.skips_image
        self.from_rgb = layer(settings.channels, width, 1, **clamp) if has_rgb else None
        self.conv0 = layer(width, width, 3, **clamp)
        self.conv1 = layer(width, after, 3, down=2, **clamp)
        self.skip = layer(width, after, 1, down=2, plain=True) if settings.architecture == "residual" else None
        self.next = next(number)
        self.taps, self.dtype = nnx.static(settings.taps), settings.dtype(resolution)

    def __call__(self, x, image):
        """-> (x, image or None) of half the size."""
        if self.from_rgb is not None:
            colours = self.from_rgb(image.astype(self.dtype))
            x = colours if x is None else x.astype(self.dtype) + colours
        x = x.astype(self.dtype)
        image = fir.downsample(image.astype(self.dtype), self.taps) if self.skips_image else None
        if self.skip is None:
            return self.conv1(self.conv0(x)), image
        gain = 0.5**0.5
        return self.skip(x, gain) + self.conv1(self.conv0(x), gain), image


def group_deviation(x, group, channels):
    """Minibatch standard deviation (Karras et al. 2018): `x` with a map for each part of its channels.

    Examples i, i + n, i + 2 n, ... are one of the n groups, of the global batch under every style of parallelism.

    Args:
      x: [batch, height, width, channel].
      group: examples in a group, or the batch if that is smaller; 0: the batch.
      channels: into how many parts the channels are divided.

    Raises:
      ValueError: the groups do not divide the batch.
    """
    own, (height, width, depth) = len(x), x.shape[1:]
    every = layers.all_devices(x)
    group = min(group or len(every), len(every))
    if len(every) % group:
        raise ValueError(f"group {group} does not divide the batch of {len(every)} that the discriminator judges")
    y = every.reshape(group, -1, height, width, channels, depth // channels)
    y = jnp.sqrt(jnp.var(y, 0) + EPSILON).mean((1, 2, 4))  # [groups, channels]
    y = layers.own_part(jnp.tile(y, (group, 1)), own)
    return jnp.concatenate([x, jnp.broadcast_to(y[:, None, None], (own, height, width, channels))], -1)


class Discriminator(nnx.Module):
    """StyleGAN2's discriminator, with projected labels (Miyato & Koyama 2018) where there are classes.

    Args:
      settings: a `DiscriminatorSettings`.
    """

    def __init__(self, settings, rngs):
        self.settings = nnx.static(settings)
        self.blocks, index = nnx.List(), 0
        for resolution in reversed(settings.resolutions[1:]):
            self.blocks.append(DiscriminatorBlock(resolution, settings, index, rngs=rngs))
            index = self.blocks[-1].next
        width = settings.width(4)
        end = lambda channel, size, clamp=0.0: Conv(channel, width, size, settings.taps, clamp=clamp, rngs=rngs)
        self.from_rgb = end(settings.channels, 1) if settings.architecture == "skip" else None
        self.conv = end(width + settings.group_channels, 3, settings.conv_clamp)
        self.dense = Dense(16 * width, width, linear=False, rngs=rngs)
        self.out = Dense(width, width if settings.classes else 1, rngs=rngs)
        mapping = dict(classes=settings.classes, depth=settings.mapping_layers, rate=settings.mapping_rate)
        self.mapping = Mapping(z_size=0, w_size=width, **mapping, rngs=rngs) if settings.classes else None

    def __call__(self, image, label=None):
        """-> logits [batch], float32.

        Args:
          image: [batch, size, size, channels] in [-1, 1].
          label: as of `Mapping`.

        Raises:
          ValueError: shapes do not fit, the batch has no whole groups, or a label is missing or too much.
        """
        settings = self.settings
        shape = (settings.size, settings.size, settings.channels)
        if image.shape[1:] != shape:
            raise ValueError(f"image must be [batch, {', '.join(map(str, shape))}], got {image.shape}")
        if (label is None) != (self.mapping is None):
            given = "no" if label is None else "a"
            raise ValueError(f"the network has {settings.classes} classes, and {given} label is given")
        x = None
        for block in self.blocks:
            x, image = block(x, image)
        x = x.astype(jnp.float32)
        if self.from_rgb is not None:
            x = x + self.from_rgb(image.astype(jnp.float32))
        if settings.group_channels:
            x = group_deviation(x, settings.group, settings.group_channels)
        x = self.conv(x)
        x = self.out(self.dense(x.reshape(len(x), -1)))
        if self.mapping is None:
            return x[:, 0]
        return jnp.sum(x * self.mapping(label=label), -1) * x.shape[1] ** -0.5


def directions(generator, first=0, last=None):
    """Closed-form directions of the latent space (SeFa; Shen & Zhou, CVPR 2021), the strongest first.

    Moving w along them changes the styles of the layers most: eigenvectors of A^T A, A being the layers' affine maps,
    each style's scaled to length one as the authors' code does.

    Args:
      generator: a `Generator`.
      first, last: the layers of `ws` that count, both included; by default to the last. Numbers, or arrays of no shape.

    Returns:
      ([w_size, w_size], [w_size]): directions of length one, and their eigenvalues.
    """
    layers_of = generator.synthesis.convs + [generator.synthesis.blocks[-1].to_rgb]
    last = len(layers_of) - 1 if last is None else last
    if isinstance(first, int) and isinstance(last, int) and not 0 <= first <= last < len(layers_of):
        raise ValueError(f"layers must be from 0 to {len(layers_of) - 1}, got {first} to {last}")
    kernels = [layer.affine.kernel[...].astype(jnp.float32) for layer in layers_of]
    layer = np.repeat(np.arange(len(kernels)), [kernel.shape[1] for kernel in kernels])
    weights = jnp.concatenate([kernel / jnp.linalg.norm(kernel, axis=0) for kernel in kernels], 1)
    weights = jnp.where((layer >= first) & (layer <= last), weights, 0)
    values, vectors = jnp.linalg.eigh(jnp.matmul(weights, weights.T, precision="highest"))
    return vectors.T[::-1], values[::-1]
