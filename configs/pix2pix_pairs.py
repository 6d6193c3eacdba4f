"""pix2pix (Isola et al. 2017) on your own pairs, with the paper's settings for facades: --config.data.dir=FOLDER.

FOLDER as docs/data.md says: A and B side by side in each file, or in two folders. --config.data.direction=BtoA
translates B into A, as the paper does of facades, whose photographs are on the left.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "pix2pix.Pix2Pix",
        data=dict(name="pairs", size=256),
        model=dict(noise_at_test=True),
        players=dict(
            discriminator=defaults.player(2e-4, schedule="linear"),
            generator=defaults.player(2e-4, schedule="linear"),
        ),
        batch_size=1,
        steps=80_000,  # 200 epochs of 400 pairs.
    )
