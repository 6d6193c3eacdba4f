"""VITON-HD's first stage (Choi et al. 2021): regions of drawn people in new garments, 96 x 128 px, on two cores.

The paper says rates, batch and weights; what its training did beyond is not known, for that code was not released. At
the rate below, 7.5 times the paper's and falling, so narrow a network learns several times faster (docs/results.md).
"""

from vision_gen.engine import defaults

SIZE = (128, 96)
# People in garments that they wear, and of people in others, whose truth is known for they are drawn.
DRAWN = dict(name="mannequins", examples=4000)
PEOPLE = dict(name="agnostic", size=SIZE, parts=dict(people=DRAWN))
UNPAIRED = dict(unpaired=dict(split="test", parts=dict(people=dict(DRAWN, pairs="unpaired"))))
# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": (1024, 768),
    "model.width": 64,
    "model.small": (256, 192),
    "model.discriminator_width": 64,
    "train.batch_size": 8,
    "dtype": "bfloat16",
}


def get_config():
    return defaults.experiment(
        "tryon.segmentation.Segmentation",
        data=PEOPLE,
        model=dict(width=12, small=SIZE, discriminator_width=16),
        players=dict(
            discriminator=defaults.player(4e-4),
            segmentation=defaults.player(3e-3, ema_half_life=2000, schedule="linear"),
        ),
        evaluations=UNPAIRED,
        batch_size=8,
        steps=2200,
        best_metric="iou",
    )
