"""XploreGAN (Bahng et al. 2020) on fruit of OpenMoji, 64 px, between clusters of what a classifier goes by.

--config.init.classifier=RUN:network, of resnet_fruit; `python -m vision_gen.studio.debias` trains one.
"""

from vision_gen.configs import xploregan_coloured_digits


def get_config():
    config = xploregan_coloured_digits.get_config()
    config.data.update(name="biased_fruit", size=64, examples=2000)
    # Early features see grounds before they see fruit; the last ones see what the classifier goes by.
    config.model.update(clusters=5, layer="pooled", stages=2)
    return config
