"""A small ViT on scikit-learn's bundled digits: two minutes on two CPU cores."""

from vision_gen.configs import vit_imagenet


def get_config():
    config = vit_imagenet.get_config()
    config.data.update(name="digits", size=8, workers=0)
    config.model.update(
        patch=2, classes=10, dropout=0.0, drop_path=0.0, label_smoothing=0.1,
        crop_area=0.7, flip=False, operations=0, mixup=0.1,
    )
    config.model.size = (128, 256, 4, 4)  # Width, MLP, heads, depth.
    config.players.network.update(
        learning_rate=1e-3, weight_decay=0.05, warmup=50, ema_half_life=2200
    )
    config.train.update(
        batch_size=64, steps=1100, log_every=50, sample_every=0, eval_every=550, checkpoint_every=550
    )
    return config
