"""What is compared, and the processes that step in turn."""

from collections.abc import Callable
import dataclasses
import functools
import multiprocessing
import os
import statistics
import sys
import time

from flax import nnx
import jax
import numpy as np

from benchmarks import steps
from vision_gen import data
from vision_gen.errors import InputError
from vision_gen.nets import features, resnet, vit
from vision_gen.ops import conv, tps
from vision_gen.ops import rays as ray_ops
from vision_gen.pretrained import features as pretrained

try:
    import torch
except ImportError:
    sys.exit("the comparison needs torch: pip install -e '.[parity]'")

RAYS = 512
PART = 8  # Rays computed at a time on CPU.
WAKING = 2.0  # Seconds of steps that are not timed, at the beginning of each turn.
TIMED = 2.0  # Seconds of steps that are timed in each turn, but three steps at least.


@dataclasses.dataclass
class Comparison:
    """Who is compared; each is made in its own process.

    Attributes:
      ours: makes a blocking function without arguments, one step.
      peers: {name: makes the same}.
      unit, count: what a step does how many of.
    """

    ours: Callable
    peers: dict
    unit: str
    count: int


def layouts(make):
    """{name: maker} of a trainer for each layout and way to run it; `make` takes (channels_last, compiled)."""
    return {
        f"torch {way}, {layout}": functools.partial(make, layout == "channels_last", way == "compiled")
        for way in ("eager", "compiled")
        for layout in ("nchw", "channels_last")
    }


def ours(config, local):
    """A blocking step of a config on a given batch."""
    step = steps.build(config, jax.devices()[:1])
    batch = step.parallel.batch(local)
    return lambda: step.advance(batch)


def pix2pix(size, batch):
    from benchmarks.peers.pix2pix import Trainer
    from vision_gen.configs import pix2pix_openmoji

    config = pix2pix_openmoji.get_config()
    config.data.size, config.train.batch_size = size, batch
    # The peer is given its pictures: neither crops, flips nor draws.
    config.model.update(jitter=1.0, flip=False, line_share=1.0)
    source, target = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))

    def make(last, compiled):
        trainer = Trainer(size, channels_last=last, compiled=compiled)
        return lambda: trainer.step(source, target)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def cyclegan(size, batch):
    from benchmarks.peers.cyclegan import Trainer
    from vision_gen.configs import cyclegan_emoji_styles

    config = cyclegan_emoji_styles.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(jitter=1.0, flip=False)
    a, b = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))

    def make(last, compiled):
        trainer = Trainer(config.model, channels_last=last, compiled=compiled)
        return lambda: trainer.step(a, b)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def munit(size, batch):
    from benchmarks.peers.munit import Trainer
    from vision_gen.configs import munit_emoji_styles

    config = munit_emoji_styles.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.flip = False
    a, b = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))

    def make(last, compiled):
        trainer = Trainer(config.model, channels_last=last)
        return lambda: trainer.step(a, b)

    eager = {name: maker for name, maker in layouts(make).items() if "compiled" not in name}
    return Comparison(lambda: ours(config, steps.random_batch(config)), eager, "images", batch)


def acgan(size, batch):
    """The paper's nets for CIFAR-10."""
    from benchmarks.peers.acgan import Trainer
    from vision_gen.configs import acgan_digits
    from vision_gen.systems.acgan import Settings

    model = Settings()
    config = acgan_digits.get_config()
    config.data.update(name="tfds:cifar10", size=size)
    config.init.judge = ""
    config.model.update(**dataclasses.asdict(model))
    config.train.batch_size = batch
    images, labels = torch.rand(batch, 3, size, size) * 2 - 1, torch.randint(model.classes, (batch,))

    def make(last, compiled):
        trainer = Trainer(model, size, channels_last=last, compiled=compiled)
        return lambda: trainer.step(images, labels)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def scft(size, batch):
    from benchmarks.peers.scft import Trainer
    from vision_gen.configs import scft_demo

    config = scft_demo.get_config()
    config.data.size, config.train.batch_size = size, batch
    # The published architecture, with sketches as they are given.
    config.model.update(carry_colours=False, colour_layer=False, discriminator_width=32, flip=False, line_share=1.0)
    keys = jax.random.split(jax.random.key(0), batch)
    spline = tps.random_spline(keys, points=config.model.tps_points, scale=config.model.tps_scale)
    cells = size // 2 ** (config.model.levels - 1)
    grid, sampling = (torch.tensor(np.array(tps.flow(*spline, n, n))) for n in (size, cells))
    sketch, target = (torch.rand(batch, c, size, size) * 2 - 1 for c in (1, 3))

    def make(last, compiled):
        trainer = Trainer(config, channels_last=last, compiled=compiled)
        return lambda: trainer.step(sketch, target, grid, sampling)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def stylegan2(size, batch):
    """A cycle of 16 steps, in which the lazy phases act at their cadence; half of the augmentations act."""
    from benchmarks.peers.stylegan2 import Trainer
    from vision_gen.configs import stylegan2_avatars

    config = stylegan2_avatars.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(augmentation="fixed", probability=0.5, style_mixing=0.9, path_length_weight=2.0)
    config.players.r1.every, config.players.path_length.every, cycle = 16, 4, 16
    real = torch.rand(batch, 3, size, size) * 2 - 1

    def make(last):
        trainer = Trainer(config, channels_last=last)
        return lambda: trainer.step(real)

    return cycles(config, cycle, make)


