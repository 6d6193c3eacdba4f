"""A small ViT on MNIST's digits at 28 px, 5,000 scans: a judge of what other systems generate."""

from vision_gen.configs import vit_digits


def get_config():
    config = vit_digits.get_config()
    config.data.size = 28
    config.model.update(patch=4, positions="sincos", pool="gap", label_smoothing=0.0, crop_area=0.6, mixup=0.0)
    config.train.update(steps=6000, log_every=500, eval_every=1000, checkpoint_every=1000)
    return config
