"""Automatic colorization (Zhang et al. 2016) of OpenMoji's drawings in grey, 64 px, sized for two CPU cores."""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "colorization.Colorization",
        data=dict(name="openmoji", size=64),
        model=dict(width=16),
        players=dict(network=defaults.player(2e-3, b1=0.9, b2=0.99, schedule="cosine", warmup=100, ema_half_life=2000)),
        batch_size=16,
        steps=1800,
    )
