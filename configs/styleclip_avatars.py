"""StyleCLIP's latent mapper for cartoon faces at 64 px, on the small models that ship, sized for 20 minutes on 2 cores.

--config.model.text="a person in green clothes" trains it for another text.
"""

from vision_gen.configs import styleclip, styleclip_ffhq


def get_config():
    config = styleclip_ffhq.get_config()
    config.data.size = 64
    config.init.update(styleclip.AVATARS)
    config.model.update(text="a person with blond hair")
    config.train.update(
        batch_size=8, steps=3000, log_every=50, sample_every=500, eval_every=500, eval_images=64, checkpoint_every=500
    )
    return config