def stargan(size, batch):
    """A cycle of 5 steps, at one of which the generator moves; the widths of the released code."""
    from benchmarks.peers.stargan import Trainer
    from vision_gen.configs import stargan_avatars
    from vision_gen.systems.stargan import Settings

    config = stargan_avatars.get_config()
    config.data.size, config.train.batch_size, config.init.judge = size, batch, ""
    config.model.update(width=Settings.width, discriminator_width=Settings.discriminator_width, flip=False)
    config.players.generator.every = 5
    labels = len(config.data.attributes)
    images, label = torch.rand(batch, 3, size, size) * 2 - 1, torch.randint(2, (batch, labels)).float()

    def make(last):
        trainer = Trainer(config.model, size, labels, channels_last=last)
        return lambda: trainer.step(images, label)

    return cycles(config, config.players.generator.every, make)


def stargan_v2(size, batch):
    from benchmarks.peers.stargan_v2 import Trainer
    from vision_gen.configs import stargan_v2_avatars

    config = stargan_v2_avatars.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(crop=0.0, flip=False)  # The peer is given its pictures.
    real, *references = torch.rand(3, batch, 3, size, size) * 2 - 1
    label, target = torch.randint(config.model.classes, (2, batch))

    def make(last):
        trainer = Trainer(config.model, size, channels_last=last)
        return lambda: trainer.step(real, label, references, target)

    return cycles(config, 1, make)


def cycles(config, length, make):
    """A comparison of cycles of steps, not all of which do the same; `make` takes channels_last and gives a step."""
    repeated = lambda step: lambda: [step() for _ in range(length)]
    formats = {"torch eager, nchw": False, "torch eager, channels_last": True}
    peers = {name: lambda last=last: repeated(make(last)) for name, last in formats.items()}
    count = length * config.train.batch_size
    return Comparison(lambda: repeated(ours(config, steps.random_batch(config))), peers, "images", count)


def vit_small(size, batch):
    from benchmarks.peers.vit import Trainer
    from vision_gen.configs import vit_imagenet

    config = vit_imagenet.get_config()
    config.data.size, config.train.batch_size = size, batch
    # The peer is given its pictures, and labels as they are.
    config.model.update(size="S", crop_area=1.0, flip=False, operations=0, mixup=0.0, unroll=12)
    config.train.accumulate = 4  # A quarter of the batch stays in the cache.
    images, labels = torch.rand(batch, 3, size, size) * 2 - 1, torch.randint(1000, (batch,))

    def make(last, compiled):
        trainer = Trainer(config, vit.SIZES["S"], channels_last=last, compiled=compiled)
        return lambda: trainer.step(images, labels)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def resnet18(size, batch):
    from benchmarks.peers.resnet import Trainer
    from vision_gen.configs import resnet_imagenet

    config = resnet_imagenet.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(depth=18, crop_area=1.0, flip=False)  # The peer is given its pictures.
    images, labels = torch.rand(batch, 3, size, size) * 2 - 1, torch.randint(1000, (batch,))

    def make(last, compiled):
        trainer = Trainer(config, resnet.DEPTHS[18][0], channels_last=last, compiled=compiled)
        return lambda: trainer.step(images, labels)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def clip(batch):
    from benchmarks.peers.clip import Trainer
    from vision_gen.configs import clip_captions

    config = clip_captions.get_config("ViT-B/32")
    config.train.batch_size = batch
    config.model.update(crop_area=1.0, unroll=12)  # The peer is given its pictures.
    images, tokens = torch.rand(batch, 3, 224, 224) * 2 - 1, torch.randint(1, 49_406, (batch, 77))
    tokens[:, 20] = 49_407

    def make(last, compiled):
        trainer = Trainer(config, channels_last=last, compiled=compiled)
        return lambda: trainer.step(images, tokens)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "pairs", batch)


