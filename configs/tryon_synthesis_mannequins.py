"""VITON-HD's third stage (Choi et al. 2021): drawn people painted in new garments, 96 x 128 px, on two cores.

--config.init.segmentation=RUN --config.init.warp=RUN name the runs of the first two stages. Its own run dresses people.
The network that looks is the paper's VGG-19 where its weights are there (docs/metrics.md), or EfficientNet-Lite0.
"""

from vision_gen.configs.tryon_segmentation_mannequins import PEOPLE, SIZE, UNPAIRED
from vision_gen.engine import defaults
from vision_gen.pretrained import weights

PAPER = {
    "data.size": (1024, 768),
    "model.widths": (1024, 1024, 1024, 512, 256, 128, 64, 32),
    "model.masked": 5,
    "model.hidden": 128,
    "model.small": (256, 192),
    "model.segmentation_width": 64,
    "model.warp_width": 64,
    "model.discriminator_width": 64,
    "model.perceptual": "vgg19",
    "train.batch_size": 4,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "tryon.synthesis.Synthesis",
        data=PEOPLE,
        model=dict(
            widths=(64, 64, 48, 32, 16), masked=3, hidden=24, small=SIZE, segmentation_width=12, warp_width=16,
            discriminator_width=16,
            perceptual="vgg19" if weights.is_here("vgg19") else "efficientnet-lite0",
        ),
        players=dict(
            synthesis=defaults.player(4e-4, b1=0.0, b2=0.9, ema_half_life=2000),
            discriminator=defaults.player(4e-4, b1=0.0, b2=0.9),
        ),
        evaluations=UNPAIRED,
        batch_size=4,
        steps=2400,
        best_metric="ssim",
    )  # fmt: skip
