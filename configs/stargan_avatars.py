"""StarGAN (Choi et al. 2018) on cartoon faces, 64 px: hair colours, glasses, beards and smiles, an hour on 2 cores."""

from vision_gen.configs import stargan_celeba

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 128,
    "data.attributes": (*stargan_celeba.HAIR, "Smiling", "No_Beard"),
    "model.width": 64,
    "model.discriminator_width": 64,
    "model.stages": 6,
    "players.generator.every": 5,
    "train.batch_size": 16,
    "init.judge": "",
    "dtype": "bfloat16",
}


def of_avatars(config):
    """A StarGAN's config, sized for 64 px and an hour on 2 cores."""
    config.model.update(width=16, discriminator_width=24, stages=5)
    config.init.judge = "zoo/vit_avatars:network"
    # Five times the published rate, half the batch, and two steps of the critic to one of the generator instead of
    # five: what counts in an hour is how often the generator moves.
    for name, player in config.players.items():
        player.update(learning_rate=5e-4, every=2 if name.startswith("generator") else 1)
    config.train.update(batch_size=8, steps=8000, eval_every=1000, eval_images=128, checkpoint_every=1000)
    config.train.update(best_metric="right", best_mode="max")
    return config


def get_config():
    config = stargan_celeba.get_config()
    config.data.update(
        name="avatars", size=64, attributes=(*stargan_celeba.HAIR, "Eyeglasses", "No_Beard", "Smiling")
    )
    return of_avatars(config)