def nerf(rays):
    """The batch whole in torch, as everybody runs it, and in the parts that ours is computed in."""
    from benchmarks.peers.nerf import Trainer
    from vision_gen.configs import nerf_blender

    config = nerf_blender.get_config()
    local, given = bundles_of(config, rays)

    def make(parts, compiled):
        trainer = Trainer(compiled=compiled)
        return lambda: trainer.step(*given, parts=parts)

    peers = {
        "torch eager, whole": lambda: make(1, False),
        "torch eager, in parts": lambda: make(rays // PART, False),
        "torch compiled, whole": lambda: make(1, True),
    }
    return Comparison(lambda: ours(config, local), peers, "rays", rays)


def dietnerf(rays, render):
    """A cycle of 10 steps, at one of which a whole view is rendered, which is not counted as rays."""
    from benchmarks.peers.dietnerf import Trainer
    from vision_gen.configs import dietnerf_blender

    config = dietnerf_blender.get_config()
    config.model.update(encoder="ViT-B/32", render=render)
    local, given = bundles_of(config, rays)
    direction = torch.randn(render**2, 3)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    view = 4 * direction, 0.2 * torch.randn(render**2, 3) - direction
    repeated = lambda step: lambda: [step() for _ in range(config.players.consistency.every)]

    def make(parts):
        trainer = Trainer(config, view)
        return repeated(lambda: trainer.step(*given, parts=parts))

    peers = {"torch eager, whole": lambda: make(1), "torch eager, in parts": lambda: make(rays // PART)}
    count = rays * config.players.consistency.every
    return Comparison(lambda: repeated(ours(config, local)), peers, "rays", count)


def bundles_of(config, rays):
    """A batch of so many rays, of which `config` computes a few at a time, and the same for torch."""
    config.data.rays = PART
    config.train.update(batch_size=rays // PART, accumulate=rays // PART)
    bundles = data.open(data.Settings(name="analytic_scene", size=32, rays=PART), "train")
    local = data.stack([bundles[i] for i in range(config.train.batch_size)])
    origin, direction = (
        torch.tensor(np.array(x).reshape(-1, 3))
        for x in ray_ops.camera_rays(local["pixel"], local["pose"], local["intrinsics"])
    )
    colour = torch.tensor(local["colour"].reshape(-1, 4) / 255, dtype=torch.float32)
    return local, (origin, direction, colour[:, :3] * colour[:, 3:] + 1 - colour[:, 3:])


def colorization(name, batch):
    """Of the released size, 176 px. The peer is given lightness, hints and classes, which ours makes of pictures."""
    from benchmarks.peers.colorization import Trainer
    from vision_gen.configs import colorization_photographs, hints_photographs

    config = {"eccv16": colorization_photographs, "siggraph17": hints_photographs}[name].get_config()
    config.data.size, config.train.batch_size = 176, batch
    config.model.update(crop=0, flip=False, **({} if name == "eccv16" else {"crop_area": 1.0}))
    picture = lambda channels: torch.rand(batch, channels, 176, 176) * 2 - 1
    if name == "eccv16":
        given = picture(1), torch.softmax(torch.rand(batch, 313, 44, 44), 1), torch.rand(batch, 44, 44)
    else:
        given = picture(1), picture(2), picture(1), picture(2), torch.randint(529, (batch, 44, 44))

    def make(last, compiled):
        trainer = Trainer(name, channels_last=last, compiled=compiled)
        return lambda: trainer.step(*given)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def adain(size, batch):
    """The released size, with its encoder; random weights."""
    from benchmarks.peers.adain import Trainer
    from vision_gen.configs import adain_photographs

    config = adain_photographs.get_config()
    config.data.size, config.train.batch_size = size, batch
    config.model.update(encoder="vgg19-normalised", crop=0)
    content, style = (torch.rand(batch, 3, size, size) for _ in range(2))

    def make(last, compiled):
        trainer = Trainer(channels_last=last, compiled=compiled)
        return lambda: trainer.step(content, style)

    return Comparison(lambda: ours(config, steps.random_batch(config)), layouts(make), "images", batch)


def inception(batch):
    """Features of FID's network, random weights; ours takes the batch in parts, as `pretrained.features.apply` does."""
    from benchmarks.peers.inception import Inception

    network = features.Inception(rngs=nnx.Rngs(0))
    apply, params = pretrained.apply(network, ("features",))
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 299, 299, 3)).astype(np.float32)

    def here():
        function = jax.jit(apply, compiler_options=conv.compiler_options())
        x = jax.device_put(images)
        return lambda: jax.block_until_ready(function(params, x))

    def make(last, compiled):
        layout = torch.channels_last if last else torch.contiguous_format
        model = Inception(network).eval().to(memory_format=layout)
        x = torch.tensor(images.transpose(0, 3, 1, 2)).contiguous(memory_format=layout)
        run = torch.compile(model) if compiled else model

        def step():
            with torch.inference_mode():
                run(x)

        return step

    return Comparison(here, layouts(make), "images", batch)


def tryon(size):
    """VITON-HD's three networks of the published widths, the painter without its last block, which wants 128 px."""
    from benchmarks.peers.tryon import Pipeline
    from vision_gen.nets import tryon as nets

    widths = (1024, 1024, 1024, 512, 256, 128, 64)
    rng = np.random.default_rng(0)
    maps = lambda n: rng.uniform(-1, 1, (1, *size, n)).astype(np.float32)
    painted = (maps(9), maps(7), maps(8), np.float32(maps(1) > 0.5))
    given = (maps(21), maps(7), maps(3), painted)

    def here():
        rngs = nnx.Rngs(0)
        painter = nets.AliasGenerator(widths=widths, rngs=rngs)
        networks = nnx.List([nets.Segmenter(rngs=rngs), nets.Matcher(rngs=rngs), painter])
        graph, state = nnx.split(networks)

        def apply(state, seen, person, cloth, painted):
            segmenter, matcher, painter = nnx.merge(graph, state, copy=True)
            return jax.nn.sigmoid(segmenter(seen)), matcher(person, cloth), painter(*painted)

        function = jax.jit(apply, compiler_options=conv.compiler_options())
        x = jax.device_put(given)
        return lambda: jax.block_until_ready(function(state, *x))

    def make(last, compiled):
        layout = torch.channels_last if last else torch.contiguous_format
        model = Pipeline(widths).eval().to(memory_format=layout)
        x = jax.tree.map(lambda x: torch.tensor(x.transpose(0, 3, 1, 2)).contiguous(memory_format=layout), given)
        run = torch.compile(model) if compiled else model

        def step():
            with torch.inference_mode():
                run(*x)

        return step

    return Comparison(here, layouts(make), "images", 1)


def dalle(batch):
    """Codes of 8 x 8 drawn after texts of 36 tokens, of random weights; the peer is transformers' GPT-2 of the same size,
    its cache on.
    """
    from vision_gen.nets.dalle import Transformer
    from vision_gen.ops import random, sampling

    width, depth, text, codes, count = 512, 8, 36, 512, 64
    tokens = np.random.default_rng(0).integers(0, codes, (batch, text)).astype(np.int32)

    def here():
        settings = dict(vocabulary=codes, text_length=text, codes=codes, grid=(8, 8), width=width, depth=depth)
        network = Transformer(**settings, sandwich=False, rngs=nnx.Rngs(0))
        graphdef, params = nnx.split(network)

        def draw(params, keys):
            choose = lambda logits, place: sampling.draw(random.fold(keys, place), logits)
            network = nnx.merge(graphdef, params)
            return network.draw(network.begin(tokens), 0, count, choose)["codes"]

        function = jax.jit(draw, compiler_options=conv.compiler_options())
        keys = jax.random.split(jax.random.key(0), batch)
        return lambda: jax.block_until_ready(function(params, keys))

    def there():
        import transformers

        sizes = dict(n_embd=width, n_layer=depth, n_head=width // 64, n_positions=text + count, vocab_size=codes)
        ends = dict(bos_token_id=0, eos_token_id=None, pad_token_id=0)
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **ends)).eval()
        given = torch.tensor(tokens, dtype=torch.long)
        how = dict(attention_mask=torch.ones_like(given), max_new_tokens=count, do_sample=True, top_k=0, use_cache=True)

        def step():
            with torch.inference_mode():
                assert model.generate(given, **how).shape == (batch, text + count)

        return step

    return Comparison(here, {"transformers' GPT-2": there}, "tokens", batch * count)


COMPARISONS = {
    "pix2pix-256": ("pix2pix train step, 256 px, batch 1", lambda: pix2pix(256, 1)),
    "pix2pix-64": ("pix2pix train step, 64 px, batch 16", lambda: pix2pix(64, 16)),
    "scft": ("SCFT train step, 64 px, batch 8", lambda: scft(64, 8)),
    "stylegan2": ("StyleGAN2-ADA train step, 64 px, batch 16", lambda: stylegan2(64, 16)),
    "cyclegan": ("CycleGAN train step, 64 px, batch 4", lambda: cyclegan(64, 4)),
    "munit": ("MUNIT train step, 64 px, batch 4", lambda: munit(64, 4)),
    "stargan": ("StarGAN train step, 64 px, batch 16", lambda: stargan(64, 16)),
    "stargan_v2": ("StarGAN v2 train step, 64 px, batch 8", lambda: stargan_v2(64, 8)),
    "acgan": ("ACGAN train step, 32 px, batch 100", lambda: acgan(32, 100)),
    "vit": ("ViT-S/16 train step, 224 px, batch 8", lambda: vit_small(224, 8)),
    "resnet": ("ResNet-18 train step, 224 px, batch 8", lambda: resnet18(224, 8)),
    "clip": ("CLIP ViT-B/32 train step, 224 px, 77 tokens, batch 16", lambda: clip(16)),
    "nerf": (f"NeRF train step, 8 x 256, 64 + 128 samples, {RAYS} rays", lambda: nerf(RAYS)),
    "dietnerf": (f"DietNeRF, 10 train steps, {RAYS} rays, a view of 24 x 24", lambda: dietnerf(RAYS, 24)),
    "eccv16": ("colorization train step, 176 px, batch 4", lambda: colorization("eccv16", 4)),
    "siggraph17": ("colorization by hints train step, 176 px, batch 4", lambda: colorization("siggraph17", 4)),
    "adain": ("AdaIN train step, 128 px, batch 4", lambda: adain(128, 4)),
    "tryon": ("VITON-HD's networks, 192 x 256 px, batch 1", lambda: tryon((256, 192))),
    "dalle-1": ("DALL-E, 64 codes after 36 tokens, width 512, 8 blocks, one text", lambda: dalle(1)),
    "dalle-8": ("DALL-E, 64 codes after 36 tokens, width 512, 8 blocks, 8 texts", lambda: dalle(8)),
    "inception": ("Inception features, 299 px, batch 32", lambda: inception(32)),
}


class Runner:
    """A process that steps for a while when it is told to, and times the last steps.

    Args:
      key: of `COMPARISONS`.
      name: "vision_gen" or a peer.
    """

    def __init__(self, key, name):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, key, name), daemon=True)
        self._process.start()

    def answer(self):
        """Median seconds of the steps asked for last, or why there are none, as text."""
        try:
            return self._pipe.recv()
        except EOFError:
            return "its process ended"

    def step(self):
        self._pipe.send("step")
        return self.answer()

    def close(self):
        self._process.terminate()
        self._process.join()


