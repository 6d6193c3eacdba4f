"""XploreGAN (Bahng et al. 2020) on digits in ten colours, 28 px, between clusters of an early layer of a classifier.

--config.init.classifier=RUN:network, of resnet_coloured_digits; `python -m vision_gen.studio.debias` trains one.
"""

from vision_gen.engine import defaults


def get_config():
    # All of this is ours. The critic sees patches of 8 px, and what stays and comes back counts twice as much as with
    # faces: what a digit is shall stay.
    adam = dict(learning_rate=1e-3, schedule="linear")
    return defaults.experiment(
        "xploregan.XploreGAN",
        data=dict(name="coloured_digits", size=28),
        model=dict(
            layer="stem",
            clustered=2000,
            width=16,
            residual_blocks=1,
            discriminator_width=16,
            stages=1,
            cycle_weight=20.0,
            identity_weight=20.0,
            flip=False,
        ),
        players=dict(discriminator=defaults.player(**adam), generator=defaults.player(**adam)),
        batch_size=16,
        steps=700,
        log_every=100,
        sample_every=100,
        eval_every=0,
        eval_images=64,
        checkpoint_every=700,
        best_metric="reached",
    )
