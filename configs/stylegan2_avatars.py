"""StyleGAN2 with adaptive augmentation of drawn faces at 64 px: an hour on two CPU cores."""

from vision_gen.configs import stylegan2_folder


def get_config():
    config = stylegan2_folder.get_config("auto,64")
    config.data.name = "avatars"
    # As the reference's "cifar": neither style mixing nor path lengths; in so few steps either only slows it down.
    config.model.update(
        z_size=128, w_size=128, channel_base=2048, channel_max=128, half_resolutions=0, perceptual="none",
        r1_weight=5.0, style_mixing=0.0, path_length_weight=0.0,
    )
    config.players.path_length.every = 0
    config.players.generator.ema_half_life = config.players.path_length.ema_half_life = 5000
    config.train.update(
        batch_size=16,
        steps=7000,
        log_every=50,
        sample_every=500,
        eval_every=700,
        eval_images=256,
        checkpoint_every=700,
        keep=10,
    )
    return config
