"""Layers that the architectures are built of. All maps are [batch, height, width, channel].

Parameters are float32. The engine hands a network its parameters in the compute dtype, and every
layer computes in the dtype of its parameters; normalisations and losses reduce in float32.
"""

from flax import nnx
import jax
from jax import lax
import jax.numpy as jnp

from vision_gen.ops import attention, normalise, pool, random
from vision_gen.ops import conv as conv_ops

# The name of the mapped axis under `shard_map` and `pmap`; unbound under `jit`, where an array
# is the whole batch already.
BATCH_AXIS = "data"
# As torch's `xavier_normal_` with the gain that SPADE's code and those after it have.
XAVIER = nnx.initializers.variance_scaling(0.02**2, "fan_avg", "normal")


@jax.custom_vjp
def leaky_relu(x):
    """LeakyReLU with slope 0.2, as the GAN papers use it.

    Its gradient follows from its output, which the next layer keeps anyway.
    """
    return jax.nn.leaky_relu(x, 0.2)


def _leaky_relu_forward(x):
    y = leaky_relu(x)
    return y, y


leaky_relu.defvjp(_leaky_relu_forward, lambda y, dy: (jnp.where(y >= 0, dy, 0.2 * dy),))


@jax.custom_vjp
def gelu(x):
    """x Phi(x) (Hendrycks & Gimpel 2016), exactly; by erf, which XLA computes faster than erfc.

    Its backward pass keeps x alone, where JAX would keep what leads from x to the result as well.
    """
    return x * _normal_cdf(x)


def _normal_cdf(x):
    return 0.5 * (1 + lax.erf(x * 0.5**0.5))


def _gelu_backward(x, dy):
    density = jnp.exp(-0.5 * x * x) * (2 * jnp.pi) ** -0.5
    return (dy * (_normal_cdf(x) + x * density),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)


@jax.custom_vjp
def quick_gelu(x):
    """x sigmoid(1.702 x), the approximation of `gelu` that CLIP was trained with; its backward pass keeps x alone."""
    return x * jax.nn.sigmoid(1.702 * x)


def _quick_gelu_backward(x, dy):
    share = jax.nn.sigmoid(1.702 * x)
    return (dy * share * (1 + 1.702 * x * (1 - share)),)


quick_gelu.defvjp(lambda x: (quick_gelu(x), x), _quick_gelu_backward)
GELUS = {"gelu": gelu, "quick_gelu": quick_gelu}


def across_devices(x):
    """Mean of `x` over the devices that share the batch; `x` itself where there is one view."""
    try:
        return lax.pmean(x, BATCH_AXIS)
    except NameError:  # The axis is not bound: not inside shard_map or pmap.
        return x


def all_devices(x):
    """`x` of all devices that share the batch, joined along its leading axis; `x` itself where there is one view."""
    try:
        return lax.all_gather(x, BATCH_AXIS, tiled=True)
    except NameError:
        return x


def own_part(x, count):
    """This device's `count` examples of what `all_devices` joined."""
    try:
        return lax.dynamic_slice_in_dim(x, lax.axis_index(BATCH_AXIS) * count, count)
    except NameError:
        return x


