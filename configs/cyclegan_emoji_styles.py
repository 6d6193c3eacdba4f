"""CycleGAN (Zhu et al. 2017) between two styles of emoji, OpenMoji's (a) and Twemoji's (b), 64 px.

Training knows nothing of which drawings show the same. `pairs` are the held-out ones that do, so that what is made of
one can be compared with the true other.
"""

from vision_gen.configs import cyclegan_folders

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 256,
    "model.width": 64,
    "model.residual_blocks": 9,
    "model.discriminator_width": 64,
    "train.batch_size": 1,
    "dtype": "bfloat16",
}


def of_styles(config):
    """A config of two domains with the two styles as its data, and short enough for a CPU."""
    parts = dict(a=dict(name="openmoji"), b=dict(name="twemoji"))
    with config.data.unlocked():
        config.data.update(name="unpaired", size=64, parts=parts)
    with config.evaluations.unlocked():
        config.evaluations.pairs = dict(name="paired", parts=parts, allow_unmatched=True)
    config.train.update(batch_size=4, steps=8000, sample_every=500, eval_every=1000, checkpoint_every=1000)
    return config


def get_config():
    config = of_styles(cyclegan_folders.get_config())
    config.model.update(width=24, residual_blocks=6, discriminator_width=32)
    return config
