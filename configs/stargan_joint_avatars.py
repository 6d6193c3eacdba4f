"""StarGAN (Choi et al. 2018) on two sets of cartoon faces, 64 px: one knows hair, glasses, beards, the other mouths."""

from vision_gen.configs import stargan_avatars, stargan_celeba, stargan_joint

# What differs at the paper's full size, as benchmarks.compile_only --scale=paper compiles it for accelerators.
PAPER = {name: value for name, value in stargan_avatars.PAPER.items() if name != "data.attributes"} | {
    "data.size": 256,
    "players.generator_classes.every": 5,
}


def get_config():
    config = stargan_joint.get_config()
    config.data.size = 64
    with config.data.unlocked():
        attributes = (*stargan_celeba.HAIR, "Eyeglasses", "No_Beard")
        config.data.parts.attributes = dict(name="avatars", labels=True, attributes=attributes)
        config.data.parts.classes = dict(name="avatars", labels=True, label="mouth")
    config.model.classes = 7
    return stargan_avatars.of_avatars(config)
