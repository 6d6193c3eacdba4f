"""Speed of training: the engine's step against the same networks in torch, and the engine's share.

    python -m benchmarks.throughput                # pix2pix, NeRF, Inception against torch; the demo's overhead
    python -m benchmarks.throughput --startup      # and start to first step, cold and warm

Peers run alternately in one process, each in its own turn, so that a drift of the machine's speed
meets both. Writes benchmarks/results/throughput-DEVICE.json; with `--output` elsewhere.
"""

import argparse
import datetime
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from flax import nnx
import jax
import numpy as np

try:
    import torch
except ImportError:
    sys.exit("the comparison needs torch: pip install -e '.[parity]'")

from vision_gen.data import pipeline, scenes, sources
from vision_gen.engine import parallel as parallel_lib
from vision_gen.engine import step as step_lib
from vision_gen.engine import system as systems
from vision_gen.nets import features
from vision_gen.ops import rays as ray_ops
from vision_gen.pretrained import features as pretrained

ROOT = pathlib.Path(__file__).parent.parent
SHAPES = ((256, 1), (64, 16))  # Size and batch of the pix2pix comparison.
RAYS = 512
PART = 8  # Rays computed at a time on CPU.


def built(config, batch):
    """(function that runs one blocking step, compile seconds) of a config."""
    parallel = parallel_lib.Parallel(config, jax.devices()[:1])
    graphdef, state = step_lib.place_state(config, parallel)
    batch = parallel.batch(batch)
    begun = time.perf_counter()
    step = parallel.compile(lambda axis: step_lib.make_step(config, graphdef, axis), state, batch)
    seconds = time.perf_counter() - begun

    def run():
        nonlocal state
        state, metrics = step(state, batch)
        values = parallel.scalars(metrics)
        assert all(np.isfinite(v) for v in values.values()), values

    return run, seconds


def timed(function):
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def summary(seconds, count):
    """Median and spread of step times, and how many of what is counted a second."""
    median = statistics.median(seconds)
    return {
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "per_second": count / median,
    }


def compared(name, config, local, peers, rounds):
    """Our step on the local batch and the peers' steps, alternately."""
    ours, compile_seconds = built(config, local)
    unit, each = systems.load_class(config.system).units(config)
    result = alternated(name, ours, peers, rounds, unit, config.train.batch_size * each)
    return result | {"compile_seconds": compile_seconds}


def alternated(name, ours, peers, rounds, unit, count):
    """Times of `ours` and of the peers, one after the other in every round; each does `count` of `unit`."""
    runs = {"vision_gen": ours, **peers}
    for run in runs.values():  # Warm-up.
        run()
        run()
    seconds = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            seconds[key].append(timed(run))
    ratios = {}
    for key in peers:
        each = [theirs / mine for mine, theirs in zip(seconds["vision_gen"], seconds[key])]
        ratios[key] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    return {
        "name": name,
        "unit": unit,
        "runs": {key: summary(s, count) for key, s in seconds.items()},
        "ratios": ratios,
    }


def pix2pix(size, batch, rounds):
    """pix2pix against torch eager, NCHW and channels_last."""
    from benchmarks.peers.pix2pix import Trainer
    from configs import pix2pix_openmoji

    config = pix2pix_openmoji.get_config()
    config.data.size = size
    config.train.batch_size = batch
    # The peer is given its pictures: neither crops, flips nor draws.
    config.model.update(jitter=1.0, flip=False, line_share=1.0)
    rng = np.random.default_rng(0)
    local = {
        "colour": rng.integers(0, 256, (batch, size, size, 3), np.uint8),
        "line": rng.integers(0, 256, (batch, size, size, 1), np.uint8),
    }
    source, target = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))
    peers = {
        f"torch {name}": (lambda t=Trainer(size, channels_last=last): t.step(source, target))
        for name, last in (("nchw", False), ("channels_last", True))
    }
    name = f"pix2pix train step, {size} px, batch {batch}"
    return compared(name, config, local, peers, rounds)


