"""DietNeRF with a hash grid, on eight views of a scene that the package renders itself: minutes on two CPU cores."""

from vision_gen.configs import nerf_demo
from vision_gen.engine import defaults


def get_config():
    nerf = nerf_demo.get_config()
    nerf.data.views = (3, 11, 18, 26, 33, 41, 48, 56)
    return defaults.experiment(
        "dietnerf.DietHashNeRF",
        data=nerf.data,
        model=dict(nerf.model, render=40, encoder_size=112, sampled_targets=True, fine_weight=0.01),
        players=dict(field=nerf.players.field, consistency=dict(every=10)),
        **nerf.train,
    )
