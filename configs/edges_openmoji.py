"""Edges of coloured OpenMoji drawings (Kim et al. 2021), 64 px, for 20 minutes on two CPU cores.

Of the zoo's colorizer by hints. Of another one: --config.init.colorizer=runs/x:network, a run of hints_openmoji or
colorization_openmoji.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "edges.Edges",
        data=dict(name="openmoji", size=64),
        model=dict(width=32),
        init=dict(colorizer="zoo/hints_openmoji:network"),
        players=dict(enhancer=defaults.player(1e-3, b1=0.9, schedule="cosine", warmup=100, ema_half_life=2000)),
        batch_size=16,
        steps=4000,
        eval_images=64,
        best_metric="psnr_inside",
    )
