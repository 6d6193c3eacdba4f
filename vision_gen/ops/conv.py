"""Convolutions that are fast on every XLA backend.

XLA compiles `lax.conv_general_dilated` and its gradients well on GPU and TPU. On CPU some of
them fall into a naive loop nest that is 10 to 50 times slower than a matrix product: the
gradients of a transposed convolution, and every convolution whose kernel is larger than the
map it slides over (the innermost layers of a U-Net). Each convolution here is therefore one
trilinear form

    T(x, w, y) = sum_{n,p,q,i,j,a,b}  x[n, s p + i - pad, s q + j - pad, a] w[i, j, a, b] y[n, p, q, b]

with three faces, each the gradient of the other two, so that derivatives of any order stay
inside this file:

    conv(x, w) -> y        _adjoint(y, w) -> x        _kernel_gradient(x, y) -> w

On GPU and TPU a face is XLA's own convolution. On CPU its formulation follows from the shapes:
a matrix product over gathered patches where the map is tiny, a sub-pixel convolution where a
stride would dilate the input, strips instead of whole images for the kernel gradient of one or two,
Winograd's where kernels of 3 to 7 taps have many channels, and XLA's convolution elsewhere.
docs/speed_log.md has the measurements behind these rules.
"""

import functools
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from vision_gen.ops import winograd

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# On CPU, with at most this many output positions (batch x height x width), gathering patches for one GEMM
# costs less than XLA's convolution: for outputs, for gradients of the input and of the kernel.
GEMM_ROWS = 64
ADJOINT_GEMM_ROWS = 1024
KERNEL_GEMM_ROWS = 256
# On CPU, XLA's kernel gradient is slow of one or two examples, and fast of their strips.
STRIPED_BATCH = 2
STRIPS = 16  # Of an example at most.
# Of XLA's two libraries on CPU, YNNPACK (the default) has the faster products and reductions, Eigen the
# faster convolutions. And XLA's quicker copy insertion copies every donated array once a step.
CPU_COMPILER_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    "xla_cpu_copy_insertion_use_region_analysis": True,
}


def compiler_options(platform=None):
    """Options for `jax.jit` under which the formulations here were chosen.

    Args:
      platform: "cpu", "gpu" or "tpu"; by default that of the default device.

    Returns:
      dict; empty but on CPU, and without what this XLA does not know.
    """
    platform = platform or jax.default_backend()
    return {k: v for k, v in CPU_COMPILER_OPTIONS.items() if platform == "cpu" and _known(k, v)}


@functools.cache
def _known(option, value):
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            jax.jit(lambda: 0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def conv(x, kernel, *, stride=1, padding=0):
    """2-D convolution (cross-correlation, as everywhere in deep learning).

    Args:
      x: [batch, height, width, channel].
      kernel: [kernel_height, kernel_width, channel, features]. `x` is cast to its dtype.
      stride: step in both directions, at least 1.
      padding: zeros on every side; an int, ((top, bottom), (left, right)), or "same" as TensorFlow
        has it: ceil(size / stride) outputs, the odd zero at the end.

    Returns:
      [batch, (height + pad - kernel_height) // stride + 1, likewise width, features].

    Raises:
      ValueError: channels of `x` and `kernel` differ, or the kernel exceeds the padded map.
    """
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"conv: x {x.shape} must be [batch, height, width, channel] and kernel {kernel.shape} "
            "[height, width, channel, features] with the same number of channels"
        )
    padding = _padding(padding, x, kernel, stride)
    if min(_out_size(x.shape[1:3], kernel.shape[:2], stride, padding)) < 1:
        raise ValueError(
            f"conv: kernel {kernel.shape[:2]} does not fit into map {x.shape[1:3]} padded by {padding}"
        )
    return _conv(x.astype(kernel.dtype), kernel, stride, padding)


def dilated(x, kernel, *, dilation, padding=0):
    """2-D convolution whose kernel has `dilation - 1` zeros between its taps.

    On CPU an ordinary one of every `dilation`-th row and column, for each of their offsets.

    Args:
      x, kernel: as of `conv`.
      dilation: at least 1.
      padding: as of `conv`, but for "same".
    """
    if dilation == 1:
        return conv(x, kernel, padding=padding)
    padding = _pairs(padding)
    size = _out_size(x.shape[1:3], [(k - 1) * dilation + 1 for k in kernel.shape[:2]], 1, padding)
    if min(size) < 1:
        raise ValueError(f"dilated: kernel {kernel.shape[:2]} does not fit into map {x.shape[1:3]} padded by {padding}")
    return lax.platform_dependent(
        x.astype(kernel.dtype),
        kernel,
        cpu=lambda x, w: _dilated_cpu(x, w, dilation, padding)[:, : size[0], : size[1]],
        default=lambda x, w: lax.conv_general_dilated(
            x, w, (1, 1), padding, rhs_dilation=(dilation, dilation), dimension_numbers=DIMENSIONS
        ),
    )


