"""A small CLIP on cartoon faces and captions of their traits, about half an hour on 2 cores.

Further evaluation: `new`, held-out faces with combinations of traits that training never has.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "clip.CLIP",
        data=dict(
            name="captioned",
            size=64,
            parts=dict(pictures=dict(name="avatars", examples=20_000)),
            tokenizer="learned:1024",
            text_length=36,
        ),
        model=dict(
            embedding=128,
            image_layers=4,
            image_width=128,
            patch=8,
            text_layers=2,
            text_width=128,
            vocabulary=1024,
            head=32,
            unroll=4,
        ),
        players=dict(
            network=defaults.player(
                1e-3,
                b1=0.9,
                b2=0.98,
                epsilon=1e-6,
                weight_decay=0.2,
                schedule="cosine",
                warmup=100,
                clip=1.0,
                ema_half_life=25_600,
            )
        ),
        evaluations=dict(new=dict(only_new=True)),
        batch_size=256,
        steps=1200,
        best_metric="zero_shot",
        log_every=50,
        sample_every=0,
        eval_every=400,
        eval_images=500,
        checkpoint_every=400,
    )
