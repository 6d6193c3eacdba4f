"""NeRF with a multi-resolution hash grid (Mueller et al. 2022): --config.data.dir=SCENE.

For a capture with `transforms.json`: --config.data.name=transforms --config.model.near=0.05
--config.model.bound=2.0 --config.model.white_background=False.
"""

from ml_collections import ConfigDict

from configs import nerf_blender


def get_config():
    config = nerf_blender.get_config()
    config.model = ConfigDict(
        dict(
            encoding="hash",
            bound=1.5,
            levels=16,
            features=2,
            entries=2**19,
            coarsest=16,
            finest=2048,
            width=64,
            samples=64,
            occupancy_bins=128,
            occupancy_resolution=64,
            occupancy_visited=8192,
            explore=0.05,
            white_background=True,
            near=2.0,
            far=6.0,
            chunk=4096,
        )
    )
    config.players.field.update(learning_rate=1e-2, b2=0.99, epsilon=1e-15, ema=0.99)
    config.train.update(steps=30_000, sample_every=5000, eval_every=5000, checkpoint_every=5000)
    return config
