"""A small ResNet on digits whose colours go with them in training: what it learns is colours."""

from vision_gen.configs import resnet_imagenet


def get_config():
    config = resnet_imagenet.get_config()
    config.data.update(name="coloured_digits", size=28, labels=False, workers=0)
    config.model.update(depth=(1, 1, 1), width=16, stem="small", classes=10, crop_area=1.0, flip=False)
    config.players.network.update(optimizer="adam", learning_rate=1e-3, b1=0.9, weight_decay=0.0)
    config.train.update(
        batch_size=64, steps=400, log_every=50, sample_every=0, eval_every=200, eval_images=500, checkpoint_every=200
    )
    config.train.best_metric = "unbiased"
    return config
