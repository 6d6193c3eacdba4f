"""SCFT (Lee et al., CVPR 2020) as published, 256 px, on line art.

The perceptual and style terms are of the paper's VGG-19 where its weights are there (docs/metrics.md), of
EfficientNet-Lite0 otherwise; --config.model.perceptual=vgg19 downloads them.
"""

from ml_collections import ConfigDict

from vision_gen.engine import defaults
from vision_gen.pretrained import weights

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16", "model.perceptual": "vgg19"}


def get_config():
    return defaults.experiment(
        "scft.SCFT",
        data=dict(name="openmoji", size=256),
        model=ConfigDict(
            dict(
                width=16,
                levels=5,
                residual_blocks=4,
                norm="layer",
                attention_chunk=1024,
                discriminator_width=64,
                discriminator_norm="batch",
                gan_loss="cross_entropy",
                gan_weight=1.0,
                reconstruction_weight=30.0,
                triplet_weight=1.0,
                triplet_margin=12.0,
                perceptual="vgg19" if weights.is_here("vgg19") else "efficientnet-lite0",
                perceptual_weight=0.01,
                style_weight=50.0,
                jitter_shift=0.2,
                jitter_hue=0.0,
                tps_points=3,
                tps_scale=0.3,
                flip=True,
                line_share=0.7,
                xdog_share=0.8,
            )
        ),
        players=dict(
            discriminator=defaults.player(2e-4, schedule="linear"),
            generator=defaults.player(1e-4, schedule="linear", ema=0.999),
        ),
        batch_size=16,
        steps=50000,
    )
