"""StarGAN v2 (Choi et al. 2020) on cartoon faces, 64 px: bare heads ("no") and hats ("yes"), which are put on and off.

What is a head's hair or hat, and its colours, is for the style to say.
"""

from vision_gen.configs import stargan_v2_folders

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 256,
    "model.channel_base": 2**14,
    "model.channel_max": 512,
    "model.mapping_width": 512,
    "dtype": "bfloat16",
}


def get_config():
    config = stargan_v2_folders.get_config()
    config.data.size = 64
    with config.data.unlocked():
        config.data.parts.images.update(name="avatars", label="Wearing_Hat")
    config.model.update(classes=2, diversity_weight=1.0, channel_base=1024, channel_max=64, mapping_width=128)
    config.train.update(steps=10_000, eval_every=1000, eval_images=128, checkpoint_every=1000)
    return config
