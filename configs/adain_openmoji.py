"""AdaIN (Huang & Belongie 2017) on OpenMoji's drawings in the style of others of them, 128 px, sized for two CPU cores.

For photographs --config=configs/adain_photographs.py.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "adain.AdaIN",
        data=dict(name="unpaired", size=128, parts=dict(content=dict(name="openmoji"), style=dict(name="openmoji"))),
        model=dict(width=32),
        players=dict(decoder=defaults.player(1e-3, b1=0.9, schedule="cosine", ema_half_life=2000)),
        batch_size=8,
        steps=4000,
        best_metric="objective",
        best_mode="min",
    )
