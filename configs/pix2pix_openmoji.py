"""pix2pix (Isola et al. 2017): the artist's lines to the artist's colours."""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"data.size": 256, "train.batch_size": 1, "dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "pix2pix.Pix2Pix",
        data=dict(name="openmoji", size=64),
        players=dict(
            discriminator=defaults.player(2e-4, schedule="linear"),
            generator=defaults.player(2e-4, schedule="linear"),
        ),
        batch_size=16,
        steps=20000,
    )
