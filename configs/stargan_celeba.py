"""StarGAN (Choi et al. 2018) on CelebA, as published: --config.data.dir=FOLDER. Days on one GPU."""

from vision_gen.engine import defaults

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")


def get_config():
    adam = dict(learning_rate=1e-4, schedule="linear")
    return defaults.experiment(
        "stargan.StarGAN",
        data=dict(name="celeba", size=128, labels=True, attributes=(*HAIR, "Male", "Young")),
        model=dict(exclusive=(" ".join(HAIR),)),
        players=dict(
            discriminator=defaults.player(**adam),
            generator=defaults.player(**adam, every=5),
        ),
        batch_size=16,
        steps=200_000,
        best_metric="cycle",
        best_mode="min",
    )
