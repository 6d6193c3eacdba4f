"""The chips that programs are compiled for, with where each number comes from.

TPU: cloud.google.com/tpu/docs, "System architecture", the pages v4, v5e, v5p and v6e: HBM, its bandwidth, bfloat16
peak, interconnect of a chip (all links, one direction). A v4 or v5p chip is one device to XLA ("megacore").
GPU: NVIDIA's datasheets of H200 (SXM, 141 GB), H100 (SXM5, 80 GB) and A100 (SXM4, 80 GB), dense bfloat16; NVLink,
one direction. Their descriptions for XLA (GpuTargetConfigProto): CUDA C++ programming guide, technical
specifications by compute capability, and the datasheets; the second-level cache of an H200 as torch reports it.

For float32 the peak is that of what XLA does by default: one bfloat16 pass on TPU, TF32 on GPU.
"""

import dataclasses

from jax.experimental import topologies

from vision_gen.errors import InputError


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a chip can do at most.

    Attributes:
      memory: bytes.
      bandwidth: of the memory, bytes/s.
      flops: bfloat16 flop/s, dense.
      float32_flops: flop/s of float32 operands at XLA's default precision.
      link: bytes/s to other chips, one direction.
      description: of a GPU, for XLA.
    """

    memory: float
    bandwidth: float
    flops: float
    float32_flops: float
    link: float
    description: str = ""


_GPU = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  {numbers}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 2 }}
device_description_str: "{name}"
"""
_H100 = _GPU.format(
    name="NVIDIA H100 80GB HBM3",
    numbers="""shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 cuda_compute_capability { major: 9 minor: 0 }""",
)
_H200 = _GPU.format(
    name="NVIDIA H200",
    numbers="""shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  core_count: 132 fpus_per_core: 128
  memory_bandwidth: 4800000000000 l2_cache_size: 62914560 clock_rate_ghz: 1.98
  device_memory_size: 150754820096 cuda_compute_capability { major: 9 minor: 0 }""",
)
_A100 = _GPU.format(
    name="NVIDIA A100-SXM4-80GB",
    numbers="""shared_memory_per_core: 167936 shared_memory_per_block_optin: 166912
  core_count: 108 fpus_per_core: 64
  memory_bandwidth: 2039000000000 l2_cache_size: 41943040 clock_rate_ghz: 1.41
  device_memory_size: 84942979072 cuda_compute_capability { major: 8 minor: 0 }""",
)

CHIPS = {
    "tpu:v4": Chip(32e9, 1228e9, 275e12, 275e12, 300e9),
    "tpu:v5e": Chip(16e9, 819e9, 197e12, 197e12, 200e9),
    "tpu:v5p": Chip(95e9, 2765e9, 459e12, 459e12, 600e9),
    "tpu:v6e": Chip(32e9, 1640e9, 918e12, 918e12, 448e9),
    "gpu:h100": Chip(80e9, 3352e9, 989e12, 495e12, 450e9, _H100),
    "gpu:h200": Chip(141e9, 4800e9, 989e12, 495e12, 450e9, _H200),
    "gpu:a100": Chip(80e9, 2039e9, 312e12, 156e12, 300e9, _A100),
}


def chip(target):
    """The `Chip` of "tpu:v5e:4x4" or "gpu:h100:8".

    Raises:
      InputError: there is none.
    """
    name, _, shape = target.rpartition(":")
    if name not in CHIPS or not shape:
        raise InputError(f"--target must be CHIP:TOPOLOGY with a chip of {', '.join(CHIPS)}, got {target!r}")
    return CHIPS[name]


def devices(target):
    """JAX devices of a target, which need not be there.

    Raises:
      InputError: no such target, or its compiler is not installed, or the topology does not exist.
    """
    found = chip(target)
    platform, name, shape = target.split(":")
    try:
        if platform == "tpu":
            alone = {"chips_per_host_bounds": (1, 1, 1)} if shape == "1x1" else {}  # Else a host has 2 x 2.
            return topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{shape}", **alone).devices
        return topologies.get_topology_desc(
            f"1x1x{shape}", platform="cuda", target_config=found.description, topology=f"1x1x{shape}"
        ).devices
    except Exception as error:
        extra = "tpu" if platform == "tpu" else "gpu-compiler"
        reason = str(error).splitlines()[0]
        raise InputError(
            f"--target={target}: {reason}. If its compiler is missing: pip install -e '.[{extra}]'"
        ) from error