def timed(run):
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _serve(pipe, key, name):
    torch.set_num_threads(os.cpu_count())
    try:
        comparison = COMPARISONS[key][1]()
        run = comparison.ours() if name == "vision_gen" else comparison.peers[name]()
        run(), run()  # Warm-up.
        pipe.send(0.0)
        while pipe.recv():
            # Threads that have slept may begin on one core, and stay there for a second or two; in training they
            # never sleep.
            begun = time.perf_counter()
            while time.perf_counter() - begun < WAKING:
                run()
            times = []
            while len(times) < 3 or sum(times) < TIMED:
                times.append(timed(run))
            pipe.send(statistics.median(times))
    except Exception as error:  # torch.compile's compiler may be missing, or fail on the model.
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300])


def alternated(key, peers, rounds):
    """{name: [seconds]} of ours and the peers, one after the other in every round."""
    runners = {}
    try:
        for name in ("vision_gen", *peers):  # One after the other: compiling takes all cores.
            runners[name] = Runner(key, name)
            problem = runners[name].answer()
            if isinstance(problem, str):
                if name == "vision_gen":
                    raise InputError(f"{key}: {problem}")
                print(f"{key}, {name}: {problem}", file=sys.stderr)
                runners.pop(name).close()
        seconds = {name: [] for name in runners}
        for _ in range(rounds):
            for name, runner in runners.items():
                taken = runner.step()
                if isinstance(taken, str):
                    raise InputError(f"{key}, {name}: {taken}")
                seconds[name].append(taken)
        return seconds
    finally:
        for runner in runners.values():
            runner.close()
