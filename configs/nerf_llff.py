"""NeRF (Mildenhall et al. 2020) on a forward-facing capture: --config.data.dir=SCENE."""

from vision_gen.configs import nerf_blender


def get_config():
    config = nerf_blender.get_config()
    config.data.update(name="llff", downscale=4)
    config.model.update(ndc=True, near=0.0, far=1.0, white_background=False, density_noise=1.0)
    config.train.steps = 200_000
    return config
