"""NeRF, simplified NeRF and DietNeRF from a few views of a scene, in equal wall time each.

    python -m benchmarks.few_views --scene=SCENE --minutes=1
    python -m benchmarks.few_views --scene=SCENE --minutes=60 --downscale=1 --render=56 --field=mlp

SCENE is in nerf_synthetic's layout. Each trains for as many steps as its first ones say will fit into the minutes, by
which its learning rate falls; compilation is not counted. Simplified NeRF is always the MLP, its rate NeRF's: the
published one is for 200,000 steps. Then all test views are rendered, and compared with the truth: PSNR, SSIM, a
distance of features by pixel (`metrics.perceptual.feature_distance`, of the network whose last features DietNeRF is
trained on) and the Frechet distance of features. Prints a table, and writes it to table.md, and to views.png the same
unseen views by all, below `--workdir`. What is trained there already is not trained again.
"""

import os
import pathlib
import sys

from absl import flags
import jax
import numpy as np
from PIL import Image

import vision_gen
from benchmarks.quality import curves
from vision_gen import data
from vision_gen.configs import dietnerf_blender, nerf_blender, nerf_scene
from vision_gen.engine import commands, comparison, defaults
from vision_gen.figures import sheets
from vision_gen.metrics import perceptual
from vision_gen.ops import conv
from vision_gen.pretrained import features

FIRST = 40  # Steps by which it is known how many fit; the first half of them is not counted.
SHOWN = 3  # Unseen views in the picture.


def configs(field, render, size):
    """{name: config}; data and steps are yet to be set.

    Args:
      field: "hash" or "mlp", of NeRF and of DietNeRF.
      render, size: of `systems.dietnerf.Consistency`, rays along a side and pixels that the encoder sees.
    """
    mlp = nerf_blender.get_config()
    mlp.model.update(width=128, coarse_samples=32, fine_samples=32)
    mlp.train.update(batch_size=16, accumulate=16)  # A bundle at a time: it stays in the cache.
    simplified = mlp.copy_and_resolve_references()
    simplified.model.update(position_octaves=6, directions=False, coarse_samples=64, fine_samples=0)
    nerf = {"hash": nerf_scene.get_config(), "mlp": mlp}[field]
    # Each of so few rays gets a larger gradient than one of the released 168 x 168, and cells of a grid have few others.
    weights = {"hash": dict(fine_weight=0.01), "mlp": {}}[field]
    diet = defaults.experiment(
        {"hash": "dietnerf.DietHashNeRF", "mlp": "dietnerf.DietNeRF"}[field],
        data=dict(nerf.data, views=dietnerf_blender.VIEWS["eight"]),
        model=dict(nerf.model, render=render, encoder_size=size, sampled_targets=True, **weights),
        players=dict(field=nerf.players.field, consistency=dict(every=10)),
        **nerf.train,
    )
    return {"NeRF": nerf, "simplified NeRF": simplified, "DietNeRF": diet}


def train(config, run, seconds):
    """Trains for so many seconds; returns (steps, seconds)."""
    config.train.update(eval_every=0, sample_every=0, eval_images=1)
    first = run.with_name(f"{run.name}-first")
    if not (run / "checkpoints").exists():
        config.train.update(steps=FIRST, log_every=FIRST // 2, checkpoint_every=FIRST)
        vision_gen.train(config, first)
        rate = curves(first, 0, "steps_per_sec")[""][-1][2]
        steps = max(1, round(rate * seconds))
        config.train.update(steps=steps, log_every=max(1, steps // 20), checkpoint_every=steps)
        vision_gen.train(config, run)
    ((_, steps, took),) = curves(run, 0, "uptime")[""][-1:]
    return steps, took


def render(run, truth, made):
    """Writes the test views and their renders as pictures of one name each."""
    model = vision_gen.load(run, "last")
    source = data.open(model.experiment.data, "test")
    views = (view for found in model.each("sample", source) for view in zip(found["truth"], found["output"]))
    for number, pair in enumerate(views):
        for folder, picture in zip((truth, made), pair):
            folder.mkdir(parents=True, exist_ok=True)
            name = pathlib.PurePath(source.name(number)).with_suffix(".png")
            Image.fromarray(sheets.pixels(picture[None])[0]).save(folder / name)


def feature_distance(truth, made):
    """The mean over pairs of pictures."""
    apply, params = features.apply(features.load("efficientnet-lite0")[0], perceptual.EFFICIENT_LAYERS)

    def distance(params, images):
        maps = apply(params, images)
        return perceptual.feature_distance(*({name: x[i : i + 1] for name, x in maps.items()} for i in (0, 1)))

    distance = jax.jit(distance, compiler_options=conv.compiler_options())
    read = lambda path: np.asarray(Image.open(path), np.float32) / 127.5 - 1
    pairs = [np.stack([read(path), read(made / path.name)]) for path in sorted(truth.iterdir())]
    return float(np.mean([distance(params, pair) for pair in pairs]))


def _titled(found, what):
    return next(value for title, value in found.items() if what in title)


def define():
    """The flags of this program."""
    flags.DEFINE_string("scene", None, "Folder of a scene in nerf_synthetic's layout.", required=True)
    flags.DEFINE_float("minutes", 1.0, "Wall time of each.", lower_bound=0.01)
    flags.DEFINE_list("views", [str(n) for n in dietnerf_blender.VIEWS["eight"]], "Numbers of the views to train on.")
    flags.DEFINE_integer("downscale", 2, "Views are made smaller by this factor.", lower_bound=1)
    flags.DEFINE_enum("field", "hash", ("hash", "mlp"), "Of NeRF and DietNeRF.")
    flags.DEFINE_integer("render", 28, "DietNeRF: rays along a side of a view that is compared.", lower_bound=2)
    flags.DEFINE_integer("encoder_size", 112, "DietNeRF: pixels of a side that the encoder sees.", lower_bound=1)
    flags.DEFINE_string("workdir", "runs/few_views", "Where runs, pictures and the table go.")


def main(argv):
    del argv
    given = flags.FLAGS
    workdir = pathlib.Path(given.workdir)
    truth, shown = workdir / "truth", {}
    lines = ["| system | steps | seconds | PSNR | SSIM | feature distance | Frechet distance |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for name, config in configs(given.field, given.render, given.encoder_size).items():
        config.data.update(
            name="nerf_synthetic", dir=given.scene, downscale=given.downscale, views=tuple(map(int, given.views))
        )
        run, made, figures = (workdir / f"{name.replace(' ', '-')}{part}" for part in ("", "-test", "-figures"))
        steps, seconds = train(config, run, 60 * given.minutes)
        render(run, truth, made)
        found = comparison.compare_folders(truth, made, figures, metrics=("psnr", "ssim", "fd"))
        psnr, ssim, frechet = (_titled(found, what) for what in ("psnr", "ssim", "Frechet"))
        distance = feature_distance(truth, made)
        lines.append(f"| {name} | {steps} | {seconds:.0f} | {psnr:.2f} | {ssim:.3f} | {distance:.3f} | {frechet:.1f} |")
        shown[name] = made
    files = sorted(truth.iterdir())
    chosen = [files[i].name for i in np.linspace(0, len(files) - 1, SHOWN).astype(int)]
    shown = {"truth": truth, **shown}
    columns = {name: [np.asarray(Image.open(folder / file)) for file in chosen] for name, folder in shown.items()}
    sheets.save(workdir / "views.png", sheets.sheet(columns, {"truth": chosen}))
    print("\n".join(lines))
    (workdir / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    vision_gen.show_log()
    define()
    sys.exit(commands.run(main))