def nerf(rays, rounds):
    """The paper's NeRF on `rays` rays against torch eager, the batch whole and in parts.

    Ours computes the batch in parts as well: what a part leaves for its backward pass stays in the
    cache.
    """
    from benchmarks.peers.nerf import Trainer
    from configs import nerf_blender

    config = nerf_blender.get_config()
    config.data.rays = PART
    config.train.update(batch_size=rays // PART, accumulate=rays // PART)
    scene = scenes.analytic_scene("train", 32)
    bundles = scenes.Rays(scene, config.data.rays)
    local = sources.stack([bundles[i] for i in range(config.train.batch_size)])
    origin, direction = (
        torch.tensor(np.array(x).reshape(-1, 3))
        for x in ray_ops.camera_rays(local["pixel"], local["pose"], local["intrinsics"])
    )
    colour = torch.tensor(local["colour"].reshape(-1, 4) / 255, dtype=torch.float32)
    truth = colour[:, :3] * colour[:, 3:] + 1 - colour[:, 3:]
    peers = {
        f"torch {name}": (lambda t=Trainer(), n=n: t.step(origin, direction, truth, parts=n))
        for name, n in (("whole", 1), ("in parts", rays // PART))
    }
    name = f"NeRF train step, 8 x 256, 64 + 128 samples, {rays} rays"
    return compared(name, config, local, peers, rounds)


def inception(batch, rounds):
    """Features of FID's network, random weights, against torch eager, NCHW and channels_last."""
    from benchmarks.peers.inception import Inception

    network = features.Inception(rngs=nnx.Rngs(0))
    apply, params = pretrained.apply(network)
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 299, 299, 3)).astype(np.float32)
    ours = jax.jit(lambda params, images: apply(params, images)["features"])
    images = jax.device_put(images)
    peers = {}
    for name, layout in (("nchw", torch.contiguous_format), ("channels_last", torch.channels_last)):
        model = Inception(network).eval().to(memory_format=layout)
        x = torch.tensor(np.array(images).transpose(0, 3, 1, 2)).contiguous(memory_format=layout)

        def run(model=model, x=x):
            with torch.inference_mode():
                model(x)

        peers[f"torch {name}"] = run
    name = f"Inception features, 299 px, batch {batch}"
    run = lambda: jax.block_until_ready(ours(params, images))
    return alternated(name, run, peers, rounds, "images", batch)


def engine_share(steps):
    """The demo's step: what the loop adds to XLA's own time, and the wait for data."""
    from configs import scft_demo

    config = scft_demo.get_config()
    source = sources.open_source(config, "train")
    data = pipeline.training_batches(source, config)
    parallel = parallel_lib.Parallel(config, jax.devices()[:1])
    graphdef, state = step_lib.place_state(config, parallel)
    batch = parallel.batch(next(data))
    step = parallel.compile(lambda axis: step_lib.make_step(config, graphdef, axis), state, batch)
    for _ in range(3):
        state, metrics = step(state, batch)
    jax.block_until_ready(state)
    waiting = dispatch = device = 0.0
    for _ in range(steps):
        t0 = time.perf_counter()
        local = next(data)
        t1 = time.perf_counter()
        batch = parallel.batch(local)
        t2 = time.perf_counter()
        state, metrics = step(state, batch)
        jax.block_until_ready(state)
        t3 = time.perf_counter()
        parallel.scalars(metrics)
        t4 = time.perf_counter()
        waiting += t1 - t0
        dispatch += (t2 - t1) + (t4 - t3)
        device += t3 - t2
    total = waiting + dispatch + device
    return {
        "name": f"scft_demo step, batch {config.train.batch_size}",
        "images_per_second": steps * config.train.batch_size / total,
        "data_wait_share": waiting / total,
        "outside_xla_share": (waiting + dispatch) / total,
    }


def startup():
    """Seconds from the command to the first step of the demo, with an empty cache and again."""
    found = {"name": "start to first step of scft_demo"}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VISION_GEN_CACHE": f"{folder}/cache"}
        for name in ("cold", "warm"):
            command = [
                sys.executable,
                "train.py",
                "--config=configs/scft_demo.py",
                f"--workdir={folder}/{name}",
                "--config.train.steps=1",
                "--config.train.log_every=1",
                "--config.train.sample_every=0",
                "--config.train.eval_every=0",
                "--config.train.eval_images=1",
            ]
            begun = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
            )
            for line in process.stdout:
                if re.match(r"step 1/1", line):
                    found[f"{name}_seconds"] = time.perf_counter() - begun
            if process.wait():
                raise RuntimeError(f"{command} failed")
    return found


def environment():
    """Where and of what the figures are."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.throughput " + " ".join(sys.argv[1:]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed steps of each peer")
    parser.add_argument("--startup", action="store_true", help="also time start to first step")
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    kind = re.sub(r"\W+", "-", jax.devices()[0].device_kind).lower()
    output = arguments.output or ROOT / "benchmarks" / "results" / f"throughput-{kind}.json"
    record = {"environment": environment(), "results": []}

    def add(result):
        # Written after each, so that a run that is stopped keeps what it finished.
        record["results"].append(result)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(record, indent=2) + "\n")

    torch.set_num_threads(os.cpu_count())
    comparisons = [functools.partial(pix2pix, *shape) for shape in SHAPES]
    comparisons += [functools.partial(nerf, RAYS), functools.partial(inception, 32)]
    for comparison in comparisons:
        result = comparison(arguments.rounds)
        add(result)
        print(result["name"])
        for name, run in result["runs"].items():
            print(
                f"  {name:<22} {run['per_second']:8.2f} {result['unit']}/s   "
                f"{run['seconds_median']:.3f} s ({run['seconds_min']:.3f} to {run['seconds_max']:.3f})"
            )
        for peer, ratio in result["ratios"].items():
            print(
                f"  ratio to {peer}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            )
    result = engine_share(30)
    add(result)
    print(result["name"])
    print(
        f"  {result['images_per_second']:.2f} images/s, outside XLA "
        f"{result['outside_xla_share']:.2%}, waiting for data {result['data_wait_share']:.2%}"
    )
    if arguments.startup:
        result = startup()
        add(result)
        print(f"{result['name']}: cold {result['cold_seconds']:.1f} s, warm {result['warm_seconds']:.1f} s")
    print(f"wrote {output}")


if __name__ == "__main__":
    main()