def conv_joined(maps, kernel, **settings):
    """`conv` of maps joined by their channels.

    On TPU the sum of each map's convolution: what joins maps writes them to memory, and their gradients again.

    Args:
      maps: each [batch, height, width, *]; together they have the kernel's channels.
      kernel, **settings: as of `conv`.
    """
    if len(maps) == 1:
        return conv(*maps, kernel, **settings)
    return lax.platform_dependent(
        *maps,
        kernel,
        tpu=lambda *args: conv_each(args[:-1], args[-1], **settings),
        default=lambda *args: conv(jnp.concatenate(args[:-1], -1), args[-1], **settings),
    )


def conv_each(maps, kernel, **settings):
    """`conv_joined` as a sum of convolutions."""
    starts = np.cumsum([x.shape[-1] for x in maps])[:-1]
    return sum(conv(x, part, **settings) for x, part in zip(maps, jnp.split(kernel, starts, 2), strict=True))


def depthwise(x, kernel, *, stride=1, padding=0):
    """2-D convolution of every channel with its own kernel.

    Args:
      x: [batch, height, width, channel].
      kernel: [kernel_height, kernel_width, 1, channel].
      stride, padding: as of `conv`.
    """
    padding = _padding(padding, x, kernel, stride)
    return lax.platform_dependent(
        x.astype(kernel.dtype),
        kernel,
        cpu=lambda x, w: _depthwise_cpu(x, w, stride, padding),
        default=lambda x, w: lax.conv_general_dilated(
            x,
            w,
            (stride, stride),
            padding,
            dimension_numbers=DIMENSIONS,
            feature_group_count=x.shape[3],
        ),
    )


def conv_transpose(x, kernel, *, stride=2, padding=1):
    """The adjoint of `conv` with the same kernel: torch's ConvTranspose2d.

    Args:
      x: [batch, height, width, channel].
      kernel: [kernel_height, kernel_width, features, channel]: the kernel of the convolution
        that maps `features` to `channel`; torch's (in, out, h, w) weight transposed (2, 3, 1, 0).
      stride: up-sampling factor.
      padding: what the convolution would have padded, so what is cut off here.

    Returns:
      [batch, (height - 1) * stride - pad + kernel_height, likewise width, features].
    """
    padding = _pairs(padding)
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[3]:
        raise ValueError(
            f"conv_transpose: x {x.shape} must be [batch, height, width, channel] and kernel "
            f"{kernel.shape} [height, width, features, channel] with the same number of channels"
        )
    size = tuple(
        (n - 1) * stride - sum(p) + k for n, k, p in zip(x.shape[1:3], kernel.shape[:2], padding)
    )
    return _adjoint(x.astype(kernel.dtype), kernel, stride, padding, size)


