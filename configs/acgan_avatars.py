"""ACGAN on cartoon faces by the colour of their hair, 64 px: about 12 minutes on 2 cores."""

from vision_gen.configs import acgan_digits


def get_config():
    config = acgan_digits.get_config()
    config.data.update(name="avatars", size=64, label="hair_colour")
    config.model.update(
        classes=7, channels=3, widths=(128, 64, 32, 16), discriminator_widths=(16, 32, 64, 64, 128), noise=0.2
    )
    config.init.judge = "zoo/vit_avatars:network"
    for player in config.players.values():
        player.learning_rate = 1e-3
    config.train.update(batch_size=32, steps=3400)
    return config
