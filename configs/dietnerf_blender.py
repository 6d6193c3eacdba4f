"""DietNeRF (Jain et al. 2021) from eight views of a scene in the nerf_synthetic layout: --config.data.dir=SCENE.

Features as published: --config.model.encoder=ViT-B/32 --config.init.encoder=ViT-B-32.pt; otherwise EfficientNet-Lite0.
The views are those of the released code, which draws them by numpy's RandomState(0).choice(100, 8, replace=False): it
seeds, reads the scene, and draws nothing before. They are the same for every scene. dietnerf_blender:lego_one_side has
its 14 of Lego, to show the side that none sees. Afterwards: dietnerf_finetune.
"""

from vision_gen.configs import nerf_blender
from vision_gen.engine import defaults
from vision_gen.errors import InputError

VIEWS = {
    "eight": (26, 86, 2, 55, 75, 93, 16, 73),
    "lego_one_side": (2, 5, 8, 9, 10, 16, 34, 35, 40, 52, 53, 54, 58, 60),
}
# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"model.encoder": "ViT-B/32"}


def get_config(views="eight"):
    return defaults.experiment(
        "dietnerf.DietNeRF",
        data=data(views),
        players=dict(field=player(), consistency=dict(every=10)),
        **nerf_blender.training(batch_size=16, steps=200_000),
    )


def data(views="eight"):
    """`config.data` of all that is trained on few views, by a name of `VIEWS`, at half size."""
    if views not in VIEWS:
        raise InputError(f"--config: {views!r} must be one of {', '.join(VIEWS)}")
    return dict(name="nerf_synthetic", rays=64, downscale=2, views=VIEWS[views])


def player(learning_rate=5e-4):
    """The released code's Adam, whose rate falls to a tenth in 500,000 steps, of which it goes 200,000."""
    return defaults.player(learning_rate, b1=0.9, schedule="exponential", lowest=0.1**0.4)
