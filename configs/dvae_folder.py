"""DALL-E's first stage on a folder of your own pictures, with the published sizes: --config.data.dir=FOLDER.

Batch and steps are the published ones too, which are for many accelerators.
"""

from vision_gen.engine import defaults

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {"dtype": "bfloat16"}
BATCH = 512


def get_config():
    return defaults.experiment(
        "dalle.DVAE",
        data=dict(name="image_folder", size=256, workers=8),
        players=dict(
            autoencoder=defaults.player(
                1e-4,
                b1=0.9,
                b2=0.999,
                weight_decay=1e-4,
                schedule="cosine",
                falling=1_200_000,
                lowest=1.25e-2,
                ema_half_life=693 * BATCH,  # 0.999 a step.
                ema_ramp=0.0,
            )
        ),
        batch_size=BATCH,
        steps=3_000_000,
        best_metric="psnr",
    )
