"""VITON-HD's second stage (Choi et al. 2021) on its data set or your own in its layout, as published.

--config.data.parts.people.dir=FOLDER, which has `train` and `test`. Betas are not known: torch's own.
"""

from vision_gen.configs.tryon_segmentation_folder import PEOPLE
from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "tryon.warp.Warp",
        data=PEOPLE,
        players=dict(warp=defaults.player(1e-4, b1=0.9)),
        batch_size=8,
        steps=50_000,
        best_metric="iou",
    )
