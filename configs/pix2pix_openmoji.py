"""pix2pix (Isola et al. 2017): the artist's lines to the artist's colours."""

from ml_collections import ConfigDict

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"data.size": 256, "train.batch_size": 1, "dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "pix2pix.Pix2Pix",
        data=dict(name="openmoji", size=64),
        model=ConfigDict(
            dict(
                width=64,
                discriminator_width=64,
                gan_loss="cross_entropy",
                l1_weight=100.0,
                jitter=286 / 256,
                flip=True,
                line_share=0.7,
                xdog_share=0.8,
                # The paper's test-time dropout and batch statistics suit its batch of 1.
                noise_at_test=False,
            )
        ),
        players=dict(
            discriminator=defaults.player(2e-4, schedule="linear"),
            generator=defaults.player(2e-4, schedule="linear"),
        ),
        batch_size=16,
        steps=20000,
    )
