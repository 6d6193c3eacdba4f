"""A DietNeRF trained on with squared error alone (Jain et al. 2021): --config.init.field=RUN --config.data.dir=SCENE.

RUN is of dietnerf_blender, or a file such as 200000.tar; the views are to be those that it was trained on. Adam starts
from no moments, where the released code goes on with its own.
"""

from vision_gen.configs import dietnerf_blender, nerf_blender
from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "nerf.NeRF",
        data=dietnerf_blender.data(),
        players=dict(field=dietnerf_blender.player(5e-4 * 0.1**0.4)),
        **nerf_blender.training(batch_size=16, steps=200_000),
    )
