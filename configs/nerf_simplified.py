"""Simplified NeRF, DietNeRF's strongest baseline on eight views (Jain et al. 2021): --config.data.dir=SCENE.

One MLP, colours that look the same from everywhere, fewer octaves and a lower rate. As released for chair, drums,
ficus, mic and ship; for materials the rate is 1e-5, for hotdog that and 5 octaves, and Lego's keeps the directions.
"""

from vision_gen.configs import dietnerf_blender, nerf_blender
from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "nerf.NeRF",
        data=dietnerf_blender.data(),
        model=dict(position_octaves=6, directions=False, coarse_samples=128, fine_samples=0),
        players=dict(field=dietnerf_blender.player(5e-5)),
        **nerf_blender.training(batch_size=16, steps=200_000),
    )
