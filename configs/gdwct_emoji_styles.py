"""GDWCT (Cho et al. 2019) between two styles of emoji, OpenMoji's (a) and Twemoji's (b), 64 px.

`pairs` are as in `cyclegan_emoji_styles`.
"""

from vision_gen.configs import munit_emoji_styles

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = munit_emoji_styles.PAPER | {"data.size": 216, "model.cycle_weight": 10.0, "train.batch_size": 4}


def get_config():
    config = munit_emoji_styles.get_config()
    config.model.injection = "whitening"
    return config
