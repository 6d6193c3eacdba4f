"""Edges of coloured photographs (Kim et al., ICCV 2021): --config.data.dir=FOLDER.

Enhances the released colorizer of Zhang et al. (SIGGRAPH 2017), or with --config.model.colorizer=eccv16
--config.model.block=block1 that of ECCV 2016. Steps, batch and rate are not published.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16"}


def get_config():
    return defaults.experiment(
        "edges.Edges",
        data=dict(name="image_folder", size=256),
        players=dict(enhancer=defaults.player(1e-4, b1=0.9)),
        batch_size=16,
        steps=100_000,
        best_metric="psnr_inside",
    )
