"""ACGAN on MNIST's digits, 28 px."""

from vision_gen.engine import defaults

# What differs at the paper's full size, 128 px of 10 of ImageNet's classes, as benchmarks.compile_only --scale=paper
# compiles it for accelerators.
PAPER = {
    "data.name": "tfds:imagenet2012",
    "data.size": 128,
    "model.channels": 3,
    "model.latent": 100,
    "model.widths": (768, 384, 256, 192),
    "model.discriminator_widths": (16, 32, 64, 128, 256, 512),
    "train.batch_size": 100,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "acgan.ACGAN",
        data=dict(name="digits", size=28, labels=True),
        model=dict(channels=1, latent=64, widths=(64, 32), discriminator_widths=(16, 32, 64, 128)),
        players=dict(
            discriminator=defaults.player(5e-4),
            generator=defaults.player(5e-4, ema_half_life=20_000),
        ),
        batch_size=64,
        steps=6000,
        log_every=100,
        sample_every=1000,
        eval_every=1000,
        init=dict(judge="zoo/vit_digits:network"),
        best_metric="judge_distance",
        best_mode="min",
    )
