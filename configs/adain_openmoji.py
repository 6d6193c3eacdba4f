"""AdaIN (Huang & Belongie 2017) on emoji and photographs in the style of others of them, 128 px, sized for two CPU cores.

For pictures of your own --config=configs/adain_photographs.py.
"""

from vision_gen.engine import defaults


def get_config():
    pictures = dict(name="mixed", parts=dict(drawings=dict(name="emoji_styles"), photographs=dict(name="photographs")))
    return defaults.experiment(
        "adain.AdaIN",
        data=dict(name="unpaired", size=128, parts=dict(content=pictures, style=pictures)),
        # The weight is ours: the release's is for another encoder.
        model=dict(width=32, style_weight=1.5),
        # Without a slow start pictures leave the range that the encoder can see, and never come back.
        players=dict(
            decoder=defaults.player(1e-3, b1=0.9, schedule="cosine", warmup=100, clip=1.0, ema_half_life=2000)
        ),
        batch_size=8,
        steps=1600,
        log_every=50,
        sample_every=400,
        eval_every=400,
        eval_images=120,
        checkpoint_every=400,
        best_metric="objective",
        best_mode="min",
    )
