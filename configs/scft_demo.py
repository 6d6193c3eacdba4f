"""SCFT at 64 px, sized for a few minutes on two CPU cores: `make demo`.

The same code as scft_openmoji.py; a map of 16 x 16 cells as in the paper, so three levels. Attention carries the
reference's pixels and the lines lie over what is painted, which is not the paper's. Without the perceptual and style
terms, which at 64 px and in so few steps cost more than they bring. docs/results.md has what each of these does.
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
        carry_colours=True,
        colour_layer=True,
        discriminator_width=16,
        gan_loss="least_squares",
        gan_weight=0.1,
        reconstruction_weight=40.0,
        triplet_weight=4.0,
        jitter_shift=0.1,
        jitter_hue=0.03,
        perceptual_weight=0.0,
        style_weight=0.0,
    )
    config.players.generator.update(
        learning_rate=2e-3, schedule="cosine", warmup=100, clip=1.0, ema_half_life=550, b1=0.9
    )
    config.players.discriminator.update(learning_rate=5e-5, schedule="constant")
    config.train.update(
        batch_size=4,
        steps=2200,
        log_every=40,
        sample_every=440,
        eval_every=1100,
        checkpoint_every=1100,
    )
    return config
