"""StarGAN v2 (Choi et al. 2020) between folders of images, as published for AFHQ: days on one GPU.

--config.data.parts.images.dir=FOLDER, which has `train/<domain>` and `val/<domain>`, or `test/<domain>`; of another number of
domains than AFHQ's three, --config.model.classes=N. For CelebA-HQ --config.model.diversity_weight=1.
"""

import math

from vision_gen.engine import defaults

BATCH = 8


def get_config():
    adam = dict(b1=0.0, b2=0.99, weight_decay=1e-4, decay="gradient")
    # Averages keep 0.999 of what they were at each step.
    averaged = dict(ema_half_life=round(BATCH * math.log(0.5) / math.log(0.999)), ema_ramp=0.0, **adam)
    return defaults.experiment(
        "stargan_v2.StarGANv2",
        data=dict(name="references", size=256, parts=dict(images=dict(name="image_folder", labels=True, dir=""))),
        model=dict(classes=3, diversity_weight=2.0),
        players=dict(
            discriminator=defaults.player(1e-4, **adam),
            discriminator_reference=defaults.player(1e-4, **adam),
            generator=defaults.player(1e-4, **averaged),
            mapping_network=defaults.player(1e-6, **averaged),
            style_encoder=defaults.player(1e-4, **averaged),
            generator_reference=defaults.player(1e-4, **averaged),
        ),
        batch_size=BATCH,
        steps=100_000,
        eval_every=5000,
        checkpoint_every=5000,
        best_metric="patches_reference",
        best_mode="min",
    )