def spread(x):
    """`x` with its leading axis, the batch, over all devices of the engine's mesh.

    Where kernels are sharded (`config.parallel.fsdp`), XLA's partitioner is free to gather activations instead of
    kernels, and does. Nothing without a mesh, inside `shard_map`, or where the devices do not divide the axis.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.manual_axes or x.shape[0] % mesh.size:
        return x
    return lax.with_sharding_constraint(x, jax.sharding.PartitionSpec(mesh.axis_names))


class Conv(nnx.Module):
    """Convolution with zero padding; `kernel` [height, width, channel, features].

    Args:
      channel, features: of the map that comes in and the one that goes out.
      kernel: its size, an int or (height, width).
      stride: step in both directions.
      dilation: of the kernel; only with stride 1.
      padding: of `ops.conv.conv`; by default (size - 1) // 2 times `dilation` on each side.
    """

    def __init__(
        self, channel, features, kernel=3, *, stride=1, dilation=1, padding=None, bias=True, init=None, rngs
    ):
        init = init or nnx.initializers.he_normal()
        size = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
        self.stride, self.dilation = stride, dilation
        self.padding = tuple(((k - 1) // 2 * dilation,) * 2 for k in size) if padding is None else padding
        self.kernel = nnx.Param(init(rngs.params(), (*size, channel, features)))
        self.bias = nnx.Param(jnp.zeros(features)) if bias else None

    def __call__(self, *maps, centred=False, kernel=None):
        """Of one map, or of several joined by their channels.

        `centred`: less the mean over the features; `kernel`: in the place of its own, such as one from `SpectralNorm`.
        """
        kernel = self.kernel[...] if kernel is None else kernel
        bias = None if self.bias is None else self.bias[...]
        if centred:
            kernel = kernel - kernel.mean(-1, keepdims=True)
            bias = None if bias is None else bias - bias.mean()
        if self.dilation > 1:
            (x,) = maps
            x = spread(conv_ops.dilated(x, kernel, dilation=self.dilation, padding=self.padding))
        else:
            x = spread(conv_ops.conv_joined(maps, kernel, stride=self.stride, padding=self.padding))
        return x if bias is None else x + bias


class DepthwiseConv(nnx.Module):
    """Convolution of every channel with its own kernel [size, size, 1, channel]."""

    def __init__(self, channel, kernel=3, *, stride=1, padding, init=None, rngs):
        init = init or nnx.initializers.he_normal()
        self.stride, self.padding = stride, padding
        self.kernel = nnx.Param(init(rngs.params(), (kernel, kernel, 1, channel)))
        self.bias = nnx.Param(jnp.zeros(channel))

    def __call__(self, x):
        x = conv_ops.depthwise(x, self.kernel[...], stride=self.stride, padding=self.padding)
        return x + self.bias[...]


class ConvTranspose(nnx.Module):
    """Transposed convolution of stride 2: twice the size.

    `kernel` is [size, size, features, channel], size 3, 4 or 5; torch's with padding 1, or 2 for 5, and an output
    padding of 1 for 3 and 5.
    """

    def __init__(self, channel, features, kernel=4, *, bias=True, init=None, rngs):
        init = init or nnx.initializers.he_normal(in_axis=-1, out_axis=-2)
        self.kernel = nnx.Param(init(rngs.params(), (kernel, kernel, features, channel)))
        self.bias = nnx.Param(jnp.zeros(features)) if bias else None

    def __call__(self, x):
        size = self.kernel.shape[0]
        padding = (((size - 1) // 2, (size - 2) // 2),) * 2
        x = spread(conv_ops.conv_transpose(x, self.kernel[...], stride=2, padding=padding))
        return x if self.bias is None else x + self.bias[...]


class Linear(nnx.Module):
    """Affine map of the last axis; `kernel` [channel, features]."""

    def __init__(self, channel, features, *, bias=True, init=None, rngs):
        init = init or nnx.initializers.lecun_normal()
        self.kernel = nnx.Param(init(rngs.params(), (channel, features)))
        self.bias = nnx.Param(jnp.zeros(features)) if bias else None

    def __call__(self, x, *, kernel=None):
        """`kernel`: in the place of its own."""
        x = spread(x.astype(self.kernel.dtype) @ (self.kernel[...] if kernel is None else kernel))
        return x if self.bias is None else x + self.bias[...]


class SpectralNorm(nnx.Module):
    """Kernels over their largest singular value (Miyato et al., ICLR 2018), by power iteration.

    Args:
      features: of the kernel that it is for, its last axis.
    """

    def __init__(self, features, *, rngs):
        self.vector = nnx.BatchStat(jax.random.normal(rngs.params(), (features,)))

    def __call__(self, kernel, *, train):
        """A kernel [..., features] as a matrix [*, features] of norm 1; `train`: one iteration, which is kept."""
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
        unit = lambda x: lax.stop_gradient(x / jnp.maximum(jnp.linalg.norm(x), 1e-12))
        right = unit(self.vector[...].astype(jnp.float32))
        left = unit(matrix @ right)
        if train:
            right = unit(left @ matrix)
            self.vector[...] = right
        return (kernel / (left @ matrix @ right)).astype(kernel.dtype)


class SpectralConv(nnx.Module):
    """A convolution with its kernel over its largest singular value; `edge` places are reflected about the edges."""

    def __init__(self, channel, features, kernel=3, *, edge=0, rngs, **settings):
        settings = dict(init=XAVIER, padding=0) | settings
        self.conv = Conv(channel, features, kernel, rngs=rngs, **settings)
        self.norm, self.edge = SpectralNorm(features, rngs=rngs), edge

    def __call__(self, x, *, train):
        x = pool.reflected(x, self.edge) if self.edge else x
        return self.conv(x, kernel=self.norm(self.conv.kernel[...], train=train))


class SelfAttention(nnx.Module):
    """x and, by a gain that begins as 0, what each place takes of all others (Zhang et al., ICML 2019).

    Args:
      channel: of maps.
      chunk: places that look at a time; see `ops.attention`.
    """

    def __init__(self, channel, *, chunk=1024, rngs):
        inner, outer = max(channel // 8, 1), max(channel // 2, 1)
        conv = lambda a, b: SpectralConv(a, b, 1, bias=False, rngs=rngs)
        self.query, self.key = conv(channel, inner), conv(channel, inner)
        self.value, self.out = conv(channel, outer), conv(outer, channel)
        self.gain, self.chunk = nnx.Param(jnp.zeros(())), chunk

    def __call__(self, x, *, train):
        """Of maps [batch, height, width, channel], sides even; what is looked at is of half the size, by maxima."""
        flat = lambda y: y.reshape(len(y), -1, y.shape[-1])
        key, value = (flat(pool.max_pool(conv(x, train=train), 2, stride=2)) for conv in (self.key, self.value))
        taken = attention.point(flat(self.query(x, train=train)), key, value, chunk=self.chunk).astype(x.dtype)
        return x + self.gain[...] * self.out(taken.reshape(*x.shape[:3], -1), train=train)


class BatchNorm(nnx.Module):
    """Batch normalisation over batch, height and width (Ioffe & Szegedy 2015), as torch's.

    Batch statistics are those of the global batch under every style of parallelism; the running
    variance is the unbiased one.
    """

    def __init__(self, features, *, momentum=0.1, epsilon=1e-5, scale_init=None, rngs):
        init = scale_init or nnx.initializers.ones
        self.scale = nnx.Param(init(rngs.params(), (features,)))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.var = nnx.BatchStat(jnp.ones(features))
        self.momentum, self.epsilon = momentum, epsilon

    def __call__(self, x, *, train):
        """`train`: normalise by the batch and update the running statistics."""
        y = x.astype(jnp.float32)
        if train:
            axes = (0, 1, 2)
            mean = across_devices(y.mean(axes))
            var = across_devices(jnp.mean(y * y, axes)) - mean**2
            var = jnp.maximum(var, 0)
            count = across_devices_count(y.size // y.shape[-1])
            unbiased = var * (count / max(count - 1, 1))
            follow(self.mean, mean, self.momentum)
            follow(self.var, unbiased, self.momentum)
        else:
            mean, var = self.mean[...], self.var[...]
        factor = lax.rsqrt(var + self.epsilon) * self.scale[...].astype(jnp.float32)
        return ((y - mean) * factor + self.bias[...]).astype(x.dtype)


def across_devices_count(count):
    """`count` summed over the devices that share the batch."""
    try:
        return count * lax.axis_size(BATCH_AXIS)
    except NameError:
        return count


class InstanceNorm(nnx.Module):
    """Instance normalisation (Ulyanov et al. 2016), as torch's (epsilon 1e-5); `affine`: with scale and bias."""

    def __init__(self, features, *, affine=True, epsilon=1e-5, rngs):
        del rngs
        self.scale = nnx.Param(jnp.ones(features)) if affine else None
        self.bias = nnx.Param(jnp.zeros(features)) if affine else None
        self.epsilon = epsilon

    def __call__(self, x, *, train=False):
        """`train` makes no difference here."""
        return self._normal(x, *self._moments(x))

    def _moments(self, x):
        """Mean and variance of each example, [batch, 1, 1, channel] float32."""
        y = x.astype(jnp.float32)
        return y.mean((1, 2), keepdims=True), y.var((1, 2), keepdims=True)

    def _normal(self, x, mean, var):
        y, factor = x.astype(jnp.float32) - mean, lax.rsqrt(var + self.epsilon)
        if self.scale is None:
            return (y * factor).astype(x.dtype)
        return (y * (factor * self.scale[...].astype(jnp.float32)) + self.bias[...]).astype(x.dtype)


