"""StyleGAN2 of drawn faces at 64 px, sized for two hours on one CPU core."""

from vision_gen.configs import stylegan2_folder


def get_config():
    config = stylegan2_folder.get_config("auto,64")
    config.data.name = "avatars"
    # As the reference's "cifar": neither style mixing nor path lengths; in so few steps either only slows it down.
    # Augmentation is for few pictures. Here are 20,000, which a run of two hours sees twenty times. Features guide
    # projections and measure path lengths; nothing is trained by them.
    config.model.update(
        z_size=128, w_size=128, channel_base=512, channel_max=256, half_resolutions=0, perceptual="efficientnet-lite0",
        augmentation="none", r1_weight=1.0, style_mixing=0.0, path_length_weight=0.0,
    )
    # So narrow networks bear four times the published rate; at 2e-2 they diverge.
    for player in config.players.values():
        player.learning_rate = 1e-2
    config.players.path_length.every = 0
    config.players.generator.ema_half_life = config.players.path_length.ema_half_life = 10_000
    config.train.update(
        batch_size=32,
        steps=12_500,
        log_every=50,
        sample_every=1000,
        eval_every=1000,
        eval_images=256,
        checkpoint_every=1000,
        keep=10,
    )
    return config
