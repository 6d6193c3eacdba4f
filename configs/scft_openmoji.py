"""SCFT (Lee et al., CVPR 2020) as published, 256 px, on line art.

The perceptual and style terms are of the paper's VGG-19 where its weights are there (docs/metrics.md), of
EfficientNet-Lite0 otherwise; --config.model.perceptual=vgg19 downloads them.
"""

from vision_gen.engine import defaults
from vision_gen.pretrained import weights

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16", "model.perceptual": "vgg19"}


def get_config():
    return defaults.experiment(
        "scft.SCFT",
        data=dict(name="openmoji", size=256),
        model=dict(perceptual="vgg19" if weights.is_here("vgg19") else "efficientnet-lite0"),
        players=dict(
            discriminator=defaults.player(2e-4, schedule="linear"),
            generator=defaults.player(1e-4, schedule="linear", ema_half_life=11_000),
        ),
        batch_size=16,
        steps=50000,
    )
