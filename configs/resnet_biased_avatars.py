"""A small ResNet that tells the clothing of avatars, with which their glasses go in training."""

from vision_gen.configs import resnet_coloured_digits


def get_config():
    config = resnet_coloured_digits.get_config()
    faces = dict(name="avatars", examples=20_000)
    goes_with = {"hoodie": "none", "shirt": "square", "blazer": "round", "overall": "sunglasses"}
    config.data.unlock()
    config.data.update(
        name="biased", size=64, parts=dict(faces=faces), label_by="clothing", bias_by="glasses", goes_with=goes_with,
    )
    config.data.lock()
    config.model.update(depth=(1, 1, 1, 1), classes=4)
    return config