def _padding(padding, x, kernel, stride):
    if padding == "same":
        padding = []
        for n, k in zip(x.shape[1:3], kernel.shape[:2]):
            total = max((-(-n // stride) - 1) * stride + k - n, 0)
            padding.append((total // 2, total - total // 2))
    return _pairs(padding)


def _pairs(padding):
    if isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    padding = tuple(tuple(p) for p in padding)
    if min(min(p) for p in padding) < 0:
        raise ValueError(f"padding must not be negative, got {padding}")
    return padding


def _out_size(size, kernel, stride, padding):
    return tuple((n + sum(p) - k) // stride + 1 for n, k, p in zip(size, kernel, padding))


# The three faces. Each gradient is one of the other two.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, w, stride, padding):
    return lax.platform_dependent(
        x,
        w,
        cpu=lambda x, w: _conv_cpu(x, w, stride, padding),
        default=lambda x, w: _conv_native(x, w, stride, padding),
    )


def _conv_bwd(stride, padding, residuals, dy):
    x, w = residuals
    dx = _adjoint(dy, w, stride, padding, x.shape[1:3])
    return dx, _kernel_gradient(x, dy, stride, padding, w.shape[:2])


_conv.defvjp(lambda x, w, stride, padding: (_conv(x, w, stride, padding), (x, w)), _conv_bwd)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _adjoint(y, w, stride, padding, size):
    return lax.platform_dependent(
        y,
        w,
        cpu=lambda y, w: _adjoint_cpu(y, w, stride, padding, size),
        default=lambda y, w: _adjoint_native(y, w, stride, padding, size),
    )


def _adjoint_bwd(stride, padding, size, residuals, dx):
    y, w = residuals
    dy = _conv(dx, w, stride, padding)
    return dy, _kernel_gradient(dx, y, stride, padding, w.shape[:2])


_adjoint.defvjp(
    lambda y, w, stride, padding, size: (_adjoint(y, w, stride, padding, size), (y, w)),
    _adjoint_bwd,
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _kernel_gradient(x, y, stride, padding, kernel_size):
    return lax.platform_dependent(
        x,
        y,
        cpu=lambda x, y: _kernel_gradient_cpu(x, y, stride, padding, kernel_size),
        default=lambda x, y: _kernel_gradient_native(x, y, stride, padding, kernel_size),
    )


def _kernel_gradient_bwd(stride, padding, kernel_size, residuals, dw):
    x, y = residuals
    return (
        _adjoint(y, dw, stride, padding, x.shape[1:3]),
        _conv(x, dw, stride, padding),
    )


_kernel_gradient.defvjp(
    lambda x, y, stride, padding, kernel_size: (
        _kernel_gradient(x, y, stride, padding, kernel_size),
        (x, y),
    ),
    _kernel_gradient_bwd,
)


# XLA's own convolution: GPU, TPU, and the large maps on CPU.


def _conv_native(x, w, stride, padding):
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=DIMENSIONS)


def _adjoint_native(y, w, stride, padding, size):
    x = jax.ShapeDtypeStruct((y.shape[0], *size, w.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: _conv_native(x, w, stride, padding), x)(y)[0]


def _kernel_gradient_native(x, y, stride, padding, kernel_size):
    w = jax.ShapeDtypeStruct((*kernel_size, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: _conv_native(x, w, stride, padding), w)(y)[0]


# CPU.


def _use_gemm(batch, out_size, kernel, rows):
    """Also wherever the kernel exceeds the map, where XLA's convolution is a naive loop; not to a single channel."""
    return (
        kernel[:2] == (1, 1)
        or batch * math.prod(out_size) <= rows and kernel[3] > 1
        or any(n < k for n, k in zip(out_size, kernel))
    )


def _may_cancel(x, stride):
    """Whether Winograd's formulation, which cancels large terms, may be taken."""
    return x.dtype == jnp.float32 and stride == 1


def _conv_cpu(x, w, stride, padding):
    out = _out_size(x.shape[1:3], w.shape[:2], stride, padding)
    if _may_cancel(x, stride) and winograd.pays(x.shape[0], out, w.shape):
        return winograd.conv(x, w, padding)
    if _use_gemm(x.shape[0], out, w.shape, GEMM_ROWS):
        return _patches(x, w.shape[:2], stride, padding) @ w.reshape(-1, w.shape[3])
    return _conv_native(x, w, stride, padding)


def _adjoint_cpu(y, w, stride, padding, size):
    # XLA:CPU gets some convolutions with negative padding wrong, so what it would cut off is cut off here.
    edges = tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(w.shape[:2], padding))
    fits = min(map(min, edges)) >= 0
    if fits and _may_cancel(y, stride) and winograd.gradient_pays(y.shape[0], size, w.shape, split=True):
        return winograd.adjoint(y, w, edges)
    if _use_gemm(y.shape[0], y.shape[1:3], w.shape, ADJOINT_GEMM_ROWS):
        patches = y @ w.reshape(-1, w.shape[3]).T
        return _patches_adjoint(patches, w.shape[:2], stride, padding, size)
    if stride == 1:
        if not fits:
            cut = [(min(a, 0), min(b, 0), 0) for a, b in edges]
            y = lax.pad(y, jnp.zeros((), y.dtype), ((0, 0, 0), *cut, (0, 0, 0)))
            edges = tuple((max(a, 0), max(b, 0)) for a, b in edges)
        return _conv_cpu(y, w[::-1, ::-1].swapaxes(2, 3), 1, edges)
    return _adjoint_sub_pixel(y, w, stride, padding, size)


def _kernel_gradient_cpu(x, y, stride, padding, kernel_size):
    kernel = (*kernel_size, x.shape[3], y.shape[3])
    if _use_gemm(x.shape[0], y.shape[1:3], kernel, KERNEL_GEMM_ROWS):
        patches = _patches(x, kernel_size, stride, padding)
        dw = jnp.tensordot(patches, y, ((0, 1, 2), (0, 1, 2)))
        return dw.reshape(kernel)
    if _may_cancel(x, stride) and winograd.gradient_pays(x.shape[0], y.shape[1:3], kernel, split=False):
        return winograd.kernel_gradient(x, y, padding)
    strips = math.gcd(y.shape[1], STRIPS) if x.shape[0] <= STRIPED_BATCH else 1
    if strips > 1:
        x, y, padding = _strips(x, y, stride, padding, kernel_size[0], strips)
    elif any(sum(p) > k - 1 for p, k in zip(padding, kernel_size)):
        # The result exceeds the map: XLA's own padding would make this a naive loop.
        x, padding = _pad(x, padding), ((0, 0), (0, 0))
    return _kernel_gradient_native(x, y, stride, padding, kernel_size)


def _strips(x, y, stride, padding, taps, count):
    """Maps and padding of a kernel gradient that has `count` strips of rows as examples instead of an image."""
    rows = y.shape[1] // count
    x = _pad(x, padding)
    starts = range(0, y.shape[1] * stride, rows * stride)
    x = jnp.stack([x[:, i : i + (rows - 1) * stride + taps] for i in starts], 1)
    return x.reshape(-1, *x.shape[2:]), y.reshape(-1, rows, *y.shape[2:]), ((0, 0), (0, 0))


def _depthwise_cpu(x, w, stride, padding):
    """A sum of shifted maps, which is one loop; XLA's convolution by groups is a naive one."""
    taps = w.reshape(-1, w.shape[3])
    return sum(x * tap for x, tap in zip(_windows(x, w.shape[:2], stride, padding), taps))


def _dilated_cpu(x, w, dilation, padding):
    """`dilated`, and up to `dilation - 1` rows and columns beyond it."""
    batch, channel, d = x.shape[0], x.shape[3], dilation
    over = [-(n + sum(p)) % d for n, p in zip(x.shape[1:3], padding)]
    x = _pad(x, [(before, after + more) for (before, after), more in zip(padding, over)])
    height, width = (n // d for n in x.shape[1:3])
    x = x.reshape(batch, height, d, width, d, channel).transpose(0, 2, 4, 1, 3, 5)
    y = conv(x.reshape(batch * d * d, height, width, channel), w)
    height, width, features = y.shape[1:]
    y = y.reshape(batch, d, d, height, width, features).transpose(0, 3, 1, 4, 2, 5)
    return y.reshape(batch, height * d, width * d, features)


def _pad(x, padding):
    return jnp.pad(x, ((0, 0), *padding, (0, 0)))


def _windows(x, kernel_size, stride, padding):
    """What each tap of the kernel reads: kh * kw maps [batch, out_height, out_width, channel]."""
    height, width = _out_size(x.shape[1:3], kernel_size, stride, padding)
    x = _pad(x, padding)
    rows, columns = (height - 1) * stride + 1, (width - 1) * stride + 1
    return [
        x[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(kernel_size[0])
        for j in range(kernel_size[1])
    ]


def _patches(x, kernel_size, stride, padding):
    """Every kernel-sized window of `x`: [batch, out_height, out_width, kh * kw * channel]."""
    return jnp.concatenate(_windows(x, kernel_size, stride, padding), axis=-1)


def _patches_adjoint(patches, kernel_size, stride, padding, size):
    """Adds every window back to where `_patches` took it from."""
    batch, height, width, depth = patches.shape
    channel = depth // math.prod(kernel_size)
    x = jnp.zeros((batch, *size, channel), patches.dtype)
    for index in range(math.prod(kernel_size)):
        i, j = divmod(index, kernel_size[1])
        window = patches[..., index * channel : (index + 1) * channel]
        # Interior zeros undo the stride; the edges place the window, cutting the padding off.
        config = [(0, 0, 0)]
        for start, n, full, (before, _) in (
            (i, height, size[0], padding[0]),
            (j, width, size[1], padding[1]),
        ):
            low = start - before
            config.append((low, full - low - ((n - 1) * stride + 1), stride - 1))
        x += lax.pad(window, jnp.zeros((), patches.dtype), [*config, (0, 0, 0)])
    return x


def _adjoint_sub_pixel(y, w, stride, padding, size):
    """Adjoint of a strided convolution without zeros between the inputs.

    x[s a + r] = sum_q y[a - q] w[s q + r]: for each of the s x s output phases r an ordinary
    convolution of `y` with every s-th tap of the kernel; all phases are one convolution with
    s*s times the channels, and a transpose puts them side by side.
    """
    kh, kw, channel, features = w.shape
    mh, mw = -(-kh // stride), -(-kw // stride)
    w = jnp.pad(w, ((0, mh * stride - kh), (0, mw * stride - kw), (0, 0), (0, 0)))
    w = w.reshape(mh, stride, mw, stride, channel, features)[::-1, :, ::-1]
    w = w.transpose(0, 2, 5, 1, 3, 4).reshape(mh, mw, features, stride * stride * channel)
    y = _pad(y, ((mh - 1, mh - 1), (mw - 1, mw - 1)))
    x = _conv_native(y, w, 1, ((0, 0), (0, 0)))
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height, width, stride, stride, channel).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, height * stride, width * stride, channel)
    cut = [(0, 0, 0)]
    for n, full, (before, _) in zip(x.shape[1:3], size, padding):
        cut.append((-before, full + before - n, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), [*cut, (0, 0, 0)])
