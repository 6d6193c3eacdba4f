"""A small ViT that tells the group of an OpenMoji drawing; split by base glyph."""

from configs import vit_imagenet


def get_config():
    config = vit_imagenet.get_config()
    config.data.update(name="openmoji", size=64, workers=0)
    config.model.update(
        size="Ti", patch=8, classes=11, drop_path=0.1, label_smoothing=0.1, crop_area=0.6, mixup=0.2,
    )
    config.players.network.update(learning_rate=5e-4, weight_decay=0.05, warmup=100, ema=0.99)
    config.train.update(
        batch_size=64, steps=2000, log_every=50, sample_every=500, eval_every=500,
        checkpoint_every=500,
    )
    return config
