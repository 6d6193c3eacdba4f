"""Automatic colorization (Zhang et al., ECCV 2016) as published, on a folder of photographs: --config.data.dir=FOLDER.

With the released weights: --config.init.network=eccv16 --config.model.temperature=1.0, as the released code decodes.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "colorization.Colorization",
        data=dict(name="image_folder", size=256),
        model=dict(crop=176),
        # The paper divides the rate by about three, twice; here it falls as far, evenly.
        players=dict(
            network=defaults.player(3.16e-5, b1=0.9, b2=0.99, schedule="exponential", weight_decay=1e-3)
        ),
        batch_size=40,
        steps=450_000,
    )
