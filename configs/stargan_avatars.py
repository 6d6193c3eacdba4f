"""StarGAN (Choi et al. 2018) on cartoon faces, 64 px: hair colours, glasses, beards and smiles, an hour on 2 cores."""

from vision_gen.configs import stargan_celeba

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {
    "data.size": 128,
    "data.attributes": (*stargan_celeba.HAIR, "Smiling", "No_Beard"),
    "model.width": 64,
    "model.discriminator_width": 64,
    "model.stages": 6,
    "init.judge": "",
    "dtype": "bfloat16",
}


def get_config():
    config = stargan_celeba.get_config()
    config.data.update(
        name="avatars", size=64, attributes=(*stargan_celeba.HAIR, "Eyeglasses", "No_Beard", "Smiling")
    )
    config.model.update(width=32, discriminator_width=32, stages=5)
    config.init.judge = "zoo/vit_avatars:network"
    config.train.update(steps=8000, eval_every=1000, eval_images=128, checkpoint_every=1000)
    config.train.update(best_metric="right", best_mode="max")
    return config
