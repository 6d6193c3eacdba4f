"""The same architecture, batch and optimizer here and in torch, alternately in one process.

    pip install -e '.[parity]'
    python -m benchmarks.peers
    python -m benchmarks.peers --only=scft,vit --rounds=9

Torch runs eager and, where it works, compiled, each with NCHW and channels_last: the ratio is to the fastest of
them. A ratio is torch's time over ours of one round; above 1 we are faster. Writes benchmarks/results/peers.json.
"""

import os
import pathlib
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import flags
from flax import nnx
import jax
import numpy as np

from benchmarks import measure, records, steps
from vision_gen.data import scenes, sources
from vision_gen.engine import commands
from vision_gen.errors import InputError
from vision_gen.nets import features, vit
from vision_gen.ops import conv, tps
from vision_gen.ops import rays as ray_ops
from vision_gen.pretrained import features as pretrained

_ROUNDS = flags.DEFINE_integer("rounds", 7, "Timed steps of each peer.", lower_bound=1)
_ONLY = flags.DEFINE_list("only", [], "Of the comparisons; by default all.")
_COMPILED = flags.DEFINE_bool("compiled", True, "Also torch.compile.")
_OUTPUT = flags.DEFINE_string("output", None, "Results file.")
RAYS = 512
PART = 8  # Rays computed at a time on CPU.


def layouts(make, *, compiled=True):
    """{name: step function} of a trainer for each layout and way to run it.

    Args:
      make: function (channels_last, compiled) -> a function without arguments.
      compiled: whether torch.compile is tried.
    """
    found = {}
    for way in ("eager", "compiled") if compiled and _COMPILED.value else ("eager",):
        for layout in ("nchw", "channels_last"):
            function = make(layout == "channels_last", way == "compiled")
            if way == "compiled":
                try:
                    function()
                except Exception as error:  # Its compiler may be missing, or fail on the model.
                    print(f"torch.compile: {str(error).splitlines()[0][:200]}", file=sys.stderr)
                    return found
            found[f"torch {way}, {layout}"] = function
    return found


def ours(config, local):
    """A blocking step of a config on a given batch."""
    step = steps.build(config, jax.devices()[:1])
    batch = step.parallel.batch(local)
    return lambda: step.advance(batch)


def pix2pix(size, batch):
    from benchmarks.peers.pix2pix import Trainer
    from configs import pix2pix_openmoji

    config = pix2pix_openmoji.get_config()
    config.data.size, config.train.batch_size = size, batch
    # The peer is given its pictures: neither crops, flips nor draws.
    config.model.update(jitter=1.0, flip=False, line_share=1.0)
    source, target = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))

    def make(last, compiled):
        trainer = Trainer(size, channels_last=last, compiled=compiled)
        return lambda: trainer.step(source, target)

    return ours(config, steps.random_batch(config)), layouts(make), "images", batch


def scft(size, batch):
    from benchmarks.peers.scft import Trainer
    from configs import scft_demo

    config = scft_demo.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(flip=False, line_share=1.0)
    keys = jax.random.split(jax.random.key(0), batch)
    spline = tps.random_spline(keys, points=config.model.tps_points, scale=config.model.tps_scale)
    cells = size // 2 ** (config.model.levels - 1)
    grid, sampling = (torch.tensor(np.array(tps.flow(*spline, n, n))) for n in (size, cells))
    sketch, target = (torch.rand(batch, c, size, size) * 2 - 1 for c in (1, 3))

    def make(last, compiled):
        trainer = Trainer(config, channels_last=last, compiled=compiled)
        return lambda: trainer.step(sketch, target, grid, sampling)

    return ours(config, steps.random_batch(config)), layouts(make), "images", batch


def vit_small(size, batch):
    from benchmarks.peers.vit import Trainer
    from configs import vit_imagenet

    config = vit_imagenet.get_config()
    config.data.size, config.train.batch_size = size, batch
    # The peer is given its pictures, and labels as they are.
    config.model.update(size="S", crop_area=1.0, flip=False, operations=0, mixup=0.0)
    images, labels = torch.rand(batch, 3, size, size) * 2 - 1, torch.randint(1000, (batch,))

    def make(last, compiled):
        trainer = Trainer(config, vit.SIZES["S"], channels_last=last, compiled=compiled)
        return lambda: trainer.step(images, labels)

    return ours(config, steps.random_batch(config)), layouts(make), "images", batch


