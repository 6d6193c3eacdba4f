"""CycleGAN (Zhu et al. 2017) between two folders of images, as published: --config.data.dir=FOLDER. Days on one GPU.

FOLDER has `trainA`, `trainB`, `testA` and `testB`, or `train/<domain>`; see docs/data.md.
"""

from vision_gen.engine import defaults


def get_config():
    player = defaults.player(2e-4, schedule="linear")
    return defaults.experiment(
        "cyclegan.CycleGAN",
        data=dict(name="domains", size=256),
        players=dict(generators=player, discriminators=player),
        init=dict(features="efficientnet-lite0"),
        batch_size=1,
        steps=200_000,  # 200 epochs of 1,000 images.
        best_metric="cycle_a",
        best_mode="min",
    )
