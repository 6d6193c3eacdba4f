"""ViT-Ti/4 on CIFAR-10, which TFDS downloads: 200 epochs."""

from vision_gen.configs import vit_imagenet


def get_config():
    config = vit_imagenet.get_config()
    config.data.update(name="tfds:cifar10", size=32, workers=2)
    config.model.update(
        size="Ti", patch=4, classes=10, dropout=0.0, label_smoothing=0.1, crop_area=0.5, cutmix=1.0,
    )
    config.players.network.update(warmup=2000, weight_decay=0.05)
    config.train.update(batch_size=256, steps=39_000)
    return config
