"""DALL-E's second stage on cartoon faces and captions of their traits, 64 px, sized for 40 minutes on 2 cores.

With the codes of a run of `dvae_avatars`: --config.init.encoder=runs/dvae:encoder --config.init.decoder=runs/dvae:decoder.
With --config.init.clip=runs/clip:network, a run of `clip_avatars`, the best of several pictures is chosen. Further
evaluation: `new`, held-out faces with combinations of traits that training never has.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "dalle.DALLE",
        data=dict(
            name="captioned",
            size=64,
            parts=dict(pictures=dict(name="avatars", examples=20_000, labels=True)),
            tokenizer="learned:1024",
            text_length=36,
        ),
        model=dict(vocabulary=1024, width=256, depth=4, head=32, kernel=5, unroll=4),
        init=dict(judge="zoo/vit_avatars:network"),
        players=dict(
            transformer=defaults.player(
                1e-3,
                b1=0.9,
                b2=0.96,
                weight_decay=0.045,
                schedule="cosine",
                warmup=100,
                clip=1.0,
                ema_half_life=6400,
            )
        ),
        evaluations=dict(new=dict(only_new=True)),
        batch_size=64,
        steps=2400,
        best_metric="agreement",
        log_every=50,
        sample_every=0,
        eval_every=800,
        eval_images=256,
        checkpoint_every=800,
    )
