"""MUNIT (Huang et al. 2018) between two styles of emoji, OpenMoji's (a) and Twemoji's (b), 64 px.

`pairs` are as in `cyclegan_emoji_styles`.
"""

from vision_gen.configs import cyclegan_emoji_styles, munit_folders

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 256,
    "model.width": 64,
    "model.residual_blocks": 4,
    "model.hidden": 256,
    "model.cycle_weight": 0.0,
    "model.discriminator_width": 64,
    "train.batch_size": 1,
    "dtype": "bfloat16",
}


def get_config():
    config = cyclegan_emoji_styles.of_styles(munit_folders.get_config())
    config.model.update(width=16, residual_blocks=2, hidden=64, discriminator_width=24, cycle_weight=10.0)
    for player in config.players.values():
        player.update(learning_rate=3e-4, schedule="linear", decay_start=0.5)
    return config
