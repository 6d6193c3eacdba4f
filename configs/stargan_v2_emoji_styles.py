"""StarGAN v2 (Choi et al. 2020) between three styles of emoji, OpenMoji's, Twemoji's and lines, 64 px."""

from vision_gen.configs import stargan_v2_avatars


def get_config():
    config = stargan_v2_avatars.get_config()
    with config.data.unlocked():
        config.data.parts.images = dict(name="emoji_styles", labels=True)
    config.model.classes = 3
    return config
