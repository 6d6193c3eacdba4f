"""What XLA's TPU and GPU compilers make of a training step, without the chip.

    pip install -e '.[tpu]'             # libtpu, of JAX's own version: a newer one's programs cannot all be read
    pip install -e '.[gpu-compiler]'    # XLA's CUDA plugin, without CUDA's libraries
    python -m benchmarks.compile_only --scale=paper --target=tpu:v5e:4x4 --target=gpu:h100:8
    python -m benchmarks.compile_only --config=configs/vit_imagenet.py --target=tpu:v5e:16x16 \\
        --config.model.size=L --config.dtype=bfloat16 --config.parallel.fsdp=16

With `--scale=paper` every config that says what the paper's full size is (`PAPER`) is compiled, or `--config` alone,
where fields that are given go before the paper's; with `--largest` the largest batch that fits is searched as well.
Compile-time figures, nothing is run. Writes runs/benchmarks/compile-CONFIG.json.
"""

import importlib
import os
import pathlib
import re
import sys

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # No chip is held: several may compile at once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's log: its compilers warn of every missing chip.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Choosing kernels, and the tiles of Triton's products, by timing them needs the chip. Flags that are given come later and win.
os.environ["XLA_FLAGS"] = (
    "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false " + os.environ.get("XLA_FLAGS", "")
)

from absl import flags
import jax

from benchmarks import arguments, program, records, steps, targets
from vision_gen.engine import commands
from vision_gen.errors import InputError


def paper_configs():
    """{name: config module} of the configs that say what the paper's full size is."""
    found = {}
    for path in sorted((records.ROOT / "configs").glob("*.py")):
        module = importlib.import_module(f"vision_gen.configs.{path.stem}")
        if hasattr(module, "PAPER"):
            found[path.stem] = module
    return found


def paper(module, config=None, given=()):
    """A config of a module, by default its own, at the paper's full size but for the fields that are given."""
    config = config or module.get_config()
    config.update_from_flattened_dict({name: value for name, value in module.PAPER.items() if name not in given})
    return config


class Compiled:
    """One program's compile-time figures.

    Args:
      config: the experiment.
      devices: of a target.
    """

    def __init__(self, config, devices):
        step = steps.build(config, devices, abstract=True)
        self.count, self.unit = step.count, step.unit
        self.devices = len(devices)
        self.seconds = step.compile_seconds
        self.flops = step.flops / self.devices
        self.product_bytes = step.product_bytes / self.devices
        memory = step.compiled.memory_analysis()
        self.arguments = memory.argument_size_in_bytes
        self.outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
        self.temporaries = memory.temp_size_in_bytes
        self.needed = self.arguments + self.outputs + self.temporaries
        self.text = step.compiled.as_text()
        parsed = program.Program(self.text)
        self.moved = parsed.bytes_moved()
        self.traffic = parsed.traffic(8)
        self.collectives = parsed.collectives(dict(step.parallel.mesh.shape))
        self.counts = parsed.counts()
        try:
            cost = step.compiled.cost_analysis()
        except Exception:  # XLA's GPU compiler has none without a chip.
            cost = None
        self.cost = cost or {}


def roofline(flops, moved, communicated, chip, dtype):
    """Least seconds of a step by each of a chip's limits: {"compute", "memory", "links"}."""
    peak = chip.flops if dtype == "bfloat16" else chip.float32_flops
    return {
        "compute": flops / peak,
        "memory": moved / chip.bandwidth,
        "links": communicated / chip.link,
    }