class TrackedInstanceNorm(InstanceNorm):
    """`InstanceNorm` that keeps running statistics: torch's with `track_running_stats=True`.

    Args:
      running: outside of training normalise by these, as torch's does after `eval()`, not by the example's own.
    """

    def __init__(self, features, *, running=False, momentum=0.1, epsilon=1e-5, rngs):
        super().__init__(features, epsilon=epsilon, rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.var = nnx.BatchStat(jnp.ones(features))
        self.running, self.momentum = running, momentum

    def __call__(self, x, *, train):
        """`train`: update the running statistics."""
        if self.running and not train:
            return self._normal(x, self.mean[...], self.var[...])
        mean, var = self._moments(x)
        if train:
            pixels = x.shape[1] * x.shape[2]
            follow(self.mean, across_devices(mean.mean((0, 1, 2))), self.momentum)
            follow(self.var, across_devices(var.mean((0, 1, 2))) * (pixels / max(pixels - 1, 1)), self.momentum)
        return self._normal(x, mean, var)


class StyleNorm(nnx.Module):
    """(1 + gamma) IN(x) + beta, both linear in a style [batch, style_dim]; `init` is of that layer."""

    def __init__(self, style_dim, features, *, init=None, rngs):
        self.norm = InstanceNorm(features, affine=False, rngs=rngs)
        self.fc = Linear(style_dim, 2 * features, init=init, rngs=rngs)

    def __call__(self, x, style):
        gamma, beta = jnp.split(self.fc(style)[:, None, None], 2, -1)
        return (1 + gamma) * self.norm(x) + beta


class GroupNorm(nnx.Module):
    """Normalisation over height, width and the channels of each of some groups (Wu & He, ECCV 2018), as torch's."""

    def __init__(self, features, *, groups=1, epsilon=1e-5, rngs):
        del rngs
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.groups, self.epsilon = groups, epsilon

    def __call__(self, x, *, train=False):
        """`train` makes no difference here."""
        y = x.astype(jnp.float32).reshape(*x.shape[:3], self.groups, -1)
        y = (y - y.mean((1, 2, 4), keepdims=True)) * lax.rsqrt(y.var((1, 2, 4), keepdims=True) + self.epsilon)
        return (y.reshape(x.shape) * self.scale[...] + self.bias[...]).astype(x.dtype)


def follow(running, new, momentum):
    """Moves a running statistic towards a new value."""
    old = running[...]
    running[...] = old + momentum * (lax.stop_gradient(new) - old)


class LayerNorm(nnx.Module):
    """Normalisation over the channels of each position, with scale and bias (Ba et al. 2016)."""

    def __init__(self, features, *, epsilon=1e-5, rngs):
        del rngs
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.epsilon = epsilon

    def __call__(self, x, *, centred=False):
        """`centred`: as of `ops.normalise.layer_norm`."""
        return normalise.layer_norm(x, self.scale[...], self.bias[...], self.epsilon, centred)


def dropout(x, keys, rate=0.5):
    """Zeroes activations with probability `rate`, by a key [batch] for each example."""
    keep = random.bernoulli16(keys, 1 - rate, x.shape[1:])
    return jnp.where(keep, x * (1 / (1 - rate)), 0)
