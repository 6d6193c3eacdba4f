"""A small ResNet on fruit and vegetables whose colours go with them in training."""

from vision_gen.configs import resnet_coloured_digits


def get_config():
    config = resnet_coloured_digits.get_config()
    config.data.update(name="biased_fruit", size=64, examples=2000)
    config.model.update(depth=(1, 1, 1, 1), classes=5)
    return config
