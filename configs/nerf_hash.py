"""NeRF with a multi-resolution hash grid (Mueller et al. 2022): --config.data.dir=SCENE.

For a capture with `transforms.json`: --config.data.name=transforms --config.model.near=0.05
--config.model.bound=2.0 --config.model.white_background=False.
"""

from vision_gen.configs import nerf_blender
from vision_gen.engine import defaults


def get_config():
    field = defaults.player(
        1e-2, b1=0.9, b2=0.99, epsilon=1e-15, schedule="exponential", ema_half_life=4400
    )
    return defaults.experiment(
        "nerf.HashNeRF",
        data=dict(name="nerf_synthetic", rays=64),
        players=dict(field=field),
        **nerf_blender.training(steps=30_000, eval_every=5000, checkpoint_every=5000),
    )
