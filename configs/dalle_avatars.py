"""DALL-E's second stage on cartoon faces and captions, 64 px, with the codes of `zoo/dvae_avatars`: 42 minutes on one core.

Of several pictures `zoo/clip_avatars` chooses the best. Codes of your own: --config.init.encoder=runs/dvae:encoder
--config.init.decoder=runs/dvae:decoder. Further evaluation: `new`, held-out faces with combinations of traits that
training never has.
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
        init=dict(
            encoder="zoo/dvae_avatars:encoder",
            decoder="zoo/dvae_avatars:decoder",
            clip="zoo/clip_avatars:network",
            judge="zoo/vit_avatars:network",
        ),
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
        batch_size=32,
        steps=1700,
        best_metric="agreement",
        log_every=50,
        sample_every=0,
        eval_every=850,
        eval_images=256,
        checkpoint_every=850,
    )
