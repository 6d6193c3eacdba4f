"""A conditional GAN with a projection discriminator on MNIST's digits, 28 px."""

from vision_gen.engine import defaults

# What differs at full size, as benchmarks.compile_only --scale=paper compiles it for accelerators: Miyato & Koyama's
# 1,000 classes of 128 px and batch, with DCGAN's widths.
PAPER = {
    "data.name": "tfds:imagenet2012",
    "data.size": 128,
    "model.classes": 1000,
    "model.latent": 128,
    "model.channels": 3,
    "model.widths": (1024, 512, 256, 128, 64),
    "model.discriminator_widths": (64, 128, 256, 512, 1024),
    "train.batch_size": 256,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "cgan.CGAN",
        data=dict(name="digits", size=28, labels=True),
        model=dict(channels=1, latent=64, widths=(64, 32), discriminator_widths=(32, 64, 128)),
        players=dict(
            discriminator=defaults.player(5e-4, b1=0.0, b2=0.9),
            generator=defaults.player(5e-4, b1=0.0, b2=0.9, ema_half_life=20_000),
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