def nerf(rays):
    """The batch whole in torch, as everybody runs it, and in the parts that ours is computed in."""
    from benchmarks.peers.nerf import Trainer
    from configs import nerf_blender

    config = nerf_blender.get_config()
    config.data.rays = PART
    config.train.update(batch_size=rays // PART, accumulate=rays // PART)
    bundles = scenes.Rays(scenes.analytic_scene("train", 32), config.data.rays)
    local = sources.stack([bundles[i] for i in range(config.train.batch_size)])
    origin, direction = (
        torch.tensor(np.array(x).reshape(-1, 3))
        for x in ray_ops.camera_rays(local["pixel"], local["pose"], local["intrinsics"])
    )
    colour = torch.tensor(local["colour"].reshape(-1, 4) / 255, dtype=torch.float32)
    truth = colour[:, :3] * colour[:, 3:] + 1 - colour[:, 3:]
    peers = {}
    for name, parts in (("whole", 1), ("in parts", rays // PART)):
        trainer = Trainer()
        peers[f"torch eager, {name}"] = lambda t=trainer, n=parts: t.step(origin, direction, truth, parts=n)
    if _COMPILED.value:
        trainer = Trainer(compiled=True)
        peers["torch compiled, whole"] = lambda: trainer.step(origin, direction, truth)
    return ours(config, local), peers, "rays", rays


def inception(batch):
    """Features of FID's network, random weights."""
    from benchmarks.peers.inception import Inception

    network = features.Inception(rngs=nnx.Rngs(0))
    apply, params = pretrained.apply(network)
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 299, 299, 3)).astype(np.float32)
    function = jax.jit(
        lambda params, images: apply(params, images)["features"], compiler_options=conv.compiler_options()
    )
    here = jax.device_put(images)

    def make(last, compiled):
        layout = torch.channels_last if last else torch.contiguous_format
        model = Inception(network).eval().to(memory_format=layout)
        x = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous(memory_format=layout)
        run = torch.compile(model) if compiled else model

        def step():
            with torch.inference_mode():
                run(x)

        return step

    run = lambda: jax.block_until_ready(function(params, here))
    return run, layouts(make), "images", batch


COMPARISONS = {
    "pix2pix-256": ("pix2pix train step, 256 px, batch 1", lambda: pix2pix(256, 1)),
    "pix2pix-64": ("pix2pix train step, 64 px, batch 16", lambda: pix2pix(64, 16)),
    "scft": ("SCFT train step, 64 px, batch 8", lambda: scft(64, 8)),
    "vit": ("ViT-S/16 train step, 224 px, batch 8", lambda: vit_small(224, 8)),
    "nerf": (f"NeRF train step, 8 x 256, 64 + 128 samples, {RAYS} rays", lambda: nerf(RAYS)),
    "inception": ("Inception features, 299 px, batch 32", lambda: inception(32)),
}


def alternated(run, peers, rounds):
    """{name: [seconds]} of ours and the peers, one after the other in every round."""
    runs = {"vision_gen": run, **peers}
    for function in runs.values():  # Warm-up.
        function()
        function()
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, function in runs.items():
            begun = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def figures(seconds, unit, count):
    """Times as figures: rates of all, ratios to each peer and to the fastest of them by its median."""
    found = {name: records.spread([count / s for s in times], f"{unit}/s") for name, times in seconds.items()}
    mine = seconds["vision_gen"]
    ratios = {
        name: [theirs / own for theirs, own in zip(times, mine)]
        for name, times in seconds.items()
        if name != "vision_gen"
    }
    for name, each in ratios.items():
        found[f"ratio to {name}"] = records.spread(each, "1")
    fastest = min(ratios, key=lambda name: statistics.median(seconds[name]))
    found["ratio to the fastest"] = records.spread(ratios[fastest], "1", better="higher")
    return found, fastest


def main(argv):
    del argv
    unknown = [name for name in _ONLY.value if name not in COMPARISONS]
    if unknown:
        raise InputError(f"--only must be of {', '.join(COMPARISONS)}, got {unknown[0]!r}")
    torch.set_num_threads(os.cpu_count())
    record = records.Record("peers", pathlib.Path(_OUTPUT.value or records.RESULTS / "peers.json"))
    best = []
    for key in _ONLY.value or COMPARISONS:
        name, prepare = COMPARISONS[key]
        run, peers, unit, count = prepare()
        found, fastest = figures(alternated(run, peers, _ROUNDS.value), unit, count)
        settings = dict(config=key, device=measure.device_name(), rounds=_ROUNDS.value)
        records.show(
            record.add(name, found, nature=records.MEASURED, settings=settings, note=f"fastest peer: {fastest}")
        )
        best.append(found["ratio to the fastest"]["value"])
    mean = statistics.geometric_mean(best)
    records.show(
        record.add(
            f"geometric mean of {len(best)} ratios",
            {"ratio to the fastest": records.figure(mean, "1", better="higher")},
            nature=records.MEASURED,
            settings=dict(config="mean of " + ", ".join(_ONLY.value or COMPARISONS), device=measure.device_name()),
        )
    )
    print(f"wrote {record.path}")


if __name__ == "__main__":
    try:
        import torch
    except ImportError:
        sys.exit("the comparison needs torch: pip install -e '.[parity]'")
    sys.exit(commands.run(main))
