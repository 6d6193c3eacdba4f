"""Colorization by hints (Zhang et al., SIGGRAPH 2017) as published, on photographs: --config.data.dir=FOLDER.

The published training has four stages, each from the weights of the one before. This config is the last but one; all of
them, by what they change:

    classes of a small set   --config.model.by_class=1.0 --config.players.network.learning_rate=1e-4
    classes of all           the same, and --config.init.network=runs/classes_small
    colours                  --config.init.network=runs/classes
    colours, slower          --config.init.network=runs/colours --config.players.network.learning_rate=1e-6

With the released weights: --config.init.network=siggraph17 --config.model.mask_centre=0.0.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "hints.Hints",
        data=dict(name="image_folder", size=176),
        players=dict(network=defaults.player(1e-5, b1=0.9)),
        batch_size=25,
        steps=500_000,  # 10 epochs of ImageNet.
    )
