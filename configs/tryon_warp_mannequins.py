"""VITON-HD's second stage (Choi et al. 2021): drawn garments bent as they are worn, 96 x 128 px, on two cores.

The mask's term and so light a constraint are not the paper's: plain garments on white have few edges to go by in so short
a training, and a tenth of the constraint learned twice as fast.
"""

from vision_gen.configs.tryon_segmentation_mannequins import PEOPLE, SIZE, UNPAIRED
from vision_gen.engine import defaults

PAPER = {
    "data.size": (1024, 768),
    "model.width": 64,
    "model.levels": 4,
    "model.small": (256, 192),
    "model.mask_weight": 0.0,
    "model.constraint_weight": 0.04,
    "train.batch_size": 8,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "tryon.warp.Warp",
        data=PEOPLE,
        model=dict(width=16, levels=3, small=SIZE, mask_weight=1.0, constraint_weight=0.004),
        players=dict(warp=defaults.player(1e-3, ema_half_life=2000, schedule="linear")),
        evaluations=UNPAIRED,
        batch_size=16,
        steps=7000,
        best_metric="iou",
    )
