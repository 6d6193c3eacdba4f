"""MUNIT (Huang et al. 2018) between two folders of images, as published: --config.data.dir=FOLDER. Weeks on one GPU.

FOLDER has `trainA`, `trainB`, `testA` and `testB`, or `train/<domain>`; see docs/data.md.
"""

from vision_gen.engine import defaults


def get_config():
    player = defaults.player(
        1e-4, weight_decay=1e-4, decay="gradient", schedule="halving", decay_start=0.0, halvings=9
    )
    return defaults.experiment(
        "munit.MUNIT",
        data=dict(name="domains", size=256),
        players=dict(generators=player, discriminators=player),
        init=dict(features="efficientnet-lite0"),
        batch_size=1,
        steps=1_000_000,
        sample_every=10_000,
        eval_every=10_000,
        checkpoint_every=10_000,
        best_metric="frechet_b",
        best_mode="min",
    )
