"""Single convolutions on this device: XLA's own as it compiles by default and `ops.conv`, forward, dx and dW.

    python -m benchmarks.conv
"""

import time

import jax
import numpy as np

from vision_gen.ops import conv

# (batch, height, width, channel), features, kernel, stride, padding, transposed.
SHAPES = (
    ((16, 64, 64, 64), 64, 3, 1, 1, False),
    ((16, 32, 32, 64), 128, 4, 2, 1, False),
    ((16, 4, 4, 512), 512, 4, 2, 1, False),
    ((16, 32, 32, 128), 64, 4, 2, 1, True),
    ((1, 128, 128, 128), 64, 4, 2, 1, True),
    ((1, 32, 32, 512), 256, 4, 2, 1, True),
)


def milliseconds(function, *arguments, options=None):
    """Fastest of four runs after a warm-up, compiled with `options`."""
    function = jax.jit(function, compiler_options=options)
    jax.block_until_ready(function(*arguments))
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        seconds.append(time.perf_counter() - begun)
    return 1e3 * min(seconds)


def main():
    rng = np.random.default_rng(0)
    array = lambda *shape: jax.numpy.asarray(rng.normal(size=shape), "float32")
    print(f"{'shape':<46} {'':<12} {'forward':>9} {'dx':>9} {'dW':>9}   ms")
    for shape, features, kernel, stride, padding, transposed in SHAPES:
        x, pad = array(*shape), ((padding, padding),) * 2
        if transposed:
            w = array(kernel, kernel, features, shape[3])
            size = tuple((n - 1) * stride - 2 * padding + kernel for n in shape[1:3])
            variants = {
                "lax": lambda x, w: conv._adjoint_native(x, w, stride, pad, size),
                "ops.conv": lambda x, w: conv.conv_transpose(x, w, stride=stride, padding=padding),
            }
        else:
            w = array(kernel, kernel, shape[3], features)
            variants = {
                "lax": lambda x, w: conv._conv_native(x, w, stride, pad),
                "ops.conv": lambda x, w: conv.conv(x, w, stride=stride, padding=padding),
            }
        label = f"{'transposed ' * transposed}{kernel}x{kernel}/{stride} {shape} -> {features}"
        for name, f in variants.items():
            y = f(x, w)
            options = conv.compiler_options() if name == "ops.conv" else {}
            times = (
                milliseconds(f, x, w, options=options),
                milliseconds(lambda x, w, y: jax.vjp(lambda x: f(x, w), x)[1](y), x, w, y, options=options),
                milliseconds(lambda x, w, y: jax.vjp(lambda w: f(x, w), w)[1](y), x, w, y, options=options),
            )
            print(f"{label:<46} {name:<12} " + " ".join(f"{t:9.1f}" for t in times))


if __name__ == "__main__":
    main()
