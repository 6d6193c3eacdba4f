"""XploreGAN (Bahng et al. 2020) on cartoon faces, 64 px: clusters of what a judge of hair and glasses sees in them."""

from vision_gen.configs import stargan_avatars
from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 128,
    "model.width": 64,
    "model.discriminator_width": 64,
    "model.stages": 6,
    "players.generator.every": 5,
    "train.batch_size": 16,
    "dtype": "bfloat16",
}


def get_config():
    stargan = stargan_avatars.get_config()
    model = {name: stargan.model[name] for name in ("width", "discriminator_width", "stages")}
    return defaults.experiment(
        "xploregan.XploreGAN",
        data=dict(name="avatars", size=64),
        model=dict(clusters=10, **model),
        players=stargan.players,
        init=dict(classifier="zoo/vit_avatars:network"),
        **dict(stargan.train, best_metric="reached"),
    )
