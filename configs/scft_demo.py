"""SCFT at 64 px, sized for a few minutes on two CPU cores: `make demo`.

The same code as scft_openmoji.py; a map of 16 x 16 cells as in the paper, so three levels. Without the perceptual and
style terms, which at 64 px and in so few steps cost more than they bring (docs/results.md).
"""

from vision_gen.configs import scft_openmoji


def get_config():
    config = scft_openmoji.get_config()
    config.data.size = 64
    config.model.update(
        width=16,
        levels=3,
        residual_blocks=1,
        norm="layer",
        discriminator_width=32,
        gan_loss="least_squares",
        jitter_hue=0.1,
        jitter_shift=0.3,
        perceptual_weight=0.0,
        style_weight=0.0,
    )
    config.players.generator.update(
        learning_rate=3e-3, schedule="cosine", warmup=50, clip=1.0, ema_half_life=550, b1=0.9
    )
    config.players.discriminator.update(learning_rate=5e-5, schedule="constant")
    config.train.update(
        batch_size=8,
        steps=1200,
        log_every=20,
        sample_every=200,
        eval_every=400,
        checkpoint_every=400,
    )
    return config
