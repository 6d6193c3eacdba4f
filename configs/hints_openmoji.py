"""Colorization by hints (Zhang et al. 2017) of OpenMoji's drawings in grey, 64 px, for 20 minutes on two CPU cores.

Hints are smaller, as pictures are, and a part of them strokes. --config.model.rounds=3 trains with users who look at
the result and answer where it errs most.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "hints.Hints",
        data=dict(name="openmoji", size=64),
        model=dict(width=16, by_class=0.1, sizes=(1, 4), strokes=0.3, crop_area=1.0),
        players=dict(network=defaults.player(1e-3, b1=0.9, schedule="cosine", warmup=100, ema_half_life=2000)),
        batch_size=16,
        steps=4000,
    )
