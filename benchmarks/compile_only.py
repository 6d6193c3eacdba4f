"""What XLA's TPU and GPU compilers make of a training step, without the chip.

    pip install libtpu                                              # for TPU
    pip install --no-deps jax-cuda13-plugin jax-cuda13-pjrt         # for GPU
    python -m benchmarks.compile_only --config=configs/vit_imagenet.py --target=tpu:v5e:16x16 \\
        --config.model.size=L --config.dtype=bfloat16 --config.parallel.fsdp=16
    python -m benchmarks.compile_only --config=configs/nerf_blender.py --target=gpu:h100:1

Prints flops, bytes, memory and collectives of one device of the target. Compile-time figures: nothing is run.
"""

import collections
import os
import re
import sys
import time

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Choosing kernels by timing them needs the chip.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_gpu_autotune_level=0"

from absl import flags
import jax
import jax.extend
from jax.experimental import topologies
import numpy as np

from vision_gen.data import sources
from vision_gen.engine import commands
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import step as step_lib
from vision_gen.errors import InputError

# Bytes of memory and bfloat16 flops a second of a chip: cloud.google.com/tpu/docs, the pages of each
# version; NVIDIA's H100 datasheet (SXM, dense).
CHIPS = {
    "tpu:v4": (32e9, 275e12),
    "tpu:v5e": (16e9, 197e12),
    "tpu:v5p": (95e9, 459e12),
    "tpu:v6e": (32e9, 918e12),
    "gpu:h100": (80e9, 989e12),
}
# XLA's description of a GPU (GpuTargetConfigProto): CUDA programming guide, compute capability 9.0,
# and the datasheet.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 2 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BITS = {"pred": 8, "s8": 8, "u8": 8, "bf16": 16, "f16": 16, "s32": 32, "u32": 32, "f32": 32}

_CONFIG = commands.define_config("config", "The experiment, a file of configs/.")
_TARGET = flags.DEFINE_string(
    "target", "tpu:v5e:4x4", "Such as tpu:v5e:16x16 (a topology), gpu:h100:8 (a number) or cpu."
)


def devices_of(target):
    """Devices of a chip and topology that need not be there.

    Raises:
      InputError: no such target, or its compiler is not installed.
    """
    if target == "cpu":
        return jax.devices("cpu")[:1]
    platform, _, rest = target.partition(":")
    chip, _, shape = rest.partition(":")
    if f"{platform}:{chip}" not in CHIPS or not shape:
        raise InputError(f"--target must be CHIP:TOPOLOGY with a chip of {list(CHIPS)}, or cpu, got {target!r}")
    try:
        if platform == "tpu":
            return topologies.get_topology_desc(platform="tpu", topology_name=f"{chip}:{shape}").devices
        return topologies.get_topology_desc(
            f"1x1x{shape}", platform="cuda", target_config=H100, topology=f"1x1x{shape}"
        ).devices
    except Exception as error:
        package = "libtpu" if platform == "tpu" else "--no-deps jax-cuda13-plugin jax-cuda13-pjrt"
        raise InputError(f"no compiler for {target} ({error}); pip install {package}") from error


def compiled(config, devices):
    """(compiled step, seconds, matrix flops of all devices) on devices that may not exist."""
    parallel = parallel_lib.Parallel(config, devices)
    graphdef, state = step_lib.place_state(config, parallel, abstract=True)
    batch = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            (config.train.batch_size, *np.shape(x)), x.dtype, sharding=parallel.batch_sharding
        ),
        sources.example(config),
    )
    begun = time.perf_counter()
    step = parallel.compile(lambda axis: step_lib.make_step(config, graphdef, axis), state, batch)
    seconds = time.perf_counter() - begun
    jaxpr = jax.make_jaxpr(step_lib.make_step(config, graphdef))(state, batch)
    return step, seconds, matrix_flops(jaxpr.jaxpr)


def matrix_flops(jaxpr):
    """Flops of the matrix products and convolutions of a jaxpr, loops as often as they turn.

    XLA's own count takes the body of a loop once.
    """
    total = 0
    for equation in jaxpr.eqns:
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        inner = [matrix_flops(j) for j in jax.extend.core.jaxprs_in_params(equation.params)]
        # Of the branches of a choice, the costliest.
        total += times * (max(inner, default=0) if equation.primitive.name == "cond" else sum(inner))
        if equation.primitive.name == "dot_general":
            (contract, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * equation.outvars[0].aval.size * np.prod([left[i] for i in contract])
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            features = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
            total += 2 * equation.outvars[0].aval.size * kernel.size / features
    return total


def collectives(hlo):
    """{kind: (count, bytes of the results on one device)} of an HLO text; loops count once."""
    found = collections.defaultdict(lambda: [0, 0])
    for shape, kind in re.findall(
        rf"= (\S+|\([^=]*?\)) ({'|'.join(COLLECTIVES)})(?:-start)?\(", hlo
    ):
        found[kind][0] += 1
        for dtype, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shape):
            size = np.prod([int(n) for n in dimensions.split(",") if n], dtype=float)
            found[kind][1] += size * BITS.get(dtype, 32) / 8
    return {kind: tuple(value) for kind, value in found.items()}


def main(argv):
    del argv
    config = _CONFIG.value
    devices = devices_of(_TARGET.value)
    memory, peak = CHIPS.get(_TARGET.value.rpartition(":")[0], (None, None))
    step, seconds, flops = compiled(config, devices)
    need = step.memory_analysis()
    arguments, outputs = need.argument_size_in_bytes, need.output_size_in_bytes
    total = arguments + outputs - need.alias_size_in_bytes + need.temp_size_in_bytes
    flops /= len(devices)
    rows = {
        "devices": len(devices),
        "examples a step, all devices": config.train.batch_size,
        "compiled in, s": f"{seconds:.1f}",
        "memory: arguments, GB": f"{arguments / 1e9:.2f}",
        "memory: temporaries, GB": f"{need.temp_size_in_bytes / 1e9:.2f}",
        "memory: needed, GB": f"{total / 1e9:.2f}",
        "flops of products and convolutions": f"{flops:.4g}",
    }
    if memory:
        fits = "fits" if total <= memory else "does not fit"
        rows["memory: needed, GB"] += f" of {memory / 1e9:.0f}: {fits}"
        rows["these at the chip's bfloat16 peak, ms"] = f"{1e3 * flops / peak:.1f}"
    cost = step.cost_analysis()  # None from the GPU compiler without a chip.
    if cost:
        rows["bytes accessed, loops once"] = f"{cost['bytes accessed']:.4g}"
    for kind, (count, size) in sorted(collectives(step.as_text()).items()):
        rows[f"{kind}: bytes, loops once"] = f"{size:.4g} in {count}"
    print(f"{config.system} for {_TARGET.value}, compile-time figures of one device")
    for name, value in rows.items():
        print(f"  {name:<38} {value}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config"])
    sys.exit(commands.run(main))
