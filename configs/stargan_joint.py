"""StarGAN (Choi et al. 2018) on CelebA's attributes and RaFD's expressions together, as published. Days on one GPU.

--config.data.parts.attributes.dir=CELEBA --config.data.parts.classes.dir=RAFD. The latter has a folder of images for
each class, or such folders in `train` and `test`; of another number of classes: --config.model.classes=N.
"""

from vision_gen.configs import stargan_celeba
from vision_gen.engine import defaults


def get_config():
    config = stargan_celeba.get_config()
    attributes = dict(name="celeba", dir="", labels=True, attributes=config.data.attributes)
    players = config.players.to_dict()
    return defaults.experiment(
        "stargan.JointStarGAN",
        data=dict(
            name="joint",
            size=256,
            parts=dict(attributes=attributes, classes=dict(name="image_folder", dir="", labels=True)),
        ),
        model=config.model.to_dict() | dict(classes=8),
        players=players | {f"{name}_classes": fields for name, fields in players.items()},
        **config.train.to_dict(),
    )