def figures(compiled, chip, dtype):
    """A `Compiled` as figures of one device, and the limits by name."""
    f = records.figure
    found = {
        "compile": f(compiled.seconds, "s"),
        "memory: arguments": f(compiled.arguments, "bytes"),
        "memory: temporaries": f(compiled.temporaries, "bytes", better="lower"),
        "memory: outputs": f(compiled.outputs, "bytes"),
        "memory: needed": f(compiled.needed, "bytes", better="lower"),
        "model flops": f(compiled.flops, "flop"),
        "memory traffic, from the HLO": f(compiled.moved, "bytes", better="lower"),
        "memory traffic, of products alone": f(compiled.product_bytes, "bytes"),
    }
    if "bytes accessed" in compiled.cost:
        found["bytes accessed, XLA's count, loops once"] = f(compiled.cost["bytes accessed"], "bytes")
    if "flops" in compiled.cost:
        found["flops, XLA's count, loops once"] = f(compiled.cost["flops"], "flop")
    if compiled.cost.get("optimal_seconds", 0) > 0:
        found["step, the compiler's estimate, loops once"] = f(compiled.cost["optimal_seconds"], "s")
    communicated = 0.0
    for (kind, axis), (number, size) in sorted(compiled.collectives.items()):
        found[f"{kind} over {axis}, {number} in the program"] = f(size, "bytes", better="lower")
        communicated += size
    if chip is None:
        return found, {}
    limits = roofline(compiled.flops, compiled.moved, communicated, chip, dtype)
    least = max(limits.values())
    found["memory: of the chip"] = f(chip.memory, "bytes")
    found["arithmetic intensity"] = f(compiled.flops / max(compiled.moved, 1), "flop/byte")
    for name, seconds in limits.items():
        found[f"roofline: {name}"] = f(seconds, "s")
    found["roofline: step at least"] = f(least, "s", better="lower")
    found["roofline: utilisation at most"] = f(limits["compute"] / least, "1", better="higher")
    fused = max(limits["compute"], compiled.product_bytes / chip.bandwidth)
    found["roofline: utilisation at most, all but products fused away"] = f(limits["compute"] / fused, "1")
    found["roofline: throughput a chip at most"] = f(
        compiled.count / compiled.devices / least, f"{compiled.unit}/s", better="higher"
    )
    return found, limits


def needed(config, devices, batch):
    """Bytes that a device needs at a batch over all devices, or None where the compiler gives up."""
    config = config.copy_and_resolve_references()
    config.train.batch_size = batch
    try:
        return Compiled(config, devices).needed
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
            return None
        raise


