"""A conditional GAN with a projection discriminator on cartoon faces by the colour of their hair, 64 px."""

from vision_gen.configs import cgan_digits


def get_config():
    config = cgan_digits.get_config()
    config.data.update(name="avatars", size=64, label="hair_colour")
    config.model.update(
        classes=7, channels=3, widths=(256, 128, 64, 32), discriminator_widths=(32, 64, 128, 256)
    )
    config.init.judge = "zoo/vit_avatars:network"
    config.train.update(batch_size=32, steps=4000)
    return config
