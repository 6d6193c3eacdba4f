"""A hash-grid NeRF of your own scene, in minutes on two CPU cores: --config.data.dir=SCENE.

A scene in nerf_synthetic's layout, within [-1.2, 1.2]^3. Views larger than 200 px: --config.data.downscale=4, say.
For a capture with one `transforms.json`: --config.data.name=transforms --config.model.near=0.05
--config.model.bound=2.0 --config.model.white_background=False.
"""

from vision_gen.configs import nerf_demo


def get_config():
    config = nerf_demo.get_config()
    config.data.update(name="nerf_synthetic", size=64)  # The views have a size of their own.
    config.model.bound = 1.2
    config.train.update(steps=3600, eval_every=900, sample_every=900, checkpoint_every=900)
    return config
