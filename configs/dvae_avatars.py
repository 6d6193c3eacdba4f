"""DALL-E's first stage on cartoon faces, 64 px: a small autoencoder of 8 x 8 codes, 48 minutes on one core.

Its run is what `dalle_avatars` draws with.
"""

from vision_gen.engine import defaults


def get_config():
    return defaults.experiment(
        "dalle.DVAE",
        data=dict(name="avatars", size=64),
        model=dict(
            vocabulary=512,
            width=32,
            initial=64,
            blocks=1,
            temperature_steps=2500,
            kl_weight=0.0,
            usage_weight=0.3,
            least_scale=0.1,
        ),
        players=dict(
            autoencoder=defaults.player(
                6e-3,
                b1=0.9,
                b2=0.99,
                weight_decay=1e-4,
                schedule="cosine",
                lowest=0.02,
                warmup=100,
                clip=1.0,
                ema_half_life=6400,
            )
        ),
        batch_size=16,  # Half as many images twice as often: as good after half of them as with 32.
        steps=5000,
        best_metric="psnr",
        log_every=50,
        sample_every=500,
        eval_every=500,
        eval_images=256,
        checkpoint_every=500,
    )
