"""CoCosNet (Zhang et al. 2020) on line art, 64 px: OpenMoji's drawings painted like others that look like them.

The network that looks is the paper's VGG-19 where its weights are there (docs/metrics.md), EfficientNet-Lite0
otherwise; --config.model.perceptual=vgg19 downloads them.
"""

from vision_gen.engine import defaults
from vision_gen.pretrained import weights

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 256,
    "model.width": 64,
    "model.discriminator_width": 64,
    "model.perceptual": "vgg19",
    "train.batch_size": 32,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "cocosnet.CoCosNet",
        data=dict(name="exemplars", size=64, parts=dict(drawings=dict(name="openmoji", dir="", labels=False))),
        model=dict(
            width=8, discriminator_width=16, perceptual="vgg19" if weights.is_here("vgg19") else "efficientnet-lite0"
        ),
        players=dict(
            generator=defaults.player(1e-4, b1=0.0, b2=0.9, epsilon=1e-3, schedule="linear"),
            discriminator=defaults.player(4e-4, b1=0.0, b2=0.9, schedule="linear"),
        ),
        batch_size=4,
        steps=20_000,
    )