def largest_batch(config, devices, memory, progress=print):
    """The largest batch over all devices that fits into `memory` bytes a device, to 1 part in 16.

    Compiles: doubles (or halves) the config's batch until it does not (does) fit, then bisects.

    Returns:
      (batch, its bytes), or (0, None) if not even one example a device fits.
    """
    part = len(devices) * config.train.accumulate

    def fits(parts):
        size = needed(config, devices, parts * part)
        progress(f"  batch {parts * part}: {'too large' if size is None else f'{size / 1e9:.2f} GB'}")
        return size is not None and size <= memory, size

    low, high, size = 0, None, None
    tried = max(config.train.batch_size // part, 1)
    while high is None or high - low > max(low // 16, 1):
        good, bytes_ = fits(tried)
        if good:
            low, size = tried, bytes_
        else:
            high = tried
        if high == 1:
            break
        tried = tried * 2 if high is None else max((low + high) // 2, 1)
    return low * part, size


def compile_one(name, config, target, record):
    """Adds one config's figures on one target to the record, and prints them."""
    chip = None if target == "cpu" else targets.chip(target)
    devices = jax.devices("cpu")[:1] if target == "cpu" else targets.devices(target)
    part = len(devices) * config.train.accumulate
    if flags.FLAGS.batch_a_chip:
        config.train.batch_size = flags.FLAGS.batch_a_chip * len(devices)
    elif flags.FLAGS.scale == "paper":  # The paper's batch, or one example a chip on more chips than that.
        config.train.batch_size = -(-config.train.batch_size // part) * part
    settings = dict(
        config=name, system=config.system, target=target, devices=len(devices), dtype=config.dtype,
        size=config.data.get("size"), batch=config.train.batch_size, fsdp=config.parallel.fsdp,
        style=config.parallel.style,
    )  # fmt: skip
    title = f"{name} for {target}, {config.dtype}, batch {config.train.batch_size}"
    record.begin(title)
    try:
        compiled = Compiled(config, devices)
    except jax.errors.JaxRuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        found = re.search(r"Used [\d.]+\w? of [\d.]+\w? hbm|[^,\n]* exceeds available HBM \([^)]*\)", str(error))
        note = f"does not fit: {found[0].strip()}" if found else f"does not compile: {lines[0][:300]}"
        result = record.add(title, {}, nature=records.COMPILE_TIME, settings=settings, note=note)
        records.show(result)
    else:
        if flags.FLAGS.hlo:
            folder = pathlib.Path(flags.FLAGS.hlo)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}-{target.replace(':', '-')}.hlo".replace(" ", "-")).write_text(compiled.text)
        found, limits = figures(compiled, chip, config.dtype)
        note = ""
        if chip:
            fits = "fits" if compiled.needed <= chip.memory else "does NOT fit"
            note = f"{fits}; bound by {max(limits, key=limits.get)}"
        result = record.add(
            title, found, nature=records.COMPILE_TIME, settings=settings, counts=compiled.counts, note=note,
            traffic=compiled.traffic,
        )  # fmt: skip
        records.show(result)
        for source, opcode, size in compiled.traffic:
            print(f"  {size / compiled.moved:6.1%} of the traffic  {opcode:<12} {source}")
    if flags.FLAGS.largest and chip:
        batch, size = largest_batch(config, devices, chip.memory)
        extra = {"largest batch that fits": records.figure(batch, "examples", better="higher")}
        if size:
            extra["largest batch: memory needed"] = records.figure(size, "bytes")
        result["figures"] |= extra
        record.save()
        records.show({**result, "figures": extra})


def define():
    """The flags of this program."""
    commands.define_config("config", "The experiment, a file of configs/.")
    flags.DEFINE_multi_string(
        "target", ["tpu:v5e:4x4"], "Such as tpu:v5e:16x16 (a topology), gpu:h100:8 (a number) or cpu."
    )
    flags.DEFINE_enum("scale", "config", ["config", "paper"], "As the config is, or the paper's full size.")
    flags.DEFINE_bool("largest", False, "Search the largest batch that fits.")
    flags.DEFINE_integer("batch_a_chip", 0, "Batch of each chip; 0 is the config's batch over all.")
    arguments.define_output()
    flags.DEFINE_string("hlo", None, "Folder for the optimised HLO.")


def main(argv):
    del argv
    for target in flags.FLAGS.target:
        if target != "cpu":
            targets.devices(target)  # All of them, before the first long compilation.
    if flags.FLAGS.scale == "paper":
        modules, file = paper_configs(), "paper"
        if flags.FLAGS.config is not None:
            name, file = arguments.config_name(), f"paper-{arguments.config_name()}"
            if name not in modules:
                raise InputError(f"--config: {name} has no PAPER for --scale=paper; {', '.join(modules)} have")
            config = paper(modules[name], flags.FLAGS.config, arguments.given())
            chosen = [(f"{arguments.label()} (paper)", config)]
        else:
            chosen = [(f"{name} (paper)", paper(module)) for name, module in modules.items()]
    elif flags.FLAGS.config is None:
        raise InputError("give --config=configs/NAME.py or --scale=paper")
    else:
        file = arguments.config_name()
        chosen = [(arguments.label(), flags.FLAGS.config)]
    record = arguments.record("compile_only", f"compile-{file}", len(chosen) * len(flags.FLAGS.target))
    for name, config in chosen:
        for target in flags.FLAGS.target:
            compile_one(name, config.copy_and_resolve_references(), target, record)
    print(f"wrote {record.path}")


if __name__ == "__main__":
    define()
    sys.exit(commands.run(main))
